"""The ring of 32 bits: for noisy sums alone, chosen where it fits, and never wrong where it was chosen."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from wardgate.entropy import UnsafeEntropy
from wardgate.records.errors import Invalid, Unsupported
from wardgate.sums import ring
from wardgate.sums.mask import keystream
from wardgate.sums.plan import SumPlan, contribute, contribute_alone, narrowest, total
from wardgate.sums.scale import OVERFLOW_BITS, NoiseScale
from wardgate.sums.shares import share_sigma

Make = Callable[..., Any]
ENTROPY = UnsafeEntropy("narrow")


def plan_of(roster: tuple[str, ...], **changes: Any) -> SumPlan:
    given = {"entries": 300, "persons": 1000, "bound": 1.0, "context": b"sum", "l2": 1.0, "noise_multiplier": 4.0}
    return SumPlan(roster=roster, **{**given, "coin": b"a public coin of the study", "bits": 32, **changes})


def everyone(plan: SumPlan, study: Any, vectors: dict[str, np.ndarray]) -> dict[str, Any]:
    return {
        site: contribute(
            plan,
            site=site,
            vector=vectors[site],
            persons_here=20,
            pair_secrets=study.secrets[site],
            entropy=UnsafeEntropy(site),
        )
        for site in plan.roster
    }


def test_half_the_bytes_carry_the_same_sum_and_the_same_noise(enrolled: Make) -> None:
    study = enrolled(10)
    plan = plan_of(study.roster, entries=4000, tolerated=3)
    vectors = dict.fromkeys(plan.roster, np.linspace(-0.3, 0.3, 4000))
    sent = everyone(plan, study, vectors)
    assert all(vector.dtype == np.uint32 and vector.nbytes == 16_000 for vector in sent.values())
    noise = total(plan, sent) - 10 * np.linspace(-0.3, 0.3, 4000)
    assert noise.std() == pytest.approx(4.0 * math.sqrt(10 / 7), rel=0.05)
    assert stats.kstest(noise / noise.std(), "norm").pvalue > 1e-4
    assert stats.chi2.cdf((noise**2).sum() / 16, 4000) > 0.999
    mutant = replace(plan, noise_multiplier=2.0)
    halved = total(mutant, everyone(mutant, study, dict.fromkeys(plan.roster, np.zeros(4000))))
    assert stats.chi2.cdf((halved**2).sum() / 16, 4000) < 1e-9


def test_the_integers_add_up_without_noise_and_masks_in_either_ring(enrolled: Make) -> None:
    exponents = np.full(5, 10)
    values = np.array([1.5, -2.25, 0.0, 1000.0, -1000.0])
    narrow, wide = (
        ring.encode(values, exponents=exponents, bound=1000.0, persons_here=1, bits=bits) for bits in (32, 64)
    )
    assert narrow.dtype == np.uint32
    assert ring.decode(narrow, exponents=exponents).tolist() == ring.decode(wide, exponents=exponents).tolist()
    assert ring.decode(narrow + narrow, exponents=exponents).tolist() == (2 * values).tolist()


def test_masked_vectors_are_uniform(enrolled: Make) -> None:
    study = enrolled(3)
    plan = plan_of(study.roster, entries=4000)
    sent = everyone(plan, study, dict.fromkeys(plan.roster, np.zeros(4000)))
    assert all(stats.kstest(vector / 2.0**32, "uniform").pvalue > 1e-4 for vector in sent.values())


def test_the_narrow_key_stream_is_the_same_stream_in_shorter_words() -> None:
    wide = keystream(bytes(32), entries=4)
    assert keystream(bytes(32), entries=8, word="<u4").tobytes() == wide.tobytes()


def test_the_wide_ring_stays_the_default_and_its_plans_say_what_they_said(enrolled: Make) -> None:
    roster = enrolled(3).roster
    wide = plan_of(roster, bits=64)
    assert SumPlan(roster=roster, entries=3, persons=1, bound=1.0, context=b"sum").bits == 64
    assert wide.digest != plan_of(roster).digest
    assert wide.dtype == np.uint64


@pytest.mark.parametrize("bad", [{"noise_multiplier": None}, {"bits": 16}, {"bits": 33}])
def test_exact_sums_and_other_rings_are_refused(enrolled: Make, bad: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="ring"):
        plan_of(enrolled(3).roster, **bad)


@settings(max_examples=60, deadline=None)
@given(
    persons=st.integers(1, 10**5) | st.integers(1, 2**40),
    bound=st.floats(1e-6, 1e6),
    ratio=st.floats(1e-3, 30),
    multiplier=st.floats(0.1, 100),
    entries=st.integers(1, 2000),
    sites=st.integers(3, 50),
    part=st.floats(0, 0.5),
)
def test_a_narrow_plan_leaves_room_for_signal_rounding_and_the_tails_of_the_noise(
    persons: int, bound: float, ratio: float, multiplier: float, entries: int, sites: int, part: float
) -> None:
    roster = tuple(f"{index:02d}" for index in range(sites))
    given = {
        "persons": persons,
        "bound": bound,
        "l2": bound * ratio,
        "noise_multiplier": multiplier,
        "entries": entries,
        "tolerated": int(sites * part),
    }
    try:
        plan = plan_of(roster, **given)
    except Unsupported:
        return
    exponent, sigma = int(plan.exponents[0]), plan.sigma
    share = share_sigma(sigma=sigma, sites=sites, tolerated=plan.tolerated)
    assert share >= 2.0**10
    room = 2.0**31 - math.ldexp(persons * bound, exponent) - sites
    # Union bound over the entries of the subgaussian tail of all shares together.
    log2_failure = math.log2(2 * entries) - (room / (share * math.sqrt(sites))) ** 2 / 2 / math.log(2)
    assert log2_failure <= -OVERFLOW_BITS
    assert sigma**2 <= (1.1 * multiplier * math.ldexp(bound * ratio, exponent)) ** 2 + 4
    assert narrowest(replace(plan, bits=64)) == plan


def test_a_sum_that_is_too_large_beside_its_noise_falls_back_to_the_wide_ring(enrolled: Make) -> None:
    roster = enrolled(10).roster
    with pytest.raises(Unsupported):
        plan_of(roster, persons=2**30, bound=1.0, l2=1.0, noise_multiplier=0.5)
    fallen = narrowest(plan_of(roster, bits=64, persons=2**30, noise_multiplier=0.5))
    assert fallen.bits == 64
    exact = SumPlan(roster=roster, entries=3, persons=1, bound=1.0, context=b"sum")
    assert narrowest(exact) == exact


def test_a_scale_that_no_ring_of_32_bits_holds_is_refused() -> None:
    scale = NoiseScale(largest=1.0, l2=1e300, noise_multiplier=1e6, entries=10, sites=3, tolerated=0)
    with pytest.raises(Unsupported, match="use 64"):
        scale.finest(bits=32)


def test_signals_at_the_bound_do_not_wrap(enrolled: Make) -> None:
    study = enrolled(10)
    plan = plan_of(study.roster, persons=200, entries=4, l2=2.0, noise_multiplier=1.0)
    for sign in (1.0, -1.0):
        sent = everyone(plan, study, dict.fromkeys(plan.roster, np.full(4, sign * 20)))
        assert total(plan, sent) == pytest.approx(sign * 200, abs=20)


def test_drop_outs_are_survived_in_the_narrow_ring(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(8, dropouts=2))
    plan = rehearsal.plan(bits=32, l2=1.0, noise_multiplier=4.0, entries=2000, tolerated=2, least=6)
    assert plan.length == 2002
    found = rehearsal.whole(plan, dict.fromkeys(plan.roster[:6], np.full(2000, 0.25)))
    assert found.total.mean() == pytest.approx(1.5, abs=0.5)
    assert found.total.std() == pytest.approx(4.0, rel=0.06)


def test_alone_a_site_adds_the_whole_noise_in_the_narrow_ring(enrolled: Make) -> None:
    plan = plan_of(enrolled(3).roster, entries=4000)
    found = contribute_alone(plan, site=plan.roster[0], vector=np.zeros(4000), persons_here=20, entropy=ENTROPY)
    assert found.std() == pytest.approx(4.0, rel=0.05)


def test_the_hub_refuses_words_of_the_other_size(enrolled: Make) -> None:
    study = enrolled(3)
    plan = plan_of(study.roster, entries=4)
    sent = everyone(plan, study, dict.fromkeys(plan.roster, np.zeros(4)))
    one = plan.roster[0]
    for wrong in (sent[one].astype(np.uint64), sent[one].view(np.uint64), sent[one].view(np.int32)):
        with pytest.raises(Invalid, match="uint32"):
            total(plan, {**sent, one: wrong})
