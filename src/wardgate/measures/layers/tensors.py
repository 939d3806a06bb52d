"""Which tensors a described network has, and where each lies in one flat vector of all of them.

Weights lie as torch has them: (outputs, inputs) of a linear layer, (outputs, inputs, height, width) of a convolution.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

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

Vector = NDArray[np.float64]

Form = tuple[int, ...]
"""Shape of one row between layers: (numbers,) when flat, (channels, height, width) as an image."""

Role = Literal["weight", "bias", "scale", "shift", "mean", "variance"]
"""Of a tensor: learnt by layers, learnt by norms (`scale`, `shift`), or observed by batch norms."""

MOST_NUMBERS = 4_000_000
"""Numbers of one network, and of what one row becomes between two layers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One tensor and its place in the flat vector.

    Attributes:
        name: The layer's position, nested ones parted by dots, and the role; e.g. `0.weight` or `4.1.scale`.
        layer: Position of the outermost layer that it belongs to.
        first: Where it begins in the flat vector.
    """

    name: str
    role: Role
    layer: int
    shape: tuple[int, ...]
    first: int

    @property
    def size(self) -> int:
        """How many numbers."""
        return prod(self.shape)

    @property
    def place(self) -> slice:
        """Where it lies in the flat vector."""
        return slice(self.first, self.first + self.size)

    @property
    def learnt(self) -> bool:
        """Whether gradients move it; running statistics are observed instead."""
        return self.role not in ("mean", "variance")

    def of(self, vector: Vector) -> Vector:
        """Return this tensor out of the flat vector; a view."""
        return vector[self.place].reshape(self.shape)


@lru_cache(maxsize=64)
def tensors(architecture: Architecture) -> tuple[Tensor, ...]:
    """Return all tensors of a network, in the order in which they lie in the flat vector.

    Raises:
        Invalid: layers that do not follow each other, an output that is no single number, or too large a network.
    """
    found: list[Tensor] = []
    form: Form = (architecture.inputs,)
    for place, layer in enumerate(architecture.layers):
        form = _through(layer, form, str(place), place, found)
    if form != (1,):
        raise Invalid(f"a network ends in one number, the log-odds of the label; this one ends in {_said(form)}")
    if sum(tensor.size for tensor in found) > MOST_NUMBERS:
        raise Invalid(f"expected a network of at most {MOST_NUMBERS:,} numbers")
    return tuple(found)


def size(architecture: Architecture) -> int:
    """Return the length of the flat vector.

    Raises:
        Invalid: as `tensors`.
    """
    return sum(tensor.size for tensor in tensors(architecture))


def output(layer: Layer, form: Form) -> Form:
    """Return what a row of this form becomes in a layer.

    Raises:
        Invalid: the layer takes no such rows.
    """
    return _through(layer, form, "layer", 0, [])


def spread(layers: Sequence[Tensor], arrays: dict[str, Vector]) -> Vector:
    """Return named arrays as one flat vector.

    Raises:
        Invalid: one is missing, too many, or of another shape.
    """
    strange = sorted({tensor.name for tensor in layers} ^ arrays.keys())
    if strange:
        raise Invalid(f"the tensor '{strange[0]}' is missing or belongs to no layer")
    for tensor in layers:
        if arrays[tensor.name].shape != tensor.shape:
            raise Invalid(f"'{tensor.name}' must have shape {tensor.shape}, found {arrays[tensor.name].shape}")
    return np.concatenate([np.asarray(arrays[t.name], dtype=np.float64).ravel() for t in layers] or [np.zeros(0)])


def _through(layer: Layer, form: Form, name: str, outermost: int, found: list[Tensor]) -> Form:
    after = _form(layer, form, name)
    if prod(after) > MOST_NUMBERS:
        raise Invalid(f"layer {name}: a row would become {_said(after)}, more than {MOST_NUMBERS:,} numbers")
    if isinstance(layer, Residual):
        inner = form
        for place, one in enumerate(layer.layers):
            inner = _through(one, inner, f"{name}.{place}", outermost, found)
        if inner != form:
            raise Invalid(
                f"layer {name}: a residual gives back the shape that went in, {_said(form)}, not {_said(inner)}"
            )
        return form
    for role, shape in _own(layer, form):
        first = found[-1].first + found[-1].size if found else 0
        found.append(Tensor(name=f"{name}.{role}", role=role, layer=outermost, shape=shape, first=first))
    return after


def _own(layer: Layer, form: Form) -> Iterator[tuple[Role, tuple[int, ...]]]:
    match layer:
        case Linear():
            yield "weight", (layer.units, form[0])
            yield "bias", (layer.units,)
        case Conv2d():
            yield "weight", (layer.channels, form[0], layer.kernel, layer.kernel)
            yield "bias", (layer.channels,)
        case BatchNorm() | GroupNorm():
            yield "scale", (form[0],)
            yield "shift", (form[0],)
            if isinstance(layer, BatchNorm):
                yield "mean", (form[0],)
                yield "variance", (form[0],)
        case _:
            return


def _form(layer: Layer, form: Form, name: str) -> Form:
    flat = len(form) == 1
    match layer:
        case Linear() if flat:
            return (layer.units,)
        case Conv2d() if not flat:
            sides = [(side + 2 * layer.padding - layer.kernel) // layer.stride + 1 for side in form[1:]]
            if min(sides) < 1:
                raise Invalid(f"layer {name}: a kernel of {layer.kernel} is larger than the image, {_said(form)}")
            return (layer.channels, *sides)
        case Pool2d() if not flat:
            if min(form[1:]) < layer.size:
                raise Invalid(f"layer {name}: a field of {layer.size} is larger than the image, {_said(form)}")
            return (form[0], form[1] // layer.size, form[2] // layer.size)
        case GlobalMean() if not flat:
            return (form[0],)
        case Flatten() if not flat:
            return (prod(form),)
        case Image() if flat:
            if layer.channels * layer.height * layer.width != form[0]:
                raise Invalid(
                    f"layer {name}: {form[0]} numbers are no {layer.channels} x {layer.height} x {layer.width}"
                )
            return (layer.channels, layer.height, layer.width)
        case GroupNorm():
            if form[0] % layer.groups:
                raise Invalid(f"layer {name}: {form[0]} channels cannot be divided into {layer.groups} groups")
            return form
        case Activation() | BatchNorm() | Dropout() | Residual():
            return form
        case _:
            wanted = "an image" if flat else "flat numbers"
            raise Invalid(f"layer {name}: '{layer.kind}' takes {wanted}, and {_said(form)} come in")


def _said(form: Form) -> str:
    return f"{form[0]} numbers" if len(form) == 1 else f"an image of {' x '.join(map(str, form))}"
