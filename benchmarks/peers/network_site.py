"""One hospital's half of FedAvg on a network of one hidden layer: the same arithmetic for FLARE, Flower and the loop.

Needs numpy alone. The flat vector lies as Wardgate has it: first the hidden layer's weights (hidden, inputs) and
biases, then those of the output. The bend is tanh; steps are plain SGD on batches that site and round fix.
"""

import hashlib
import json
from pathlib import Path

import numpy as np


def settings(folder):
    """Return what all sites train: hidden units, steps, batch, rate."""
    return json.loads((Path(folder) / "network.json").read_text())


def begun(folder):
    """Return the weights from which everybody starts."""
    return np.load(Path(folder) / "start.npy")


def parts(vector, inputs, hidden):
    """Return the vector's four tensors, as views."""
    first = hidden * inputs
    return (
        vector[:first].reshape(hidden, inputs),
        vector[first : first + hidden],
        vector[first + hidden : -1],
        vector[-1:],
    )


def trained(vector, x, y, *, number, site, how):
    """Return the vector after this round's steps on this site's persons.

    Args:
        number: Of the round; it goes into the order of persons.
        how: As `settings` gives it.
    """
    x = x[:, 1:]  # a network has its own intercepts
    vector = np.array(vector, dtype=np.float64)
    weight, bias, out, last = parts(vector, x.shape[1], how["hidden"])
    seed = int.from_bytes(hashlib.sha256(f"{site}/{number}".encode()).digest()[:8], "big")
    rng, left, size = np.random.default_rng(seed), np.zeros(0, dtype=int), min(how["batch"], len(y))
    for _ in range(how["steps"]):
        if len(left) < size:
            left = np.concatenate([left, rng.permutation(len(y))])
        rows, wanted, left = x[left[:size]], y[left[:size]], left[size:]
        bent = np.tanh(rows @ weight.T + bias)
        error = (1.0 / (1.0 + np.exp(-(bent @ out + last))) - wanted) / size
        back = error[:, None] * out * (1.0 - bent * bent)
        moves = back.T @ rows, back.sum(axis=0), bent.T @ error, error.sum()
        for tensor, move in zip((weight, bias, out, last), moves, strict=True):
            tensor -= how["rate"] * move
    return vector
