"""Weights made to hold single persons are refused and ordinary ones are not. Attacks: tests/privacy/."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drawn_networks import architecture
from wardgate.measures.layers.mlp import mlp
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import tensors
from wardgate.measures.layers.traps import check_traps, rows_of, traps
from wardgate.records.errors import Invalid, Refused
from wardgate.records.network import Activation, Architecture, Flatten, Image, Linear

NETWORK = mlp(30, (32,))


def changed(network, **tensors_by_name):
    """The start weights with some tensors replaced; names as `first_weight` for '0.weight'."""
    vector = start(network)
    names = {"first": "0", "last": str(len(network.layers) - 1)}
    for name, values in tensors_by_name.items():
        place, role = name.split("_")
        tensor = next(one for one in tensors(network) if one.name == f"{names[place]}.{role}")
        vector[tensor.place] = np.broadcast_to(values, tensor.shape).ravel()
    return vector


def imprint(network, spread=0.0, seed=0):
    """Every unit looks along one direction, thresholds in equal steps."""
    rng = np.random.default_rng(seed)
    units, columns = network.layers[0].units, network.inputs
    direction = rng.normal(size=columns)
    direction /= np.linalg.norm(direction)
    weights = direction + spread * rng.normal(size=(units, columns)) / np.sqrt(columns)
    return {"first_weight": weights, "first_bias": -np.linspace(-1, 1, units)}


@pytest.mark.parametrize("seed", range(40))
def test_no_start_is_a_trap(seed):
    check_traps(architecture(seed), start(architecture(seed)))


def test_an_imprint_is_refused_in_the_first_layer_and_behind_others():
    with pytest.raises(Refused, match=r"layer 1: \d+ units have different thresholds"):
        check_traps(NETWORK, changed(NETWORK, **imprint(NETWORK)))
    made = Architecture(
        inputs=36,
        layers=(
            Image(channels=1, height=6, width=6),
            Flatten(),
            Linear(units=36),
            Activation(how="relu"),
            Linear(units=32),
            Activation(how="gelu"),
            Linear(units=1),
        ),
    )
    vector = start(made)
    named = {one.name: one for one in tensors(made)}
    # The first layer hands its rows on, shifted above 0; the second one is the imprint.
    vector[named["2.weight"].place] = np.eye(36).ravel()
    vector[named["2.bias"].place] = 1.0
    vector[named["4.weight"].place] = np.tile(np.arange(36) / 36, 32)
    vector[named["4.bias"].place] = -np.linspace(13.5, 21.5, 32)
    with pytest.raises(Refused, match=r"an imprint"):
        check_traps(made, vector)


def test_sleeping_units_are_refused():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(32, 30))
    weights = np.where(weights < 0, weights, 0.3 * weights)
    with pytest.raises(Refused, match=r"layer 1: \d+% of the units sleep"):
        check_traps(NETWORK, changed(NETWORK, first_weight=weights))
    with pytest.raises(Refused, match="units sleep"):
        check_traps(mlp(30, activation="tanh"), changed(mlp(30, activation="tanh"), first_weight=1.0))


@pytest.mark.parametrize("odds", [-12.0, 12.0])
def test_a_network_that_is_certain_of_everybody_is_refused(odds):
    with pytest.raises(Refused, match="fishing by label"):
        check_traps(NETWORK, changed(NETWORK, last_bias=odds))


def test_a_network_that_judges_harshly_is_refused():
    vector = start(NETWORK)
    for place in (0, 2):
        tensor = next(one for one in tensors(NETWORK) if one.name == f"{place}.weight")
        vector[tensor.place] *= 50
    with pytest.raises(Refused, match="fishing for who is misjudged"):
        check_traps(NETWORK, vector)
    with pytest.raises(Refused, match=r"layer 0: a weight of 1e\+03"):
        check_traps(NETWORK, changed(NETWORK, first_weight=1e3))


def test_a_layer_wider_than_the_persons_of_the_sum_is_refused():
    check_traps(NETWORK, start(NETWORK), persons=32)
    with pytest.raises(Refused, match="32 units for a sum over 31 persons"):
        check_traps(NETWORK, start(NETWORK), persons=31)


def test_rows_are_no_persons_and_the_same_for_everybody():
    for kind, (low, high) in enumerate(((-1, 1), (0, 1), (-1, 0), (-1, 1))):
        rows = rows_of(NETWORK, kind)
        assert rows.shape == (200, 30) and low <= rows.min() < rows.max() <= high
        assert np.array_equal(rows, rows_of(NETWORK, kind))
        assert bool(np.all(rows == rows[:, :1])) == (kind == 3)
    assert rows_of(NETWORK, 0)[0, 0] == pytest.approx(0.2739233746429086, abs=1e-15)


def test_the_verdict_follows_from_weights_alone():
    vector = changed(NETWORK, **imprint(NETWORK))
    assert list(traps(NETWORK, vector)) == list(traps(NETWORK, vector.copy()))
    with pytest.raises(Invalid):
        check_traps(NETWORK, vector[:-1])
    with pytest.raises(Invalid):
        check_traps(NETWORK, np.where(np.arange(len(vector)) == 3, np.nan, vector))


def test_an_imprint_that_is_blurred_enough_passes_so_the_check_is_no_guarantee():
    with pytest.raises(Refused, match="an imprint"):
        check_traps(NETWORK, changed(NETWORK, **imprint(NETWORK, spread=0.1)))
    check_traps(NETWORK, changed(NETWORK, **imprint(NETWORK, spread=0.8)))
