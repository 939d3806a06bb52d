"""One torch layer, or one call, as layers of a network's document. What the document cannot say exactly is refused."""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, fx, nn
from torch.nn import functional

from wardgate.measures.layers.tensors import Form
from wardgate.networks.federated.build import Grouped
from wardgate.records.errors import Unsupported
from wardgate.records.network import (
    Activation,
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
)

SUPPORTED = (
    "Linear, Conv2d, MaxPool2d, AvgPool2d, AdaptiveAvgPool2d(1), BatchNorm1d, BatchNorm2d, GroupNorm, LayerNorm of flat"
    " numbers, Dropout, Flatten, Unflatten, Identity, ReLU, LeakyReLU, Tanh, Sigmoid, SiLU, GELU, ELU, their functions,"
    " and sums of what goes into some layers and what comes out"
)

LEAVES: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Conv2d,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.GroupNorm,
    Grouped,
    nn.LayerNorm,
    nn.Dropout,
    nn.Flatten,
    nn.Unflatten,
    nn.Identity,
    nn.ReLU,
    nn.LeakyReLU,
    nn.Tanh,
    nn.Sigmoid,
    nn.SiLU,
    nn.GELU,
    nn.ELU,
)


@dataclass(frozen=True, slots=True)
class Read:
    """What a torch layer is in the document.

    Attributes:
        layers: In order; none for what changes nothing.
        arrays: Tensors by role of the one layer among them that has any.
    """

    layers: tuple[Layer, ...] = ()
    arrays: Mapping[str, Tensor] = field(default_factory=dict)


def refuse(where: str, why: str) -> Unsupported:
    """Return the error that names a layer and what is supported."""
    return Unsupported(f"{where} {why}; supported are {SUPPORTED}")


def read_module(module: nn.Module, where: str, form: Form) -> Read:
    """Return a torch layer as the document says it.

    Args:
        where: What errors call it.
        form: Shape of one row that goes in.

    Raises:
        Unsupported: the document has no such layer, or only with other settings.
    """
    try:
        return _read(module, where, form)
    except ValidationError as error:
        raise refuse(where, f"is outside of what a document says ({error.errors()[0]['msg']})") from None


_BENDS: Mapping[type[nn.Module], str] = {nn.ReLU: "relu", nn.Tanh: "tanh", nn.Sigmoid: "sigmoid", nn.SiLU: "silu"}


