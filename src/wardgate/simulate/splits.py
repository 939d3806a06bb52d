"""Synthetic corpora -> simulated hospitals that differ in one stated way, each with rows to train, tune and hold out.

Nobody in a corpus is real, so this protects nobody; it shows how an algorithm fares where hospitals are unlike.

Reference: Hsu, Qi, Brown (2019), Measuring the Effects of Non-Identical Data Distribution for Federated Visual
    Classification, arXiv:1909.06335 (labels by a Dirichlet distribution around the common one).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

Places = NDArray[np.intp]
Tables = dict[str, dict[SplitName, pl.DataFrame]]

SHARES: tuple[tuple[SplitName, float], ...] = (("train", 0.60), ("tuning", 0.15), ("holdout", 0.25))
"""Of each simulated hospital's rows. There is no locked test: nothing here is a last word."""

FEWEST_ROWS = 8
"""Of a simulated hospital, so that each of its splits has one."""

BLUR = 0.5
"""Of the principal direction's spread, as noise before hospitals are cut along it, so that neighbours overlap."""

SPREAD = 1.0
"""Standard deviation of the logarithm of a hospital's size where sizes differ: one in six has 2.7 times the median."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How simulated hospitals differ.

    Attributes:
        kind: `natural`: as the corpora came, one a hospital. `labels`: another share of events at each. `sizes`: many
            small ones beside few large. `features`: each has its part of the rows' first principal direction.
        alpha: Of `labels`: 0.1 leaves most hospitals nearly one class, 1 differs mildly.
    """

    kind: Literal["natural", "labels", "sizes", "features"]
    alpha: float = 0.3

    def __post_init__(self) -> None:
        if self.kind not in ("natural", "labels", "sizes", "features") or not 0.01 <= self.alpha <= 100:
            raise Invalid("a way to divide is natural, labels, sizes or features, with an alpha of 0.01 to 100")

    @property
    def name(self) -> str:
        """The word of it, e.g. `labels:0.3`."""
        return f"labels:{self.alpha:g}" if self.kind == "labels" else self.kind

    @classmethod
    def of(cls, name: str) -> "Way":
        """Read what `name` wrote.

        Raises:
            Invalid: no such way.
        """
        found = re.fullmatch(r"(natural|sizes|features)|labels:(\d+(?:\.\d+)?)", name)
        if found is None:
            raise Invalid(f"found '{name[:40]}', expected natural, sizes, features or labels:ALPHA, e.g. labels:0.3")
        return PLAIN[name] if found[2] is None else cls(kind="labels", alpha=float(found[2]))


PLAIN = {"natural": Way(kind="natural"), "sizes": Way(kind="sizes"), "features": Way(kind="features")}


def simulated(
    study: Study, corpora: Sequence[pl.DataFrame], way: Way, *, sizes: Sequence[int], rng: np.random.Generator
) -> Tables:
    """Divide corpora into simulated hospitals with rows to train, to tune and to hold out.

    Every row stands at one hospital and in one split at most.

    Args:
        corpora: In table form, with labels.
        sizes: Rows of each simulated hospital; where there are fewer rows in all, each gets its share of them. For
            `natural` there are as many hospitals as corpora, and each has at most its size.

    Returns:
        Tables by hospital (`s01`, `s02`, ...) and split.

    Raises:
        Invalid: fewer than three hospitals, too few rows for them, one class alone, or a corpus that does not fit the
            study.
    """
    if len(sizes) < 3:
        raise Invalid(f"sums are over at least three hospitals, so three must be simulated; found {len(sizes)}")
    columns = [*(feature.name for feature in study.features), LABEL]
    try:
        chosen = [corpus.select(columns) for corpus in corpora]
        table = pl.concat(chosen, how="vertical_relaxed")
    except pl.exceptions.PolarsError:
        raise Invalid("a corpus lacks a column of the study, or its label; give corpora of this study") from None
    y = labels(table)
    if len(np.unique(y)) < 2:
        raise Invalid("the corpora hold one class alone; there is nothing to learn")
    if way.kind == "natural":
        places = _natural([one.height for one in chosen], sizes, rng)
    else:
        wanted = _wanted(sizes, table.height, rng, spread=SPREAD if way.kind == "sizes" else 0.0)
        places = _divided(study, table, y, way, wanted, rng)
    width = max(2, len(str(len(places))))
    return {f"s{k + 1:0{width}d}": _splits(table, place, rng) for k, place in enumerate(places)}


