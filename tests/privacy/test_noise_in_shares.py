"""The integer noise of shares and of totals is what the plan promises; halved noise is caught by the same test."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from wardgate.entropy import Entropy, SystemEntropy, UnsafeEntropy
from wardgate.privacy.noise import discrete_gaussian
from wardgate.sums import plan as planning
from wardgate.sums.plan import SumPlan, contribute, narrowest, signal, total

ENTRIES = 20_000
MULTIPLIER, L2, BOUND = 4.2247, 150.0, 1.0
CAUGHT, HELD = 1e-9, 1e-4
"""A wrong scale gives p-values below the first, the right one above the second."""

COIN = b"a public coin of the study"

Integers = NDArray[np.int64]


def chi_square(drawn: Integers, *, sigma: float, cells: int = 100) -> float:
    """Return the p-value of integers against the discrete Gaussian of parameter `sigma`, of 2^10 or more.

    Cells of equal probability under the Gaussian, cut between integers. At this scale the probability of an integer
    is the mass of the unit around it, to a factor within 1e-6 of 1.
    """
    edges = np.floor(stats.norm.ppf(np.arange(1, cells) / cells) * sigma) + 0.5
    expected = np.diff(np.concatenate([[0.0], stats.norm.cdf(edges / sigma), [1.0]])) * len(drawn)
    observed = np.bincount(np.searchsorted(edges, drawn), minlength=cells)
    return float(stats.chisquare(observed, expected).pvalue)


def plan_of(sites: int, tolerated: int, bits: int = 64, entries: int = ENTRIES) -> SumPlan:
    return SumPlan(
        roster=tuple(f"site-{index:03d}" for index in range(sites)),
        entries=entries,
        persons=200 * sites,
        bound=BOUND,
        context=b"audit",
        l2=L2,
        noise_multiplier=MULTIPLIER,
        tolerated=tolerated,
        coin=COIN,
        bits=bits,
    )


def promised(plan: SumPlan) -> float:
    """What the noise of the total must at least be in ring units, worked out again from the written protocol."""
    step = 2.0 ** int(plan.exponents[0])
    rounding = math.sqrt(plan.entries) * (1 + 2 * 2.0**-44 * plan.persons * BOUND * step)
    return math.sqrt((MULTIPLIER * (L2 * step + rounding)) ** 2 + 4)


def shares(plan: SumPlan, entropy: Callable[[str], Entropy] = UnsafeEntropy) -> dict[str, Integers]:
    """What each site adds to its vector before masking: the signal of nobody."""
    word = np.int64 if plan.bits == 64 else np.int32
    return {
        site: signal(plan, site=site, vector=np.zeros(plan.entries), persons_here=0, entropy=entropy(site))
        .view(word)
        .astype(np.int64)
        for site in plan.roster
    }


SETTINGS = [(3, 0, 64), (3, 1, 32), (10, 3, 32), (10, 0, 64), (30, 10, 32)]


@pytest.mark.parametrize(("sites", "tolerated", "bits"), SETTINGS)
def test_shares_of_those_who_do_not_collude_add_up_to_the_promised_noise(sites: int, tolerated: int, bits: int) -> None:
    plan = plan_of(sites, tolerated, bits)
    drawn = shares(plan)
    honest = sum(drawn[site] for site in plan.roster[tolerated:])
    assert chi_square(honest, sigma=promised(plan)) > HELD
    each = promised(plan) / math.sqrt(sites - tolerated)
    for site in plan.roster[:3]:
        assert chi_square(drawn[site], sigma=each) > HELD


@pytest.mark.parametrize(("sites", "tolerated", "bits"), [(3, 1, 64), (10, 3, 32)])
def test_the_noise_of_an_opened_total_is_the_promised_noise(sites: int, tolerated: int, bits: int) -> None:
    plan = plan_of(sites, tolerated, bits)
    secrets = {frozenset((a, b)): f"{a}|{b}".encode().ljust(32)[:32] for a in plan.roster for b in plan.roster if a < b}
    masked = {
        site: contribute(
            plan,
            site=site,
            vector=np.full(plan.entries, 0.5),
            persons_here=200,
            pair_secrets={other: secrets[frozenset((site, other))] for other in plan.roster if other != site},
            entropy=UnsafeEntropy(site),
        )
        for site in plan.roster
    }
    found = np.ldexp(total(plan, masked) - 0.5 * sites, plan.exponents).astype(np.int64)
    assert chi_square(found, sigma=promised(plan) * math.sqrt(sites / (sites - tolerated))) > HELD


@pytest.mark.parametrize("factor", [0.5, math.sqrt(0.5), 0.9])
@pytest.mark.parametrize(("sites", "tolerated", "bits"), [(3, 1, 32), (10, 3, 64)])
def test_noise_of_half_the_scale_or_half_the_variance_is_caught(
    monkeypatch: pytest.MonkeyPatch, factor: float, sites: int, tolerated: int, bits: int
) -> None:
    plan = plan_of(sites, tolerated, bits)
    real = planning.share_sigma
    monkeypatch.setattr(planning, "share_sigma", lambda **given: factor * real(**given))
    drawn = shares(plan)
    assert chi_square(sum(drawn[site] for site in plan.roster[tolerated:]), sigma=promised(plan)) < CAUGHT
    each = promised(plan) / math.sqrt(sites - tolerated)
    assert chi_square(drawn[plan.roster[0]], sigma=each) < CAUGHT


def test_shares_that_forget_the_colluders_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(10, 3, 32)
    monkeypatch.setattr(planning, "share_sigma", lambda *, sigma, sites, tolerated: sigma / math.sqrt(sites))
    drawn = shares(plan)
    assert chi_square(sum(drawn.values()), sigma=promised(plan)) > HELD
    assert chi_square(sum(drawn[site] for site in plan.roster[3:]), sigma=promised(plan)) < CAUGHT


def test_one_adder_in_place_of_all_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The total has the promised noise, and the one who added it takes it off again."""
    plan = plan_of(3, 1)
    sigma = promised(plan)

    def alone(site: str) -> Integers:
        size = plan.entries
        if site != plan.roster[0]:
            return np.zeros(size, dtype=np.int64)
        return discrete_gaussian(sigma=sigma, size=size, entropy=UnsafeEntropy("alone"))

    drawn = {site: alone(site) for site in plan.roster}
    assert chi_square(sum(drawn.values()), sigma=sigma) > HELD
    assert chi_square(sum(drawn[site] for site in plan.roster[1:]), sigma=sigma) < CAUGHT


