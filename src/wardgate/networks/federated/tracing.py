"""From a torch module to a network's document. The module is looked at on its owner's machine, and goes nowhere.

`torch.fx` follows what goes in through the module's own code, twice: as in training and as in use. What comes out must
be a chain of supported layers, with sums of what goes in and what comes out. At the end the document is run beside the
module on random rows, so that whatever the two disagree on is found.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor, fx, nn
from torch.nn import functional

from wardgate.measures.layers.forward import logits
from wardgate.measures.layers.tensors import Form, Vector, output, spread, tensors
from wardgate.networks.federated.modules import ADDING, LEAVES, Read, read_call, read_module, refuse
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.network import Architecture, Flatten, GlobalMean, Image, Layer, Residual

ROWS = 16
"""Random rows on which module and document are compared."""

AGREEMENT = 1e-4
"""Largest difference of their log-odds, in parts of 1 + |log-odds|."""

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def architecture_of(
    module: nn.Module, *, inputs: int | tuple[int, int, int], seed: int = 0
) -> tuple[Architecture, Vector]:
    """Return a module as a document, and its present weights as the flat vector.

    Args:
        module: Gives one log-odds a row, shape (n, 1) or (n,). It is left as it was.
        inputs: Numbers of a row; channels, height and width where the module takes images.
        seed: From which the document's own start weights follow; the module's weights play no part in them.

    Raises:
        Unsupported: a layer, a setting or code that no document says: named, with what is supported.
    """
    _check_parts(module)
    if next(module.parameters(), None) is None:
        raise Unsupported("the module has no weights, so there is nothing to train")
    with _mode(module, training=False):
        in_use = _traced(module)
    with _mode(module, training=True):
        in_training = _traced(module)
    if [(n.op, n.target) for n in in_use.nodes] != [(n.op, n.target) for n in in_training.nodes]:
        raise Unsupported("the module does other things in training than in use, beside dropout and norms")
    form: Form = (inputs,) if isinstance(inputs, int) else tuple(inputs)
    if len(form) not in (1, 3) or min(form) < 1:
        raise Invalid(f"expected the numbers of a row, or channels, height and width, found {inputs}")
    reader = _Reader(module, in_training, in_use)
    first: tuple[Layer, ...] = ()
    try:
        if len(form) == 3:
            first = (Image(channels=form[0], height=form[1], width=form[2]),)
        layers = reader.read(first, form)
        reader.check_all_used()
        architecture = Architecture(inputs=prod(form), layers=layers, seed=seed)
        vector = spread(tensors(architecture), {name: _plain(tensor) for name, tensor in reader.arrays.items()})
    except (Invalid, ValidationError) as error:
        text = str(error) if isinstance(error, Invalid) else str(error.errors()[0]["msg"])
        raise Unsupported(f"the module is no network of one log-odds a row: {text}") from None
    _check_alike(module, architecture, vector, form)
    return architecture, vector


@contextmanager
def _mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """Hold a module in one mode; every part of it is then again in the one it was in."""
    before = [(part, part.training) for part in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for part, was in before:
            part.training = was


def _check_parts(module: nn.Module) -> None:
    """Check what following the code would not show: hooks, buffers, frozen, tied or unusual weights."""
    for name, part in module.named_modules():
        if any(getattr(part, hooks, None) for hooks in HOOKS):
            raise Unsupported(f"layer '{name}' has hooks, which are code; take them off")
        norm = type(part) in (nn.BatchNorm1d, nn.BatchNorm2d)
        for own, _ in part.named_buffers(recurse=False):
            if not norm:
                raise Unsupported(f"layer '{name}' has a buffer '{own}'; only batch norms may keep numbers unlearnt")
    seen: dict[int, str] = {}
    for name, weights in module.named_parameters(remove_duplicate=False):
        if id(weights) in seen:
            raise Unsupported(
                f"'{name}' and '{seen[id(weights)]}' are the same weights; tied weights are not supported"
            )
        seen[id(weights)] = name
        if weights.dtype not in (torch.float32, torch.float64):
            raise Unsupported(f"'{name}' is {weights.dtype}; weights are float32 or float64")
        if not weights.requires_grad:
            raise Unsupported(f"'{name}' is frozen, and in a document all weights learn; leave it out or unfreeze it")


class _Tracer(fx.Tracer):
    """Goes into every module but the supported layers and torch's own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in LEAVES or super().is_leaf_module(m, module_qualified_name)


