"""A network of linear layers and bends alone while it learns: slopes by hand, in numpy and single precision.

A small perceptron costs torch several times more in calls than in arithmetic, and hospitals' tables want small ones.
"""

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, ndtr
from torch import Tensor

from wardgate.measures.layers.tensors import Vector, size, tensors
from wardgate.records.errors import Invalid
from wardgate.records.network import Activation, Architecture, Linear

Single = NDArray[np.float32]


def possible(architecture: Architecture) -> bool:
    """Say whether a network has linear layers and bends alone."""
    return all(isinstance(layer, Linear | Activation) for layer in architecture.layers)


@dataclass(frozen=True, slots=True)
class _Sums:
    """A linear layer: views of its weights and biases, and of where their gradients go."""

    weight: Single
    bias: Single
    weight_slope: Single
    bias_slope: Single


class ByHand:
    """A network whose slopes are written down here.

    Attributes:
        weights: The learnt numbers, which are all of them, in the order of the flat vector; shape (size,).
        gradient: Where `slope` leaves the gradient; same shape.
    """

    def __init__(self, architecture: Architecture) -> None:
        if not possible(architecture):
            raise Invalid("slopes by hand are those of linear layers and bends alone")
        numbers, slopes = np.zeros((2, size(architecture)), dtype=np.float32)
        self.weights, self.gradient = torch.from_numpy(numbers), torch.from_numpy(slopes)
        self._numbers = numbers
        found = iter(tensors(architecture))
        self._layers: list[_Sums | Activation] = []
        for layer in architecture.layers:
            if isinstance(layer, Activation):
                self._layers.append(layer)
                continue
            weight, bias = next(found), next(found)
            views = [flat[one.place].reshape(one.shape) for flat in (numbers, slopes) for one in (weight, bias)]
            self._layers.append(_Sums(*views))

    def load(self, vector: Vector) -> None:
        """Set every number.

        Raises:
            Invalid: another length, or not finite.
        """
        if vector.shape != self._numbers.shape or not bool(np.isfinite(vector).all()):
            raise Invalid(f"expected {len(self._numbers)} finite numbers, found an array of shape {vector.shape}")
        self._numbers[:] = vector

    def vector(self) -> Vector:
        """Return every number, shape (size,)."""
        return self._numbers.astype(np.float64)

    def begin(self, *, seed: int, alone: bool) -> None:
        """Begin a descent; nothing here depends on chance or on other persons."""

    def slope(self, x: Tensor, y: Tensor) -> None:
        """Leave the gradient of the mean loss of a batch in `gradient`."""
        with np.errstate(all="ignore"):
            entered, out = self._through(x.numpy())
            back: Single = (expit(out) - y.numpy()[:, None]) / np.float32(len(y))
            for place in range(len(self._layers) - 1, -1, -1):
                layer, rows = self._layers[place], entered[place]
                if isinstance(layer, Activation):
                    back = back * steepness(layer.how, rows)
                    continue
                np.matmul(back.T, rows, out=layer.weight_slope)
                np.sum(back, axis=0, out=layer.bias_slope)
                if place:
                    back = back @ layer.weight

    def losses(self, x: Tensor, y: Tensor) -> Vector:
        """Return each person's loss, shape (n,)."""
        with np.errstate(all="ignore"):
            sure = self._through(x.numpy())[1][:, 0].astype(np.float64)
            return np.logaddexp(0.0, np.where(y.numpy() > 0, -sure, sure))

    def _through(self, rows: Single) -> tuple[list[Single], Single]:
        """Return what enters each layer, and what leaves the last."""
        entered = []
        for layer in self._layers:
            entered.append(rows)
            rows = bent(layer.how, rows) if isinstance(layer, Activation) else rows @ layer.weight.T + layer.bias
        return entered, rows


def bent(how: str, x: Single) -> Single:
    """Return what a bend makes of numbers; see `records.network.Activation`."""
    match how:
        case "relu":
            return np.maximum(x, np.float32(0.0))
        case "leaky_relu":
            return np.where(x > 0, x, np.float32(0.01) * x)
        case "tanh":
            return np.tanh(x)
        case "sigmoid":
            return np.asarray(expit(x), dtype=np.float32)
        case "silu":
            return np.asarray(x * expit(x), dtype=np.float32)
        case "gelu":
            return np.asarray(x * ndtr(x), dtype=np.float32)
        case _:
            return np.where(x > 0, x, np.expm1(np.minimum(x, np.float32(0.0))))


def steepness(how: str, x: Single) -> Single:
    """Return the slope of a bend at numbers; at 0, where a bend has a corner, that of torch."""
    match how:
        case "relu":
            return np.asarray(x > 0, dtype=np.float32)
        case "leaky_relu":
            return np.where(x > 0, np.float32(1.0), np.float32(0.01))
        case "tanh":
            return np.float32(1.0) - np.tanh(x) ** 2
        case "sigmoid":
            share = expit(x)
            return np.asarray(share * (np.float32(1.0) - share), dtype=np.float32)
        case "silu":
            share = expit(x)
            return np.asarray(share * (np.float32(1.0) + x * (np.float32(1.0) - share)), dtype=np.float32)
        case "gelu":
            return np.asarray(ndtr(x) + x * np.exp(-x * x / 2) / np.float32(sqrt(2 * pi)), dtype=np.float32)
        case _:
            return np.where(x > 0, np.float32(1.0), np.exp(np.minimum(x, np.float32(0.0))))
