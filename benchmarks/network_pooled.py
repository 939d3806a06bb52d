"""The pooled comparator of the benchmarks of networks: all hospitals' training persons in one table, tuned.

IMPOSSIBLE IN REALITY. The same architecture and start weights as the federated runs; rate, weight decay and steps
are taken from a menu by the AUROC on the tuning persons of all sites together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from network_sets import Divided
from numpy.typing import NDArray
from scipy.special import expit

from wardgate.hospital.ward.cohort.part import Part, part_of
from wardgate.measures.discrimination import auroc
from wardgate.measures.layers.forward import logits
from wardgate.measures.layers.start import start
from wardgate.measures.logistic import fit
from wardgate.networks.federated.descent import Learner, Steps
from wardgate.records.messages import SplitName
from wardgate.records.network import Architecture

torch.set_num_threads(1)

RATES, DECAYS = (0.001, 0.003, 0.01), (0.0, 0.001, 0.01, 0.03)
STEPS, BATCH = 800, 128
LOOKS = 16
"""How often the tuning persons are looked at on the way."""

LEAST = 20
"""Events, and others, among a site's test persons before its own AUROC is shown."""

Vector = NDArray[np.float64]
Parts = Mapping[str, Mapping[SplitName, Part]]


def encoded(divided: Divided) -> Parts:
    """Return every site's persons as the ward encodes them."""
    return {
        site: {split: part_of(divided.study, table) for split, table in splits.items()}
        for site, splits in divided.tables.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a model is worth on one split of all sites.

    Attributes:
        auroc: Over all persons together.
        accuracy: Share of all persons on the right side of one half.
        oe: Observed over expected events.
        worst: The lowest AUROC of a site with enough of both classes, NaN where there is none.
        within: Mean of these sites' AUROCs.
        judged: How many these sites are.
        loss: Mean log loss.
    """

    auroc: float
    accuracy: float
    oe: float
    worst: float
    within: float
    judged: int
    loss: float


def judged(parts: Parts, split: SplitName, score: Mapping[str, Vector]) -> Judged:
    """Judge log-odds by site.

    Args:
        score: Log-odds of each site's persons in `split`.
    """
    y = np.concatenate([parts[site][split].y for site in parts])
    z = np.concatenate([score[site] for site in parts])
    own = []
    for site in parts:
        mine = parts[site][split].y
        if min(mine.sum(), len(mine) - mine.sum()) >= LEAST:
            own.append(auroc(mine, score[site]).value)
    return Judged(
        auroc=auroc(y, z).value,
        accuracy=float(np.mean((z > 0) == y)),
        oe=float(y.sum() / expit(z).sum()),
        worst=min(own, default=float("nan")),
        within=float(np.mean(own)) if own else float("nan"),
        judged=len(own),
        loss=float(np.mean(np.logaddexp(0.0, z) - y * z)),
    )


def scores(architecture: Architecture, weights: Vector, parts: Parts, split: SplitName) -> dict[str, Vector]:
    """Return one network's log-odds of each site's persons."""
    return {
        site: logits(architecture, weights, own[split].x[:, 1:]) if len(own[split].y) else np.zeros(0)
        for site, own in parts.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """The best of the menu by the tuning persons."""

    weights: Vector
    tuning: float
    how: str


def regression(divided: Divided, parts: Parts) -> dict[str, Vector]:
    """Return the test log-odds of pooled logistic regression, the simpler model to ask a network about."""
    x = np.concatenate([own["train"].x for own in parts.values()])
    y = np.concatenate([own["train"].y for own in parts.values()])
    beta = fit(x, y, ridge=divided.study.model.ridge)
    return {site: own["holdout"].x @ beta for site, own in parts.items()}


def pooled(architecture: Architecture, parts: Parts, *, seed: int) -> Pooled:
    """Train on all hospitals' persons in one place, by every setting of the menu."""
    x = np.concatenate([own["train"].x[:, 1:] for own in parts.values()])
    y = np.concatenate([own["train"].y for own in parts.values()])
    best: Pooled | None = None
    for rate in RATES:
        for decay in DECAYS:
            for steps, weights in _trained(architecture, x, y, rate=rate, decay=decay, seed=seed):
                reached = judged(parts, "tuning", scores(architecture, weights, parts, "tuning")).auroc
                if best is None or reached > best.tuning:
                    how = f"Adam, rate {rate:g}, decay {decay:g}, {steps} steps of {BATCH}"
                    best = Pooled(weights=weights, tuning=reached, how=how)
    if best is None:
        raise RuntimeError("the menu is empty")
    return best


def _trained(
    architecture: Architecture, x: Vector, y: NDArray[np.int8], *, rate: float, decay: float, seed: int
) -> Iterator[tuple[int, Vector]]:
    """Give the weights now and then. Each stretch begins Adam anew, with a rate that falls to a tenth at the end."""
    learner, rng = Learner(architecture, x, y, device=torch.device("cpu")), np.random.default_rng(seed)
    learner.load(start(architecture))
    for look in range(LOOKS):
        now = rate * 0.1 ** (look / (LOOKS - 1))
        steps = Steps(count=STEPS // LOOKS, batch=BATCH, optimiser="adam", rate=now, decay=decay)
        learner.descend(steps=steps, rng=rng)
        yield (look + 1) * (STEPS // LOOKS), learner.vector()