def _read(module: nn.Module, where: str, form: Form) -> Read:
    def only(**settings: tuple[Any, Any]) -> None:
        for name, (found, expected) in settings.items():
            if found != expected:
                raise refuse(where, f"has {name}={found}, and is supported with {name}={expected} alone")

    match module:
        case nn.Linear():
            only(bias=(module.bias is not None, True))
            return Read((Linear(units=module.out_features),), {"weight": module.weight, "bias": module.bias})
        case nn.Conv2d():
            only(
                bias=(module.bias is not None, True),
                groups=(module.groups, 1),
                dilation=(_one(module.dilation, where), 1),
                padding_mode=(module.padding_mode, "zeros"),
            )
            kernel, stride = _one(module.kernel_size, where), _one(module.stride, where)
            if module.padding == "same" and (stride != 1 or kernel % 2 == 0):
                raise refuse(where, "has padding='same' with a stride or an even kernel")
            words = {"same": (kernel - 1) // 2, "valid": 0}
            padding = words[module.padding] if isinstance(module.padding, str) else _one(module.padding, where)
            layer = Conv2d(channels=module.out_channels, kernel=kernel, stride=stride, padding=padding)
            arrays = {"weight": module.weight, **({} if module.bias is None else {"bias": module.bias})}
            return Read((layer,), arrays)
        case nn.MaxPool2d() | nn.AvgPool2d():
            size = _one(module.kernel_size, where)
            only(
                stride=(_one(module.stride, where), size),
                padding=(_one(module.padding, where), 0),
                ceil_mode=(module.ceil_mode, False),
            )
            if isinstance(module, nn.MaxPool2d):
                only(dilation=(_one(module.dilation, where), 1), return_indices=(module.return_indices, False))
                return Read((Pool2d(how="max", size=size),))
            only(divisor_override=(module.divisor_override, None))
            return Read((Pool2d(how="mean", size=size),))
        case nn.AdaptiveAvgPool2d():
            only(output_size=(_one(module.output_size, where), 1))
            return Read((GlobalMean(), Image(channels=form[0], height=1, width=1)))
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            only(
                eps=(module.eps, 1e-5),
                momentum=(module.momentum, 0.1),
                affine=(module.affine, True),
                track_running_stats=(module.track_running_stats, True),
            )
            if module.running_mean is None or module.running_var is None:
                raise refuse(where, "keeps no running statistics")
            learnt = {"scale": module.weight, "shift": module.bias}
            return Read((BatchNorm(),), learnt | {"mean": module.running_mean, "variance": module.running_var})
        case nn.GroupNorm():
            only(eps=(module.eps, 1e-5), affine=(module.affine, True))
            return Read((GroupNorm(groups=module.num_groups),), {"scale": module.weight, "shift": module.bias})
        case nn.LayerNorm():
            only(
                eps=(module.eps, 1e-5),
                elementwise_affine=(module.elementwise_affine, True),
                bias=(module.bias is not None, True),
                normalized_shape=(tuple(module.normalized_shape), (form[0],) if len(form) == 1 else "flat numbers"),
            )
            return Read((GroupNorm(groups=1),), {"scale": module.weight, "shift": module.bias})
        case nn.Dropout():
            return _dropped(module.p)
        case nn.Flatten():
            only(start_dim=(module.start_dim, 1), end_dim=(module.end_dim, -1))
            return _flat(form)
        case nn.Unflatten():
            sizes = tuple(module.unflattened_size)
            only(dim=(module.dim, 1))
            return _reshaped(sizes, where, form)
        case nn.Identity():
            return Read()
        case nn.LeakyReLU():
            only(negative_slope=(module.negative_slope, 0.01))
            return Read((Activation(how="leaky_relu"),))
        case nn.GELU():
            only(approximate=(module.approximate, "none"))
            return Read((Activation(how="gelu"),))
        case nn.ELU():
            only(alpha=(module.alpha, 1.0))
            return Read((Activation(how="elu"),))
        case _ if type(module) in _BENDS:
            return Read((Activation.model_validate({"how": _BENDS[type(module)]}),))
        case _:
            raise refuse(where, f"is a {type(module).__name__}, which no document says")


_FUNCTIONS: Mapping[Any, type[nn.Module]] = {
    torch.relu: nn.ReLU,
    functional.relu: nn.ReLU,
    torch.tanh: nn.Tanh,
    functional.tanh: nn.Tanh,
    torch.sigmoid: nn.Sigmoid,
    functional.sigmoid: nn.Sigmoid,
    functional.silu: nn.SiLU,
    functional.gelu: nn.GELU,
    functional.elu: nn.ELU,
    functional.leaky_relu: nn.LeakyReLU,
    functional.max_pool2d: nn.MaxPool2d,
    functional.avg_pool2d: nn.AvgPool2d,
    functional.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
"""Calls that say the same as a layer with the same arguments; methods of a tensor by their names."""

_SHAPING: frozenset[Any] = frozenset({torch.flatten, torch.reshape, "flatten", "view", "reshape"})
_MEAN: frozenset[Any] = frozenset({torch.mean, "mean"})

ADDING: frozenset[Any] = frozenset({operator.add, operator.iadd, torch.add, "add", "add_"})


def read_call(node: fx.Node, where: str, form: Form, *, dropping: bool) -> Read:
    """Return a call of a function or of a tensor's method as the document says it.

    Args:
        dropping: Whether the same call drops nothing while the module is in use.

    Raises:
        Unsupported: the document has no such layer.
    """
    target: Any = node.target
    given: tuple[Any, ...] = node.args[1:]
    named: dict[str, Any] = dict(node.kwargs)
    named.pop("inplace", None)
    if target is functional.dropout:
        training = named.get("training", given[1] if len(given) > 1 else True)
        if training is not True or not dropping:
            raise refuse(where, "drops numbers in use too; say training=self.training")
        return _dropped(float(named.get("p", given[0] if given else 0.5)))
    if target in _FUNCTIONS:
        kind: Callable[..., nn.Module] = _FUNCTIONS[target]
        try:
            made = kind(*given, **named)
        except TypeError:
            raise refuse(where, "is called with arguments that its layer does not have") from None
        return read_module(made, where, form)
    if target in _SHAPING:
        return _shaped(node, where, form)
    if target in _MEAN and len(form) == 3:
        dims = named.pop("dim", given[0] if given else None)
        keep = named.pop("keepdim", given[1] if len(given) > 1 else False)
        if isinstance(dims, list | tuple) and sorted(d % 4 for d in dims) == [2, 3] and not named:
            image = (Image(channels=form[0], height=1, width=1),) if keep else ()
            return Read((GlobalMean(), *image))
    raise refuse(where, "is a call that no document says")


def _shaped(node: fx.Node, where: str, form: Form) -> Read:
    given: tuple[Any, ...] = node.args[1:]
    if node.target in (torch.flatten, "flatten"):
        first = node.kwargs.get("start_dim", given[0] if given else 0)
        last = node.kwargs.get("end_dim", given[1] if len(given) > 1 else -1)
        if (first, last) != (1, -1):
            raise refuse(where, "flattens something else than each row")
        return _flat(form)
    sizes = given[0] if len(given) == 1 and isinstance(given[0], list | tuple) else given
    if node.kwargs or not sizes or not (sizes[0] == -1 or isinstance(sizes[0], fx.Node)):
        raise refuse(where, "gives rows another number")
    return _reshaped(tuple(sizes[1:]), where, form)


def _reshaped(sizes: tuple[Any, ...], where: str, form: Form) -> Read:
    if not all(type(one) is int for one in sizes) or sizes.count(-1) > 1:
        raise refuse(where, "has a shape that follows from the rows")
    known = prod(one for one in sizes if one != -1)
    whole = tuple(prod(form) // max(known, 1) if one == -1 else one for one in sizes)
    if prod(whole) != prod(form) or len(whole) not in (1, 3):
        raise refuse(where, f"makes rows of shape {sizes} out of shape {form}")
    flat = _flat(form)
    if len(whole) == 1:
        return flat
    return Read((*flat.layers, Image(channels=whole[0], height=whole[1], width=whole[2])))


def _flat(form: Form) -> Read:
    return Read((Flatten(),) if len(form) == 3 else ())


def _dropped(chance: float) -> Read:
    return Read((Dropout(chance=chance),) if chance else ())


def _one(value: Any, where: str) -> int:
    """Return the one number of a setting that may be two, for both sides."""
    both = tuple(value) if isinstance(value, list | tuple) else (value,)
    if len(set(both)) != 1 or type(both[0]) is not int:
        raise refuse(where, f"has a setting of {value}, and is supported with the same whole number for both sides")
    return both[0]
