"""A network as columns for its last layer: what reaches it, so that the last layer is a logistic regression on them."""

import numpy as np

from wardgate.measures.layers.forward import Rows, before_last
from wardgate.measures.layers.tensors import Tensor, Vector, tensors
from wardgate.records.errors import Invalid
from wardgate.records.network import Architecture, Linear

FARTHEST = 16.0
"""A number that reaches the last layer counts as this at most, so that every column lies in [-1, 1]."""


def head_columns(architecture: Architecture) -> int:
    """Return how many columns the last layer sees, the intercept being the first.

    Raises:
        Invalid: the network does not end in a linear layer of one unit.
    """
    return _head(architecture)[0].size + 1


def seen_by_head(architecture: Architecture, vector: Vector, x: Rows) -> Rows:
    """Return what reaches the last layer over `FARTHEST`, behind a column of 1; shape (n, columns).

    Args:
        x: Rows in [-1, 1] without the intercept, shape (n, inputs).

    Raises:
        Invalid: as `before_last`, or a network that does not end in a linear layer of one unit.
    """
    _head(architecture)
    found = np.clip(before_last(architecture, vector, x) / FARTHEST, -1.0, 1.0)
    return np.column_stack([np.ones(len(found)), found])


def head_beta(architecture: Architecture, vector: Vector) -> Vector:
    """Return the last layer as coefficients of those columns, shape (columns,)."""
    weight, bias = _head(architecture)
    return np.concatenate([bias.of(vector).ravel(), FARTHEST * weight.of(vector).ravel()])


def with_head(architecture: Architecture, vector: Vector, beta: Vector) -> Vector:
    """Return the network with other coefficients in its last layer, shape (size,)."""
    weight, bias = _head(architecture)
    found = np.array(vector, dtype=np.float64)
    found[weight.place], found[bias.place] = beta[1:] / FARTHEST, beta[0]
    return found


def _head(architecture: Architecture) -> tuple[Tensor, Tensor]:
    if not isinstance(architecture.layers[-1], Linear):
        raise Invalid("a personal head needs a network that ends in a linear layer of one unit")
    weight, bias = tensors(architecture)[-2:]
    return weight, bias