def _natural(heights: Sequence[int], sizes: Sequence[int], rng: np.random.Generator) -> list[Places]:
    if len(heights) != len(sizes):
        raise Invalid(f"found {len(heights)} corpora for {len(sizes)} hospitals; 'natural' has one corpus a hospital")
    if min(heights) < FEWEST_ROWS:
        raise Invalid(f"a corpus has {min(heights)} rows, expected at least {FEWEST_ROWS}")
    starts = np.concatenate([[0], np.cumsum(heights)])
    return [
        start + rng.permutation(height)[: max(size, FEWEST_ROWS)]
        for start, height, size in zip(starts, heights, sizes, strict=False)
    ]


def _wanted(sizes: Sequence[int], rows: int, rng: np.random.Generator, *, spread: float) -> list[int]:
    """Return how many rows each hospital gets; with a spread, hospitals of equal expected size become unequal."""
    weights = np.asarray(sizes, dtype=np.float64)
    total = min(float(weights.sum()), float(rows))
    if spread:
        weights = float(weights.mean()) * np.exp(spread * rng.standard_normal(len(sizes)))
    if total < FEWEST_ROWS * len(sizes) or not bool(np.all(weights > 0)):
        raise Invalid(f"{rows} rows are too few for {len(sizes)} hospitals of at least {FEWEST_ROWS}; give more rows")
    over = total - FEWEST_ROWS * len(sizes)
    return [FEWEST_ROWS + int(share) for share in over * weights / weights.sum()]


def _divided(
    study: Study, table: pl.DataFrame, y: NDArray[np.int8], way: Way, wanted: Sequence[int], rng: np.random.Generator
) -> list[Places]:
    if way.kind == "labels":
        return _by_labels(y, way.alpha, wanted, rng)
    order = rng.permutation(table.height)[: sum(wanted)]
    if way.kind == "features":
        along = principal(design_matrix(study.features, table)[order, 1:])
        order = order[np.argsort(along + BLUR * along.std() * rng.standard_normal(len(along)), kind="stable")]
        return [piece for _, piece in sorted(_cut(order, wanted, rng.permutation(len(wanted))))]
    return [piece for _, piece in _cut(order, wanted, np.arange(len(wanted)))]


def _cut(order: Places, wanted: Sequence[int], sites: NDArray[np.intp]) -> list[tuple[int, Places]]:
    """Cut rows into pieces; the sites stand along them in the order given."""
    ends = np.cumsum([wanted[site] for site in sites])
    return [(int(site), order[end - wanted[site] : end]) for site, end in zip(sites, ends, strict=True)]


def _by_labels(y: NDArray[np.int8], alpha: float, wanted: Sequence[int], rng: np.random.Generator) -> list[Places]:
    pools = [list(rng.permutation(np.flatnonzero(y == value))) for value in (0, 1)]
    common = np.array([len(pool) for pool in pools]) / len(y)
    found: list[Places] = [np.zeros(0, dtype=np.intp)] * len(wanted)
    for site in rng.permutation(len(wanted)):
        share = float(rng.dirichlet(np.maximum(alpha * common, 1e-3))[1])
        events = int(rng.binomial(wanted[site], share))
        # Where a class has run out, the other one fills up: every hospital keeps its size.
        events = max(min(events, len(pools[1])), wanted[site] - len(pools[0]))
        taken = [pools[1].pop() for _ in range(events)] + [pools[0].pop() for _ in range(wanted[site] - events)]
        found[site] = np.asarray(taken, dtype=np.intp)
    return found


def principal(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where each row lies along the first principal direction of standardised columns, shape (n,)."""
    centred = x - x.mean(axis=0)
    spread = centred.std(axis=0)
    centred = centred / np.where(spread > 1e-9, spread, 1.0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    # The sign of a direction is open; fix it, so that every machine cuts alike.
    return np.asarray(centred @ (direction * (1.0 if direction[np.argmax(np.abs(direction))] > 0 else -1.0)))


def _splits(table: pl.DataFrame, place: Places, rng: np.random.Generator) -> dict[SplitName, pl.DataFrame]:
    mixed = place[rng.permutation(len(place))]
    ends = np.round(np.cumsum([share for _, share in SHARES]) * len(mixed)).astype(int)
    starts: Mapping[int, int] = dict(enumerate([0, *ends]))
    return {name: table[mixed[starts[k] : ends[k]].tolist()] for k, (name, _) in enumerate(SHARES)}