def _traced(module: nn.Module) -> fx.Graph:
    if type(module) in LEAVES:
        module = nn.Sequential(module)
    try:
        return _Tracer().trace(module)
    except (fx.proxy.TraceError, TypeError, ValueError, RuntimeError, NotImplementedError, AttributeError) as error:
        raise Unsupported(
            "the module's code cannot be followed without data: it asks what the numbers are, or calls what no document"
            f" says ({type(error).__name__}: {error})"
        ) from error


@dataclass(slots=True)
class _Sum:
    """What goes in, plus what these steps make of it."""

    steps: list[Any] = field(default_factory=list)


class _Reader:
    """Reads the layers off a followed module."""

    def __init__(self, module: nn.Module, graph: fx.Graph, in_use: fx.Graph) -> None:
        self.module = nn.Sequential(module) if type(module) in LEAVES else module
        self.parts = dict(self.module.named_modules())
        self.order = {node: place for place, node in enumerate(graph.nodes)}
        self.twins = dict(zip(graph.nodes, in_use.nodes, strict=True))
        self.nodes = list(graph.nodes)
        self.arrays: dict[str, Tensor] = {}
        self.used: set[str] = set()

    def read(self, first: tuple[Layer, ...], form: Form) -> tuple[Layer, ...]:
        """Return all layers; `form` is what a row has after those that come first."""
        begins = [node for node in self.nodes if node.op == "placeholder"]
        if len(begins) != 1:
            raise Unsupported(f"the module takes {len(begins)} arguments, expected one: the rows")
        end = self.nodes[-1].args[0]
        if not isinstance(end, fx.Node):
            raise Unsupported("the module gives back more than one tensor; expected one log-odds a row")
        steps = self._back(self._unsqueezed(end), begins[0])
        if steps and self._is_sigmoid(steps[-1]):
            raise Unsupported("the module ends in a sigmoid; take it off: a network gives log-odds, not a probability")
        return self._layers(steps, form, "", first)[0]

    def check_all_used(self) -> None:
        """Check that no weight was left over: it would be trained nowhere and saved nowhere."""
        for name, _ in self.module.named_parameters():
            if name.rpartition(".")[0] not in self.used:
                raise Unsupported(f"'{name}' belongs to no supported layer that rows go through; leave it out")

    def _unsqueezed(self, node: fx.Node) -> fx.Node:
        dims = (node.args[1:] or (node.kwargs.get("dim"),)) if node.target in (torch.squeeze, "squeeze") else ()
        if dims in ((1,), (-1,)) and isinstance(node.args[0], fx.Node):
            return node.args[0]
        return node

    def _is_sigmoid(self, step: Any) -> bool:
        if not isinstance(step, fx.Node):
            return False
        part = self.parts.get(str(step.target)) if step.op == "call_module" else None
        return isinstance(part, nn.Sigmoid) or step.target in (torch.sigmoid, functional.sigmoid, "sigmoid")

    def _back(self, node: fx.Node, stop: fx.Node) -> list[Any]:
        """Return the steps from `stop` to `node`, walking back."""
        steps: list[Any] = []
        while node is not stop:
            if node.op in ("placeholder", "get_attr"):
                raise refuse(_where(node), "is used in a way that is no chain of layers")
            if node.op != "call_module" and node.target in ADDING:
                one, other = self._added(node)
                steps.append(_Sum(self._back(other, one)))
                node = one
                continue
            if not node.args or not isinstance(node.args[0], fx.Node):
                raise refuse(_where(node), "is called without rows as its first argument")
            sizes = [one for one in node.all_input_nodes if one is not node.args[0]]
            if any(not _is_size(one) for one in sizes):
                raise refuse(_where(node), "joins numbers in a way that no document says")
            steps.append(node)
            node = node.args[0]
        return steps[::-1]

    def _added(self, node: fx.Node) -> tuple[fx.Node, fx.Node]:
        """Return what is added, the earlier first."""
        given = node.args
        if len(given) != 2 or node.kwargs or not all(isinstance(one, fx.Node) for one in given):
            raise refuse(_where(node), "adds something else than what went in and what came out")
        one, other = sorted((one for one in given if isinstance(one, fx.Node)), key=lambda one: self.order[one])
        return one, other

    def _layers(
        self, steps: Sequence[Any], form: Form, above: str, first: tuple[Layer, ...] = ()
    ) -> tuple[tuple[Layer, ...], Form]:
        layers = list(first)
        for step in steps:
            if isinstance(step, _Sum):
                inner, _ = self._layers(step.steps, form, f"{above}{len(layers)}.")
                layers.append(Residual(layers=inner))
                form = output(layers[-1], form)
                continue
            found = self._read(step, form)
            for layer in found.layers:
                if isinstance(layer, Flatten) and len(layers) > 1 and _stretched(layers):
                    layers.pop()
                    form = (form[0],)
                    continue
                form = output(layer, form)
                layers.append(layer)
            for role, tensor in found.arrays.items():
                self.arrays[f"{above}{len(layers) - 1}.{role}"] = tensor
        return tuple(layers), form

    def _read(self, node: fx.Node, form: Form) -> Read:
        if node.op == "call_module":
            name = str(node.target)
            if name in self.used:
                raise Unsupported(f"layer '{name}' is gone through twice; shared layers are not supported")
            part = self.parts[name]
            if type(part) not in LEAVES:
                raise refuse(f"layer '{name}'", f"is a {type(part).__name__}, which no document says")
            if list(part.parameters()):
                self.used.add(name)
            return read_module(part, f"layer '{name}'", form)
        twin = self.twins[node]
        dropping = node.target is functional.dropout and not twin.kwargs.get(
            "training", twin.args[2] if len(twin.args) > 2 else True
        )
        return read_call(node, _where(node), form, dropping=dropping)


