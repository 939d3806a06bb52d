"""What every question about a network has in common: the network as the study locks it, and usable weights."""

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.measures.encoding import design_columns
from wardgate.measures.layers.tensors import size, tensors
from wardgate.records.errors import Invalid
from wardgate.records.network import Activation, Architecture, Conv2d, Dropout, Image, Layer, Linear, Pool2d, Residual
from wardgate.records.study import Study

LARGEST_WEIGHT = 1e4
"""Of any weight that a question brings: beyond it the arithmetic could leave its range for some persons only."""


def pinned(study: Study, *, network: str, sha256: str) -> Architecture:
    """Return the network that a question names, as the locked study has it.

    Raises:
        Invalid: the study locks no such network, another one under this name, or one that does not fit its design.
    """
    found = study.networks.get(network)
    if found is None:
        known = ", ".join(f"'{name}'" for name in sorted(study.networks)) or "none"
        raise Invalid(f"the locked study has no network '{network}'; it has {known}")
    if found.sha256 != sha256:
        raise Invalid(
            f"network '{network}' of the locked study has digest {found.sha256[:16]}..., the question names"
            f" {sha256[:16]}...; a changed network needs a new version of the study"
        )
    columns = len(design_columns(study.features)) - 1
    if found.inputs != columns:
        raise Invalid(
            f"network '{network}' takes {found.inputs} numbers, and the study's features make {columns} columns"
        )
    if not any(tensor.learnt for tensor in tensors(found)):
        raise Invalid(f"network '{network}' has nothing to learn; expected a layer with weights")
    return found


def check_networks(study: Study) -> None:
    """Check every network that a study locks.

    Raises:
        Invalid: one does not fit the study's design, or its layers do not fit each other.
    """
    for name, architecture in study.networks.items():
        pinned(study, network=name, sha256=architecture.sha256)


def described(architecture: Architecture) -> str:
    """Return a network in one line for people who have to agree to it."""
    layers = ", ".join(_words(layer) for layer in architecture.layers)
    return (
        f"{architecture.inputs} numbers in; {layers}; {size(architecture):,} numbers in all, SHA-256"
        f" {architecture.sha256[:16]}..."
    )


def _words(layer: Layer) -> str:
    match layer:
        case Linear():
            return f"linear to {layer.units}"
        case Conv2d():
            return f"convolution {layer.kernel} x {layer.kernel} to {layer.channels} channels"
        case Pool2d():
            return f"{layer.how} of {layer.size} x {layer.size} fields"
        case Activation():
            return layer.how
        case Dropout():
            return f"dropout {layer.chance:g}"
        case Image():
            return f"as an image of {layer.channels} x {layer.height} x {layer.width}"
        case Residual():
            return f"residual ({', '.join(_words(one) for one in layer.layers)})"
        case _:
            return layer.kind.replace("_", " ")


def check_weights(architecture: Architecture, weights: Vector, *, count: int = 1) -> None:
    """Check vectors of weights that travel beside a question, one after the other.

    Raises:
        Invalid: of another length, not finite, or too large.
    """
    expected = count * size(architecture)
    if weights.shape != (expected,):
        raise Invalid(f"expected {expected} weights, found an array of shape {weights.shape}")
    if not bool(np.all(np.abs(weights) <= LARGEST_WEIGHT)):
        raise Invalid(f"a weight is not finite, or larger than {LARGEST_WEIGHT:g}")
