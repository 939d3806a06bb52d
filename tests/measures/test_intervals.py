"""Intervals cover what they promise to cover."""

import numpy as np
import pytest
from scipy.stats import norm

from wardgate.measures.intervals import (
    bootstrap_deviation,
    clopper_pearson,
    delong,
    delong_difference,
    normal,
    two_sided,
)
from wardgate.records.errors import Invalid


def test_clopper_pearson_agrees_with_the_published_table() -> None:
    assert clopper_pearson(0, 10, level=0.95) == (0.0, pytest.approx(0.3085, abs=1e-4))
    assert clopper_pearson(4, 10, level=0.95) == (pytest.approx(0.1216, abs=1e-4), pytest.approx(0.7376, abs=1e-4))
    assert clopper_pearson(10, 10, level=0.95) == (pytest.approx(0.6915, abs=1e-4), 1.0)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_a_share_of_nothing_has_no_interval(successes: int, trials: int) -> None:
    with pytest.raises(Invalid):
        clopper_pearson(successes, trials, level=0.95)


def test_delong_covers_the_true_auroc() -> None:
    rng, truth, covered = np.random.default_rng(0), float(norm.cdf(1 / np.sqrt(2))), 0
    event = np.arange(400) < 200
    for _ in range(300):
        _, low, high = delong(event, rng.normal(size=400) + event, level=0.9)
        covered += low <= truth <= high
    assert 0.86 <= covered / 300 <= 0.95


def test_delong_of_ties_alone_is_guessing() -> None:
    assert delong(np.arange(20) < 10, np.zeros(20), level=0.95) == (0.5, 0.5, 0.5)


def test_a_paired_difference_is_narrower_than_an_unpaired_one() -> None:
    rng, event = np.random.default_rng(1), np.arange(600) < 300
    score = rng.normal(size=600) + event
    close = score + 0.1 * rng.normal(size=600)
    _, low, high = delong_difference(event, score, close, level=0.95)
    _, alone_low, alone_high = delong(event, score, level=0.95)
    assert high - low < 0.5 * (alone_high - alone_low)
    assert low <= 0 <= high


def test_one_class_has_no_auroc() -> None:
    with pytest.raises(Invalid, match="both classes"):
        delong(np.ones(5, dtype=bool), np.arange(5.0), level=0.95)


def test_the_bootstrap_finds_the_deviation_of_a_mean() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=400)
    found = bootstrap_deviation(lambda weights: float(weights @ values / 400), 400, draws=300, rng=rng)
    assert found == pytest.approx(values.std() / 20, rel=0.15)


def test_every_further_attempt_widens_the_interval() -> None:
    widths = [np.ptp(normal(0, 1, level=two_sided(0.95, attempt))) for attempt in (1, 2, 3)]
    assert widths[0] < widths[1] < widths[2]
    with pytest.raises(Invalid):
        two_sided(0.95, 0)