def _where(node: fx.Node) -> str:
    if node.op == "get_attr":
        return f"the tensor '{node.target}'"
    name = getattr(node.target, "__name__", str(node.target))
    return f"layer '{name}'" if node.op == "call_module" else f"the call of '{name}'"


def _is_size(node: fx.Node) -> bool:
    """Say whether a node is the number of rows, or the shape that it is read from."""
    if node.target == "size":
        return node.args[1:] in ((0,), ())
    if node.target is getattr:
        return node.args[1] == "shape"
    source = node.args[0] if node.args else None
    return isinstance(source, fx.Node) and node.args[1:] == (0,) and _is_size(source)


def _stretched(layers: Sequence[Layer]) -> bool:
    """Say whether a flat row was just laid out as an image of one field, which flattening undoes."""
    last = layers[-1]
    return isinstance(last, Image) and (last.height, last.width) == (1, 1) and isinstance(layers[-2], GlobalMean)


def _plain(tensor: Tensor) -> Vector:
    return tensor.detach().cpu().numpy().astype(np.float64)


def _check_alike(module: nn.Module, architecture: Architecture, vector: Vector, form: Form) -> None:
    rows = np.random.default_rng(0).uniform(-1.0, 1.0, (ROWS, architecture.inputs))
    weights = next(iter(module.parameters()))
    given = torch.from_numpy(rows).reshape(ROWS, *form).to(dtype=weights.dtype, device=weights.device)
    with _mode(module, training=False), torch.no_grad():
        try:
            found = module(given)
        except (RuntimeError, ValueError, TypeError, IndexError) as error:
            raise Unsupported(f"the module does not take rows of shape {form} ({type(error).__name__})") from error
    if not isinstance(found, Tensor) or tuple(found.shape) not in ((ROWS,), (ROWS, 1)):
        raise Unsupported("the module does not give back one log-odds a row")
    expected = logits(architecture, vector, rows)
    apart = np.abs(_plain(found).ravel() - expected) / (1.0 + np.abs(expected))
    if not bool(np.all(apart <= AGREEMENT)):
        raise Unsupported(
            "the module gives other log-odds than its layers say: some of its code cannot be followed, or changes"
            " numbers in place that are used again"
        )
