"""A hospital's personal models: made from its own training and tuning persons, and used on others of its persons."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.likeness import Likeness
from wardgate.computations.network_update import shared
from wardgate.computations.personal import Kept, Personal
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.hospital.ward.learning.likeness import rows
from wardgate.hospital.ward.learning.network_update import key_of
from wardgate.measures.layers.forward import logits
from wardgate.measures.layers.head import with_head
from wardgate.measures.logistic import linear
from wardgate.measures.no_worse import Chosen, personal
from wardgate.networks.federated.own import State
from wardgate.records.errors import Refused
from wardgate.records.messages import SplitName

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Models of one hospital; numbers that never leave it.

    Attributes:
        betas: Logistic models over the study's design, by name.
        networks: Whole networks, by name: which one of the study, and all its numbers.
        took: By prefix, which model the shrunk one is.
    """

    betas: Mapping[str, Vector]
    networks: Mapping[str, tuple[str, Vector]]
    took: Mapping[str, Chosen]


def made(asked: Personal, *, bench: Bench) -> Made:
    """Return the models that a question asks for.

    Raises:
        Invalid: one does not fit the study.
        Refused: this hospital kept nothing of a network.
        Broken: what it kept cannot be read.
    """
    asked.check(bench.study)
    betas: dict[str, Vector] = {}
    networks: dict[str, tuple[str, Vector]] = {}
    took: dict[str, Chosen] = {}
    for prefix, one in asked.drawn.items():
        train, tuning = (rows(one, bench=bench, split=split) for split in ("train", "tuning"))
        found = personal(
            train,
            bench.part("train").y,
            joint=one.joint,
            shares=one.shares,
            rng=bench.rng(f"personal/{prefix}"),
            inside=bench.site in one.fitted,
            tuning=(tuning, bench.part("tuning").y),
        )
        took[prefix] = found.took
        models = {"global": one.beta, "local": found.local, "shrunk": found.shrunk}
        for which, beta in models.items():
            if not one.seen.network:
                betas[f"{prefix}{which}"] = beta
            else:
                networks[f"{prefix}{which}"] = (one.seen.network, _with_head(one, beta, bench=bench))
    for name, kept in asked.kept.items():
        networks[name] = (kept.network, _whole(name, kept, bench=bench))
    return Made(betas=betas, networks=networks, took=took)


def scored(found: Made, *, bench: Bench, split: SplitName) -> dict[str, Vector]:
    """Return the log-odds of a split's persons under each model, shape (n,) each."""
    x, study = bench.part(split).x, bench.study
    by_beta = {name: linear(x, beta) for name, beta in found.betas.items()}
    by_network = {
        name: logits(study.networks[network], vector, x[:, 1:]) for name, (network, vector) in found.networks.items()
    }
    return {**by_beta, **by_network}


def _with_head(one: Likeness, beta: Vector, *, bench: Bench) -> Vector:
    return with_head(bench.study.networks[one.seen.network], one.seen.weights, beta)


def _whole(name: str, kept: Kept, *, bench: Bench) -> Vector:
    """Return a whole network: the common weights, and in them what this hospital kept."""
    if not kept.personal and not kept.stays:
        return kept.weights
    kind = "personal" if kept.personal else "stays"
    raw = bench.own.get(key_of(network=kept.network, sha256=kept.sha256, kind=kind))
    if raw is None:
        raise Refused(f"this hospital kept nothing of the network that '{name}' names; it did not train in it")
    mine = State.from_bytes(raw).now
    found = np.array(kept.weights, dtype=np.float64)
    where = np.ones(len(found), dtype=np.bool_)
    if not kept.personal:
        where = ~shared(bench.study.networks[kept.network], kept.stays)
    if len(mine) != int(where.sum()):
        raise Refused(f"this hospital kept another part of the network than '{name}' says")
    found[where] = mine
    return found
