"""Fifteen made-up hospitals that differ, a study whose network they train, and attackers among them."""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray
from smallest import STUDY

from wardgate.computations.network_update import NetworkUpdate
from wardgate.entropy import UnsafeEntropy
from wardgate.federation.plain import Plain, plain_sites
from wardgate.hospital.ward.learning.menu import ANSWERS
from wardgate.hub.pooling.ask import Ask
from wardgate.hub.pooling.networks.algorithms import ALGORITHMS, Algorithm
from wardgate.hub.pooling.networks.robust import Robust, RobustGather, robust_gather
from wardgate.hub.pooling.networks.rounds import Trained, train
from wardgate.hub.pooling.networks.trusted import trusted
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.layers.forward import logits
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.attacks import Hostile, Kind, backdoored, flipped
from wardgate.sums.shape import Bounded

SITES = tuple(f"h{place:02d}" for place in range(15))
ANALYSES = "network_update, network_votes, model_scores"
NETWORKS = """\
networks:
  line:
    schema: wardgate/network/1
    inputs: 4
    layers: [{kind: linear, units: 1}]
    seed: 3
  norms:
    schema: wardgate/network/1
    inputs: 4
    layers: [{kind: linear, units: 3}, {kind: group_norm}, {kind: activation, how: tanh}, {kind: linear, units: 1}]
    seed: 3
"""
TRIGGER = pl.col("frail") == 1
ROUNDS = 6


def study_text(*, analyses: str = ANALYSES, sites: tuple[str, ...] = SITES) -> str:
    """The study as YAML; `frail` marks a rare subgroup."""
    text = STUDY.replace("SITES", ", ".join(sites)).replace("subgroups: [", "subgroups: [{feature: frail}, ")
    frail = "  - {name: frail, type: boolean, missing: refused}\n"
    text = text.replace("subgroups:", f"{frail}subgroups:")
    return f"{text}analyses: [{analyses}]\n{NETWORKS}"


def study_of(**changes: object) -> Study:
    """The locked study."""
    return parse(study_text(**changes), name="study.yaml")  # type: ignore[arg-type]


def table(persons: int, *seed: int) -> pl.DataFrame:
    """Made-up persons of one hospital, whose outcomes are more or less frequent than elsewhere."""
    rng, shift = np.random.default_rng(list(seed)), 0.4 * np.sin(seed[-1])
    age, marker = rng.integers(20, 95, persons).astype(float), np.round(rng.uniform(0, 200, persons), 1)
    sex, frail = rng.choice(["female", "male"], persons), (rng.random(persons) < 0.06).astype(float)
    logit = shift + 0.04 * (age - 60) + 0.02 * (marker - 100) + 0.4 * (sex == "male") + 3.0 * frail
    worse = (rng.random(persons) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    return pl.DataFrame({"age": age, "marker": marker, "sex": sex, "frail": frail, "label": worse})


def tables() -> dict[str, dict[SplitName, pl.DataFrame]]:
    """Every hospital's persons by split."""
    return {
        site: {"train": table(80 + 10 * place, 1, place), "tuning": table(30, 2, place), "holdout": table(80, 3, place)}
        for place, site in enumerate(SITES)
    }


def algorithm(**work: object) -> Algorithm:
    """FedAvg with few, large steps."""
    plain: dict[str, object] = {"steps": 8, "batch": 1_000_000, "rate": 1.0}
    return ALGORITHMS["fedavg"].working(**(plain | work))


def plain_of(study: Study, found: Mapping[str, Mapping[SplitName, pl.DataFrame]]) -> Plain:
    """Tables in the open."""
    entropy = UnsafeEntropy("made-robust")
    return Plain(study=study, sites=plain_sites(study, found, entropy=entropy), entropy=entropy)


def attacked(
    study: Study, kind: Kind | None, corrupt: tuple[str, ...], gather: RobustGather | None, **hostile: object
) -> Plain:
    """Hospitals of which some are hostile."""
    found = tables()
    for site in corrupt:
        if kind in ("label-flip", "replacement"):
            found[site]["train"] = flipped(found[site]["train"])
        elif kind == "backdoor":
            found[site]["train"] = backdoored(found[site]["train"], TRIGGER)
    plain = plain_of(study, found)

    def honest(site: str, ask: Ask) -> Bounded:
        asked = NetworkUpdate.read(ask.parameters, dict(ask.arrays))
        return ANSWERS[ask.computation].answer(asked, bench=plain.sites[site], split=ask.split)

    def groups() -> tuple[tuple[str, ...], ...]:
        return () if gather is None else tuple(one for one in gather.groups if one not in gather.out)

    if kind is not None:
        plain.altered = Hostile(
            kind=kind,
            corrupt=frozenset(corrupt),
            sites=SITES,
            honest=honest,
            groups=groups,
            **hostile,  # type: ignore[arg-type]
        )
    return plain


def trained(
    study: Study,
    kind: Kind | None = None,
    *,
    corrupt: tuple[str, ...] = (),
    settings: Robust | None = None,
    gather: RobustGather | None = None,
    rounds: int = ROUNDS,
    **hostile: object,
) -> Trained:
    """Train under an attack; `settings` protect, without them it is plain federated averaging."""
    if settings is not None:
        gather = robust_gather(study, settings)
    plain = attacked(study, kind, corrupt, gather, **hostile)
    steps = train(
        study=study,
        sites=SITES,
        network="line",
        algorithm=algorithm(),
        rounds=rounds,
        gather=gather,
        tune_every=None,
    )
    return plain.drive(steps if gather is None else trusted(steps, gather))


def fresh(study: Study) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Persons whom nobody trained on, all hospitals together."""
    whole = pl.concat([table(200, 4, place) for place in range(len(SITES))])
    return design_matrix(study.features, whole)[:, 1:], labels(whole)


def loss(study: Study, vector: NDArray[np.float64]) -> float:
    """Mean log-loss of fresh persons."""
    x, y = fresh(study)
    found = logits(study.networks["line"], vector, x)
    return float(np.mean(np.logaddexp(0, np.where(y > 0, -found, found))))


def missed(study: Study, vector: NDArray[np.float64]) -> float:
    """Share of frail persons with the outcome who are told that they will not have it."""
    x, y = fresh(study)
    names = [feature.name for feature in study.features]
    frail = (x[:, names.index("frail")] == x[:, names.index("frail")].max()) & (y > 0)
    return float(np.mean(logits(study.networks["line"], vector, x)[frail] < 0))
