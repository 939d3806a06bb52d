"""A described network by numpy alone. That torch says the same is in tests/networks/federated/test_build.py."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drawn_networks import architecture, rows, vector
from wardgate.measures.layers import forward
from wardgate.measures.layers.forward import arrays, logits, reach
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import size
from wardgate.records.errors import Invalid
from wardgate.records.network import Activation, Architecture, BatchNorm, Linear, Residual

SMALL = Architecture(inputs=2, layers=(Linear(units=2), Activation(how="relu"), Linear(units=1)))


def test_a_network_worked_out_by_hand():
    found = logits(SMALL, np.array([1, 2, -1, 0.5, 0.25, 0, 3, -2, 0.125]), np.array([[1, 1], [-1, 0.5]]))
    assert found == pytest.approx([3 * 3.25 - 0 + 0.125, 3 * 0.25 - 2 * 1.25 + 0.125])


@pytest.mark.parametrize("seed", range(8))
def test_rows_are_judged_alone_so_chunks_change_nothing(seed, monkeypatch):
    made = architecture(seed)
    weights, x = vector(made, seed), rows(made, 33, seed)
    whole = logits(made, weights, x)
    monkeypatch.setattr(forward, "AT_ONCE", 1)
    assert logits(made, weights, x) == pytest.approx(whole, abs=1e-12)
    assert logits(made, weights, x[:0]).shape == (0,)


@pytest.mark.parametrize("seed", range(30))
def test_no_number_inside_exceeds_the_reach(seed, monkeypatch):
    made = architecture(seed)
    weights = vector(made, seed)
    most = reach(made, weights)
    seen = []
    one = forward._one
    monkeypatch.setattr(forward, "_one", lambda *given: seen.append(one(*given)) or seen[-1])
    corners = np.sign(rows(made, 64, seed))
    logits(made, weights, corners)
    assert max(np.abs(part).max() for part in seen) <= most < np.inf


def test_weights_that_could_overflow_for_some_row_have_no_finite_reach():
    deep = Architecture(inputs=4, layers=(*(Linear(units=64) for _ in range(59)), Linear(units=1)))
    assert reach(deep, np.full(size(deep), 1e4)) == np.inf
    with pytest.raises(Invalid, match="not finite for some row"):
        logits(deep, np.full(size(deep), 1e4), np.ones((1, 4)))
    assert reach(deep, start(deep)) < 1e60


def test_a_running_variance_below_0_counts_as_0():
    made = Architecture(inputs=1, layers=(BatchNorm(), Linear(units=1)))
    below, at = (np.array([1, 0, 0, variance, 1, 0.0]) for variance in (-0.5, 0.0))
    assert np.array_equal(logits(made, below, np.array([[0.5]])), logits(made, at, np.array([[0.5]])))


def test_what_does_not_fit_is_refused():
    good, x = start(SMALL), np.zeros((3, 2))
    for broken in (good[:-1], np.append(good, 0.0), good.astype(np.float32), np.where(good == 0, np.nan, good)):
        with pytest.raises(Invalid):
            logits(SMALL, broken, x)
    for strange in (np.zeros((3, 3)), np.zeros(2), np.array([[0.0, np.inf]])):
        with pytest.raises(Invalid):
            logits(SMALL, good, strange)


def test_arrays_are_views_by_name():
    made = Architecture(inputs=2, layers=(Residual(layers=(Linear(units=2),)), Linear(units=1)))
    weights = start(made)
    named = arrays(made, weights)
    assert list(named) == ["0.0.weight", "0.0.bias", "1.weight", "1.bias"]
    named["1.bias"][0] = 5
    assert weights[-1] == 5
