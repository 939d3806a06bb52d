"""Random networks with every kind of layer, and vectors for them."""

import numpy as np

from wardgate.measures.layers.tensors import Vector, size, tensors
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

BENDS = ("relu", "leaky_relu", "tanh", "sigmoid", "silu", "gelu", "elu")


def architecture(seed: int, *, batch_norms: bool = True) -> Architecture:
    """Return a small network; even seeds look at images, odd ones at flat numbers."""
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []

    def bend() -> Activation:
        return Activation(how=BENDS[int(rng.integers(len(BENDS)))])

    def norm(channels: int) -> BatchNorm | GroupNorm:
        if batch_norms and rng.random() < 0.5:
            return BatchNorm()
        return GroupNorm(groups=int(rng.choice([g for g in (1, 2, channels // 2) if g and channels % g == 0])))

    inputs = int(rng.integers(2, 9))
    if seed % 2 == 0:
        channels, height, width = int(rng.integers(1, 4)), int(rng.integers(7, 12)), int(rng.integers(7, 12))
        inputs = channels * height * width
        kept = int(rng.choice([2, 4, 6]))
        layers += [
            Image(channels=channels, height=height, width=width),
            Conv2d(
                channels=kept,
                kernel=int(rng.integers(1, 4)),
                stride=int(rng.integers(1, 3)),
                padding=int(rng.integers(0, 3)),
            ),
            norm(kept),
            bend(),
            Residual(layers=(norm(kept), Conv2d(channels=kept, kernel=3, padding=1), bend())),
            Pool2d(how="max" if rng.random() < 0.5 else "mean", size=2),
            GlobalMean() if rng.random() < 0.5 else Flatten(),
        ]
    for _ in range(int(rng.integers(1, 4))):
        units = int(rng.choice([2, 4, 6]))
        layers += [Linear(units=units), norm(units), bend(), Dropout(chance=0.3)]
        if rng.random() < 0.5:
            layers.append(Residual(layers=(Linear(units=3), bend(), Linear(units=units))))
    return Architecture(inputs=inputs, layers=(*layers, Linear(units=1)), seed=seed)


def vector(network: Architecture, seed: int) -> Vector:
    """Return weights as training could leave them: every number drawn, variances above 0."""
    rng = np.random.default_rng(seed)
    found = rng.normal(size=size(network)) * 0.5
    for tensor in tensors(network):
        if tensor.role == "variance":
            found[tensor.place] = rng.uniform(0.1, 3.0, tensor.size)
    return found


def rows(network: Architecture, count: int, seed: int) -> Vector:
    """Return rows in [-1, 1]."""
    return np.random.default_rng(seed).uniform(-1, 1, (count, network.inputs))
