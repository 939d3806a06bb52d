"""What every paper's first table says of numbers: means and spreads over hospitals, from sums alone."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.summaries import Summaries, numeric_features
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.measures.summaries import Summary, constant, span_of_features, summaries_of, unscaled
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.claim import GaussianEvent
from wardgate.records.messages import SplitName
from wardgate.records.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The first table's numbers.

    Attributes:
        groups: One tuple of summaries for everybody, or one for each label, 0 first.
        gaussian: What the sums cost; empty where they were exact.
        rounds, bytes_moved: Sums asked for, and bytes both ways.
    """

    groups: tuple[tuple[Summary, ...], ...]
    gaussian: tuple[GaussianEvent, ...]
    rounds: int
    bytes_moved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standard:
    """What standardises features: (value - mean) / deviation, in the study's units.

    Attributes:
        features: Their names.
        mean, deviation: Shape (features,).
    """

    features: tuple[str, ...]
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]


def summaries(
    *,
    study: Study,
    sites: tuple[str, ...],
    features: tuple[str, ...] | None = None,
    by_label: bool = False,
    split: SplitName = "train",
    epsilon: float | None = None,
) -> Generator[Ask, Told, Described]:
    """Sum persons, values present, means and variances.

    An exact description asks twice: the second sum is taken around the means of the first, so a variance that is tiny
    beside the range keeps its digits. A noisy one asks once.

    Args:
        features: Numbers and booleans; all of the study's by default.
        by_label: Persons without and with the outcome apart.
        epsilon: What the whole description costs the persons of `split`, at the study's delta; None for exact sums.

    Raises:
        Invalid: an unknown feature, a category, or one twice.
        NotEvaluable: fewer persons than the policy's smallest count.
    """
    names = features if features is not None else tuple(f.name for f in study.features if f.type != "category")
    chosen = numeric_features(study, names)
    span, minimum = span_of_features(chosen), study.gate.small_cells.min_count
    centre = (span.low + span.high) / 2
    multiplier = None if epsilon is None else noise_multiplier_for(epsilon=epsilon, delta=study.budget.delta)
    asked = Summaries(features=names, centre=centre, by_label=by_label and epsilon is not None)
    told = yield sum_ask(asked, what="summaries", study=study, sites=sites, split=split, noise_multiplier=multiplier)
    rounds, moved = 1, told.bytes_moved
    if multiplier is None:
        present, sums, _ = told.sum()[1:].reshape(3, len(names))
        shift = np.divide(sums, present, out=np.zeros(len(names)), where=present > 0) * span.reach(centre)
        centre = np.clip(centre + shift, span.low, span.high)
        asked = Summaries(features=names, centre=centre, by_label=by_label)
        told = yield sum_ask(asked, what="summaries around the means", study=study, sites=sites, split=split)
        rounds, moved = 2, moved + told.bytes_moved
    reach = span.reach(centre)
    groups = tuple(
        summaries_of(part, chosen, centre, reach, noise=told.noise, minimum=minimum)
        for part in np.split(told.sum(), asked.classes)
    )
    gaussian = () if multiplier is None else (GaussianEvent(noise_multiplier=multiplier, count=1, what="summaries"),)
    return Described(groups=groups, gaussian=gaussian, rounds=rounds, bytes_moved=moved)


def standard(described: Described, study: Study) -> Standard:
    """Return what standardises the described features; one without spread is divided by 1, one not shown stays as is.

    Args:
        described: Of everybody, not by label.
    """
    (group,) = described.groups
    shown = [np.isfinite(one.mean) for one in group]
    middle = [
        one.mean if known else unscaled(study.feature(one.feature), 0.0)
        for one, known in zip(group, shown, strict=True)
    ]
    spread = [1.0 if constant(one, study.feature(one.feature)) else one.deviation for one in group]
    return Standard(features=tuple(one.feature for one in group), mean=np.array(middle), deviation=np.array(spread))
