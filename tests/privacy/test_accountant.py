"""The accountant against dp-accounting itself and against closed forms; never below either."""

import math

import dp_accounting
import pytest
from dp_accounting import GaussianDpEvent, PoissonSampledDpEvent
from dp_accounting.pld import PLDAccountant, common, privacy_loss_distribution
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from wardgate.privacy.accountant import dp_claim, epsilon_of, noise_multiplier_for, sampled_multiplier_for
from wardgate.records.claim import Claim, ExponentialEvent, GaussianEvent, SampledGaussianEvent
from wardgate.records.errors import Invalid

DELTA = 1e-6


def gaussian(multiplier: float, count: int = 1) -> GaussianEvent:
    return GaussianEvent(noise_multiplier=multiplier, count=count, what="test")


def choice(epsilon: float, count: int = 1) -> ExponentialEvent:
    return ExponentialEvent(epsilon=epsilon, count=count, what="test")


def by_dp_accounting(events: list[GaussianEvent], choices: list[ExponentialEvent], delta: float) -> float:
    accountant = PLDAccountant(dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE)
    for event in events:
        accountant.compose(dp_accounting.GaussianDpEvent(event.noise_multiplier), event.count)
    if not choices:
        return float(accountant.get_epsilon(delta))
    joint = privacy_loss_distribution.identity()
    for event in choices:
        one = privacy_loss_distribution.from_privacy_parameters(common.DifferentialPrivacyParameters(event.epsilon, 0))
        joint = joint.compose(one.self_compose(event.count))
    for event in events:
        joint = joint.compose(
            privacy_loss_distribution.from_gaussian_mechanism(event.noise_multiplier / math.sqrt(event.count))
        )
    return float(joint.get_epsilon_for_delta(delta))


def exact_delta(multiplier: float, epsilon: float) -> float:
    mu = 1 / multiplier
    return float(norm.cdf(mu / 2 - epsilon / mu) - math.exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu))


@pytest.mark.parametrize(
    ("events", "choices"),
    [
        ([gaussian(4.25)], []),
        ([gaussian(1.0, 3)], []),
        ([gaussian(20.0, 8), gaussian(7.0), gaussian(11.0, 30)], []),
        ([gaussian(3.0 + index) for index in range(12)], []),
        ([], [choice(0.5)]),
        ([], [choice(0.05, 20), choice(0.3)]),
        ([gaussian(10.0, 5)], [choice(0.05, 10)]),
        ([gaussian(2.0)], [choice(0.3)]),
    ],
)
@pytest.mark.parametrize("delta", [1e-6, 1e-9, 1e-3])
def test_epsilon_is_dp_accountings_rounded_up(
    events: list[GaussianEvent], choices: list[ExponentialEvent], delta: float
) -> None:
    oracle = by_dp_accounting(events, choices, delta)
    found = epsilon_of(gaussian=events, exponential=choices, delta=delta)
    assert oracle <= found <= oracle + 0.001


@settings(max_examples=15, deadline=None)
@given(multiplier=st.floats(0.4, 200), count=st.integers(1, 50), delta=st.sampled_from([1e-4, 1e-6, 1e-8]))
def test_epsilon_is_never_below_the_closed_form(multiplier: float, count: int, delta: float) -> None:
    found = epsilon_of(gaussian=[gaussian(multiplier, count)], delta=delta)
    assert exact_delta(multiplier / math.sqrt(count), found) <= delta


def test_nothing_costs_nothing_and_no_noise_costs_everything() -> None:
    assert epsilon_of(delta=DELTA) == 0.0
    assert epsilon_of(gaussian=[gaussian(4.0, 0)], exponential=[choice(0.0, 5)], delta=DELTA) == 0.0
    assert epsilon_of(gaussian=[gaussian(0.0)], delta=DELTA) == math.inf
    assert epsilon_of(gaussian=[gaussian(4.0), gaussian(-1.0)], exponential=[choice(0.1)], delta=DELTA) == math.inf


def test_composition_is_joint_not_added() -> None:
    one = epsilon_of(gaussian=[gaussian(4.25)], delta=DELTA)
    both = epsilon_of(gaussian=[gaussian(4.25), gaussian(4.25)], delta=DELTA)
    assert one < both < 2 * one
    assert both == epsilon_of(gaussian=[gaussian(4.25, 2)], delta=DELTA)


def test_the_classic_multiplier_for_epsilon_one() -> None:
    found = noise_multiplier_for(epsilon=1.0, delta=DELTA)
    assert found == pytest.approx(4.2247, abs=0.0005)
    assert exact_delta(found * (1 - 1e-3), 1.0) > DELTA


