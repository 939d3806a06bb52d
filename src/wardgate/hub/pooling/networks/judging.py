"""How good a network is on tuning persons, by one small sum: when to stop, and which weights to hand out."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from wardgate.computations.model_scores import ModelScores
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.measures.discrimination import auroc_of_counts
from wardgate.measures.evaluation import bins_of, score_edges
from wardgate.models.network import NetworkModel
from wardgate.records.errors import NotEvaluable
from wardgate.records.study import Study

FEWEST_BINS, MOST_BINS = 2, 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Figures on tuning persons.

    Attributes:
        loss: Mean squared error of the probabilities (Brier score).
        auroc: From bins of the score; NaN where one class is empty.
        sites: Whose persons.
    """

    loss: float
    auroc: float
    sites: tuple[str, ...]
    bytes_moved: int


def numbers(bins: int) -> int:
    """Return how many numbers a judging sums."""
    return 3 * bins + 1


def bins_for(numbers_most: int | None) -> int:
    """Return how many bins of the score a sum of at most so many numbers has room for; 0 where there is none."""
    if numbers_most is None:
        return MOST_BINS
    room = (numbers_most - 1) // 3
    return 0 if room < FEWEST_BINS else min(room, MOST_BINS)


def judged(
    model: NetworkModel, *, study: Study, sites: tuple[str, ...], bins: int, what: str
) -> Generator[Ask, Told, Judged]:
    """Ask for the scores of tuning persons.

    Raises:
        NotEvaluable: there are none.
    """
    edges = score_edges(bins=bins)
    asked = ModelScores(model=model.to_bytes(), edges=edges)
    told = yield sum_ask(asked, what=what, study=study, sites=sites, split="tuning")
    found = bins_of(told.sum(), edges)
    persons = float(found.persons.sum())
    if persons < 0.5:
        raise NotEvaluable("the sites have no tuning persons; train without early stopping (tune_every=None)")
    some = min(float(found.events.sum()), float(found.non_events.sum())) > 0.5
    return Judged(
        loss=found.squared / persons,
        auroc=auroc_of_counts(found.events, found.non_events).value if some else np.nan,
        sites=told.sites,
        bytes_moved=told.bytes_moved,
    )
