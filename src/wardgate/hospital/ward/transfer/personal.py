"""Personal models beside the common and the hospital's own one: each one's figures, and which is worse for certain."""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wardgate.hospital.ward.transfer.figures import model_figures
from wardgate.measures.intervals import delong_difference, normal
from wardgate.measures.logistic import probability

Vector = NDArray[np.float64]
Labels = NDArray[np.int8]

ENOUGH = 20
"""Events and non-events from which a comparison counts towards the promise that no hospital is worse off."""

LARGEST_LOGIT = 20.0

DUST = 1e-9


def personal_figures(
    logits: Mapping[str, Vector], y: Labels, *, against: Mapping[str, tuple[str, str]], level: float
) -> dict[str, float]:
    """Return the figures of every model, and of every comparison.

    A model is compared with the better of two on the same persons, once by AUROC (DeLong) and once by log-loss
    (paired, normal). `gain` is what it gains; `gain_worse` is 1 where even the upper end of its interval is below 0.
    The better of the two is picked on these very persons, which favours it.

    Args:
        logits: By model, shape (n,) each.
        y: Labels, shape (n,), both classes present.
        against: By model, the two that it is compared with.
        level: Of intervals.
    """
    figures: dict[str, float] = {}
    lost = {name: losses(y, eta) for name, eta in logits.items()}
    for name, eta in logits.items():
        found = model_figures(eta, y, level=level)
        brier = float(np.mean((probability(eta) - y) ** 2))
        figures |= {f"{name}.{key}": value for key, value in (found | {"brier": brier}).items()}
        figures[f"{name}.log_loss"] = float(lost[name].mean())
    event = y == 1
    for name, pair in against.items():
        better = max(pair, key=lambda one: figures[f"{one}.auroc"])
        gain = delong_difference(event, logits[name], logits[better], level=level)
        better = min(pair, key=lambda one: figures[f"{one}.log_loss"])
        spared = lost[better] - lost[name]
        deviation = float(spared.std(ddof=1)) / math.sqrt(len(spared))
        loss_gain = (float(spared.mean()), *normal(float(spared.mean()), deviation, level=level))
        for key, (value, low, high) in (("gain", gain), ("loss_gain", loss_gain)):
            figures |= {f"{name}.{key}": value, f"{name}.{key}_low": low, f"{name}.{key}_high": high}
            figures[f"{name}.{key}_worse"] = float(high < -DUST)
    return figures


def losses(y: Labels, logits: Vector) -> Vector:
    """Return the log-loss of each person, shape (n,); a logit beyond 20 counts as that."""
    eta = np.clip(logits, -LARGEST_LOGIT, LARGEST_LOGIT)
    return np.asarray(np.logaddexp(0.0, eta) - y * eta)


def enough(y: Labels) -> bool:
    """Whether there are 20 events and 20 non-events."""
    return min(int(y.sum()), int(len(y) - y.sum())) >= ENOUGH
