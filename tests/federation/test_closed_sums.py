"""What the hub can learn from a sum: the total, and nothing when a part is missing."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2, kstest

from wardgate.computations.score_bins import score_bins_shape
from wardgate.entropy import SystemEntropy
from wardgate.privacy.noise import discrete_gaussian
from wardgate.records.errors import Invalid
from wardgate.records.messages import open_answer
from wardgate.records.parcel import pack_vector
from wardgate.sums.agreed import agreed_plan
from wardgate.sums.plan import total
from wardgate.sums.ring import decode
from wardgate.sums.shares import share_sigma

Make = Callable[..., Any]

BETA = pack_vector("beta", np.array([0.1, 0.5, 0.5, 0.2]))


def asked(shared: Any, sites: tuple[str, ...], bins: int = 15, **terms: Any) -> tuple[Any, dict[str, Any], Any]:
    """One sum of score bins: its plan, everybody's masked vectors, and the true total."""
    shape = score_bins_shape(bins=bins, subgroups=0, subgroup_bins=5)
    question, parcel = shared.question(
        [BETA],
        computation="score_bins",
        split="holdout",
        sum=shared.terms(sites, shape.entries, **terms),
        parameters={"model": "m", "bins": bins, "subgroup_bins": 5, "low": "-2", "high": "2", "subgroups": 0},
    )
    masked = {}
    for site in sites:
        back = shared.carry(site, parcel)
        answer = open_answer(back.envelope, site_key=shared.keys[site])
        assert answer.outcome == "released", answer.refusal
        masked[site] = np.frombuffer(back.blobs[0], "<u8")
        digest = answer.question_sha256
    plan = agreed_plan(question.sum, shape, question_sha256=digest)
    wards = [shared.wards[site]._bench.part("holdout") for site in sites]
    logits = [part.x @ np.array([0.1, 0.5, 0.5, 0.2]) for part in wards]
    events = sum(float(part.y.sum()) for part in wards)
    persons = sum(len(part.y) for part in wards)
    return plan, masked, (events, persons, sum(float(np.sum(1 / (1 + np.exp(-eta)))) for eta in logits))


def uniform(words: Any) -> float:
    """P-value against ring elements drawn uniformly."""
    return float(kstest(np.asarray(words, dtype=np.float64) / 2.0**64, "uniform").pvalue)


def test_the_total_opens_and_every_part_of_it_looks_uniform(shared: Any) -> None:
    plan, masked, (events, persons, predicted) = asked(shared, shared.sites)
    opened = total(plan, masked)
    assert opened[:15].sum() == events
    assert opened[:30].sum() == persons
    assert opened[30] == pytest.approx(predicted, abs=1e-9)
    everything = np.concatenate([vector for _ in range(8) for vector in asked(shared, shared.sites)[1].values()])
    assert len(everything) == 8 * 6 * 31
    assert uniform(everything) > 1e-6


def test_plain_vectors_would_not_look_uniform(shared: Any) -> None:
    """The test above has teeth: counts without masks are far from uniform."""
    counts = np.repeat(np.arange(30, dtype=np.uint64) << np.uint64(20), 8)
    assert uniform(counts) < 1e-9


@pytest.mark.parametrize("dropped", [1, 2, 4])
def test_a_hub_that_drops_masked_vectors_opens_garbage(shared: Any, dropped: int) -> None:
    found = []
    for _ in range(8):
        plan, masked, _ = asked(shared, shared.sites)
        kept = dict(list(masked.items())[dropped:])
        with pytest.raises(Invalid, match="did not contribute"):
            total(plan, kept)
        rest = np.zeros(plan.entries, dtype=np.uint64)
        for vector in kept.values():
            rest += vector
        found.append(rest)
    assert uniform(np.concatenate(found)) > 1e-6
    assert np.abs(decode(found[0], exponents=plan.exponents)).max() > 2000, "six holdouts hold about 280 persons"


