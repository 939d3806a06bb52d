"""A crowd around one person is seen; popular records, dense places and chance are not taken for one."""

import numpy as np

from wardgate.measures.attacks import copies
from wardgate.measures.attacks.crowds import crowded, crowds
from wardgate.measures.attacks.nearest import nearest


def _value(train: np.ndarray, others: np.ndarray, synthetic: np.ndarray) -> tuple[float, float]:
    """The p-values of the crowd and of near copies, which count every person once."""
    near, far = nearest(synthetic, train, 1), nearest(synthetic, others, 1)
    reach = nearest(train, others, 1).distance[:, 0], nearest(others, others, 2).distance[:, 1]
    crowd = crowded(
        crowds(near.distance[:, 0], near.index[:, 0], reach[0]), crowds(far.distance[:, 0], far.index[:, 0], reach[1])
    )
    close = copies.near_copies(
        near.distance[:, 0],
        near.index[:, 0],
        far.distance[:, 0],
        far.index[:, 0],
        persons=(len(train), len(others)),
    )
    return crowd, close


def _points(rng: np.random.Generator, count: int, columns: int = 5) -> np.ndarray:
    return rng.normal(size=(count, columns)).astype(np.float32)


def test_forty_noisy_copies_of_one_person_are_seen_and_counting_persons_once_misses_them() -> None:
    rng = np.random.default_rng(0)
    train, others, synthetic = _points(rng, 2000), _points(rng, 800), _points(rng, 2000)
    synthetic[:40] = train[7] + 0.05 * _points(rng, 40)
    crowd, close = _value(train, others, synthetic)
    assert crowd < 1e-6
    assert close > 0.01


def test_a_crowd_around_a_person_never_seen_is_no_leak() -> None:
    rng = np.random.default_rng(1)
    train, others, synthetic = _points(rng, 2000), _points(rng, 800), _points(rng, 2000)
    synthetic[:40] = others[7] + 0.05 * _points(rng, 40)
    assert _value(train, others, synthetic)[0] > 0.01


def test_innocent_corpora_hold_no_crowd() -> None:
    rng = np.random.default_rng(2)
    found = []
    for _ in range(20):
        found.append(_value(_points(rng, 800), _points(rng, 400), _points(rng, 800))[0])
        heavy = [np.exp(_points(rng, count, 3)) for count in (800, 400, 800)]
        found.append(_value(*heavy)[0])
    assert np.mean(np.array(found) < 0.01) <= 0.05
    assert np.mean(found) > 0.3


def test_popular_identical_records_are_no_crowd() -> None:
    rng = np.random.default_rng(3)
    found = []
    for _ in range(15):
        tables = [np.minimum(rng.poisson(0.6, size=(count, 4)), 5).astype(np.float32) for count in (900, 500, 900)]
        found.append(_value(*tables)[0])
    assert min(found) > 0.01


def test_a_generator_that_puts_many_rows_in_one_place_is_no_copier() -> None:
    rng = np.random.default_rng(4)
    found = []
    for _ in range(15):
        train, others, synthetic = _points(rng, 900), _points(rng, 500), _points(rng, 900)
        synthetic[:90] = 0.3 * synthetic[:90]
        found.append(_value(train, others, synthetic)[0])
    assert np.mean(np.array(found) < 0.01) <= 0.1


def test_nobody_to_compare_with_is_no_evidence() -> None:
    assert crowded(np.zeros(0, dtype=np.int64), np.zeros(4, dtype=np.int64)) == 1.0
    assert crowded(np.zeros(4, dtype=np.int64), np.zeros(4, dtype=np.int64)) == 1.0
