"""Gradient boosting with noise: random trees, leaves from noisy sums, one privacy budget for all of them."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.boosting import Grown
from wardgate.computations.boosting_bins import BoostingBins
from wardgate.computations.boosting_leaves import BoostingLeaves
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.boosting_bins import Tally
from wardgate.measures.histograms import Bins, every_feature, fine_edges, unpacked
from wardgate.measures.random_trees import RandomGrowth, newton_leaves, random_splits, refined, standing_out
from wardgate.measures.trees import Splits, Trees
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import NotEvaluable
from wardgate.records.study import Study

Vector = NDArray[np.float64]

HESSIAN_WEIGHT = 2.8
"""Below the root of 8 the Hessian of a person adds nothing to the norm of gradient and Hessian together."""

TELLABLE = 4.0
"""Persons, and each class of them, must stand out of the noise of their count by this many standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivatelyBoosted:
    """A fitted ensemble, and what it cost.

    Attributes:
        bins, trees: The model.
        events: All noisy sums it is made of, for the accountant.
        sums, numbers: Sums that were asked for, and how many numbers they held together.
        bytes_moved: Both directions.
    """

    bins: Bins
    trees: Trees
    events: tuple[GaussianEvent, ...]
    sums: int
    numbers: int
    bytes_moved: int


def events_of(*, growth: RandomGrowth, epsilon: float, delta: float) -> tuple[GaussianEvent, GaussianEvent]:
    """Return the noisy sums that together cost at most `epsilon`: placements of bins, and rounds of leaves.

    Gaussian sums compose as the sum of their inverse variances; `bins_share` of it goes to the bins.
    """
    alone = noise_multiplier_for(epsilon=epsilon, delta=delta) * (1 + 1e-12)
    bins = alone * float(np.sqrt(growth.placements / growth.bins_share))
    leaves = alone * float(np.sqrt(growth.rounds / (1 - growth.bins_share)))
    return (
        GaussianEvent(noise_multiplier=bins, count=growth.placements, what="histograms that place bins"),
        GaussianEvent(noise_multiplier=leaves, count=growth.rounds, what="gradients and Hessians in leaves"),
    )


def private_boosting(
    *,
    study: Study,
    sites: tuple[str, ...],
    growth: RandomGrowth,
    epsilon: float,
    delta: float,
    public_seed: int,
) -> Generator[Ask, Told, PrivatelyBoosted]:
    """Fit by noisy sums that together cost `epsilon` on the training persons.

    Args:
        public_seed: Draws the trees. It protects nobody and may be known to all.

    Raises:
        Invalid: the privacy parameters are out of range.
        NotEvaluable: the persons do not stand out of the noise, or one class does not.
    """
    for_bins, for_leaves = events_of(growth=growth, epsilon=epsilon, delta=delta)
    rng = np.random.default_rng([public_seed, growth.trees])
    tally = Tally(sites=tuple(sorted(sites)))
    fine = every_feature(study.features, fine_edges(study.features, most=growth.fine))
    trees = Trees.none(base=0.0, depth=growth.depth)
    coarse = fine
    for number, size in enumerate(growth.batches()):
        if growth.places_bins(number):
            asked = BoostingBins(grown=Grown.of(study, fine, trees))
            told = yield sum_ask(
                asked,
                what="boosting with noise: how values lie",
                study=study,
                sites=tally.sites,
                noise_multiplier=for_bins.noise_multiplier,
            )
            total = tally.add(told)
            if number == 0:
                trees = Trees.none(base=_log_odds(total, told.noise), depth=growth.depth)
            mass = unpacked(fine, total[1:], 1)[0, 0]
            coarse = standing_out(fine, mass, noise=told.noise, most=growth.bins)
        drawn = random_splits(
            coarse, trees=size, depth=growth.depth, features=growth.features, first=len(trees), rng=rng
        )
        splits = refined(drawn, coarse, fine)
        value = yield from _leaves(study, fine, trees, splits, growth, for_leaves.noise_multiplier, tally)
        trees = trees.more(splits, growth.learning_rate * value)
    return PrivatelyBoosted(
        bins=fine,
        trees=trees,
        events=(for_bins, for_leaves),
        sums=tally.sums,
        numbers=tally.numbers,
        bytes_moved=tally.bytes_moved,
    )


def _leaves(
    study: Study,
    bins: Bins,
    trees: Trees,
    splits: Splits,
    growth: RandomGrowth,
    noise_multiplier: float,
    tally: Tally,
) -> Generator[Ask, Told, Vector]:
    """Ask for one batch; returns its leaf values before the learning rate, shape (trees, leaves)."""
    asked = BoostingLeaves.of(Grown.of(study, bins, trees), splits, weight=HESSIAN_WEIGHT)
    told = yield sum_ask(
        asked,
        what=f"boosting with noise: trees {len(trees) + 1} to {len(trees) + len(splits)}",
        study=study,
        sites=tally.sites,
        noise_multiplier=noise_multiplier,
    )
    gradient, hessian = tally.add(told).reshape(2, len(splits), -1)
    return newton_leaves(gradient, hessian / HESSIAN_WEIGHT, noise=told.noise, ridge=growth.ridge)


def _log_odds(total: Vector, noise: float) -> float:
    """Return the starting score from noisy events and persons.

    Raises:
        NotEvaluable: persons, events or their difference do not stand out of the noise.
    """
    events, persons = float(total[0]), float(total[1])
    if persons < TELLABLE * noise:
        raise NotEvaluable("the persons of this sum do not stand out of its noise; use a larger epsilon or more sites")
    if min(events, persons - events) < TELLABLE * noise:
        raise NotEvaluable("one class does not stand out of the noise; use a larger epsilon or more sites")
    return float(np.log(events / (persons - events)))
