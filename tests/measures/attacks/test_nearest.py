"""Nearest neighbours are exact, also where records tie, with and without faiss."""

import numpy as np
import pytest

from wardgate.measures.attacks import nearest as module
from wardgate.measures.attacks.nearest import nearest
from wardgate.records.errors import Invalid


def _slow(queries: np.ndarray, points: np.ndarray, k: int) -> np.ndarray:
    every = np.sqrt(((queries[:, None, :].astype(float) - points[None, :, :]) ** 2).sum(axis=2))
    return np.sort(every, axis=1)[:, :k]


@pytest.mark.parametrize("without_faiss", [False, True])
def test_distances_agree_with_the_slow_oracle(without_faiss: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if without_faiss:
        monkeypatch.setattr(module, "faiss", None)
    rng = np.random.default_rng(0)
    queries, points = (rng.normal(size=(count, 7)).astype(np.float32) for count in (1500, 900))
    found = nearest(queries, points, 5)
    np.testing.assert_allclose(found.distance, _slow(queries, points, 5), rtol=1e-5, atol=1e-6)
    again = np.linalg.norm(queries - points[found.index[:, 0]], axis=1)
    np.testing.assert_allclose(again, found.distance[:, 0], rtol=1e-5)


@pytest.mark.parametrize("without_faiss", [False, True])
def test_identical_records_are_exactly_zero_apart(without_faiss: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if without_faiss:
        monkeypatch.setattr(module, "faiss", None)
    points = (np.random.default_rng(1).normal(size=(600, 30)) * 40).astype(np.float32)
    assert (nearest(points, points, 1).distance == 0).all()


def test_fewer_points_than_asked_for_leave_infinite_distances() -> None:
    found = nearest(np.zeros((2, 3), np.float32), np.ones((1, 3), np.float32), 3)
    assert np.isinf(found.distance[:, 1:]).all()
    assert (found.index[:, 1:] == -1).all()
    assert (nearest(np.zeros((2, 3), np.float32), np.ones((0, 3), np.float32), 1).index == -1).all()


def test_coordinates_that_are_no_numbers_refuse() -> None:
    points = np.full((3, 2), np.nan, dtype=np.float32)
    with pytest.raises(Invalid, match="not finite"):
        nearest(points, points, 1)
    with pytest.raises(Invalid, match="dimension"):
        nearest(np.zeros((3, 2), np.float32), np.zeros((3, 4), np.float32), 1)
