"""The whole sum: exact to the bit, private to the bit, and closed to bad input."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from wardgate.entropy import UnsafeEntropy
from wardgate.records.errors import Invalid, Unsupported
from wardgate.sums import ring
from wardgate.sums.mask import net_mask
from wardgate.sums.plan import SumPlan, claim_event, contribute, contribute_alone, partners, total

ENTROPY = UnsafeEntropy("plan")
COIN = b"a public coin of the study"
Enrol = Callable[[int], Any]

KNOWN_DIGEST = "73f27c616d290fc3438c89e3a4cdc17a7c711c4bdb647f22c364a62d5b39f477"
KNOWN_CONTRIBUTION = "eafd7e835bd6cde5a9aa2e983adcbfe4583f48395b2cebc824b5941c99900d12"


def plan_of(roster: tuple[str, ...], **changes: Any) -> SumPlan:
    given = {"entries": 4, "persons": 1000, "bound": 1.0, "context": b"round 1", "coin": COIN, **changes}
    return SumPlan(roster=roster, **given)


def noisy(roster: tuple[str, ...], **changes: Any) -> SumPlan:
    return plan_of(roster, **{"l2": 1.0, "noise_multiplier": 4.0, **changes})


def contributions(
    plan: SumPlan, study: Any, vectors: dict[str, np.ndarray], *, persons_here: int = 20
) -> dict[str, np.ndarray]:
    return {
        site: contribute(
            plan,
            site=site,
            vector=vectors[site],
            persons_here=persons_here,
            pair_secrets=study.secrets[site],
            entropy=ENTROPY,
        )
        for site in plan.roster
    }


@pytest.mark.parametrize("sites", [3, 10, 50, 120])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_sums_equal_plain_integers_to_the_last_bit(enrolled: Enrol, sites: int, data: st.DataObject) -> None:
    study = enrolled(sites)
    entries = data.draw(st.integers(1, 6))
    bound = data.draw(st.lists(st.floats(1e-6, 1e6), min_size=entries, max_size=entries))
    persons_here = data.draw(st.integers(1, 30))
    plan = plan_of(study.roster, entries=entries, bound=bound, persons=persons_here * sites)
    share = np.random.default_rng(data.draw(st.integers(0, 2**32))).uniform(-1, 1, (sites, entries))
    share[0] = data.draw(st.sampled_from([1.0, -1.0, 0.0]))
    vectors = dict(zip(plan.roster, share * persons_here * np.array(bound), strict=True))
    found = total(plan, contributions(plan, study, vectors, persons_here=persons_here))
    for entry, exponent in enumerate(plan.exponents.tolist()):
        scale = Fraction(2) ** exponent
        integers = sum(round(Fraction(float(vector[entry])) * scale) for vector in vectors.values())
        assert found[entry] == math.ldexp(float(integers), -exponent)


def test_everybody_at_the_bound_does_not_overflow(enrolled: Enrol) -> None:
    study = enrolled(10)
    for bound, sign in ((1.0, 1), (1.0, -1), (0.1, 1), (1e9 / 7, -1)):
        plan = plan_of(study.roster, persons=10 * 20, bound=bound)
        vectors = dict.fromkeys(study.roster, np.full(4, sign * 20 * bound))
        assert total(plan, contributions(plan, study, vectors)) == pytest.approx(sign * 200 * bound, rel=1e-15)


def test_without_masks_a_site_of_one_patient_is_read_exactly_and_with_masks_not_at_all(enrolled: Enrol) -> None:
    study = enrolled(3)
    plan = plan_of(study.roster, entries=2000)
    patient = np.random.default_rng(7).uniform(-1, 1, plan.entries)
    # The attack: the hub reads one contribution.
    bare = ring.encode(patient, exponents=plan.exponents, bound=1.0, persons_here=1)
    assert ring.decode(bare, exponents=plan.exponents) == pytest.approx(patient, abs=1e-15)
    masked = contributions(plan, study, dict.fromkeys(plan.roster, patient), persons_here=1)[plan.roster[0]]
    read = ring.decode(masked, exponents=plan.exponents)
    assert abs(np.corrcoef(read, patient)[0, 1]) < 0.1
    assert stats.kstest(masked / 2.0**64, "uniform").pvalue > 1e-4
    bits = np.unpackbits(masked.view(np.uint8)).reshape(-1, 64).mean(axis=0)
    assert np.all(np.abs(bits - 0.5) < 5 * 0.5 / math.sqrt(plan.entries))


def test_a_contribution_tells_nothing_of_which_input_it_hides(enrolled: Enrol) -> None:
    study = enrolled(3)
    site = study.roster[1]
    low, high = np.full(2000, -1.0), np.full(2000, 1.0)

    def seen(vector: np.ndarray, context: bytes) -> np.ndarray:
        plan = plan_of(study.roster, entries=2000, context=context)
        return contribute(
            plan, site=site, vector=vector, persons_here=1, pair_secrets=study.secrets[site], entropy=ENTROPY
        )

    one, other = seen(low, b"round 1"), seen(high, b"round 2")
    assert stats.ks_2samp(one.astype(float), other.astype(float)).pvalue > 1e-4
    assert stats.kstest((other - one) / 2.0**64, "uniform").pvalue > 1e-4
    # The broken twin: the same context twice, and the difference lies open.
    again = seen(high, b"round 1")
    exponents = plan_of(study.roster, entries=2000).exponents
    assert np.all(ring.decode(again - one, exponents=exponents) == 2.0)


def test_a_hub_that_leaves_one_contribution_out_sees_noise(enrolled: Enrol) -> None:
    study = enrolled(10)
    plan = plan_of(study.roster, entries=2000)
    vectors = dict.fromkeys(plan.roster, np.ones(2000))
    sent = contributions(plan, study, vectors)
    partial = sum(vector for site, vector in sent.items() if site != plan.roster[4])
    assert stats.kstest(partial / 2.0**64, "uniform").pvalue > 1e-4
    assert np.all(total(plan, sent) == 10.0)


def test_two_plans_never_unmask(enrolled: Enrol) -> None:
    study = enrolled(3)
    plan = plan_of(study.roster, entries=500)
    vectors = dict.fromkeys(plan.roster, np.zeros(500))
    sent = contributions(plan, study, vectors)
    for lie in ({"persons": 999}, {"bound": 0.5}, {"context": b"round 2"}, {"l2": 3.0}, {"coin": b"x" * 16}):
        told = replace(plan, **lie)
        mixed = {**sent, plan.roster[0]: contributions(told, study, vectors)[plan.roster[0]]}
        assert np.count_nonzero(total(plan, mixed)) == 500


def test_colluders_who_know_their_masks_do_not_read_a_site(enrolled: Enrol) -> None:
    study = enrolled(10)
    plan = plan_of(study.roster, entries=2000)
    sent = contributions(plan, study, dict.fromkeys(plan.roster, np.ones(2000)))
    target, honest, colluders = plan.roster[0], plan.roster[1], plan.roster[2:]
    # All but two collude: they take their own pair masks off the target.
    known = {other: study.secrets[target][other] for other in colluders}
    left = sent[target] - net_mask(site=target, pair_secrets=known, context=plan.digest, entries=2000)
    assert stats.kstest(left / 2.0**64, "uniform").pvalue > 1e-4
    # With the last one as well, it lies open: what the threat model says.
    everyone = {**known, honest: study.secrets[target][honest]}
    bare = sent[target] - net_mask(site=target, pair_secrets=everyone, context=plan.digest, entries=2000)
    assert np.all(ring.decode(bare, exponents=plan.exponents) == 1.0)


def test_the_total_carries_the_promised_noise_and_a_halved_mutant_is_caught(enrolled: Enrol) -> None:
    study = enrolled(10)
    plan = noisy(study.roster, entries=4000, tolerated=3)
    vectors = dict.fromkeys(plan.roster, np.zeros(4000))
    found = total(plan, contributions(plan, study, vectors))
    promised = 4.0 * 1.0
    assert found.std() == pytest.approx(promised * math.sqrt(10 / 7), rel=0.05)
    assert stats.chi2.cdf((found**2).sum() / promised**2, 4000) > 0.999
    mutant = replace(plan, noise_multiplier=2.0)
    halved = total(mutant, contributions(mutant, study, vectors))
    assert stats.chi2.cdf((halved**2).sum() / promised**2, 4000) < 1e-9


def test_the_noise_is_kept_when_tolerated_sites_take_theirs_off(enrolled: Enrol) -> None:
    study = enrolled(10)
    plan = noisy(study.roster, entries=4000, tolerated=3)
    vectors = dict.fromkeys(plan.roster, np.zeros(4000))
    sent = contributions(plan, study, vectors)
    summed = sum(sent.values())
    for site in plan.roster[:3]:
        around = {other: study.secrets[site][other] for other in partners(plan, site=site)}
        summed = summed - (sent[site] - net_mask(site=site, pair_secrets=around, context=plan.digest, entries=4000))
    left = ring.decode(summed, exponents=plan.exponents)
    assert stats.chi2.cdf((left / 4.0) @ (left / 4.0), 4000) > 1e-4
    assert left.std() == pytest.approx(4.0, rel=0.05)


def test_alone_a_site_carries_the_whole_noise(enrolled: Enrol) -> None:
    study = enrolled(3)
    plan = noisy(study.roster, entries=4000, tolerated=1)
    found = contribute_alone(plan, site=study.roster[0], vector=np.full(4000, 0.25), persons_here=20, entropy=ENTROPY)
    assert found.mean() == pytest.approx(0.25, abs=0.3)
    assert stats.kstest((found - 0.25) / 4.0, "norm").pvalue > 1e-4
    with pytest.raises(Invalid, match="needs noise"):
        contribute_alone(
            plan_of(study.roster), site=study.roster[0], vector=np.zeros(4), persons_here=1, entropy=ENTROPY
        )


def test_the_claim_is_what_the_plan_promises(enrolled: Enrol) -> None:
    roster = enrolled(3).roster
    event = claim_event(noisy(roster, noise_multiplier=4.2247), what="bins")
    assert (event.noise_multiplier, event.count, event.what) == (4.2247, 1, "bins")
    with pytest.raises(Invalid, match="exact"):
        claim_event(plan_of(roster))


def test_noise_scale_leaves_room_in_ring_and_sampler(enrolled: Enrol) -> None:
    roster = enrolled(10).roster
    for persons, bound, l2, multiplier in ((10, 1.0, 1.0, 0.3), (2**30, 1.0, 20.0, 50.0), (20_000, 1e6, 1e6, 4.0)):
        plan = noisy(roster, persons=persons, bound=bound, l2=l2, noise_multiplier=multiplier, entries=400)
        assert len(set(plan.exponents.tolist())) == 1
        assert 2.0**10 <= plan.sigma / math.sqrt(10) <= plan.sigma <= 2.0**40
        assert plan.sigma >= multiplier * (math.ldexp(l2, int(plan.exponents[0])) + math.sqrt(400))
        assert math.ldexp(persons * bound, int(plan.exponents[0])) + 100 * plan.sigma < 2.0**63


def test_noise_too_small_for_the_ring_is_refused(enrolled: Enrol) -> None:
    with pytest.raises(Unsupported, match="tighter bounds"):
        noisy(enrolled(3).roster, persons=2**40, bound=1e6, l2=1e-6, noise_multiplier=0.5)


@pytest.mark.parametrize(
    "bad",
    [
        {"roster": ("a", "b")},
        {"roster": ("a", "b", "b")},
        {"roster": ("c", "b", "a")},
        {"roster": tuple(f"{index:03d}" for index in range(51)), "coin": b""},
        {"context": b""},
        {"entries": 0},
        {"persons": 0},
        {"persons": 2**41},
        {"bound": math.nan},
        {"bound": -1.0},
        {"bound": (1.0, 1.0)},
        {"l2": 0.0},
        {"l2": math.inf},
        {"noise_multiplier": 4.0},
        {"noise_multiplier": 0.0, "l2": 1.0},
        {"noise_multiplier": math.nan, "l2": 1.0},
        {"tolerated": -1},
        {"tolerated": 3},
    ],
)
def test_a_broken_plan_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        plan_of(**{"roster": ("a", "b", "c"), **bad})


@pytest.mark.parametrize(
    "bad",
    [
        {"site": "stranger"},
        {"vector": [math.nan, 0, 0, 0]},
        {"vector": [0, math.inf, 0, 0]},
        {"vector": [20.5, 0, 0, 0]},
        {"vector": [0, 0, 0]},
        {"vector": [20.0, 20.0, 20.0, 20.0]},
        {"persons_here": -1},
        {"persons_here": 1001},
        {"pair_secrets": {}},
    ],
)
def test_a_broken_contribution_is_refused_and_not_quoted(enrolled: Enrol, bad: dict[str, Any]) -> None:
    study = enrolled(3)
    site = study.roster[0]
    given = {"site": site, "vector": np.zeros(4), "persons_here": 20, "pair_secrets": study.secrets[site], **bad}
    with pytest.raises(Invalid) as error:
        contribute(noisy(study.roster), **given, entropy=ENTROPY)
    assert "20.5" not in str(error.value)


def test_the_hub_names_who_broke_the_sum(enrolled: Enrol) -> None:
    study = enrolled(3)
    plan = plan_of(study.roster)
    sent = contributions(plan, study, dict.fromkeys(plan.roster, np.zeros(4)))
    one = plan.roster[1]
    broken: list[dict[str, Any]] = [
        {site: vector for site, vector in sent.items() if site != one},
        {**sent, one: sent[one].astype(np.int64)},
        {**sent, one: sent[one][:3]},
        {**sent, one: sent[one].reshape(2, 2)},
        {**sent, one: sent[one].tolist()},
    ]
    for mapping in broken:
        with pytest.raises(Invalid, match=one):
            total(plan, mapping)
    with pytest.raises(Invalid, match="stranger"):
        total(plan, {**sent, "stranger": sent[one]})


def test_bounds_may_be_arrays_and_plans_compare_by_what_they_say(enrolled: Enrol) -> None:
    roster = enrolled(3).roster
    assert plan_of(roster, bound=np.array([1.0, 2.0, 3.0, 4.0])) == plan_of(roster, bound=(1.0, 2.0, 3.0, 4.0))
    assert hash(plan_of(roster)) == hash(plan_of(roster, bound=1))
    assert plan_of(roster) != plan_of(roster, tolerated=1)


def test_the_known_answers_hold(enrolled: Enrol) -> None:
    study = enrolled(3)
    plan = noisy(study.roster, tolerated=1)
    assert plan.digest.hex() == KNOWN_DIGEST
    sent = contribute(
        plan,
        site=study.roster[0],
        vector=[1.0, -0.5, 0.25, 0.0],
        persons_here=2,
        pair_secrets=study.secrets[study.roster[0]],
        entropy=UnsafeEntropy("known"),
    )
    assert hashlib.sha256(sent.astype("<u8").tobytes()).hexdigest() == KNOWN_CONTRIBUTION
