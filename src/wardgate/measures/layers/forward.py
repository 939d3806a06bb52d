"""What a described network says of rows, by numpy alone: as it is used, with running statistics and no dropout."""

from collections.abc import Callable, Mapping, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, expit

from wardgate.measures.layers.tensors import Form, Vector, output, tensors
from wardgate.records.errors import Invalid
from wardgate.records.network import (
    Activation,
    Architecture,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalMean,
    GroupNorm,
    Image,
    Layer,
    Linear,
    Pool2d,
    Residual,
)

Rows = NDArray[np.float64]

EPSILON = 1e-5
"""Added to every variance by which a norm divides."""

LEAK = 0.01

See = Callable[[str, Layer, Rows], None]
"""Is shown the name of every layer, the layer, and the rows that enter it."""

AT_ONCE = 2**22
"""Numbers between two layers that are held at a time, for as many rows as that gives."""


def logits(architecture: Architecture, vector: Vector, x: Rows, *, see: See | None = None) -> Vector:
    """Return the log-odds of each row, shape (n,).

    Args:
        vector: All numbers of the network, shape (size,). A running variance below 0, which noise can make, counts
            as 0.
        x: Rows in [-1, 1], shape (n, architecture.inputs).
        see: Is shown what enters every layer, in as many parts as rows are taken at a time.

    Raises:
        Invalid: vector or rows have another shape or are not finite, or the log-odds leave the range of a double;
            where `reach` is finite they cannot.
    """
    return _all_rows(architecture, vector, x, architecture.layers, see)[:, 0]


def before_last(architecture: Architecture, vector: Vector, x: Rows) -> Rows:
    """Return what reaches the last layer, shape (n, numbers).

    Raises:
        Invalid: as `logits`, or the last layer takes images.
    """
    found = _all_rows(architecture, vector, x, architecture.layers[:-1])
    if found.ndim != 2:
        raise Invalid("an image reaches the last layer; expected a flat row of numbers")
    return found


def _all_rows(
    architecture: Architecture, vector: Vector, x: Rows, layers: Sequence[Layer], see: See | None = None
) -> Rows:
    named = arrays(architecture, vector)
    rows = np.asarray(x, dtype=np.float64)
    if rows.ndim != 2 or rows.shape[1] != architecture.inputs:
        raise Invalid(f"expected rows of shape (n, {architecture.inputs}), found {rows.shape}")
    if not bool(np.isfinite(rows).all()):
        raise Invalid("a row holds a number that is not finite; encode the table by the study's own design")
    step = max(1, AT_ONCE // _widest(architecture))
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [_through(layers, rows[first : first + step], "", named, see) for first in range(0, len(rows), step)]
        # Nobody at all: one row, left out again, tells how many numbers it would have had.
        parts = parts or [_through(layers, np.zeros((1, architecture.inputs)), "", named, None)[:0]]
    found = np.concatenate(parts)
    if not bool(np.isfinite(found).all()):
        raise Invalid("the network's log-odds are not finite for some row; its weights are too large")
    return found


def arrays(architecture: Architecture, vector: Vector) -> dict[str, Vector]:
    """Return every tensor by its name, as views.

    Raises:
        Invalid: the vector has another length, or a number in it is not finite.
    """
    found = tensors(architecture)
    expected = found[-1].first + found[-1].size if found else 0
    if vector.shape != (expected,) or vector.dtype != np.float64:
        raise Invalid(f"expected {expected} numbers as float64, found {vector.dtype} of shape {vector.shape}")
    if not bool(np.isfinite(vector).all()):
        raise Invalid("a number of the network is not finite")
    return {tensor.name: tensor.of(vector) for tensor in found}


def reach(architecture: Architecture, vector: Vector) -> float:
    """Return what no number between two layers can exceed for any row in [-1, 1]; infinite where it may overflow.

    A bound, mostly far above what is reached. Below 1e300 the log-odds of every row are finite, and below 1e38 they
    are in single precision, whoever the persons are.

    Raises:
        Invalid: as `logits`.
    """
    named = arrays(architecture, vector)
    with np.errstate(over="ignore", invalid="ignore"):
        most = _reached(architecture.layers, (architecture.inputs,), 1.0, "", named)[1]
    return most if np.isfinite(most) else float("inf")


def bend(how: str, x: Rows) -> Rows:
    """Return an activation of any shape, number by number."""
    match how:
        case "relu":
            return np.maximum(x, 0.0)
        case "leaky_relu":
            return np.asarray(np.where(x > 0, x, LEAK * x))
        case "tanh":
            return np.tanh(x)
        case "sigmoid":
            return np.asarray(expit(x))
        case "silu":
            return np.asarray(x * expit(x))
        case "gelu":
            return np.asarray(0.5 * x * (1.0 + erf(x * np.sqrt(0.5))))
        case "elu":
            return np.asarray(np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))))
        case _:
            raise Invalid(f"no activation '{how}' is known")


def _through(layers: Sequence[Layer], x: Rows, above: str, named: Mapping[str, Vector], see: See | None) -> Rows:
    for place, layer in enumerate(layers):
        if see is not None:
            see(f"{above}{place}", layer, x)
        x = _one(layer, x, f"{above}{place}", named, see)
    return x


