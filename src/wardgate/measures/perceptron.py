"""A small perceptron on arrays: scores, gradients, and sums of gradients in which no row counts for more than one.

Kept in numpy, so that a hospital answers with what it has anyway; compared with torch in the tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]

LEAK = 0.2
"""Slope of a hidden unit below 0."""

SHORTER = 1.0 - 1e-9
"""A cut gradient is cut by this much more, so that rounding never leaves it longer than promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Perceptron:
    """Fully connected layers with leaky rectifiers between them; the last one is linear.

    All weights are one vector: layer by layer the matrix, shape (inputs, outputs), row by row, then the biases.

    Attributes:
        widths: Inputs, hidden units of each layer, outputs.
    """

    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise Invalid(f"expected at least two widths, none below 1, found {list(self.widths)}")

    @property
    def size(self) -> int:
        """Length of the vector of weights."""
        return sum((inputs + 1) * outputs for inputs, outputs in self._pairs)

    @property
    def _pairs(self) -> tuple[tuple[int, int], ...]:
        return tuple(zip(self.widths[:-1], self.widths[1:], strict=True))

    def layers(self, weights: Vector) -> list[tuple[Matrix, Vector]]:
        """Return matrix and biases of each layer, as views.

        Raises:
            Invalid: the vector has another length.
        """
        if weights.shape != (self.size,):
            raise Invalid(f"expected {self.size} weights, found an array of shape {weights.shape}")
        found, at = [], 0
        for inputs, outputs in self._pairs:
            middle, end = at + inputs * outputs, at + (inputs + 1) * outputs
            found.append((weights[at:middle].reshape(inputs, outputs), weights[middle:end]))
            at = end
        return found

    def start(self, *, rng: np.random.Generator, last: float = 1.0) -> Vector:
        """Draw weights: uniform within the root of 3 over the inputs, the last layer times `last`, biases 0."""
        drawn = np.zeros(self.size)
        pairs = self.layers(drawn)
        for place, (matrix, _) in enumerate(pairs):
            reach = np.sqrt(3.0 / len(matrix)) * (last if place == len(pairs) - 1 else 1.0)
            matrix[...] = rng.uniform(-reach, reach, matrix.shape)
        return drawn

    def forward(self, weights: Vector, x: Matrix) -> list[Matrix]:
        """Return what every layer puts out, the rows themselves first; shapes (n, width)."""
        outs = [x]
        pairs = self.layers(weights)
        for place, (matrix, bias) in enumerate(pairs):
            found = outs[-1] @ matrix + bias
            outs.append(found if place == len(pairs) - 1 else np.where(found > 0, found, LEAK * found))
        return outs

    def backward(self, weights: Vector, outs: Sequence[Matrix], slope: Matrix) -> tuple[Vector, Matrix]:
        """Return the gradient summed over rows, and the slope at the inputs.

        Args:
            outs: Of `forward`.
            slope: Derivative of each row's loss by the outputs, shape (n, outputs).
        """
        slopes = self._slopes(weights, outs, slope)
        return self._summed(outs, slopes), slopes[0] @ self.layers(weights)[0][0].T

    def clipped(self, weights: Vector, outs: Sequence[Matrix], slope: Matrix, *, longest: float) -> Vector:
        """Return the sum of the rows' gradients, each cut to an L2 norm of `longest`, in parts of `longest`.

        So a row that comes or goes changes the whole vector by at most 1, whatever the weights are. A row's gradient
        of a layer is the outer product of what goes in and the slope, so its length needs no gradient of its own.
        """
        slopes = self._slopes(weights, outs, slope)
        square = np.zeros(len(slope))
        for out, one in zip(outs[:-1], slopes, strict=True):
            square += (np.einsum("ni,ni->n", out, out) + 1.0) * np.einsum("ni,ni->n", one, one)
        weight = SHORTER / np.maximum(np.sqrt(square), longest)
        return self._summed(outs, [one * weight[:, None] for one in slopes])

    def _slopes(self, weights: Vector, outs: Sequence[Matrix], slope: Matrix) -> list[Matrix]:
        """Slopes before the rectifier of each layer, the first layer's first."""
        found = [slope]
        pairs = self.layers(weights)
        for place in range(len(pairs) - 1, 0, -1):
            back = found[0] @ pairs[place][0].T
            found.insert(0, np.where(outs[place] > 0, back, LEAK * back))
        return found

    def _summed(self, outs: Sequence[Matrix], slopes: Sequence[Matrix]) -> Vector:
        parts = []
        for out, one in zip(outs[:-1], slopes, strict=True):
            parts += [(out.T @ one).ravel(), one.sum(axis=0)]
        return np.concatenate(parts)


@dataclass(slots=True, kw_only=True)
class Adam:
    """Steps of Adam down a gradient.

    Attributes:
        rate: Length of a step.
        memory: Of the mean gradient, and of its square.

    Reference: Kingma, Ba (2015), Adam, arXiv:1412.6980.
    """

    rate: float
    memory: tuple[float, float] = (0.5, 0.9)
    mean: Vector | None = None
    square: Vector | None = None
    steps: int = 0

    def step(self, weights: Vector, gradient: Vector) -> Vector:
        """Return the weights one step further down."""
        first, second = self.memory
        mean = np.zeros_like(weights) if self.mean is None else self.mean
        square = np.zeros_like(weights) if self.square is None else self.square
        self.steps += 1
        self.mean = first * mean + (1.0 - first) * gradient
        self.square = second * square + (1.0 - second) * gradient**2
        level = np.sqrt(self.square / (1.0 - second**self.steps)) + 1e-8
        return np.asarray(weights - self.rate * (self.mean / (1.0 - first**self.steps)) / level)
