"""Members less strangers: matched by hand, blind to strata, and honest after choosing the worst of many."""

import numpy as np
import pytest

from wardgate.measures.attacks.excess import Contrast, matched, worst
from wardgate.records.errors import Invalid


def halves(size: int) -> np.ndarray:
    return np.arange(2 * size) < size


def test_without_strata_it_is_the_difference_of_two_means_with_its_usual_error() -> None:
    rng = np.random.default_rng(1)
    success, member = rng.random(60), halves(30)
    found = matched(success, member, np.zeros(60, dtype=np.int64))
    assert found is not None
    assert found.value == pytest.approx(success[:30].mean() - success[30:].mean())
    usual = success[:30].var(ddof=1) / 30 + success[30:].var(ddof=1) / 30
    assert np.sum(found.influence**2) == pytest.approx(usual)


def test_easier_persons_among_the_members_are_no_gain() -> None:
    """Success that the stratum explains is no leak, however unequal the sides are."""
    stratum = np.repeat([0, 1, 0, 1], [80, 20, 20, 80])
    success, member = np.where(stratum == 0, 1.0, 0.0), halves(100)
    without, within = matched(success, member, 0 * stratum), matched(success, member, stratum)
    assert without is not None and within is not None
    assert without.value == pytest.approx(0.6)
    assert within.value == pytest.approx(0.0)


def test_strata_with_hardly_anybody_are_thrown_together() -> None:
    found = matched(np.arange(12.0), halves(6), np.arange(12))
    assert found is not None
    assert found.value == pytest.approx(-6.0)


def test_a_side_without_anybody_gives_nothing() -> None:
    member = halves(5)
    assert matched(np.ones(10), member, np.zeros(10, dtype=np.int64), inside=member) is None


def test_the_worst_of_nothing_is_refused() -> None:
    with pytest.raises(Invalid):
        worst([], persons=100, level=0.9, rng=np.random.default_rng(0))


def simulated(truth: np.ndarray, rng: np.random.Generator, *, size: int = 1000) -> list[Contrast]:
    member, found = halves(size), []
    for excess in truth:
        success = (rng.random(2 * size) < np.where(member, 0.4 + excess, 0.4)).astype(float)
        contrast = matched(success, member, np.zeros(2 * size, dtype=np.int64))
        assert contrast is not None
        found.append(contrast)
    return found


@pytest.mark.parametrize("leaking", [1, 3, 20])
def test_the_bound_on_the_worst_of_twenty_holds_whether_one_few_or_all_leak(leaking: int) -> None:
    rng, truth = np.random.default_rng(leaking), np.zeros(20)
    truth[:leaking] = 0.09
    bounds = np.array([worst(simulated(truth, rng), persons=1000, level=0.9, rng=rng) for _ in range(200)])
    below = int(np.sum(bounds[:, 2] < 0.09))
    assert below <= 35  # at most 8 % measured: 35 of 200 has then a chance below 1e-5


def test_the_worst_of_forty_harmless_targets_is_not_blamed_for_its_luck() -> None:
    rng = np.random.default_rng(9)
    found = [simulated(np.zeros(40), rng, size=1000) for _ in range(60)]
    honest = np.array([worst(contrasts, persons=1000, level=0.9, rng=rng)[2] for contrasts in found])
    naive = np.array(
        [max(one.value + 1.645 * np.sqrt(np.sum(one.influence**2)) for one in contrasts) for contrasts in found]
    )
    assert np.mean(naive > 0.09) > 0.15
    assert np.mean(honest > 0.09) < 0.5 * np.mean(naive > 0.09)


def test_nothing_found_on_either_side_is_still_uncertain() -> None:
    found = matched(np.zeros(200), halves(100), np.zeros(200, dtype=np.int64))
    assert found is not None
    value, _, high = worst([found], persons=100, level=0.9, rng=np.random.default_rng(0))
    assert value == 0.0
    assert high >= 0.01
