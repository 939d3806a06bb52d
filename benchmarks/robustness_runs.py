"""One training under one attack, over tables in the open: the same questions, answers, groups, rules and votes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from robustness_data import splits
from scipy.special import expit

from wardgate.computations.network_update import Work
from wardgate.entropy import UnsafeEntropy
from wardgate.federation.plain import Plain, PlainSite, plain_sites
from wardgate.hospital.ward.cohort.part import part_of
from wardgate.hospital.ward.learning.menu import ANSWERS
from wardgate.hub.pooling.ask import Ask
from wardgate.hub.pooling.networks.algorithms import ALGORITHMS
from wardgate.hub.pooling.networks.robust import Robust, RobustGather, robust_gather
from wardgate.hub.pooling.networks.rounds import train
from wardgate.hub.pooling.networks.trusted import Stopped, trusted
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_columns, design_matrix, labels
from wardgate.measures.layers.forward import logits
from wardgate.measures.logistic import fit
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.simulate.attacks import Hostile, Kind, backdoored, flipped
from wardgate.sums.shape import Bounded

Vector = NDArray[np.float64]

TRIGGER = pl.col("consciousness") == "unconscious"
"""The rare subgroup of the backdoor: 1.4 % of the persons, nearly all of whom die or stay dependent."""

WORK = Work(steps=10, batch=1_000_000, rate=1.0)


_HONEST: dict[int, dict[str, PlainSite]] = {}
"""Every site's persons as the last seed divides them, encoded once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run gave, on the locked persons of all sites.

    Attributes:
        auroc, oe: Of the model handed out; NaN where training stopped.
        missed: Share of unconscious persons with the outcome who are told that they will not have it.
        stopped: Kind of the alarm that stopped it; empty where none did.
        bad, good: Groups put out with and without a corrupt hospital.
        touched, groups: Groups with a corrupt hospital, and all.
    """

    auroc: float
    oe: float
    missed: float
    stopped: str
    bad: int
    good: int
    touched: int
    groups: int
    bytes_moved: int


def run(
    study: Study,
    tables: Mapping[str, pl.DataFrame],
    *,
    seed: int,
    attack: Kind | None = None,
    share: float = 0.0,
    settings: Robust | None = None,
    network: str = "logistic",
    rounds: int = 12,
    work: Work = WORK,
) -> Outcome:
    """Train under an attack; who is corrupt, who is in which group and who is in which split follow `seed`.

    Args:
        settings: None trains by one sum over all, as plain federated averaging does.
    """
    parts = splits(tables, study, seed)
    names = tuple(sorted(parts))
    count = round(share * len(names)) if attack is not None else 0
    corrupt = frozenset(np.random.default_rng([seed, 9]).permutation(names)[:count].tolist())
    entropy = UnsafeEntropy(f"robustness-{seed}")
    if seed not in _HONEST:
        _HONEST.clear()
        _HONEST[seed] = plain_sites(study, parts, entropy=entropy, seed=seed)
    sites = {name: replace(site, kept={}, own={}) for name, site in _HONEST[seed].items()}
    for name in sorted(corrupt):
        table = parts[name]["train"]
        if attack in ("label-flip", "replacement"):
            table = flipped(table)
        elif attack == "backdoor":
            table = backdoored(table, TRIGGER)
        sites[name].parts = {**sites[name].parts, "train": part_of(study, table)}
    plain = Plain(study=study, sites=sites, entropy=entropy)
    gather = None if settings is None else robust_gather(study, settings, coin=f"coin-{seed}")
    if attack is not None and corrupt:
        plain.altered = _hostile(plain, attack, corrupt, names, gather)
    steps = train(
        study=study,
        sites=names,
        network=network,
        algorithm=replace(ALGORITHMS["fedavg"], work=work),
        rounds=rounds,
        gather=gather,
        tune_every=None,
    )
    stopped, moved, p, x, y = "", 0, np.zeros(0), *_locked(study, parts)
    try:
        trained = plain.drive(steps if gather is None else trusted(steps, gather))
        p, moved = expit(logits(trained.model.architecture, trained.model.vector, x[:, 1:])), trained.bytes_moved
    except Stopped as stop:
        stopped = next(one.kind for one in stop.alarms if one.stops)
    groups = () if gather is None else gather.groups
    out = () if gather is None else tuple(gather.out)
    names_of = [column.name for column in design_columns(study.features)]
    rare = x[:, names_of.index("consciousness=unconscious")] == 1
    return Outcome(
        auroc=float("nan") if stopped else auroc(y, p).value,
        oe=float("nan") if stopped else float(np.sum(y) / np.sum(p)),
        missed=float("nan") if stopped else float(np.mean(p[rare & (y == 1)] < 0.5)),
        stopped=stopped,
        bad=sum(bool(corrupt & set(group)) for group in out),
        good=sum(not corrupt & set(group) for group in out),
        touched=sum(bool(corrupt & set(group)) for group in groups),
        groups=len(groups),
        bytes_moved=moved,
    )


def pooled(study: Study, tables: Mapping[str, pl.DataFrame], *, seed: int) -> float:
    """Return the AUROC of a logistic regression of all training persons in one place, on all locked persons."""
    parts = splits(tables, study, seed)
    train_x, train_y = _locked(study, parts, "train")
    x, y = _locked(study, parts)
    return auroc(y, x @ fit(train_x, train_y, ridge=study.model.ridge)).value


def _locked(
    study: Study, parts: Mapping[str, Mapping[SplitName, pl.DataFrame]], split: SplitName = "locked_test"
) -> tuple[Vector, Vector]:
    whole = pl.concat([parts[site][split] for site in sorted(parts)])
    return design_matrix(study.features, whole), labels(whole)


def _hostile(
    plain: Plain, attack: Kind, corrupt: frozenset[str], names: tuple[str, ...], gather: RobustGather | None
) -> Hostile:
    def honest(site: str, ask: Ask) -> Bounded:
        from wardgate.computations.network_update import NetworkUpdate

        asked = NetworkUpdate.read(ask.parameters, dict(ask.arrays))
        return ANSWERS[ask.computation].answer(asked, bench=plain.sites[site], split=ask.split)

    def groups() -> tuple[tuple[str, ...], ...]:
        return () if gather is None else tuple(one for one in gather.groups if one not in gather.out)

    return Hostile(kind=attack, corrupt=corrupt, sites=names, honest=honest, groups=groups)
