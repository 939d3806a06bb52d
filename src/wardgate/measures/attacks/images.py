"""Are images of training patients copied? Embeddings without any training on them, and copies under shift and flip.

Nothing here is learned from the persons who are compared: power spectra and principal components come from reference
images and the candidate, so training and held-out persons are treated alike, and under no leakage they are
exchangeable given all of it. Brightness and contrast are taken off every image first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.attacks.copies import excess
from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.attacks.space import Points
from wardgate.records.errors import Invalid

Pictures = NDArray[np.float32]
Waves = NDArray[np.complex64]
Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]

LEAST_SIDE, SIDE = 8, 32
"""Pixels that an image needs on either side, and to which larger ones are averaged down."""

MOST_BLANK = 0.1
"""Share of images without any contrast above which a set is refused."""

TAILS = (0.005, 0.02, 0.1)
"""Shares of the candidate, nearest to any patient, in which patients are counted."""

COMPONENTS = 48
"""Principal components in which images are compared."""

CELLS, DIRECTIONS = 7, 8
"""Cells on either side, and directions of the gradient in each."""

SUSPECTS = 5
"""Nearest persons in each space whom a closer look compares with an image."""

REACH = 3
"""Pixels by which a copy may be shifted."""

FLOOR = 4.0
"""Multiple of the mean power that is added to every frequency before it is levelled: more sees less through noise."""

TILE = 4_096


def pictures(images: NDArray[np.generic], *, name: str) -> Pictures:
    """Return images as brightness, shape (n, h, w) with an even width, averaged down to at most `SIDE` pixels or so.

    Args:
        images: Shape (n, h, w) or (n, h, w, c) with 1, 3 or 4 channels (the fourth is ignored), integers or floats.
        name: Whose they are, for messages.

    Raises:
        Invalid: another shape or type, no image, too few pixels, values that are not finite, or blank images.
    """
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] not in (1, 3, 4)):
        raise Invalid(f"expected {name} images of shape (n, h, w) or (n, h, w, channels), found {images.shape}")
    if images.dtype.kind not in "uif" or not images.size:
        raise Invalid(f"expected at least one {name} image of numbers, found {images.shape} of {images.dtype}")
    height, width = images.shape[1:3]
    if min(height, width) < LEAST_SIDE:
        raise Invalid(f"the {name} images are {height} x {width}; at least {LEAST_SIDE} x {LEAST_SIDE} are needed")
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise Invalid(f"a {name} image holds a value that is not finite")
    step = max(1, -(-max(height, width) // SIDE))
    rows, columns = height // step, width // step // 2 * 2
    if min(rows, columns) < LEAST_SIDE:
        raise Invalid(f"the {name} images of {height} x {width} are too narrow to be compared")
    small = np.empty((len(images), rows, columns), dtype=np.float32)
    for start in range(0, len(images), TILE):
        part = images[start : start + TILE].astype(np.float32)
        part = part[..., :3].mean(axis=3) if part.ndim == 4 else part
        part = part[:, : rows * step, : columns * step].reshape(len(part), rows, step, columns, step)
        small[start : start + TILE] = part.mean(axis=(2, 4))
    blank = np.ptp(small.reshape(len(small), -1), axis=1) == 0
    if blank.mean() > MOST_BLANK:
        raise Invalid(f"more than {MOST_BLANK:.0%} of the {name} images have one brightness only; nothing is on them")
    return small


def levelled(images: Pictures) -> Pictures:
    """Return images of mean 0 and spread 1 each; a blank one is 0 everywhere."""
    centred = images - images.mean(axis=(1, 2), keepdims=True)
    spread = centred.std(axis=(1, 2), keepdims=True)
    return np.asarray(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 1e-12))


def mirrored(images: Pictures) -> Pictures:
    """Return images flipped from left to right."""
    return np.ascontiguousarray(images[:, :, ::-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """How images are seen. Made from images that are not compared.

    Attributes:
        window: Fades the edges, shape (h, w).
        gain: Levels the power of all frequencies, shape (h, w // 2 + 1).
        middle, axes: Principal components, shapes (d,) and (d, k).
    """

    window: Pictures
    gain: Pictures
    middle: NDArray[np.float32]
    axes: NDArray[np.float32]

    @classmethod
    def of(cls, images: Pictures) -> Self:
        """Learn power spectrum and principal components of images."""
        even = levelled(images)
        height, width = even.shape[1:]
        window = np.outer(_fade(height), _fade(width)).astype(np.float32)
        power = np.mean(np.abs(np.fft.rfft2(even * window)) ** 2, axis=0)
        gain = 1 / np.sqrt(power + FLOOR * power.mean())
        gain[0, 0] = 0.0
        flat = even.reshape(len(even), -1).astype(np.float64)
        middle = flat.mean(axis=0)
        _, vectors = np.linalg.eigh(np.cov(flat, rowvar=False))
        return cls(
            window=window,
            gain=gain.astype(np.float32),
            middle=middle.astype(np.float32),
            axes=np.ascontiguousarray(vectors[:, ::-1][:, :COMPONENTS], dtype=np.float32),
        )

    def waves(self, images: Pictures) -> Waves:
        """Return the levelled spectrum of each image, of length 1 as an image, shape (n, h, w // 2 + 1)."""
        found = np.fft.rfft2(levelled(images) * self.window).astype(np.complex64) * self.gain
        length = np.sqrt(np.sum(np.abs(found) ** 2 * self._twice(), axis=(1, 2), keepdims=True))
        return np.asarray(np.divide(found, length, out=np.zeros_like(found), where=length > 1e-12))

    def _twice(self) -> Pictures:
        """How often a frequency of the half spectrum stands in the whole one, over the number of pixels."""
        height, width = self.window.shape
        count = np.full(width // 2 + 1, 2.0, dtype=np.float32)
        count[0] = count[-1] = 1.0
        return np.asarray(count[None, :] / (height * width), dtype=np.float32)

    def spaces(self, images: Pictures) -> dict[str, Points]:
        """Place images in three spaces, shapes (n, d): components, gradients in cells, and strength of frequencies.

        The last does not change when an image is shifted, but for what enters at its edges.
        """
        even = levelled(images)
        strength = np.abs(self.waves(images)) * np.sqrt(self._twice())
        return {
            "components": np.ascontiguousarray((even.reshape(len(even), -1) - self.middle) @ self.axes),
            "gradients": gradients(even),
            "frequencies": np.ascontiguousarray(strength.reshape(len(even), -1), dtype=np.float32),
        }


def _fade(length: int) -> NDArray[np.float64]:
    return np.minimum(1.0, np.sin(np.pi * (np.arange(length) + 0.5) / length) * 1.5)


def gradients(images: Pictures) -> Points:
    """Return histograms of the direction of gradients in cells, each image of length 1.

    Reference: Dalal and Triggs 2005, Histograms of Oriented Gradients, doi:10.1109/CVPR.2005.177; without blocks.
    """
    down, across = np.gradient(images, axis=(1, 2))
    strength, turn = np.hypot(down, across), np.mod(np.arctan2(down, across), np.pi) / np.pi * DIRECTIONS
    first = np.floor(turn).astype(np.int64) % DIRECTIONS
    share = (turn - np.floor(turn)).astype(np.float32)
    height, width = images.shape[1:]
    cell = (np.arange(height) * CELLS // height)[:, None] * CELLS + (np.arange(width) * CELLS // width)[None, :]
    bins = CELLS * CELLS * DIRECTIONS
    place = np.arange(len(images))[:, None, None] * bins + cell[None] * DIRECTIONS
    total = np.bincount((place + first).ravel(), (strength * (1 - share)).ravel(), minlength=len(images) * bins)
    total += np.bincount(
        (place + (first + 1) % DIRECTIONS).ravel(), (strength * share).ravel(), minlength=len(images) * bins
    )
    found = np.sqrt(total.reshape(len(images), bins))
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(np.divide(found, length, out=np.zeros_like(found), where=length > 1e-12), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """The real image nearest to each image of a candidate, in one way of looking.

    Attributes:
        away: How far, shape (m,); the smaller, the more alike.
        owner: Position of the real image, shape (m,); -1 where two of different persons are equally near.
    """

    away: NDArray[np.float32]
    owner: Indices


def matches(
    eyes: Eyes, real: Pictures, real_spaces: Mapping[str, Points], person: Indices, images: Pictures
) -> dict[str, Matches]:
    """Return the nearest real image of each image, in every space and by the closer look `copies`.

    Every image is looked at as it is and mirrored. The closer look takes the `SUSPECTS` nearest of each space and
    compares them by correlation at every shift up to `REACH` pixels; how far the best is, is measured by the best of
    another person.

    Args:
        real: All real images that are compared, of training and held-out persons, shape (n, h, w).
        real_spaces: Where `eyes` places them.
        person: Whose each real image is, shape (n,).
        images: Shape (m, h, w).
    """
    found: dict[str, Matches] = {}
    suspects: list[list[Indices]] = [[], []]
    ways = [eyes.spaces(images), eyes.spaces(mirrored(images))]
    for name, points in real_spaces.items():
        near = [nearest(way[name], points, SUSPECTS) for way in ways]
        for side, one in zip(suspects, near, strict=True):
            side.append(one.index)
        away = np.concatenate([one.distance for one in near], axis=1)
        index = np.concatenate([one.index for one in near], axis=1)
        found[name] = _best(away, index, person)
    waves = eyes.waves(real)
    looks = [
        _closer(eyes.waves(side), waves, np.concatenate(parts, axis=1))
        for side, parts in zip((images, mirrored(images)), suspects, strict=True)
    ]
    index = np.concatenate([np.concatenate(parts, axis=1) for parts in suspects], axis=1)
    found["copies"] = _clearest(np.concatenate(looks, axis=1), index, person)
    return found


def _best(away: NDArray[np.float32], index: Indices, person: Indices) -> Matches:
    away = np.where(index < 0, np.inf, away)
    rows = np.arange(len(away))
    best = np.argmin(away, axis=1)
    owner = index[rows, best]
    nearest_ = away[rows, best]
    tied = (away == nearest_[:, None]) & (index >= 0) & (person[index] != person[owner][:, None])
    return Matches(away=nearest_.astype(np.float32), owner=np.where(tied.any(axis=1), -1, owner))


def _clearest(away: NDArray[np.float32], index: Indices, person: Indices) -> Matches:
    """Return the nearest, how far it is measured by the nearest of another person: a copy stands out, however noisy."""
    best = _best(away, index, person)
    away = np.where(index < 0, np.inf, away)
    nearest_ = away.min(axis=1)
    owner = index[np.arange(len(away)), np.argmin(away, axis=1)]
    next_ = np.where(person[index] != person[owner][:, None], away, np.inf).min(axis=1)
    ratio = np.divide(nearest_, next_, out=np.ones_like(nearest_), where=next_ > 0)
    return Matches(away=ratio.astype(np.float32), owner=best.owner)


def _closer(images: Waves, real: Waves, index: Indices) -> NDArray[np.float32]:
    """Return 1 - the highest correlation of each image with each suspect at any allowed shift, shape (m, k)."""
    height = images.shape[1]
    found = np.ones(index.shape, dtype=np.float32)
    step = max(1, TILE // index.shape[1])
    for start in range(0, len(images), step):
        rows = slice(start, start + step)
        product = images[rows, None] * np.conj(real[np.maximum(index[rows], 0)])
        # Few shifts are wanted, so the inverse transform is taken at these alone.
        vertical, horizontal = _shifts(height, REACH), _shifts_real(images.shape[2], _width(images), REACH)
        turned = np.einsum("sh,mkhw->mksw", vertical, product, optimize=True)
        correlation = np.einsum("mksw,tw->mkst", turned, horizontal, optimize=True).real
        found[rows] = 1 - correlation.reshape(*correlation.shape[:2], -1).max(axis=2) / (height * _width(images))
    return found


def _width(waves: Waves) -> int:
    return int(2 * (waves.shape[2] - 1))


def _shifts(length: int, reach: int) -> Waves:
    shift = np.arange(-reach, reach + 1)
    return np.asarray(np.exp(2j * np.pi * shift[:, None] * np.arange(length)[None, :] / length), dtype=np.complex64)


def _shifts_real(half: int, width: int, reach: int) -> Waves:
    shift = np.arange(-reach, reach + 1)
    count = np.full(half, 2.0)  # the width is even, so the first and the last frequency stand alone
    count[0] = count[-1] = 1.0
    turns = np.exp(2j * np.pi * shift[:, None] * np.arange(half)[None, :] / width)
    return np.asarray(count * turns, dtype=np.complex64)


def tail_p(found: Matches, person: Indices, member: Flags) -> float:
    """Return the p-value of one way of looking: are the closest images closest to training persons too often?

    In each tail every person counts once, however many images crowd around. An innocent candidate scores uniformly or
    larger.

    Args:
        person: Whose each real image is, shape (n,).
        member: Which persons were used, shape (persons,).
    """
    best = 1.0
    for tail in TAILS:
        inside = found.away <= np.quantile(found.away, tail)
        hit = np.zeros(len(member), dtype=np.bool_)
        hit[person[found.owner[inside & (found.owner >= 0)]]] = True
        best = min(best, excess(hit, member))
    return min(1.0, best * len(TAILS))


def disguised(images: Pictures, rng: np.random.Generator) -> Pictures:
    """Return copies that are no exact copies: shifted by 1 or 2 pixels in some direction, every other one mirrored."""
    found = np.empty_like(images)
    height, width = images.shape[1:]
    wide = np.pad(images, ((0, 0), (2, 2), (2, 2)), mode="edge")
    moves = [(down, across) for down in range(-2, 3) for across in range(-2, 3) if (down, across) != (0, 0)]
    for place, move in enumerate(rng.integers(0, len(moves), len(images))):
        down, across = moves[int(move)]
        found[place] = wide[place, 2 + down : 2 + down + height, 2 + across : 2 + across + width]
    turned = rng.random(len(images)) < 0.5
    found[turned] = mirrored(found[turned])
    return found


def planted(
    found: Mapping[str, Matches], copies: Mapping[str, Matches], rng: np.random.Generator, *, count: int
) -> dict[str, Matches]:
    """Return the matches of a candidate with `count` copies in place of random images."""
    rows = len(next(iter(found.values())).away)
    chosen = rng.choice(len(next(iter(copies.values())).away), size=count, replace=False)
    gone = rng.choice(rows, size=count, replace=False)
    result = {}
    for name, one in found.items():
        away, owner = one.away.copy(), one.owner.copy()
        away[gone], owner[gone] = copies[name].away[chosen], copies[name].owner[chosen]
        result[name] = Matches(away=away, owner=owner)
    return result
