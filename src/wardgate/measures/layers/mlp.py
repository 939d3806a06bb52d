"""The usual network over a table: hidden layers of units, each with a bend."""

from collections.abc import Sequence
from typing import Literal, get_args

from pydantic import ValidationError

from wardgate.records.errors import Invalid
from wardgate.records.network import Activation, Architecture, BatchNorm, Dropout, GroupNorm, Layer, Linear

Bend = Literal["relu", "leaky_relu", "tanh", "sigmoid", "silu", "gelu", "elu"]


def mlp(
    inputs: int,
    hidden: Sequence[int] = (32,),
    *,
    activation: Bend = "relu",
    norm: Literal["batch", "group"] | None = None,
    dropout: float = 0.0,
    seed: int = 0,
) -> Architecture:
    """Return a multilayer perceptron: per hidden layer its units, the norm, the bend and dropout, in this order.

    Args:
        inputs: Columns of the study's design without the intercept.
        hidden: Units of each hidden layer; none gives a logistic regression.
        norm: `group` is layer normalisation, which training with noise needs; `batch` shares running statistics.

    Raises:
        Invalid: a number or word out of range.
    """
    if activation not in get_args(Bend) or norm not in (None, "batch", "group"):
        raise Invalid(f"expected an activation of {', '.join(get_args(Bend))}, and the norm 'batch', 'group' or none")
    layers: list[Layer] = []
    try:
        for units in hidden:
            layers.append(Linear(units=units))
            if norm is not None:
                layers.append(BatchNorm() if norm == "batch" else GroupNorm())
            layers.append(Activation(how=activation))
            if dropout:
                layers.append(Dropout(chance=dropout))
        return Architecture(inputs=inputs, layers=(*layers, Linear(units=1)), seed=seed)
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise Invalid(f"no such network: {found}") from None