def test_masks_of_two_questions_never_cancel(shared: Any) -> None:
    """A site asked the same twice: the difference of its two vectors is uniform, and not zero."""
    first, second = asked(shared, shared.sites)[1], asked(shared, shared.sites)[1]
    differences = np.concatenate([first[site] - second[site] for site in shared.sites])
    assert uniform(differences) > 1e-6
    plan, masked, _ = asked(shared, shared.sites)
    mixed = total(plan, masked | {"h0": first["h0"]})
    assert np.abs(mixed).max() > 2000, "six holdouts hold about 280 persons"


NOISE = 30.0


def exact_bins(parts: list[Any]) -> Any:
    """The true total of all sites, by brute force."""
    beta = np.array([0.1, 0.5, 0.5, 0.2])
    whole = np.zeros(31)
    for part in parts:
        eta = part.x @ beta
        place = np.clip(np.floor((eta + 2) / (4 / 15)), 0, 14).astype(int)
        whole[:15] += np.bincount(place, weights=part.y, minlength=15)
        whole[15:30] += np.bincount(place, weights=1 - part.y, minlength=15)
        whole[30] += np.sum(1 / (1 + np.exp(-eta)))
    return whole


@pytest.fixture
def noisy(make_consortium: Make) -> Any:
    """Three hospitals with room for many noisy sums."""
    return make_consortium(
        {f"h{place}": 230 for place in range(3)}, change=lambda plain: plain["budget"].update(epsilon_total="1e3")
    )


def error_of(noisy: Any, plan: Any, masked: Any) -> Any:
    """What noise added to the total, in ring units."""
    exact = exact_bins([ward._bench.part("holdout") for ward in noisy.wards.values()])
    return (total(plan, masked) - exact) * 2.0 ** float(plan.exponents[0])


def test_a_noisy_total_carries_more_than_the_promise_where_nobody_colludes(noisy: Any) -> None:
    found = []
    for _ in range(5):
        plan, masked, _ = asked(noisy, noisy.sites, noise_multiplier=str(NOISE), tolerated=1)
        found.append(error_of(noisy, plan, masked) / plan.sigma)
    low, high = chi2.ppf([1e-6, 1 - 1e-6], 5 * 31) / (5 * 31)
    assert 1.5 * low <= float(np.mean(np.concatenate(found) ** 2)) <= 1.5 * high, "three shares, two of them promised"


class Tape:
    """The operating system's generator, recorded: what a colluding site remembers of its own share."""

    name = "system"

    def __init__(self) -> None:
        self.drawn: list[bytes] = []

    def bytes(self, count: int) -> bytes:
        self.drawn.append(SystemEntropy().bytes(count))
        return self.drawn[-1]


class Replay:
    """A tape played again."""

    name = "system"

    def __init__(self, tape: Tape) -> None:
        self._drawn = iter(tape.drawn)

    def bytes(self, count: int) -> bytes:
        drawn = next(self._drawn)
        assert len(drawn) == count
        return drawn


def test_one_site_that_takes_its_own_share_off_leaves_the_promise(noisy: Any) -> None:
    left = []
    for _ in range(5):
        tape = Tape()
        noisy.wards["h0"]._bench.door.entropy = tape
        plan, masked, _ = asked(noisy, noisy.sites, noise_multiplier=str(NOISE), tolerated=1)
        sigma = share_sigma(sigma=plan.sigma, sites=3, tolerated=1)
        own = discrete_gaussian(sigma=sigma, size=plan.entries, entropy=Replay(tape))
        left.append((error_of(noisy, plan, masked) - own) / plan.sigma)
    low, high = chi2.ppf([1e-6, 1 - 1e-6], 5 * 31) / (5 * 31)
    assert low <= float(np.mean(np.concatenate(left) ** 2)) <= high, "two honest shares: no less, and no more"


def test_shares_that_tolerate_nobody_would_leave_less_than_the_promise() -> None:
    """The broken twin, by the numbers: with thinner shares, one site off leaves two thirds of the variance."""
    rng = np.random.default_rng(3)
    thin = rng.normal(0, share_sigma(sigma=1e6, sites=3, tolerated=0), (2, 4000)).sum(axis=0) / 1e6
    assert np.mean(thin**2) < chi2.ppf(1e-5, 4000) / 4000
