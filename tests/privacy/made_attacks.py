"""A study for attacks on networks, and the attacks. The hub is the adversary: it picks the weights and sees the answer.

Rows are those of the study's design without the intercept: columns of numbers in [-1, 1], and 0 or 1 for categories.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loose_gate import GATE
from wardgate.entropy import UnsafeEntropy
from wardgate.federation.plain import Plain, plain_sites
from wardgate.measures.encoding import design_columns
from wardgate.measures.layers.mlp import mlp
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import Vector, tensors
from wardgate.networks.federated.build import load_vector, module_of, slots
from wardgate.records.network import Architecture
from wardgate.records.study import Study
from wardgate.records.study_file import parse

torch.set_num_threads(1)

Rows = NDArray[np.float64]

SITES = ("h0", "h1", "h2")
NUMBERS = ("age", "pressure", "sugar", "height")
CATEGORIES = {"ward": 5, "smoking": 3, "origin": 4, "treated": 2, "sex": 2, "stage": 4}

STUDY = """\
schema: wardgate/study/1
id: attacked
version: 1
title: A network under attack
question: Who gets worse?
cohort: {entry: admitted}
index_date: admission
label: {name: worse, meaning: worse within a week, window_days: [0, 7]}
features:
FEATURES
acceptance: {auroc_min: 0.55, worst_site_auroc_min: 0.3, oe: [0.2, 5], slope: [0.1, 5], subgroup_gap_max: 0.5}
GATE
sites: [h0, h1, h2]
analyses: [network_update, network_gradient]
"""


def study_of(**networks: Architecture) -> Study:
    """A study that locks networks."""
    lines = [f"  - {{name: {name}, type: number, unit: '1', range: [-1, 1], missing: refused}}" for name in NUMBERS] + [
        f"  - {{name: {name}, type: category, values: [{', '.join(f'v{i}' for i in range(count))}], missing: refused}}"
        for name, count in CATEGORIES.items()
    ]
    text = STUDY.replace("FEATURES", "\n".join(lines)).replace("GATE\n", GATE)
    plain = parse(text, name="study.yaml").plain()
    return Study.from_plain(plain | {"networks": {name: one.plain() for name, one in networks.items()}})


COLUMNS = len(NUMBERS) + sum(count - 1 for count in CATEGORIES.values())


def persons(count: int, *seed: int) -> pl.DataFrame:
    """Made-up persons; categories are as uneven as in life."""
    rng = np.random.default_rng(list(seed))
    columns: dict[str, Any] = {name: np.round(np.clip(rng.normal(0, 0.45, count), -1, 1), 3) for name in NUMBERS}
    for name, kinds in CATEGORIES.items():
        share = 0.55 ** np.arange(kinds)
        columns[name] = [f"v{i}" for i in rng.choice(kinds, count, p=share / share.sum())]
    odds = -0.5 + 1.5 * columns["age"] + 0.8 * (np.array(columns["ward"]) == "v1")
    columns["label"] = (rng.random(count) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    return pl.DataFrame(columns, schema_overrides={"label": pl.Int8})


def plain_of(study: Study, **tables: pl.DataFrame) -> Plain:
    """Three hospitals whose tables lie in the open."""
    entropy = UnsafeEntropy("attacks")
    sites = plain_sites(study, {site: {"train": table} for site, table in tables.items()}, entropy=entropy)
    return Plain(study=study, sites=sites, entropy=entropy)


def blocks(study: Study) -> list[slice]:
    """Where each feature's columns lie in a row."""
    found: dict[str, list[int]] = {}
    for place, column in enumerate(design_columns(study.features)[1:]):
        found.setdefault(column.feature, []).append(place)
    return [slice(inside[0], inside[-1] + 1) for inside in found.values()]


def set_(architecture: Architecture, **values: Any) -> Vector:
    """The start weights with the named tensors set; `t0_weight` for '0.weight'."""
    vector = start(architecture)
    for name, value in values.items():
        tensor = next(one for one in tensors(architecture) if one.name == name[1:].replace("_", "."))
        vector[tensor.place] = np.broadcast_to(value, tensor.shape).ravel()
    return vector


def imprint(units: int, *, spread: float = 0.0) -> tuple[Architecture, Vector]:
    """Robbing the Fed: every unit looks along one direction, and each next one starts a little further on."""
    made = mlp(COLUMNS, (units,))
    rng = np.random.default_rng(7)
    direction = rng.normal(size=COLUMNS) / np.sqrt(COLUMNS)
    public = rng.normal(size=(4000, COLUMNS)) * 0.5 @ direction
    steps = np.quantile(public, (np.arange(units) + 0.5) / units) + float(np.mean(direction) * 4)
    weights = direction + spread * rng.normal(size=(units, COLUMNS)) / np.sqrt(COLUMNS)
    return made, set_(made, t0_weight=weights, t0_bias=-steps, t2_weight=1.0 / units)


