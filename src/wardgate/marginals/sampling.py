"""Rows from a model: exact conditional sampling on a forest, then the study's rules. Free of privacy cost."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.domain import Codes, Column, Domain, decode
from wardgate.marginals.model import Node, TreeModel
from wardgate.measures.encoding import LABEL
from wardgate.measures.study_rules import rule_breakers
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature

Value = str | float | int | None | tuple[float, float]
Where = Mapping[str, Value]
"""Conditions on columns: a category, a number, None for missing, or (low, high) with both ends."""

TRIES = 20


def sample(model: TreeModel, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
    """Draw rows in the table form of `measures.encoding`, with the label.

    Args:
        where: Draw from the model given these conditions, e.g. {"sex": "F", "label": 1}.

    Raises:
        Invalid: a condition names an unknown column or value, the model gives it no chance, or no row keeps
            the study's rules.
    """
    if rows < 0:
        raise Invalid(f"expected a number of rows from 0 up, found {rows}")
    conditions = dict(where or {})
    evidence, limits = _evidence(model.domain, conditions)
    label, upward = _messages(model, evidence)

    def draw(count: int) -> pl.DataFrame:
        return _draw(model, count, label, upward, evidence, limits, rng)

    return keep_rules(draw, rows, rules=model.rules, features=model.domain.declared, rng=rng)


def chance(model: TreeModel, where: Where) -> float:
    """Return the share of the model's persons who meet the conditions, before the study's rules.

    Raises:
        Invalid: a condition names an unknown column or value.
    """
    evidence, _ = _evidence(model.domain, dict(where))
    return float(_upward(model, evidence)[0].sum())


def keep_rules(
    draw: Callable[[int], pl.DataFrame],
    rows: int,
    *,
    rules: Sequence[ClinicalRule],
    features: Sequence[Feature],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Draw until all rows keep the rules; after a bounded number of tries, repeat rows that do.

    Raises:
        Invalid: no row kept the rules.
    """
    table = draw(rows)
    for _ in range(TRIES):
        broken = rule_breakers(rules, features, table)
        if not broken.any():
            return table
        table = pl.concat([table.filter(~broken), draw(int(broken.sum()))])
    good = table.filter(~rule_breakers(rules, features, table))
    if good.is_empty():
        raise Invalid("no sampled row keeps the study's clinical rules; they contradict the data or each other")
    return pl.concat([good, good[rng.integers(good.height, size=rows - good.height)]])


def _evidence(domain: Domain, where: Where) -> tuple[list[NDArray[np.float64]], dict[int, tuple[float, float]]]:
    """Return how likely each cell meets its condition, column by column, and the limits of numbers."""
    evidence = [np.ones(column.size) for column in domain.columns]
    limits: dict[int, tuple[float, float]] = {}
    for name, value in where.items():
        position = domain.index(name)
        column = domain.columns[position]
        if value is None:
            if not column.missing:
                raise Invalid(f"'{name}' is never missing in this study")
            evidence[position] = (np.arange(column.size) == column.present).astype(np.float64)
        elif column.kind == "nominal":
            evidence[position] = _nominal(column, value)
        else:
            low, high = _interval(column, value)
            limits[position] = (low, high)
            evidence[position] = _overlap(column, low, high)
    return evidence, limits


def _nominal(column: Column, value: Value) -> NDArray[np.float64]:
    wanted = float(value) if isinstance(value, int | float) else value
    if wanted not in column.values:
        raise Invalid(f"a condition on '{column.name}' asks for a value that the study does not name")
    return np.array([float(known == wanted) for known in column.values] + [0.0] * int(column.missing))


def _interval(column: Column, value: Value) -> tuple[float, float]:
    low, high = value if isinstance(value, tuple) else (value, value)
    if not isinstance(low, int | float) or not isinstance(high, int | float) or not low <= high:
        raise Invalid(f"a condition on '{column.name}' needs a number or (low, high) with low <= high")
    return float(low), float(high)


