"""One budget for each population and split: check everything, then commit."""

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from wardgate.privacy.accountant import epsilon_of
from wardgate.records.claim import ExponentialEvent, GaussianEvent, SampledGaussianEvent
from wardgate.records.errors import Invalid, Refused
from wardgate.records.record import Record

Split = Literal["train", "tuning", "holdout", "locked_test"]
SPLITS: tuple[Split, ...] = ("train", "tuning", "holdout", "locked_test")

Release = Literal["corpus", "joint-corpus", "sum", "sited", "aggregate", "model", "refresh"]
"""What a spending was for."""


class Spending(Record):
    """What one release spends. A record, so that the ledger can be kept and recomposed by others.

    Attributes:
        population: Whose budget, e.g. the site's name with the study's cohort.
        split: Which persons were touched; `all` counts in full in every split.
        what: What was released, in words.
        kind: What sort of release it was; absent where nobody said, as in entries of version 0.2 and before.
        gaussian, exponential, sampled: The random events, as in the claim.
        exact: How many exact answers were given; they have no epsilon and a ration of their own.
    """

    population: str
    split: Split | Literal["all"]
    what: str
    kind: Release | None = None
    gaussian: tuple[GaussianEvent, ...] = ()
    exponential: tuple[ExponentialEvent, ...] = ()
    sampled_: tuple[SampledGaussianEvent, ...] | None = Field(default=None, alias="sampled")
    exact: int = 0

    @model_validator(mode="after")
    def _spends(self) -> Self:
        if self.exact < 0:
            raise ValueError(f"expected at least 0 exact answers, found {self.exact}")
        if any(event.count < 1 or event.noise_multiplier <= 0 for event in self.gaussian):
            raise ValueError("a Gaussian event needs noise and a count of at least 1; count exact answers in 'exact'")
        if any(event.count < 1 or event.epsilon <= 0 for event in self.exponential):
            raise ValueError("a choice needs an epsilon above 0 and a count of at least 1")
        if any(e.count < 1 or e.noise_multiplier <= 0 or not 0 < e.probability <= 1 for e in self.sampled):
            raise ValueError("a sampled Gaussian event needs noise, a count of at least 1 and a probability in (0, 1]")
        if not (self.exact or self.random):
            raise ValueError("expected at least one event or exact answer, found none")
        return self

    @property
    def sampled(self) -> tuple[SampledGaussianEvent, ...]:
        """Noisy releases over random batches."""
        return self.sampled_ or ()

    @property
    def random(self) -> bool:
        """Whether it names any random event, which an epsilon covers."""
        return bool(self.gaussian or self.exponential or self.sampled)


class Ledger(Record):
    """Everything spent so far, in order. Entries are never changed or removed."""

    entries: tuple[Spending, ...] = ()


def cost(ledger: Ledger, *, population: str, split: Split, delta: float) -> float:
    """Return the joint epsilon, at `delta`, of everything random that touched this split.

    The stored events are recomposed as one privacy loss distribution; epsilons are not added. A person is in
    exactly one split of a population, so splits compose in parallel: what a person has lost is the cost of
    their own split. Exact answers are outside this figure; see `exact_answers`.

    Raises:
        Invalid: `delta` is not in (0, 1).
    """
    touching = _touching(ledger, population, split)
    return epsilon_of(
        gaussian=tuple(event for entry in touching for event in entry.gaussian),
        exponential=tuple(event for entry in touching for event in entry.exponential),
        sampled=tuple(event for entry in touching for event in entry.sampled),
        delta=delta,
    )


def exact_answers(ledger: Ledger, *, population: str, split: Split) -> int:
    """Return how many exact answers touched this split. Above zero, the epsilon does not cover everything."""
    return sum(entry.exact for entry in _touching(ledger, population, split))


def afford(ledger: Ledger, spending: Spending, *, epsilon_total: float, delta: float, exact_ration: int) -> Ledger:
    """Return the ledger with `spending` in it, or raise: nothing is half spent.

    Args:
        epsilon_total: What all random events on one split may cost together.
        delta: At which `epsilon_total` is meant.
        exact_ration: How many exact answers one split may give.

    Raises:
        Refused: with this spending a split would pass `epsilon_total` or `exact_ration`.
        Invalid: a limit is not a usable number.
    """
    if not (math.isfinite(epsilon_total) and epsilon_total > 0):
        raise Invalid(f"expected a finite epsilon_total above 0, found {epsilon_total}")
    if exact_ration < 0:
        raise Invalid(f"expected an exact ration of at least 0, found {exact_ration}")
    after = Ledger(entries=(*ledger.entries, spending))
    splits = SPLITS if spending.split == "all" else (spending.split,)
    for split in splits:
        if spending.random:
            total = cost(after, population=spending.population, split=split, delta=delta)
            if not total <= epsilon_total:
                raise Refused(
                    f"budget of split '{split}' exhausted: with this release it would have cost epsilon {total:.4f}"
                    f" of {epsilon_total:g} at delta {delta:g}; release less, or not at all"
                )
        given = exact_answers(after, population=spending.population, split=split)
        if spending.exact and given > exact_ration:
            raise Refused(
                f"ration of split '{split}' exhausted: with this release it would have given {given} exact answers"
                f" of {exact_ration}; use noise instead"
            )
    return after


def _touching(ledger: Ledger, population: str, split: Split) -> tuple[Spending, ...]:
    return tuple(entry for entry in ledger.entries if entry.population == population and entry.split in (split, "all"))
