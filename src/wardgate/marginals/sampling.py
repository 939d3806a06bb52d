"""Rows from a model: exact conditional sampling on a forest, then the study's rules. Free of privacy cost."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.domain import Codes, Column, Domain, decode
from wardgate.marginals.drawing import systematic
from wardgate.marginals.tree.model import Node, TreeModel
from wardgate.measures.encoding import LABEL
from wardgate.measures.study_rules import rule_breakers
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature

Value = str | float | int | None | tuple[float, float]
Where = Mapping[str, Value]
"""Conditions on columns: a category, a number, None for missing, or (low, high) with both ends."""

MOST_DRAWN = 200
"""Rows that are drawn at most for each one that is asked for and keeps the study's rules."""

LEAST_DRAWN = 100_000
"""So many rows are drawn at least before it is said that too few keep the rules."""

MOST_AT_ONCE = 500_000


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
    evidence, limits = evidence_of(model.domain, conditions)
    label, upward = _messages(model, evidence)

    def draw(count: int) -> pl.DataFrame:
        return _draw(model, count, label, upward, evidence, limits, rng)

    return keep_rules(draw, rows, rules=model.rules, features=model.domain.declared, rng=rng)


def chance(model: TreeModel, where: Where) -> float:
    """Return the share of the model's persons who meet the conditions, before the study's rules.

    Raises:
        Invalid: a condition names an unknown column or value.
    """
    evidence, _ = evidence_of(model.domain, dict(where))
    return float(_upward(model, evidence)[0].sum())


def keep_rules(
    draw: Callable[[int], pl.DataFrame],
    rows: int,
    *,
    rules: Sequence[ClinicalRule],
    features: Sequence[Feature],
    rng: np.random.Generator,
) -> pl.DataFrame:
    """Draw again, in batches that grow, until enough rows keep the rules; none is repeated to make up for others.

    Args:
        rng: Chooses which rows of the last batch are left out.

    Raises:
        Invalid: too few rows keep the rules after `MOST_DRAWN` a row and at least `LEAST_DRAWN`; the message names
            the rule that fewest keep.
    """
    table = draw(rows)
    if not rules or not rows:
        return table
    limit = max(LEAST_DRAWN, MOST_DRAWN * rows)
    good = table.filter(~rule_breakers(rules, features, table))
    kept, have, drawn = [good], good.height, rows
    while have < rows and drawn < limit:
        wanted = 1.1 * (rows - have) * drawn / max(have, 1)
        batch = min(max(round(wanted), 1_000), MOST_AT_ONCE, limit - drawn)
        table = draw(batch)
        good = table.filter(~rule_breakers(rules, features, table))
        kept.append(good)
        have, drawn = have + good.height, drawn + batch
    if have < rows:
        raise Invalid(_why_so_few(rules, features, table, have=have, drawn=drawn, rows=rows))
    surplus = kept[-1]
    chosen = np.sort(rng.permutation(surplus.height)[: surplus.height - (have - rows)])
    return pl.concat([*kept[:-1], surplus[chosen]])


def _why_so_few(
    rules: Sequence[ClinicalRule], features: Sequence[Feature], table: pl.DataFrame, *, have: int, drawn: int, rows: int
) -> str:
    """Say which rule fewest rows keep, and what to do."""
    shares = {rule.name: float(np.mean(~rule_breakers((rule,), features, table))) for rule in rules}
    worst = min(shares, key=lambda name: shares[name])
    found = "no" if have == 0 else f"only {have} of the {rows} rows asked for, of {drawn} drawn,"
    hint = "no row keeps that rule" if shares[worst] == 0 else f"{shares[worst]:.2%} of rows keep that rule alone"
    return (
        f"{found} sampled row keeps the study's clinical rules, '{worst}' least of all: {hint}; it contradicts the "
        "data, the conditions or another rule. Correct the rule, or ask for fewer rows"
    )


def evidence_of(domain: Domain, where: Where) -> tuple[list[NDArray[np.float64]], dict[int, tuple[float, float]]]:
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
    """Draw one entry of the last axis for every row, by the weights of its label and parent."""
    return systematic(weights.reshape(-1, weights.shape[-1]), outcome * weights.shape[1] + above, rng=rng)