def test_the_same_noise_at_every_site_is_caught() -> None:
    plan = plan_of(3, 0)
    honest, copied = shares(plan), shares(plan, lambda site: UnsafeEntropy("the same everywhere"))
    assert chi_square(sum(honest.values()), sigma=promised(plan)) > HELD
    assert chi_square(sum(copied.values()), sigma=promised(plan)) < CAUGHT
    first, second = (honest[site] for site in plan.roster[:2])
    assert stats.pearsonr(first, second).pvalue > HELD
    assert stats.pearsonr(first[1:], first[:-1]).pvalue > HELD


@pytest.mark.parametrize("bits", [32, 64])
def test_the_noise_lies_on_every_integer(bits: int) -> None:
    """Noise on a coarser lattice would leave the low bits of a person's vector in the open."""
    drawn = shares(plan_of(3, 1, bits))["site-000"]

    def low_bits(noise: Integers) -> float:
        return float(stats.chisquare(np.bincount(noise & 15, minlength=16)).pvalue)

    assert low_bits(drawn) > HELD
    assert low_bits(drawn >> 1 << 1) < CAUGHT


@pytest.mark.slow
@pytest.mark.parametrize(("sites", "tolerated"), [(3, 0), (50, 16), (464, 46)])
def test_the_systems_generator_gives_the_promised_noise(sites: int, tolerated: int) -> None:
    plan = narrowest(plan_of(sites, tolerated, entries=2**21 // sites))
    drawn = shares(plan, lambda site: SystemEntropy())
    each = promised(plan) / math.sqrt(sites - tolerated)
    pooled = np.concatenate(list(drawn.values()))
    # Fresh bytes on every run: by chance one run in a million fails.
    assert chi_square(pooled, sigma=each) > 1e-6
    assert chi_square(sum(drawn[site] for site in plan.roster[tolerated:]), sigma=promised(plan), cells=40) > 1e-6
    assert chi_square(pooled, sigma=2 * each) < CAUGHT
    assert chi_square(pooled, sigma=math.sqrt(2) * each) < CAUGHT
