"""Who contributed: two questions a split, asked before or after any model, and a table of shares from their sums.

On exact sums players are fixed blocks of at least three hospitals, so any difference of sums is one over such blocks.
Single hospitals are players on one noised sum in which each has a place of its own.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.class_moments import ClassMoments, Heard, Products
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.leave_out import blocks as blocks_by_coin
from wardgate.measures.contribution.alike import Alike, too_alike
from wardgate.measures.contribution.shares import Shares, shares
from wardgate.measures.contribution.statistics import Taught, Tested, holdout_of, shared_products
from wardgate.measures.encoding import design_columns
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.errors import CheckFailed, Invalid
from wardgate.records.study import Study

Array = NDArray[np.float64]
Split = Literal["train", "holdout"]
Introduce = Callable[[tuple[str, ...]], Generator[Ask, Told, None]]

MIN_SITES = 3
_BLOCKS: Mapping[Products, int] = MappingProxyType({"none": 0, "together": 1, "apart": 2})
TOLD_APART = 3.0
"""Persons of a class at a hospital must stand out of the noise by this many standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Public settings of the shares.

    Attributes:
        thresholds: Risks from which one treats, for net benefit.
        within: Copies of a record within this part of a number's range count once; None looks for none.
        ridge: Of every coalition's model; the study's own by default.
        seed: Of redraws and permutations.
        pairs: Of permutations, beyond 16 players.
        redraws: Behind standard errors.
    """

    thresholds: tuple[float, ...]
    within: float | None = 0.05
    ridge: float | None = None
    seed: int = 0
    pairs: int = 200
    redraws: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One opened sum, and what was asked."""

    what: str
    split: Split
    sites: tuple[str, ...]
    asked: ClassMoments
    total: Array
    noise: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributed:
    """What was found.

    Attributes:
        players: Sites of each player, in the order of the shares' rows.
        sums: Everything that it was made of, in the order asked.
        alike: Players whose sums are too alike to be of other persons.
        drowned: Places of hospitals that do not stand out of their noise; they count as bringing nothing.
        epsilon, delta: Of each split, with noise.
    """

    players: tuple[tuple[str, ...], ...]
    shares: Shares
    taught: Taught
    sums: tuple[Opened, ...]
    alike: tuple[Alike, ...]
    drowned: tuple[int, ...]
    ridge: float
    wanted: Wanted
    bytes_moved: int
    epsilon: float | None = None
    delta: float | None = None


def block_contributions(
    *,
    study: Study,
    blocks: Sequence[tuple[str, ...]],
    wanted: Wanted,
    persons_at_least: Mapping[str, int],
    introduce: Introduce | None = None,
) -> Generator[Ask, Told, Contributed]:
    """Ask blocks of hospitals for exact sums, and return their shares.

    Args:
        blocks: Fixed for the study, at least two of at least three sites, no site in two of them.
        persons_at_least: Persons of each site over all splits, by the bands that they signed; from them follows how
            many numbers the policy lets be asked.
        introduce: Asks a roster's sites to agree on secrets, where the mask graph of a smaller roster differs.

    Raises:
        Invalid: blocks that are none, or holdouts of one class.
        CheckFailed: a sum stayed closed.
    """
    check_blocks(blocks, study)
    every = tuple(sorted(site for block in blocks for site in block))
    fits = _Fits(study=study, persons=persons_at_least)
    own = all(fits(block, "train", "together") for block in blocks)
    of_blocks: tuple[tuple[Split, Products], ...] = (("train", "together" if own else "none"), ("holdout", "none"))
    of_all: tuple[tuple[Split, Products], ...] = (
        *((("train", "together"),) if not own else ()),
        ("holdout", "apart" if fits(every, "holdout", "apart") else "together"),
    )
    if introduce is not None:
        for block in blocks:
            yield from introduce(block)
    sums: list[Opened] = []
    moved = 0
    for split, products in of_blocks:
        asked = ClassMoments(products=products, within=wanted.within)
        found, bytes_moved = yield from _beside(study, blocks, asked, split=split)
        sums, moved = sums + found, moved + bytes_moved
    if introduce is not None:
        yield from introduce(every)
    for split, products in of_all:
        asked = ClassMoments(products=products, within=wanted.within)
        found, bytes_moved = yield from _beside(study, [every], asked, split=split)
        sums, moved = sums + found, moved + bytes_moved
    return contributed(study, tuple(blocks), tuple(sums), wanted=wanted, bytes_moved=moved)


