"""Where a described network starts: weights from its seed, the same number for number at every party.

Only the bit stream of PCG64 is used, which numpy keeps for good, and arithmetic that IEEE 754 fixes to the last bit.

References: He et al. (2015), Delving Deep into Rectifiers, arXiv:1502.01852; Glorot and Bengio (2010), Understanding
    the Difficulty of Training Deep Feedforward Neural Networks.
"""

from collections.abc import Sequence
from math import prod, sqrt

import numpy as np

from wardgate.measures.layers.tensors import Vector, tensors
from wardgate.records.network import Activation, Architecture, Conv2d, Layer, Linear, Residual

RECTIFIERS = ("relu", "leaky_relu", "silu", "gelu", "elu")
"""Bends that lose about half of what comes in; weights before them start larger (He), before others by Glorot."""


def start(architecture: Architecture) -> Vector:
    """Return the weights from which everybody starts, shape (size,).

    Weights are drawn evenly: by He before a rectifier, by Glorot elsewhere, and within 1 / sqrt(inputs) in the last
    layer, so that the first log-odds are near 0. Biases, shifts and running means are 0, scales and variances 1.

    Raises:
        Invalid: as `tensors`.
    """
    bits = np.random.PCG64(architecture.seed)
    reach, found = reach_of(architecture), tensors(architecture)
    vector = np.zeros(found[-1].first + found[-1].size if found else 0)
    for tensor in found:
        if tensor.role in ("scale", "variance"):
            vector[tensor.place] = 1.0
        elif tensor.role == "weight":
            even = (bits.random_raw(tensor.size) >> np.uint64(11)).astype(np.float64) * 2.0**-53
            vector[tensor.place] = (2.0 * even - 1.0) * reach[tensor.name.removesuffix(".weight")]
    return vector


def reach_of(architecture: Architecture) -> dict[str, float]:
    """Return how large the weights of each layer are at most where they start, by the layer's name.

    Raises:
        Invalid: as `tensors`.
    """
    found = [tensor for tensor in tensors(architecture) if tensor.role == "weight"]
    bent = dict(_bent(architecture.layers, ""))
    reach: dict[str, float] = {}
    for tensor in found:
        name = tensor.name.removesuffix(".weight")
        inputs, outputs = prod(tensor.shape[1:]), tensor.shape[0] * prod(tensor.shape[2:])
        if tensor is found[-1]:
            reach[name] = 1.0 / sqrt(inputs)
        elif bent[name]:
            reach[name] = sqrt(6.0 / inputs)
        else:
            reach[name] = sqrt(6.0 / (inputs + outputs))
    return reach


def _bent(layers: Sequence[Layer], above: str) -> list[tuple[str, bool]]:
    """Say of each layer with weights whether a rectifier is the next bend after it."""
    found: list[tuple[str, bool]] = []
    for place, layer in enumerate(layers):
        name = f"{above}{place}"
        if isinstance(layer, Residual):
            found += _bent(layer.layers, f"{name}.")
        elif isinstance(layer, Linear | Conv2d):
            after = next((one for one in layers[place + 1 :] if isinstance(one, Activation | Linear | Conv2d)), None)
            found.append((name, isinstance(after, Activation) and after.how in RECTIFIERS))
    return found
