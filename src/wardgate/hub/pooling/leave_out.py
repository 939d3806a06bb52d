"""A model that never saw some hospitals, tested there.

With exact sums, only blocks of at least three sites may be left out: a sum over all sites but one would give that
site away by subtraction. Where there are too few sites for blocks, the commons stands in: corpora are sited
releases already, so leaving one out is free.
"""

import hashlib
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.commons import train
from wardgate.hub.pooling.newton import newton
from wardgate.hub.pooling.score_bins import Figures, Grid, ask_bins, read_bins
from wardgate.records.canonical import number_of
from wardgate.records.errors import CheckFailed, Invalid
from wardgate.records.study import Study

Vector = NDArray[np.float64]

MAX_BLOCKS = 4
SMALLEST_BLOCK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """One leave-out. Figures are on the holdout of the sites left out; absent where they cannot be shown."""

    sites: tuple[str, ...]
    how: str
    auroc: float | None = None
    low: float | None = None
    high: float | None = None
    oe: float | None = None
    reason: str = ""


def blocks(
    sites: Sequence[str], *, coin: str, most: int = MAX_BLOCKS, least: int = SMALLEST_BLOCK
) -> tuple[tuple[str, ...], ...]:
    """Divide sites into 2 to `most` blocks of at least three, by a public coin; fixed once a study.

    Args:
        least: Sites in a block; fewer than three only over tables that protect nobody.

    Raises:
        Invalid: too few sites for two blocks.
    """
    count = min(most, len(sites) // least)
    if count < 2:
        raise Invalid(f"{len(sites)} sites cannot be divided into two blocks of {least}")
    ranked = sorted(sites, key=lambda site: hashlib.sha256(f"{coin}/block/{site}".encode()).hexdigest())
    return tuple(tuple(sorted(ranked[index::count])) for index in range(count))


def leave_blocks_out(
    *,
    sites: tuple[str, ...],
    coin: str,
    start: Vector,
    ridge: float,
    grid: Grid,
    introduce: Callable[[tuple[str, ...]], Generator[Ask, Told, None]],
) -> Generator[Ask, Told, tuple[LeftOut, ...]]:
    """Fit on all blocks but one and test on the one, for each block, by exact sums.

    Args:
        introduce: Asks a roster's sites to agree on secrets, where the mask graph of a smaller roster differs.
    """
    found = []
    for block in blocks(sites, coin=coin):
        rest = tuple(site for site in sites if site not in block)
        how = f"federated fit on {len(rest)} sites, tested on the holdouts of a block of {len(block)}"
        try:
            yield from introduce(rest)
            yield from introduce(block)
            fit = yield from newton(sites=rest, start=start, ridge=ridge)
            coarse = Grid(bins=min(grid.bins, 50), low=grid.low, high=grid.high, subgroups=0)
            told = yield ask_bins(
                what="leave-out: score bins",
                sites=block,
                split="holdout",
                noise_multiplier=None,
                grid=coarse,
                model="leave-out",
                beta=fit.beta,
            )
            overall, _ = read_bins(told.sum(), coarse)
            found.append(_shown(block, how, overall))
        except (CheckFailed, Invalid) as failed:
            found.append(LeftOut(sites=block, how=how, reason=str(failed)))
    return tuple(found)


def leave_corpora_out(
    *, study: Study, corpora: Mapping[str, pl.DataFrame], common: Sequence[pl.DataFrame], ridge: float
) -> Generator[Ask, Told, tuple[LeftOut, ...]]:
    """Train on the commons without one site's corpus and test on that site's holdout, for each own corpus.

    Args:
        common: Corpora that stay in every time, such as the joint one.
    """
    found = []
    for site in sorted(corpora):
        rest = [corpora[other] for other in sorted(corpora) if other != site] + list(common)
        how = f"commons of {len(rest)} corpora without this site's, tested on its holdout"
        if not rest:
            found.append(LeftOut(sites=(site,), how=how, reason="no other corpus in the commons"))
            continue
        try:
            beta = train(study, rest, ridge=ridge)
        except Invalid as error:
            found.append(LeftOut(sites=(site,), how=how, reason=str(error)))
            continue
        told = yield Ask(
            what="leave-out: one site's own figures",
            computation="evaluate",
            sites=(site,),
            parameters={"models": ["without"]},
            split="holdout",
            arrays=(("without", beta),),
        )
        answer = told.answers.get(site)
        if answer is None or answer.outcome == "refused":
            found.append(LeftOut(sites=(site,), how=how, reason=told.refusal(site)))
            continue
        figures = {name: number_of(text) for name, text in answer.statement["figures"].items()}
        found.append(
            LeftOut(
                sites=(site,),
                how=how,
                auroc=figures["without.auroc"],
                low=figures["without.auroc_low"],
                high=figures["without.auroc_high"],
                oe=figures["without.oe"],
            )
        )
    return tuple(found)


def _shown(block: tuple[str, ...], how: str, overall: Figures) -> LeftOut:
    if min(overall.events, overall.non_events) < 11:
        return LeftOut(sites=block, how=how, reason="fewer than 11 events or non-events in the block")
    return LeftOut(
        sites=block,
        how=how,
        auroc=overall.auroc.value,
        low=overall.auroc.low,
        high=overall.auroc.high,
        oe=overall.oe.value,
    )