def _overlap(column: Column, low: float, high: float) -> NDArray[np.float64]:
    edges = np.asarray(column.edges)
    if column.kind == "integer":
        held = np.minimum(edges[1:] - 1, np.floor(high)) - np.maximum(edges[:-1], np.ceil(low)) + 1
        share = np.clip(held, 0, None) / np.diff(edges)
    else:
        inside = np.minimum(edges[1:], high) - np.maximum(edges[:-1], low)
        share = np.clip(inside, 0, None) / np.diff(edges)
        if low == high:
            share = ((edges[:-1] <= low) & (low <= edges[1:])).astype(np.float64)
    return np.append(share, 0.0) if column.missing else share


def _messages(
    model: TreeModel, evidence: list[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]:
    """Return P(label | evidence), and for each column how likely the evidence below is, shape (2, groups)."""
    label, upward = _upward(model, evidence)
    if not label.sum() > 0:
        raise Invalid("nobody in the model meets these conditions")
    return label / label.sum(), upward


def _upward(
    model: TreeModel, evidence: list[NDArray[np.float64]]
) -> tuple[NDArray[np.float64], dict[int, NDArray[np.float64]]]:
    """Pass the evidence from the leaves to the label.

    Returns:
        P(label and evidence), and for each column how likely the evidence below is, shape (2, groups).
    """
    upward: dict[int, NDArray[np.float64]] = {}
    label = model.label * evidence[-1]
    for node in model.nodes:
        upward[node.column] = node.cells @ evidence[node.column]
    for node in reversed(model.nodes):
        message = np.einsum("ypg,yg->yp", node.table, upward[node.column])
        if node.parent < 0:
            label = label * message[:, 0]
        else:
            upward[node.parent] = upward[node.parent] * message
    return label, upward


def _draw(
    model: TreeModel,
    rows: int,
    label: NDArray[np.float64],
    upward: dict[int, NDArray[np.float64]],
    evidence: list[NDArray[np.float64]],
    limits: dict[int, tuple[float, float]],
    rng: np.random.Generator,
) -> pl.DataFrame:
    domain = model.domain
    outcome = ((rng.permutation(rows) + rng.random()) < rows * label[1]).astype(np.int64)
    state: dict[int, NDArray[np.int64]] = {}
    drawn: dict[int, pl.Series] = {}
    for node in model.nodes:
        above = state[node.parent] if node.parent >= 0 else np.zeros(rows, dtype=np.int64)
        group = _pick(node.table * upward[node.column][:, None, :], outcome, above, rng)
        state[node.column] = group
        cell = _cell(node, outcome, group, evidence[node.column], rng)
        low, high = limits.get(node.column, (-np.inf, np.inf))
        drawn[node.column] = decode(domain.columns[node.column], cell, rng=rng, low=low, high=high)
    columns = [drawn[position] for position in range(domain.features)]
    return pl.DataFrame([*columns, pl.Series(LABEL, outcome, dtype=pl.Int8)])


def _cell(
    node: Node,
    outcome: NDArray[np.int64],
    group: NDArray[np.int64],
    evidence: NDArray[np.float64],
    rng: np.random.Generator,
) -> Codes:
    return _pick(node.cells * evidence, outcome, group, rng).astype(np.int32)


def _pick(
    weights: NDArray[np.float64], outcome: NDArray[np.int64], above: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw one entry of the last axis for every row, by the weights of its label and parent.

    Rows of one label and parent share one systematic sample: every entry gets its expected number of rows,
    rounded up or down, in random order. That spares the corpus the noise of drawing row by row.
    """
    steps = np.cumsum(weights, axis=-1)
    steps = steps / np.where(steps[..., -1:] > 0, steps[..., -1:], 1.0)
    found = np.zeros(len(outcome), dtype=np.int64)
    place = outcome * steps.shape[1] + above
    for at in np.unique(place):
        here = np.flatnonzero(place == at)
        line = steps[at // steps.shape[1], at % steps.shape[1]]
        point = (rng.permutation(len(here)) + rng.random()) / len(here)
        found[here] = np.minimum(np.searchsorted(line, point, side="right"), len(line) - 1)
    return found