def site_contributions(
    *, study: Study, sites: tuple[str, ...], wanted: Wanted, epsilon: float, delta: float
) -> Generator[Ask, Told, Contributed]:
    """Ask single hospitals for their own sums with noise, and return their shares.

    Args:
        epsilon, delta: What the answer costs on training persons, and again on the holdout's, who are others.

    Raises:
        Invalid: fewer than three sites, or noise that drowns the holdouts.
        CheckFailed: a sum stayed closed.
    """
    if len(sites) < MIN_SITES:
        raise Invalid(f"expected at least {MIN_SITES} hospitals, found {len(sites)}")
    multiplier = noise_multiplier_for(epsilon=epsilon, delta=delta)
    places = tuple(sorted(sites))
    sums: list[Opened] = []
    moved = 0
    splits: tuple[Split, ...] = ("train", "holdout")
    for split in splits:
        asked = ClassMoments(products="together", places=places, within=wanted.within)
        what = f"contribution: every hospital's own sums with noise, {split}"
        told = yield sum_ask(asked, what=what, study=study, sites=places, split=split, noise_multiplier=multiplier)
        sums.append(Opened(what=what, split=split, sites=told.sites, asked=asked, total=told.sum(), noise=told.noise))
        moved += told.bytes_moved
    players = tuple((site,) for site in places)
    return contributed(study, players, tuple(sums), wanted=wanted, bytes_moved=moved, epsilon=epsilon, delta=delta)


def contributed(
    study: Study,
    players: tuple[tuple[str, ...], ...],
    sums: tuple[Opened, ...],
    *,
    wanted: Wanted,
    bytes_moved: int = 0,
    epsilon: float | None = None,
    delta: float | None = None,
) -> Contributed:
    """Return the table that opened sums make. Pure: whoever has the sums can make it again.

    Raises:
        Invalid: sums that are not those of these players.
    """
    ridge = study.model.ridge if wanted.ridge is None else wanted.ridge
    taught, drowned = _taught(study, players, sums)
    test = holdout(study, players, sums)
    table = shares(
        taught,
        test,
        thresholds=wanted.thresholds,
        ridge=ridge,
        rng=np.random.default_rng(wanted.seed),
        pairs=wanted.pairs,
        redraws=wanted.redraws,
    )
    return Contributed(
        players=players,
        shares=table,
        taught=taught,
        sums=sums,
        alike=too_alike(taught) if taught.noise == 0 else (),
        drowned=drowned,
        ridge=ridge,
        wanted=wanted,
        bytes_moved=bytes_moved,
        epsilon=epsilon,
        delta=delta,
    )


