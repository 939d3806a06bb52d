"""What falls away or moves is found with its date; steady, growing, seasonal and slowly drifting series are not."""

import numpy as np
import pytest

from wardgate.measures.changes import fallen, moved, overdispersion
from wardgate.records.errors import Invalid


def series(rng, *, share, of, months=72):
    many = rng.poisson(of, months).astype(np.int64)
    return rng.binomial(many, share).astype(np.int64), many


def test_a_code_that_vanishes_is_found_with_its_month() -> None:
    rng = np.random.default_rng(1)
    for size in (15, 60, 400):
        events, of = series(rng, share=0.4, of=size)
        events[58:] = 0
        found = fallen(events, of, ratio=0.2, error=1e-4, season=12)
        assert found is not None
        assert (found.start, found.stop) == (58, 72)
        assert found.ratio == 0.0


@pytest.mark.parametrize(("start", "stop"), [(0, 20), (30, 50), (62, 72)])
def test_a_stretch_anywhere_is_found(start, stop) -> None:
    events, of = series(np.random.default_rng(2), share=0.3, of=200)
    events[start:stop] //= 10
    found = fallen(events, of, ratio=0.2, error=1e-4, season=12)
    assert found is not None
    assert abs(found.start - start) <= 1
    assert abs(found.stop - stop) <= 1


def test_half_as_often_is_less_and_not_gone() -> None:
    events, of = series(np.random.default_rng(3), share=0.4, of=300)
    events[40:] = events[40:] * 4 // 10
    assert fallen(events, of, ratio=0.2, error=1e-4) is None
    assert fallen(events, of, ratio=0.6, error=1e-4) is not None


def test_steady_series_are_left_alone_as_often_as_stated() -> None:
    """600 series at an error of 0.01: 6 findings at the most are expected; 24 would come with a chance below 1e-6."""
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(600):
        events, of = series(rng, share=float(rng.choice([0.02, 0.2, 0.7])), of=int(rng.choice([5, 40, 300])), months=48)
        wrong += fallen(events, of, ratio=0.6, error=0.01, season=12) is not None
    assert wrong < 24


def test_a_slow_drift_and_a_growing_hospital_are_no_change() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        of = rng.poisson(np.linspace(50, 500, 72)).astype(np.int64)
        events = rng.binomial(of, np.linspace(0.35, 0.45, 72)).astype(np.int64)
        assert fallen(events, of, ratio=0.6, error=1e-3, season=12) is None


def test_a_season_is_no_change_but_a_summer_that_never_ends_is() -> None:
    rng = np.random.default_rng(6)
    of = rng.poisson(400, 72).astype(np.int64)
    winter = np.where(np.isin(np.arange(72) % 12, [11, 0, 1, 2]), 0.2, 0.01)
    events = rng.binomial(of, winter).astype(np.int64)
    assert fallen(events, of, ratio=0.2, error=1e-3, season=12) is None
    assert fallen(events, of, ratio=0.6, error=1e-3) is not None
    assert fallen(events, of, ratio=0.6, error=1e-3, season=12) is None
    events[59:] = rng.binomial(of[59:], 0.002)
    found = fallen(events, of, ratio=0.2, error=1e-3, season=12)
    assert found is not None
    assert found.stop == 72


def test_clustered_counts_raise_the_bar() -> None:
    rng = np.random.default_rng(7)
    of = np.full(72, 400, dtype=np.int64)
    clustered = rng.binomial(of, rng.beta(3, 7, 72)).astype(np.int64)
    assert overdispersion(clustered, of) > 5
    assert overdispersion(rng.binomial(of, 0.3).astype(np.int64), of) < 2
    wrong = sum(
        fallen(rng.binomial(of, rng.beta(8, 16, 72)).astype(np.int64), of, ratio=0.6, error=0.01) is not None
        for _ in range(100)
    )
    assert wrong < 10


def test_short_series_and_wrong_shapes() -> None:
    few = np.array([5, 5, 0, 0], dtype=np.int64)
    assert fallen(few, few + 5, ratio=0.2, error=0.5) is None
    with pytest.raises(Invalid, match="never more events"):
        fallen(few + 9, few, ratio=0.2, error=0.01)


def counted(rng, centres, *, n=200, spread=1.0):
    edges = np.linspace(-8, 12, 81)
    return np.stack([np.histogram(rng.normal(at, spread, n), edges)[0] for at in centres]).astype(np.int64)


def test_values_that_move_are_found_with_their_step() -> None:
    rng = np.random.default_rng(8)
    counts = counted(rng, [0.0] * 10 + [2.0] * 6)
    found = moved(counts, effective=counts.sum(axis=1) / 4, away=0.25, error=1e-4)
    assert found is not None
    assert found.start == 10
    assert found.above > 0.9


def test_values_that_stay_or_wander_a_little_are_not() -> None:
    """At an effect of nothing at all, a gap of 0.25 beyond the interval does not come by chance."""
    rng = np.random.default_rng(9)
    for _ in range(200):
        counts = counted(rng, rng.normal(0.0, 0.15, 20), n=int(rng.choice([3, 20, 200])))
        assert moved(counts, effective=counts.sum(axis=1) / 3, away=0.25, error=1e-3) is None


def test_few_effective_values_prove_nothing() -> None:
    counts = counted(np.random.default_rng(10), [0.0] * 10 + [2.0] * 6)
    assert moved(counts, effective=np.full(16, 0.5), away=0.25, error=1e-4) is None
    assert moved(counts[:3], effective=np.full(3, 100.0), away=0.25, error=1e-4) is None
    with pytest.raises(Invalid, match="one effective count"):
        moved(counts, effective=np.full(3, 1.0), away=0.25, error=1e-4)