def _one(layer: Layer, x: Rows, name: str, named: Mapping[str, Vector], see: See | None) -> Rows:
    match layer:
        case Linear():
            return np.asarray(x @ named[f"{name}.weight"].T + named[f"{name}.bias"])
        case Conv2d():
            return _convolved(layer, x, named[f"{name}.weight"], named[f"{name}.bias"])
        case Pool2d():
            n, c, height, width = x.shape
            rows, columns = height // layer.size, width // layer.size
            fields = x[:, :, : rows * layer.size, : columns * layer.size].reshape(
                n, c, rows, layer.size, columns, layer.size
            )
            return np.asarray(fields.max(axis=(3, 5)) if layer.how == "max" else fields.mean(axis=(3, 5)))
        case GlobalMean():
            return np.asarray(x.mean(axis=(2, 3)))
        case Activation():
            return bend(layer.how, x)
        case BatchNorm():
            variance = np.maximum(_along(named[f"{name}.variance"], x), 0.0)
            even = (x - _along(named[f"{name}.mean"], x)) / np.sqrt(variance + EPSILON)
            return even * _along(named[f"{name}.scale"], x) + _along(named[f"{name}.shift"], x)
        case GroupNorm():
            groups = x.reshape(len(x), layer.groups, -1)
            middle = groups.mean(axis=2, keepdims=True)
            even = (groups - middle) / np.sqrt(groups.var(axis=2, keepdims=True) + EPSILON)
            even = even.reshape(x.shape)
            return np.asarray(even * _along(named[f"{name}.scale"], x) + _along(named[f"{name}.shift"], x))
        case Dropout():
            return x
        case Image():
            return x.reshape(len(x), layer.channels, layer.height, layer.width)
        case Flatten():
            return x.reshape(len(x), -1)
        case Residual():
            return x + _through(layer.layers, x, f"{name}.", named, see)


def _along(numbers: Vector, x: Rows) -> Rows:
    """Return one number per channel in a shape that goes along with `x`."""
    return numbers.reshape((1, -1) + (1,) * (x.ndim - 2))


def _convolved(layer: Conv2d, x: Rows, weight: Vector, bias: Vector) -> Rows:
    """Convolve place by place of the kernel, so that nothing larger than input and output is held."""
    if layer.padding:
        x = np.pad(x, ((0, 0), (0, 0), (layer.padding,) * 2, (layer.padding,) * 2))
    n, c, height, width = x.shape
    rows, columns = ((side - layer.kernel) // layer.stride + 1 for side in (height, width))
    found = np.zeros((n, layer.channels, rows * columns))
    down, across = (rows - 1) * layer.stride + 1, (columns - 1) * layer.stride + 1
    for i in range(layer.kernel):
        for j in range(layer.kernel):
            seen = x[:, :, i : i + down : layer.stride, j : j + across : layer.stride].reshape(n, c, -1)
            found += weight[:, :, i, j] @ seen
    return np.asarray((found + bias[:, None]).reshape(n, layer.channels, rows, columns))


def _widest(architecture: Architecture) -> int:
    return _widest_of(architecture.layers, (architecture.inputs,))[1]


def _widest_of(layers: Sequence[Layer], form: Form) -> tuple[Form, int]:
    most = prod(form)
    for layer in layers:
        if isinstance(layer, Residual):
            most = max(most, _widest_of(layer.layers, form)[1])
        form = output(layer, form)
        most = max(most, prod(form))
    return form, most


def _reached(
    layers: Sequence[Layer], form: Form, bound: float, above: str, named: Mapping[str, Vector]
) -> tuple[float, float]:
    """Return a bound of what comes out, and of everything on the way."""
    most = bound
    for place, layer in enumerate(layers):
        name = f"{above}{place}"
        match layer:
            case Linear() | Conv2d():
                weight = np.abs(named[f"{name}.weight"]).reshape(layer_outputs(layer), -1)
                bound = float(np.max(weight.sum(axis=1) * bound + np.abs(named[f"{name}.bias"])))
            case BatchNorm():
                variance = np.maximum(named[f"{name}.variance"], 0.0)
                even = (bound + np.abs(named[f"{name}.mean"])) / np.sqrt(variance + EPSILON)
                most = max(most, float(even.max()))
                bound = float(np.max(even * np.abs(named[f"{name}.scale"]) + np.abs(named[f"{name}.shift"])))
            case GroupNorm():
                # Squares on the way to the variance; the even numbers of a group of m are at most sqrt(m).
                most = max(most, 4.0 * bound * bound * prod(form))
                even = np.sqrt(prod(form) / layer.groups)
                bound = float(np.max(even * np.abs(named[f"{name}.scale"]) + np.abs(named[f"{name}.shift"])))
            case Activation():
                bound = 1.0 if layer.how in ("tanh", "sigmoid") else max(bound, 1.0)
            case Residual():
                inner, inside = _reached(layer.layers, form, bound, f"{name}.", named)
                most, bound = max(most, inside), bound + inner
            case _:
                pass
        form = output(layer, form)
        most = max(most, bound)
    return bound, most


def layer_outputs(layer: Linear | Conv2d) -> int:
    """Return how many units or channels a layer has."""
    return layer.units if isinstance(layer, Linear) else layer.channels