def drawn_blocks(
    study: Study, sites: Sequence[str], *, coin: str, most: int, persons_at_least: Mapping[str, int]
) -> tuple[tuple[str, ...], ...]:
    """Draw as many blocks as the policy's numbers per person let be asked, by a public coin.

    Raises:
        Invalid: fewer than six sites, or too few persons for two blocks.
    """
    fits = _Fits(study=study, persons=persons_at_least)
    splits: tuple[Split, ...] = ("train", "holdout")
    for count in range(min(most, len(sites) // MIN_SITES), 1, -1):
        found = blocks_by_coin(sites, coin=coin, most=count)
        if all(fits(block, split, "none") for block in found for split in splits):
            return found
    numbers = 2 * len(design_columns(study.features))
    raise Invalid(
        f"{len(sites)} hospitals cannot be divided into two blocks of at least {MIN_SITES} whose training and holdout"
        f" persons each let {numbers} numbers be asked, at {study.gate.small_cells.max_numbers_per_person:g} a person;"
        " ask single hospitals with noise"
    )


def check_blocks(blocks: Sequence[tuple[str, ...]], study: Study) -> None:
    """Check that blocks may be players on exact sums.

    Raises:
        Invalid: fewer than two, one of fewer than three sites, a site twice, or a stranger.
    """
    named = [site for block in blocks for site in block]
    if len(blocks) < 2:
        raise Invalid(f"expected at least two blocks of {MIN_SITES} hospitals, found {len(blocks)}")
    small = [block for block in blocks if len(set(block)) < MIN_SITES]
    if small:
        raise Invalid(
            f"a block of {len(small[0])} hospitals shows each of them by subtraction; expected at least {MIN_SITES}"
        )
    if len(set(named)) != len(named):
        raise Invalid("a hospital stands in two blocks; sums over blocks that overlap give hospitals away")
    strangers = set(named) - set(study.sites)
    if strangers:
        raise Invalid(f"'{min(strangers)[:80]}' is in a block and is no site of the study")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fits:
    """Whether a policy lets so many numbers be asked of so many persons."""

    study: Study
    persons: Mapping[str, int]

    def __call__(self, sites: tuple[str, ...], split: Split, products: Products) -> bool:
        columns = len(design_columns(self.study.features))
        numbers = 2 * columns + _BLOCKS[products] * columns * (columns - 1) // 2
        least = int(sum(self.persons[site] for site in sites) * getattr(self.study.splits, split))
        return numbers <= self.study.gate.small_cells.max_numbers_per_person * least


def _beside(
    study: Study, groups: Sequence[tuple[str, ...]], asked: ClassMoments, *, split: Split
) -> Generator[Ask, Told, tuple[list[Opened], int]]:
    """Ask groups at the same time; all must answer."""
    asks = [
        sum_ask(
            asked, what=f"contribution: {split} sums of {len(group)} hospitals", study=study, sites=group, split=split
        )
        for group in groups
    ]
    told = yield replace(asks[0], beside=tuple(asks[1:]))
    found, moved = [], 0
    for ask, one in zip(asks, told.all, strict=True):
        if one.failed or one.total is None:
            raise CheckFailed(f"{ask.what} stayed closed, so there is no table: {one.failed}")
        if set(one.sites) != set(ask.sites):
            raise CheckFailed(
                f"{ask.what} opened without {len(set(ask.sites) - set(one.sites))} of them; shares of a block would be"
                " those of another one, so there is no table"
            )
        found.append(Opened(what=ask.what, split=split, sites=ask.sites, asked=asked, total=one.sum(), noise=one.noise))
        moved += one.bytes_moved
    return found, moved


def _heard(
    study: Study, sums: tuple[Opened, ...], split: Split, players: tuple[tuple[str, ...], ...]
) -> tuple[Array, Array | None, Heard, float]:
    """Return sums by player and class (K, 2, p), products by player if told, the widest sum with products, and noise.

    Raises:
        Invalid: a player's sum is missing.
    """
    here = [one for one in sums if one.split == split]
    read = {frozenset(one.sites): one.asked.heard(one.total, study=study, noise=one.noise) for one in here}
    wide = max(here, key=lambda one: (_BLOCKS[one.asked.products], len(one.sites)))
    if wide.asked.places:
        heard = read[frozenset(wide.sites)]
        order = [wide.asked.places.index(player[0]) for player in players]
        return heard.sums[order], None, heard, heard.noise
    own = []
    for player in players:
        if frozenset(player) not in read:
            raise Invalid(f"no sum of the {split} persons of a player of {len(player)} hospitals")
        own.append(read[frozenset(player)])
    products = np.stack([one.products[0] for one in own]) if all(len(one.products) == 1 for one in own) else None
    every = frozenset(site for player in players for site in player)
    return np.stack([one.sums[0] for one in own]), products, read.get(every, own[0]), 0.0


def _taught(
    study: Study, players: tuple[tuple[str, ...], ...], sums: tuple[Opened, ...]
) -> tuple[Taught, tuple[int, ...]]:
    by_class, products, heard, noise = _heard(study, sums, "train", players)
    drowned: tuple[int, ...] = ()
    if noise > 0:
        gone = by_class[:, :, 0].min(axis=1) < TOLD_APART * noise
        drowned = tuple(int(place) for place in np.flatnonzero(gone))
        by_class = np.where(gone[:, None, None], 0.0, by_class)
    if products is None:
        products = shared_products(by_class, heard.products[0])
    return Taught(products=products, events=by_class[:, 1], noise=noise), drowned


def holdout(study: Study, players: tuple[tuple[str, ...], ...], sums: tuple[Opened, ...]) -> Tested:
    """Return the holdout persons that opened sums tell of.

    Raises:
        Invalid: a player's sum is missing, or fewer than two persons of a class.
    """
    by_class, _, heard, noise = _heard(study, sums, "holdout", players)
    if noise > 0:
        by_class = np.where((by_class[:, :, 0].min(axis=1) < TOLD_APART * noise)[:, None, None], 0.0, by_class)
    return holdout_of(by_class, heard.products, noise=noise)
