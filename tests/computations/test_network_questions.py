"""Questions about a network survive their way, and what describes no round is invalid."""

from typing import Any

import numpy as np
import pytest

from wardgate.computations.network_gradient import NetworkGradient
from wardgate.computations.network_update import NetworkUpdate, Work, moves, shared
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import size, tensors
from wardgate.records.errors import Invalid
from wardgate.records.network import Activation, Architecture, BatchNorm, Linear

NETWORK = Architecture(inputs=4, layers=(Linear(units=3), BatchNorm(), Activation(how="relu"), Linear(units=1)))
WORKS = (
    Work(),
    Work(scaffold=True, stays=("head",), decay=1e-3),
    Work(optimiser="adam", rate=1 / 3, personal=0.1, stays=("norms", "head"), weighing="sites", longest=0.7),
)


def round_of(work: Work) -> NetworkUpdate:
    return NetworkUpdate(
        network="net",
        sha256=NETWORK.sha256,
        number=3,
        weights=start(NETWORK),
        work=work,
        control=np.ones(size(NETWORK)) if work.scaffold else np.zeros(0),
    )


ROUND = round_of(Work())


@pytest.mark.parametrize("work", WORKS)
def test_a_round_survives_its_way(work: Work) -> None:
    asked = round_of(work)
    again = NetworkUpdate.read(asked.parameters(), dict(asked.arrays()))
    assert again.parameters() == asked.parameters()
    assert again.work == work
    assert np.array_equal(again.weights, asked.weights)
    assert np.array_equal(again.control, asked.control)


def test_a_gradient_survives_its_way() -> None:
    asked = NetworkGradient(network="n", sha256="a" * 64, weights=np.arange(3.0), longest=0.1, probability=1 / 7)
    again = NetworkGradient.read(asked.parameters(), dict(asked.arrays()))
    assert again.parameters() == asked.parameters()
    assert (again.longest, again.probability) == (0.1, 1 / 7)


def test_what_stays_is_not_shared_and_what_is_observed_does_not_move() -> None:
    by_role = {tensor.name: tensor.place for tensor in tensors(NETWORK)}
    assert shared(NETWORK, ()).all()
    assert not moves(NETWORK, ())[by_role["1.mean"]].any()
    assert not shared(NETWORK, ("norms",))[by_role["1.scale"]].any()
    assert not shared(NETWORK, ("head",))[by_role["3.bias"]].any()
    assert shared(NETWORK, ("norms", "head")).sum() == 15
    assert (~moves(NETWORK, ())).sum() == 6


@pytest.mark.parametrize(
    "arrays", [{}, {"control": np.zeros(1)}, {"weights": np.zeros(1), "control": np.zeros(1)}, {"weight": np.zeros(1)}]
)
def test_other_vectors_than_a_round_brings_are_invalid(arrays: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="brings"):
        NetworkUpdate.read(ROUND.parameters(), arrays)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"longest": "0"},
        {"longest": "nan"},
        {"probability": "0"},
        {"probability": "1.5"},
        {"network": None},
        {"more": 1},
    ],
)
def test_a_gradient_that_is_none_is_invalid(spoilt: dict[str, Any]) -> None:
    asked = NetworkGradient(network="n", sha256="a" * 64, weights=np.arange(3.0), longest=0.1)
    with pytest.raises(Invalid):
        NetworkGradient.read(asked.parameters() | spoilt, dict(asked.arrays()))


@pytest.mark.parametrize(
    "spoilt",
    [
        {"number": -1},
        {"number": True},
        {"network": 3},
        {"sha256": None},
        {"more": 1},
        {"work": {}},
        {"work": "steps"},
    ],
)
def test_a_round_that_is_none_is_invalid(spoilt: dict[str, Any]) -> None:
    asked = ROUND
    with pytest.raises(Invalid):
        NetworkUpdate.read(asked.parameters() | spoilt, dict(asked.arrays()))


@pytest.mark.parametrize(
    "spoilt",
    [
        {"steps": 0},
        {"steps": "5"},
        {"batch": True},
        {"rate": "0"},
        {"rate": "nan"},
        {"rate": 0.1},
        {"optimiser": "rmsprop"},
        {"momentum": "1"},
        {"longest": "0"},
        {"longest": "inf"},
        {"personal": "-1"},
        {"personal": 3},
        {"stays": ["norms", "norms"]},
        {"stays": ["middle"]},
        {"stays": "norms"},
        {"scaffold": 1},
        {"scaffold": True, "optimiser": "adam"},
        {"scaffold": True, "weighing": "sites"},
        {"weighing": "beds"},
    ],
)
def test_work_that_is_none_is_invalid(spoilt: dict[str, Any]) -> None:
    plain = Work().plain()
    assert Work.from_plain(plain) == Work()
    with pytest.raises(Invalid):
        Work.from_plain(plain | spoilt)
