"""A small study with networks, made-up tables for it, and an oracle of one hidden layer in plain numpy."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from smallest import STUDY

from wardgate.entropy import UnsafeEntropy
from wardgate.federation.plain import Plain, plain_sites
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.records.study_file import parse

if find_spec("torch") is not None:
    import torch

    torch.set_num_threads(1)  # small networks: threads would only wait for each other

SITES = [f"h{place}" for place in range(6)]

NETWORKS = """\
networks:
  small:
    schema: wardgate/network/1
    inputs: 3
    layers: [{kind: linear, units: 4}, {kind: activation, how: tanh}, {kind: linear, units: 1}]
    seed: 3
  norms:
    schema: wardgate/network/1
    inputs: 3
    layers: [{kind: linear, units: 4}, {kind: batch_norm}, {kind: activation, how: tanh}, {kind: linear, units: 1}]
    seed: 4
"""
ANALYSES = "network_update, network_gradient, model_scores"


def study_text(*, more: str = "", analyses: str = ANALYSES, networks: str = NETWORKS, sites: int = len(SITES)) -> str:
    """The study as YAML."""
    return (
        STUDY.replace("SITES", ", ".join(f"h{place}" for place in range(sites)))
        + f"analyses: [{analyses}]\n{networks}{more}"
    )


def study_of(**changes: Any) -> Study:
    """The locked study."""
    return parse(study_text(**changes), name="study.yaml")


def table(persons: int, *seed: int, label: int | None = None) -> pl.DataFrame:
    """Made-up persons; all of one class where `label` says so."""
    rng = np.random.default_rng(list(seed))
    age, marker = rng.integers(20, 95, persons).astype(float), np.round(rng.uniform(0, 200, persons), 1)
    sex = rng.choice(["female", "male"], persons)
    logit = -0.6 + 0.03 * (age - 60) + 0.02 * (marker - 100) + 0.4 * (sex == "male")
    worse = (rng.random(persons) < 1 / (1 + np.exp(-logit))).astype(np.int8)
    if label is not None:
        worse[:] = label
    return pl.DataFrame({"age": age, "marker": marker, "sex": sex, "label": worse})


def tables(**odd: pl.DataFrame) -> dict[str, dict[SplitName, pl.DataFrame]]:
    """Every site's persons by split, sizes unequal; `odd` replaces the training persons of some."""
    found: dict[str, dict[SplitName, pl.DataFrame]] = {}
    for place, site in enumerate(SITES):
        train = odd.get(site, table(60 + 15 * place, 1, place))
        found[site] = {"train": train, "tuning": table(40, 2, place), "holdout": table(100, 3, place)}
    return found


def plain_of(study: Study, found: Mapping[str, Mapping[SplitName, pl.DataFrame]] | None = None) -> Plain:
    """Tables in the open, with repeatable noise."""
    entropy = UnsafeEntropy("made-networks")
    return Plain(study=study, sites=plain_sites(study, found or tables(), entropy=entropy), entropy=entropy)


def one_step(weights: NDArray[np.float64], x: Any, y: Any, *, rate: float) -> NDArray[np.float64]:
    """The network `small` after one step of gradient descent on the mean logistic loss."""
    w, b, v, c = weights[:12].reshape(4, 3), weights[12:16], weights[16:20], weights[20]
    hidden = np.tanh(x @ w.T + b)
    slope = (1 / (1 + np.exp(-(hidden @ v + c))) - y) / len(y)
    back = slope[:, None] * v * (1 - hidden**2)
    gradient = np.concatenate([(back.T @ x).ravel(), back.sum(axis=0), hidden.T @ slope, [slope.sum()]])
    return np.asarray(weights - rate * gradient)
