"""The usual network over a table, as a document."""

import pytest

from wardgate.measures.layers.mlp import mlp
from wardgate.measures.layers.tensors import size, tensors
from wardgate.records.errors import Invalid
from wardgate.records.network import Activation, BatchNorm, Dropout, GroupNorm, Linear


def test_layers_come_in_the_order_that_is_said():
    made = mlp(7, (8, 4), activation="tanh", norm="batch", dropout=0.2, seed=5)
    one = (BatchNorm(), Activation(how="tanh"), Dropout(chance=0.2))
    assert made.layers == (Linear(units=8), *one, Linear(units=4), *one, Linear(units=1))
    assert made.seed == 5 and tensors(made)[-1].shape == (1,)
    assert mlp(7, norm="group").layers == (Linear(units=32), GroupNorm(), Activation(how="relu"), Linear(units=1))
    assert size(mlp(7, ())) == 8


@pytest.mark.parametrize(
    "wrong", [{"hidden": (0,)}, {"activation": "swish"}, {"norm": "layer"}, {"dropout": 1.0}, {"seed": -1}]
)
def test_what_is_no_network_is_refused(wrong):
    with pytest.raises(Invalid):
        mlp(7, **wrong)
    with pytest.raises(Invalid):
        mlp(0)
