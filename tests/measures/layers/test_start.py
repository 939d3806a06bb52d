"""Start weights are the same number for number, everywhere."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drawn_networks import architecture
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import tensors
from wardgate.records.canonical import sha256
from wardgate.records.network import Activation, Architecture, BatchNorm, Linear


def network(seed=7, how="relu", units=400):
    layers = (Linear(units=units), BatchNorm(), Activation(how=how), Linear(units=300), Linear(units=1))
    return Architecture(inputs=200, layers=layers, seed=seed)


def test_the_start_of_a_seed_is_pinned_to_the_last_bit():
    assert sha256(start(network()).astype("<f8").tobytes()) == (
        "0c29e60829115c5b4377735742813e8f4f7c6ee186ea448ce3025c7d58798306"
    )


def test_another_seed_starts_elsewhere_and_the_same_seed_at_the_same_place():
    assert np.array_equal(start(network(seed=1)), start(network(seed=1)))
    assert not np.array_equal(start(network(seed=1)), start(network(seed=2)))


@pytest.mark.parametrize("seed", range(6))
def test_biases_and_means_start_at_0_and_scales_and_variances_at_1(seed):
    made = architecture(seed)
    vector = start(made)
    for tensor in tensors(made):
        values = tensor.of(vector)
        if tensor.role in ("scale", "variance"):
            assert np.all(values == 1)
        elif tensor.role != "weight":
            assert np.all(values == 0)
        elif tensor.size > 1:
            assert len(np.unique(values)) == tensor.size


def test_weights_before_a_rectifier_start_by_he_before_others_by_glorot_and_the_last_ones_small():
    for how, deviation in (("relu", np.sqrt(2 / 200)), ("tanh", np.sqrt(2 / 600))):
        made = network(how=how)
        first, second, last = (t.of(start(made)) for t in tensors(made) if t.role == "weight")
        assert np.std(first) == pytest.approx(deviation, rel=0.02)
        assert np.std(second) == pytest.approx(np.sqrt(2 / 700), rel=0.02)
        assert np.abs(last).max() <= 1 / np.sqrt(300)