def read_imprint(architecture: Architecture, change: Vector) -> Rows:
    """Rows out of an imprint's update: differences of neighbouring units, over differences of their biases."""
    named = {one.name: one.of(change) for one in tensors(architecture)}
    weights, biases = np.diff(named["0.weight"], axis=0), np.diff(named["0.bias"])
    return weights[np.abs(biases) > 1e-9] / biases[np.abs(biases) > 1e-9, None]


def recovered(truth: Rows, guessed: Rows, *, within: float = 0.01) -> int:
    """How many persons stand among the guesses, every column of them."""
    if not len(guessed):
        return 0
    return sum(bool((np.abs(guessed - row).max(axis=1) < within).any()) for row in truth)


@dataclass(frozen=True, slots=True)
class Cells:
    """Shares of cells of persons that a guess has right, persons matched to guesses as well as it goes."""

    categories: float
    numbers: float

    @property
    def all(self) -> float:
        """Over all features alike."""
        return (len(CATEGORIES) * self.categories + len(NUMBERS) * self.numbers) / (len(CATEGORIES) + len(NUMBERS))


def cells(study: Study, truth: Rows, guessed: Rows) -> Cells:
    """Compare rows; a number counts as right within a tenth of its half range."""
    right = []
    for block in blocks(study):
        one, other = truth[:, None, block], guessed[None, :, block]
        if block.stop - block.start == 1 and set(np.unique(truth[:, block])) - {0.0, 1.0}:
            right.append(np.abs(one - other)[:, :, 0] < 0.1)
        else:
            kinds = [np.column_stack([0.5 * np.ones(len(x)), x[:, block]]).argmax(axis=1) for x in (truth, guessed)]
            right.append(kinds[0][:, None] == kinds[1][None])
    agree = np.stack(right)
    rows, columns = linear_sum_assignment(-agree.sum(axis=0))
    matched = agree[:, rows, columns].mean(axis=1)
    return Cells(
        categories=float(matched[len(NUMBERS) :].mean()),
        numbers=float(matched[: len(NUMBERS)].mean()),
    )


def invert(
    study: Study,
    architecture: Architecture,
    weights: Vector,
    gradient: Vector,
    labels: NDArray[np.int8],
    *,
    rng: np.random.Generator,
    steps: int = 500,
    tries: int = 2,
) -> Rows:
    """TabLeak: rows whose mean gradient points where the seen one does; categories are softmaxes until the end.

    The adversary is told the labels, which is more than it has.
    """
    module = module_of(architecture, double=True).eval()
    load_vector(module, architecture, weights)
    learnt = [slot for _, slot in slots(module)]
    wanted = torch.from_numpy(gradient / np.linalg.norm(gradient))
    y = torch.from_numpy(labels.astype(np.float64))
    places = blocks(study)
    best: tuple[float, Rows] = (np.inf, np.zeros((len(labels), architecture.inputs)))
    for _ in range(tries):
        sizes = [1 if place < len(NUMBERS) else 1 + block.stop - block.start for place, block in enumerate(places)]
        raw = [torch.from_numpy(rng.normal(0, 0.3, (len(labels), size))).requires_grad_() for size in sizes]
        optimiser = torch.optim.Adam(raw, lr=0.1)
        slower = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)

        def rows(raw: list[Tensor] = raw) -> Tensor:
            parts = [
                torch.tanh(one) if place < len(NUMBERS) else one.softmax(1)[:, 1:] for place, one in enumerate(raw)
            ]
            return torch.cat(parts, dim=1)

        for _ in range(steps):
            optimiser.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(module(rows()), y)
            found = torch.cat([one.ravel() for one in torch.autograd.grad(loss, learnt, create_graph=True)])
            apart = 1 - (found @ wanted) / (found.norm() + 1e-12)
            apart.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            slower.step()
        if float(apart.detach()) < best[0]:
            best = float(apart.detach()), rows().detach().numpy()
    return best[1]


def guessed_from_marginals(study: Study, truth: Rows, *, rng: np.random.Generator, draws: int = 20) -> Cells:
    """What somebody has right who knows how often each value occurs, and no update."""
    pool = plain_of(study, h0=persons(2_000, 99)).sites["h0"].part("train").x[:, 1:]
    found = []
    for _ in range(draws):
        drawn = np.empty_like(truth)
        for block in blocks(study):
            drawn[:, block] = pool[rng.integers(len(pool), size=len(truth)), block]
        found.append(cells(study, truth, drawn))
    return Cells(
        categories=float(np.mean([one.categories for one in found])),
        numbers=float(np.mean([one.numbers for one in found])),
    )


def plain_gradient(architecture: Architecture, weights: Vector, x: Rows, y: NDArray[np.int8]) -> Vector:
    """One hospital's mean gradient as plain federated learning sends it: no check, no sum, no noise."""
    module = module_of(architecture, double=True).eval()
    load_vector(module, architecture, weights)
    odds = module(torch.from_numpy(x))
    torch.nn.functional.binary_cross_entropy_with_logits(odds, torch.from_numpy(y.astype(np.float64))).backward()
    return np.concatenate([slot.grad.numpy().ravel() for _, slot in slots(module) if slot.grad is not None])
