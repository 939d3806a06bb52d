"""Any fitted model judged on persons of all hospitals, and nobody's score told."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.computations.model_scores import ModelScores
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.measures.evaluation import Evaluation, bins_of, evaluate, mass_edges, score_edges
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

FEWEST_BINS, MOST_BINS = 10, 400
NOISY_BINS = 16


class Scoring(Protocol):
    """A fitted model of two classes that can be saved."""

    def to_bytes(self) -> bytes:
        """Return its canonical JSON."""
        ...

    def predict_proba(self, data: pl.DataFrame) -> NDArray[np.float64]:
        """Return the probability of each class, shape (n, 2)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluated:
    """A model's figures and what they cost."""

    figures: Evaluation
    gaussian: tuple[GaussianEvent, ...]
    rounds: int
    bytes_moved: int


def evaluation(
    *,
    study: Study,
    sites: tuple[str, ...],
    model: Scoring,
    persons_at_least: int,
    thresholds: Sequence[float] = (),
    bins: int | None = None,
    rounds: int | None = None,
    split: SplitName = "holdout",
    epsilon: float | None = None,
    called: str = "model",
    listed: Mapping[str, str] = MappingProxyType({}),
) -> Generator[Ask, Told, Evaluated]:
    """Judge a model by sums of its binned scores.

    Args:
        persons_at_least: Public lower bound on the persons in the sum.
        thresholds: Where decisions are judged, probabilities; each becomes an edge, so those figures are exact.
        bins: How many; by default as many (10 to 400) as the policy's numbers per person allow, with noise 16.
        rounds: 1, or 2: the second sum has bins of about equal mass, which halves the AUROC's own error and more.
            By default 1 for exact sums, and 2 with noise, where bins are few.
        split: The locked test opens a counted number of times, for the models in `listed`.
        epsilon: What all rounds cost together at the study's delta; None for exact sums.
        called, listed: The model's name, and the fixed list of `computations.model_scores.listing`; the model alone
            by default.

    Raises:
        Invalid: thresholds outside (0, 1), bins or rounds out of range.
        NotEvaluable: too few events or non-events.
    """
    rounds = rounds if rounds is not None else (1 if epsilon is None else 2)
    if rounds not in (1, 2) or (bins is not None and not 2 <= bins <= MOST_BINS):
        raise Invalid(f"expected 1 or 2 rounds and 2 to {MOST_BINS} bins, found {rounds} and {bins}")
    if called == "edges":
        raise Invalid("a model cannot be called 'edges'; that word is taken")
    if bins is None:
        room = (int(persons_at_least * study.gate.small_cells.max_numbers_per_person) - 1) // 3
        bins = int(np.clip(room - len(thresholds), FEWEST_BINS, MOST_BINS)) if epsilon is None else NOISY_BINS
    multiplier = (
        None if epsilon is None else noise_multiplier_for(epsilon=epsilon, delta=study.budget.delta, count=rounds)
    )
    data, moved = model.to_bytes(), 0
    edges = score_edges(bins=bins, thresholds=thresholds)
    for number in range(rounds):
        told = yield sum_ask(
            ModelScores(model=data, edges=edges, called=called, listed=listed),
            what=f"evaluation of '{called}'",
            study=study,
            sites=sites,
            split=split,
            noise_multiplier=multiplier,
        )
        found, moved = bins_of(told.sum(), edges), moved + told.bytes_moved
        if number + 1 < rounds and float(found.persons.sum()) > 0:
            edges = mass_edges(edges, found.persons, bins=bins, thresholds=thresholds)
    minimum = study.gate.small_cells.min_count
    return Evaluated(
        figures=evaluate(found, thresholds=thresholds, noise=told.noise, minimum=minimum),
        gaussian=()
        if multiplier is None
        else (GaussianEvent(noise_multiplier=multiplier, count=rounds, what="binned scores of a model"),),
        rounds=rounds,
        bytes_moved=moved,
    )
