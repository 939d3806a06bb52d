"""The generator of the joint GAN: it starts where noisy marginals leave off, and learns from a critic.

It sees no patient and no noisy sum but those of the marginals, only a critic; everything here is post-processing.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.computations.critic import shown
from wardgate.marginals.domain import Domain, decode
from wardgate.marginals.sampling import Where, keep_rules
from wardgate.marginals.tree.links import Links
from wardgate.marginals.workload import Groups
from wardgate.measures.encoding import LABEL
from wardgate.measures.logistic import probability
from wardgate.measures.perceptron import Adam, Perceptron
from wardgate.measures.study_rules import rule_breakers
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule

Vector = NDArray[np.float64]
Matrix = NDArray[np.float64]
Whole = NDArray[np.int64]

NEVER = 1e-4
"""Least chance of a group at the start; what was never counted can still be learnt, and hardly ever is drawn."""

SMALLEST_DRAW = 1_000
LARGEST_DRAW = 50_000
TRIES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """Rows from noise and a label, group by group.

    The chance of a group is a softmax over its column of what the marginals beside the label say, plus what the network
    adds; at the start that is next to nothing, and columns are independent given the label.

    Attributes:
        domain, groups: Cells, and the groups in which they are drawn; the label is the last column.
        rules: Clinical rules that every sampled row keeps.
        label: Estimated persons with label 0 and 1, shape (2,).
        cells: For every feature, estimated persons in each of its cells.
        wanted: Logarithm of P(group | label) by the marginals, columns side by side, shape (2, groups).
        start: The same, moved so that with the network's part the rows keep `wanted`.
        network: From noise and the label to what is added.
        weights: Of the network.
    """

    domain: Domain
    groups: Groups
    rules: tuple[ClinicalRule, ...]
    label: Vector
    cells: tuple[Vector, ...]
    wanted: Matrix
    start: Matrix
    network: Perceptron
    weights: Vector

    @classmethod
    def of(
        cls,
        domain: Domain,
        links: Links,
        *,
        rules: tuple[ClinicalRule, ...],
        hidden: int,
        noise: int,
        rng: np.random.Generator,
    ) -> Self:
        """Return the generator that has learnt nothing yet.

        Args:
            hidden, noise: Hidden units and noise inputs of the network.
        """
        parts = []
        for table in links.tables:
            chances = np.maximum(table / np.maximum(table.sum(axis=0), 1e-9), NEVER)
            parts.append(np.log(chances / chances.sum(axis=0)).T)
        wanted = np.concatenate(parts, axis=1)
        network = Perceptron(widths=(noise + 2, hidden, wanted.shape[1]))
        return cls(
            domain=domain,
            groups=(*links.groups[:-1], (0, 1)),
            rules=rules,
            label=links.label,
            cells=links.cells,
            wanted=wanted,
            start=wanted,
            network=network,
            weights=network.start(rng=rng, last=0.1),
        )

    @property
    def sizes(self) -> tuple[int, ...]:
        """Groups of each feature."""
        return tuple(max(groups) + 1 for groups in self.groups[:-1])

    @property
    def firsts(self) -> Whole:
        """Where each feature's groups begin."""
        return np.cumsum((0, *self.sizes[:-1]))

    def labels(self, rows: int, *, rng: np.random.Generator) -> Whole:
        """Draw labels at their estimated share, rounded up or down, in random order."""
        share = self.label[1] / self.label.sum()
        return np.asarray((rng.permutation(rows) + rng.random()) < rows * share, dtype=np.int64)

    def entering(self, label: Whole, *, rng: np.random.Generator) -> Matrix:
        """Return what goes into the network: noise, then the label as two indicators."""
        noise = rng.standard_normal((len(label), self.network.widths[0] - 2))
        return np.concatenate([noise, np.eye(2)[label]], axis=1)

    def perturbed(self, label: Whole, outs: list[Matrix], *, rng: np.random.Generator) -> Matrix:
        """Return scores whose highest in a column is a draw from its softmax."""
        return self.start[label] + outs[-1] + rng.gumbel(size=outs[-1].shape)

    def highest(self, scores: Matrix) -> Whole:
        """Return the group of the highest score in each column, shape (n, features)."""
        columns = zip(self.firsts, self.sizes, strict=True)
        return np.column_stack([np.argmax(scores[:, at : at + size], axis=1) for at, size in columns])

    def soft(self, scores: Matrix) -> Matrix:
        """Return the softmax of each column."""
        peak = np.maximum.reduceat(scores, self.firsts, axis=1)
        found = np.exp(scores - np.repeat(peak, self.sizes, axis=1))
        return np.asarray(found / np.repeat(np.add.reduceat(found, self.firsts, axis=1), self.sizes, axis=1))

    def drawn(self, label: Whole, *, rng: np.random.Generator) -> Whole:
        """Draw groups for given labels, shape (n, features)."""
        outs = self.network.forward(self.weights, self.entering(label, rng=rng))
        return self.highest(self.perturbed(label, outs, rng=rng))

    def seen(self, groups: Whole, label: Whole) -> Matrix:
        """Return rows of groups as the critic sees them."""
        alone = tuple(tuple(range(size)) for size in (*self.sizes, 2))
        return shown(np.column_stack([groups, label]).astype(np.int32), alone)

    def keeping(self, groups: Whole, label: Whole, *, rng: np.random.Generator) -> NDArray[np.bool_]:
        """Say which rows keep the study's rules; others are never handed out, so they are no part of the contest."""
        if not self.rules:
            return np.ones(len(label), dtype=np.bool_)
        ruled = {name for rule in self.rules for name in (rule.left, rule.right, *rule.when)}
        table = self._table(groups, label, rng=rng, only=ruled)
        return np.asarray(~rule_breakers(self.rules, self.domain.declared, table))

    def sample(self, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw rows in the table form of `measures.encoding`, with the label.

        Args:
            where: Conditions on columns; a label is drawn as asked, other conditions by drawing until they are met.

        Raises:
            Invalid: a negative number of rows, a condition on an unknown column, or conditions that hardly any drawn
                row meets.
        """
        if rows < 0:
            raise Invalid(f"expected a number of rows from 0 up, found {rows}")
        conditions = dict(where or {})
        for name in conditions:
            self.domain.index(name)
        label = conditions.pop(LABEL, None)
        if label is not None and label not in (0, 1):
            raise Invalid("a condition on the label asks for something else than 0 or 1")

        def draw(count: int) -> pl.DataFrame:
            given = self.labels(count, rng=rng) if label is None else np.full(count, int(label == 1))
            return self._table(self.drawn(given, rng=rng), given, rng=rng)

        def draw_met(count: int) -> pl.DataFrame:
            return _until_met(draw, count, conditions) if conditions else draw(count)

        return keep_rules(draw_met, rows, rules=self.rules, features=self.domain.declared, rng=rng)

    def _table(
        self, groups: Whole, label: Whole, *, rng: np.random.Generator, only: Collection[str] | None = None
    ) -> pl.DataFrame:
        """Return rows in table form: a cell inside each group by its share, a value inside each cell."""
        columns = []
        for place, column in enumerate(self.domain.columns[:-1]):
            if only is not None and column.name not in only:
                continue
            steps = np.cumsum(_inside(self.groups[place], self.cells[place]), axis=1)[groups[:, place]]
            cells = (steps <= rng.random((len(steps), 1)) * steps[:, -1:]).sum(axis=1).astype(np.int32)
            columns.append(decode(column, cells, rng=rng, low=-np.inf, high=np.inf))
        return pl.DataFrame([*columns, pl.Series(LABEL, label, dtype=pl.Int8)])


def _inside(groups: tuple[int, ...], cells: Vector) -> Matrix:
    """Return the weight of each cell in each group; a group that nobody was counted in is even."""
    member = np.asarray(groups)[None, :] == np.arange(max(groups) + 1)[:, None]
    weight = member * cells
    return np.asarray(np.where(weight.sum(axis=1, keepdims=True) > 0, weight, member), dtype=np.float64)


def _until_met(draw: Callable[[int], pl.DataFrame], rows: int, where: Where) -> pl.DataFrame:
    """Draw until so many rows meet the conditions.

    Raises:
        Invalid: after a bounded number of draws they do not.
    """
    found, held, drawn = [draw(0)], 0, 0
    for _ in range(TRIES):
        if held >= rows:
            return pl.concat(found).head(rows)
        wanted = (rows - held) * (drawn / held if held else 4.0) * 1.1
        more = draw(int(np.clip(wanted, SMALLEST_DRAW, LARGEST_DRAW)))
        drawn += more.height
        found.append(more.filter(_met(where)))
        held += found[-1].height
    raise Invalid(
        f"of {drawn} drawn rows {held} meet these conditions, {rows} were asked for; ask for fewer, or widen"
        " a condition to a range (low, high)"
    )


def _met(where: Where) -> pl.Expr:
    every = pl.lit(True)
    for name, value in where.items():
        column = pl.col(name)
        if value is None:
            every = every & column.is_null()
        elif isinstance(value, tuple):
            every = every & column.is_between(*value)
        else:
            every = every & (column == value)
    return every.fill_null(False)


def taught(
    generator: Generator,
    critic: Perceptron,
    weights: Vector,
    *,
    adam: Adam,
    batch: int,
    rng: np.random.Generator,
) -> Generator:
    """Return the generator after one step towards rows that the critic takes for real.

    Rows are drawn as whole groups, as the critic sees persons; the slope goes through the softmax that they were drawn
    from.

    Reference: Jang, Gu, Poole (2017), Categorical Reparameterization with Gumbel-Softmax, arXiv:1611.01144.
    """
    label = generator.labels(batch, rng=rng)
    outs = generator.network.forward(generator.weights, generator.entering(label, rng=rng))
    scores = generator.perturbed(label, outs, rng=rng)
    groups = generator.highest(scores)
    judged = critic.forward(weights, generator.seen(groups, label))
    kept = generator.keeping(groups, label, rng=rng)[:, None]
    _, slope = critic.backward(weights, judged, -probability(-judged[-1]) * kept / max(1, kept.sum()))
    slope, soft = slope[:, : scores.shape[1]], generator.soft(scores)
    mean = np.add.reduceat(soft * slope, generator.firsts, axis=1)
    slope = soft * (slope - np.repeat(mean, generator.sizes, axis=1))
    gradient, _ = generator.network.backward(generator.weights, outs, slope)
    return replace(generator, weights=adam.step(generator.weights, gradient))


def balanced(generator: Generator, *, rows: int, step: float, rng: np.random.Generator) -> Generator:
    """Return the generator with its start moved so that columns beside the label keep what the marginals say of them.

    Args:
        rows: Drawn for each label to see how far off it is.
        step: 1 closes the gap as far as one step can, less goes part of the way.
    """
    start = generator.start.copy()
    for label in range(2):
        given = np.full(rows, label)
        outs = generator.network.forward(generator.weights, generator.entering(given, rng=rng))
        found = generator.soft(generator.start[given] + outs[-1]).mean(axis=0)
        if generator.rules:
            groups = generator.highest(generator.perturbed(given, outs, rng=rng))
            seen, kept = generator.seen(groups, given), generator.keeping(groups, given, rng=rng)
            every, rest = seen.mean(axis=0), seen[kept].mean(axis=0) if kept.any() else seen.mean(axis=0)
            found = found * ((rest + 1.0 / rows) / (every + 1.0 / rows))[: len(found)]
        start[label] += step * (generator.wanted[label] - np.log(np.maximum(found, 0.1 * NEVER)))
    return replace(generator, start=start)
