"""From a network's document to a torch module, and its weights from and to the one flat vector.

The module takes rows of shape (n, inputs) and gives log-odds of shape (n,). torch's global generator is never used.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import nn

from wardgate.measures.layers.start import start
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


class Network(nn.Module):
    """A described network; `layers` are its layers in order."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.layers(rows).squeeze(1)
        return found


class Added(nn.Module):
    """What goes in, plus what its layers make of it."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = x + self.layers(x)
        return found


class Grouped(nn.GroupNorm):
    """Group normalisation of any number of rows. torch's own turns a single row of single numbers away."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)


class ChannelMeans(nn.Module):
    """The mean of each channel of an image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))


def module_of(architecture: Architecture, *, double: bool = False) -> Network:
    """Return a network at its start weights, in training mode, on the CPU.

    Args:
        double: Compute in float64 rather than float32.

    Raises:
        Invalid: as `tensors`.
    """
    tensors(architecture)
    found = Network(_sequence(architecture.layers, (architecture.inputs,)))
    found = found.to(torch.float64 if double else torch.float32)
    load_vector(found, architecture, start(architecture))
    return found


def load_vector(module: nn.Module, architecture: Architecture, vector: Vector) -> None:
    """Set every number of a module that `module_of` made. A running variance below 0 counts as 0.

    Raises:
        Invalid: the vector has another length or is not finite, or the module is another network's.
    """
    known = tensors(architecture)
    expected = known[-1].first + known[-1].size if known else 0
    if vector.shape != (expected,) or not bool(np.isfinite(vector).all()):
        raise Invalid(f"expected {expected} finite numbers, found an array of shape {vector.shape}")
    with torch.no_grad():
        for tensor, slot in zip(known, _checked(module, architecture), strict=True):
            values = tensor.of(vector)
            slot.copy_(torch.from_numpy(np.maximum(values, 0.0) if tensor.role == "variance" else values.copy()))


def vector_of(module: nn.Module, architecture: Architecture) -> Vector:
    """Return every number of a module that `module_of` made, running statistics included, shape (size,).

    Raises:
        Invalid: the module is another network's.
    """
    slots = _checked(module, architecture)
    return np.concatenate([slot.detach().cpu().numpy().astype(np.float64).ravel() for slot in slots] or [np.zeros(0)])


def slots(module: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Give every tensor of a module that `module_of` made with its name in the document, in order of the flat vector.

    The learnt ones are the module's parameters themselves.
    """
    layers = module.layers if isinstance(module, Network | Added) else module
    for place, layer in enumerate(layers.children()):
        match layer:
            case Added():
                for name, tensor in slots(layer):
                    yield f"{place}.{name}", tensor
            case nn.Linear() | nn.Conv2d():
                yield f"{place}.weight", layer.weight
                if layer.bias is not None:
                    yield f"{place}.bias", layer.bias
            case nn.BatchNorm1d() | nn.BatchNorm2d() | nn.GroupNorm():
                yield f"{place}.scale", layer.weight
                yield f"{place}.shift", layer.bias
                if not isinstance(layer, nn.GroupNorm) and layer.running_mean is not None:
                    yield f"{place}.mean", layer.running_mean
                if not isinstance(layer, nn.GroupNorm) and layer.running_var is not None:
                    yield f"{place}.variance", layer.running_var
            case _:
                continue


def _checked(module: nn.Module, architecture: Architecture) -> list[torch.Tensor]:
    found = list(slots(module))
    expected = [(tensor.name, tensor.shape) for tensor in tensors(architecture)]
    if [(name, tuple(slot.shape)) for name, slot in found] != expected:
        raise Invalid("the module is not the one that this network's document describes; build it with module_of")
    return [slot for _, slot in found]


def _sequence(layers: Sequence[Layer], form: Form) -> nn.Sequential:
    made: list[nn.Module] = []
    for layer in layers:
        made.append(_made(layer, form))
        form = output(layer, form)
    return nn.Sequential(*made)


def _made(layer: Layer, form: Form) -> nn.Module:
    match layer:
        case Linear():
            linear: nn.Module = nn.utils.skip_init(nn.Linear, form[0], layer.units)  # type: ignore[no-untyped-call]
            return linear
        case Conv2d():
            convolution: nn.Module = nn.utils.skip_init(  # type: ignore[no-untyped-call]
                nn.Conv2d, form[0], layer.channels, layer.kernel, stride=layer.stride, padding=layer.padding
            )
            return convolution
        case Pool2d():
            return nn.MaxPool2d(layer.size) if layer.how == "max" else nn.AvgPool2d(layer.size)
        case GlobalMean():
            return ChannelMeans()
        case Activation():
            return _bend(layer)
        case BatchNorm():
            return nn.BatchNorm1d(form[0]) if len(form) == 1 else nn.BatchNorm2d(form[0])
        case GroupNorm():
            return Grouped(layer.groups, form[0])
        case Dropout():
            return nn.Dropout(layer.chance)
        case Image():
            return nn.Unflatten(1, (layer.channels, layer.height, layer.width))
        case Flatten():
            return nn.Flatten()
        case Residual():
            return Added(_sequence(layer.layers, form))


def _bend(layer: Activation) -> nn.Module:
    match layer.how:
        case "relu":
            return nn.ReLU()
        case "leaky_relu":
            return nn.LeakyReLU(0.01)
        case "tanh":
            return nn.Tanh()
        case "sigmoid":
            return nn.Sigmoid()
        case "silu":
            return nn.SiLU()
        case "gelu":
            return nn.GELU()
        case "elu":
            return nn.ELU()
