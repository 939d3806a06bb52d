"""Whole runs, event by event: our epsilon is within 0.01 above dp-accounting's and never below it."""

import math
from dataclasses import dataclass
from functools import lru_cache

import dp_accounting
import pytest
from dp_accounting.pld import PLDAccountant, common, privacy_loss_distribution

from wardgate.privacy import accountant
from wardgate.privacy.accountant import epsilon_of, noise_multiplier_for
from wardgate.records.claim import ExponentialEvent, GaussianEvent
from wardgate.sums.plan import SumPlan, claim_event

TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A run: the noise multiplier of each of its sums, the epsilons of its choices, and its delta."""

    multipliers: tuple[float, ...]
    delta: float
    choices: tuple[float, ...] = ()

    @property
    def gaussian(self) -> list[GaussianEvent]:
        return [claim_event(plan(multiplier, index)) for index, multiplier in enumerate(self.multipliers)]

    @property
    def exponential(self) -> list[ExponentialEvent]:
        return [ExponentialEvent(epsilon=epsilon, count=1, what="choice") for epsilon in self.choices]

    def ours(self) -> float:
        accountant._epsilon.cache_clear()
        return epsilon_of(gaussian=self.gaussian, exponential=self.exponential, delta=self.delta)


def plan(multiplier: float, index: int) -> SumPlan:
    return SumPlan(
        roster=("a", "b", "c"),
        entries=30,
        persons=3000,
        bound=1.0,
        context=f"sum {index}".encode(),
        l2=5.0,
        noise_multiplier=multiplier,
    )


def newton(epsilon: float, rounds: int, delta: float) -> Reference:
    each = noise_multiplier_for(epsilon=epsilon, delta=delta, count=rounds)
    return Reference(multipliers=(each,) * rounds, delta=delta)


RUNS = {
    "one sum at epsilon 1": newton(1.0, 1, 1e-6),
    "eight Newton rounds at epsilon 1": newton(1.0, 8, 1e-6),
    "eight Newton rounds at epsilon 0.1": newton(0.1, 8, 1e-6),
    "thirty rounds at epsilon 3": newton(3.0, 30, 1e-5),
    "forty trees at epsilon 8": newton(8.0, 40, 1e-7),
    "standardise, fit, calibrate, evaluate": Reference(
        multipliers=(30.0, *(14.0,) * 8, 25.0, 25.0, 40.0), delta=1 / 20_000**1.1
    ),
    "marginals and the choice of marginals": Reference(
        multipliers=(*(20.0,) * 12, *(12.0,) * 6), choices=(0.05,) * 12, delta=1e-6
    ),
    "refreshed every quarter for three years": Reference(
        multipliers=tuple(8.0 + index for index in range(12)), delta=1e-6
    ),
}


@lru_cache
def by_dp_accounting(run: Reference, *, interval: float) -> float:
    """Compose one event after the other, none merged with another."""
    joint = privacy_loss_distribution.identity(value_discretization_interval=interval)
    for epsilon in run.choices:
        joint = joint.compose(
            privacy_loss_distribution.from_privacy_parameters(
                common.DifferentialPrivacyParameters(epsilon, 0.0), value_discretization_interval=interval
            )
        )
    for multiplier in run.multipliers:
        joint = joint.compose(
            privacy_loss_distribution.from_gaussian_mechanism(multiplier, value_discretization_interval=interval)
        )
    return float(joint.get_epsilon_for_delta(run.delta))


def by_their_accountant(run: Reference) -> float:
    theirs = PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    for multiplier in run.multipliers:
        theirs.compose(dp_accounting.GaussianDpEvent(multiplier))
    return float(theirs.get_epsilon(run.delta))


@pytest.mark.parametrize("name", RUNS)
def test_the_epsilon_of_a_run_is_just_above_dp_accountings(name: str) -> None:
    run = RUNS[name]
    oracle = by_dp_accounting(run, interval=1e-4)
    assert oracle <= run.ours() <= oracle + TOLERANCE
    if not run.choices:
        assert by_their_accountant(run) <= run.ours() <= by_their_accountant(run) + TOLERANCE


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_the_epsilon_of_a_run_is_just_above_that_of_a_finer_discretisation(name: str) -> None:
    run = RUNS[name]
    oracle = by_dp_accounting(run, interval=1e-5)
    assert oracle <= run.ours() <= oracle + TOLERANCE


@pytest.mark.parametrize("name", RUNS)
def test_an_accountant_that_believes_in_more_noise_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken twin: noise whose scale was halved is accounted as if it had not been, and as half the variance."""
    run = RUNS[name]
    oracle = by_dp_accounting(run, interval=1e-4)
    real = accountant._inverse_variance
    for factor in (4.0, 2.0, 1.05):
        monkeypatch.setattr(accountant, "_inverse_variance", lambda events, factor=factor: real(events) / factor)
        assert run.ours() < oracle
    accountant._epsilon.cache_clear()


def test_a_run_that_forgets_its_last_sum_is_caught() -> None:
    run = RUNS["eight Newton rounds at epsilon 1"]
    fewer = Reference(multipliers=run.multipliers[:-1], delta=run.delta)
    assert fewer.ours() < by_dp_accounting(run, interval=1e-4) - TOLERANCE
    assert math.isinf(epsilon_of(gaussian=[GaussianEvent(noise_multiplier=0.0, count=1, what="none")], delta=1e-6))