@pytest.mark.parametrize("epsilon", [0.05, 1.0, 3.0])
@pytest.mark.parametrize(("count", "choices"), [(1, ()), (30, ()), (7, (choice(0.001, 10),))])
def test_the_multiplier_keeps_the_promise_and_is_the_smallest(
    epsilon: float, count: int, choices: tuple[ExponentialEvent, ...]
) -> None:
    found = noise_multiplier_for(epsilon=epsilon, delta=DELTA, count=count, exponential=choices)
    assert epsilon_of(gaussian=[gaussian(found, count)], exponential=choices, delta=DELTA) <= epsilon
    assert epsilon_of(gaussian=[gaussian(found * 0.997, count)], exponential=choices, delta=DELTA) > epsilon
    one_by_one = [gaussian(found) for _ in range(count)]
    assert epsilon_of(gaussian=one_by_one, exponential=choices, delta=DELTA) <= epsilon


def test_choices_that_leave_nothing_are_refused() -> None:
    with pytest.raises(Invalid, match="choices alone cost"):
        noise_multiplier_for(epsilon=0.5, delta=DELTA, exponential=(choice(0.6),))


@pytest.mark.parametrize("bad", [{"epsilon": 0.0}, {"epsilon": math.inf}, {"delta": 0.0}, {"delta": 1.0}, {"count": 0}])
def test_an_unusable_promise_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(Invalid):
        noise_multiplier_for(**{"epsilon": 1.0, "delta": DELTA, **bad})


def test_negative_counts_are_refused() -> None:
    with pytest.raises(Invalid):
        epsilon_of(gaussian=[gaussian(1.0, -1)], delta=DELTA)
    with pytest.raises(Invalid):
        epsilon_of(exponential=[choice(-0.1)], delta=DELTA)
    with pytest.raises(Invalid):
        epsilon_of(delta=math.nan)


def test_a_claim_names_its_cost_and_can_be_recomposed_by_others() -> None:
    claim = dp_claim(
        gaussian=[gaussian(8.0, 3)],
        exponential=[choice(0.1)],
        delta=DELTA,
        covers=["bins"],
        excludes=["schema"],
        noise_source="system",
    )
    read = Claim.from_plain(claim.plain())
    assert read == claim
    assert read.epsilon == epsilon_of(gaussian=read.gaussian, exponential=read.exponential, delta=DELTA)
    assert (read.kind, read.neighbour, read.accountant) == ("dp", "add-or-remove", "pld")


def test_a_claim_without_noise_is_refused() -> None:
    for events in ([], [gaussian(0.0)]):
        with pytest.raises(Invalid, match="needs at least one event"):
            dp_claim(gaussian=events, delta=DELTA, covers=[], excludes=[], noise_source="system")


def batches(noise: float, probability: float, count: int) -> SampledGaussianEvent:
    return SampledGaussianEvent(noise_multiplier=noise, probability=probability, count=count, what="batches")


@pytest.mark.parametrize(("noise", "probability", "count"), [(1.1, 0.01, 500), (2.0, 0.1, 40), (0.7, 0.004, 100)])
def test_sampled_batches_never_cost_less_than_dp_accounting_says(noise, probability, count):
    ours = epsilon_of(sampled=(batches(noise, probability, count),), delta=1e-6)
    oracle = PLDAccountant()
    oracle.compose(PoissonSampledDpEvent(probability, GaussianDpEvent(noise)), count)
    assert oracle.get_epsilon(1e-6) <= ours <= oracle.get_epsilon(1e-6) * 1.01 + 0.001


def test_a_batch_of_everybody_costs_what_a_gaussian_release_costs():
    everybody = epsilon_of(sampled=(batches(3.0, 1.0, 7),), delta=1e-6)
    assert everybody == pytest.approx(epsilon_of(gaussian=(gaussian(3.0, 7),), delta=1e-6), abs=2e-3)


def test_a_batch_without_noise_has_no_epsilon_and_one_without_a_probability_is_refused():
    assert epsilon_of(sampled=(batches(0.0, 0.1, 1),), delta=1e-6) == math.inf
    for probability in (0.0, 1.5, -0.1):
        with pytest.raises(Invalid):
            epsilon_of(sampled=(batches(1.0, probability, 1),), delta=1e-6)


def test_the_multiplier_of_batches_spends_the_epsilon_and_not_more():
    other = (gaussian(9.0, 1),)
    noise = sampled_multiplier_for(epsilon=1.0, delta=1e-6, probability=0.05, count=60, gaussian=other)
    assert epsilon_of(gaussian=other, sampled=(batches(noise, 0.05, 60),), delta=1e-6) <= 1.0
    assert epsilon_of(gaussian=other, sampled=(batches(noise * 0.99, 0.05, 60),), delta=1e-6) > 1.0
    with pytest.raises(Invalid):
        sampled_multiplier_for(epsilon=0.1, delta=1e-6, probability=0.05, count=60, gaussian=(gaussian(1.0, 1),))
