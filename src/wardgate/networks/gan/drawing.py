"""Rows from a fitted generator: what is asked for, what is drawn again, and the study's rules. Free of privacy cost."""

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.domain import Column, Domain, decode
from wardgate.marginals.sampling import Value, Where, keep_rules
from wardgate.measures.encoding import LABEL
from wardgate.networks.arrays import seeded
from wardgate.networks.gan.conditions import Asked, Frequencies, nominal, only_label
from wardgate.networks.gan.layout import Layout, Rows
from wardgate.networks.gan.networks import Networks, sampled
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule

BLOCK = 10_000
"""Rows drawn at once."""

MOST = 200
"""Draws per row asked for, before conditions count as such that nobody meets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Reads cells and places by the layout itself."""

    layout: Layout

    def __call__(self, drawn: Rows, rng: np.random.Generator) -> pl.DataFrame:
        """Return the table of drawn rows."""
        return self.layout.decode(drawn, rng=rng)


@dataclass(frozen=True, slots=True, kw_only=True)
class Binned:
    """Reads bins: a fine cell of each by its noisy count, and a point inside it.

    Attributes:
        domain: The fine cells.
        inside: For every feature, P(cell | bin), shape (bins, cells).
    """

    domain: Domain
    inside: tuple[NDArray[np.float64], ...]

    def __call__(self, drawn: Rows, rng: np.random.Generator) -> pl.DataFrame:
        """Return the table of drawn rows."""
        series = []
        for at, column in enumerate(self.domain.columns[:-1]):
            steps = np.cumsum(self.inside[at], axis=1)[drawn.codes[:, at]]
            point = rng.random(len(steps))[:, None] * steps[:, -1:]
            cell = np.minimum((steps <= point).sum(axis=1), column.size - 1).astype(np.int32)
            series.append(decode(column, cell, rng=rng, low=-math.inf, high=math.inf))
        return pl.DataFrame([*series, pl.Series(LABEL, drawn.codes[:, -1], dtype=pl.Int8)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A fitted generator with what a corpus needs besides.

    Attributes:
        frequencies: How often labels and values occur, not flattened; noisy where the fit was private.
        rules: Clinical rules that every row keeps.
        domain: The columns as the dictionary has them.
        decode: From cells and places to a table.
    """

    networks: Networks
    frequencies: Frequencies
    rules: tuple[ClinicalRule, ...]
    domain: Domain
    decode: Placed | Binned


def frequencies_of(codes: NDArray[np.int32], networks: Networks) -> Frequencies:
    """Return how often labels and values of nominal columns occur among rows."""
    label = np.bincount(codes[:, -1], minlength=2).astype(np.float64)
    tables = {}
    for at in nominal(networks.layout):
        table = np.zeros((2, networks.layout.sizes[at]))
        np.add.at(table, (codes[:, -1], codes[:, at]), 1.0)
        tables[at] = table / np.maximum(table.sum(axis=1, keepdims=True), 1.0)
    return Frequencies(label=label / label.sum(), tables=tables)


def sample(model: Model, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
    """Draw rows in the table form of `measures.encoding`, with the label.

    The label and one category or boolean go to the generator as what it is asked for; rows that miss a further
    condition are drawn again, at most `MOST` times.

    Raises:
        Invalid: a negative number of rows, a condition names an unknown column or value, too few drawn rows meet the
            conditions, or none keeps the rules.
    """
    if rows < 0:
        raise Invalid(f"expected a number of rows from 0 up, found {rows}")
    conditions = dict(where or {})
    meets, asks = _read(model, conditions)

    def draw(count: int) -> pl.DataFrame:
        kept = [_block(model, min(count, 1), asks, rng).clear()]
        have = drawn = 0
        while have < count:
            wanted = min(BLOCK, max(count - have, 100 if conditions else 0))
            table = _block(model, wanted, asks, rng).filter(meets)
            kept.append(table)
            have, drawn = have + table.height, drawn + wanted
            if drawn > MOST * max(count, 100):
                raise Invalid("too few drawn rows meet these conditions; ask for fewer at once")
        return pl.concat(kept).head(count)

    return keep_rules(draw, rows, rules=model.rules, features=model.domain.declared, rng=rng)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asks:
    """What every row is asked to be: P(label), and one column's cell, or none (-1)."""

    label: float
    column: int
    value: int


def _block(model: Model, rows: int, asks: _Asks, rng: np.random.Generator) -> pl.DataFrame:
    label = ((rng.permutation(rows) + rng.random()) < rows * asks.label).astype(np.int64)
    asked = only_label(label)
    if asks.column >= 0:
        asked = Asked(label=label, column=np.full(rows, asks.column), value=np.full(rows, asks.value))
    return model.decode(sampled(model.networks, asked, draws=seeded(rng)), rng)


def _read(model: Model, where: Where) -> tuple[pl.Expr, _Asks]:
    """Return which rows meet the conditions, and what the generator is asked for."""
    kept, frequencies = model.networks.layout.kept, model.frequencies
    meets, label, asked, rarest = pl.lit(True), frequencies.label.copy(), (-1, 0), 2.0
    for name, value in where.items():
        at = model.domain.index(name)
        column = model.domain.columns[at]
        meets = meets & _meets(column, value)
        if column.kind == "nominal":
            cell = _cell(column, value)
            if name == LABEL:
                label = label * (np.arange(2) == cell)
            else:
                share = frequencies.tables[at][:, cell]
                if not kept[at][cell] or not share.max() > 0:
                    raise Invalid(f"nobody drawn has this value of '{name}': it is too rare in the training persons")
                if float(frequencies.label @ share) < rarest:
                    rarest, asked = float(frequencies.label @ share), (at, cell)
    if asked[0] >= 0:
        label = label * np.maximum(frequencies.tables[asked[0]][:, asked[1]], 1e-6)
    if not label.sum() > 0:
        raise Invalid("nobody in the model meets these conditions")
    return meets, _Asks(label=float(label[1] / label.sum()), column=asked[0], value=asked[1])


def _cell(column: Column, value: Value) -> int:
    if value is None:
        return column.present
    wanted = float(value) if isinstance(value, int | float) else value
    if wanted not in column.values:
        raise Invalid(f"a condition on '{column.name}' asks for a value that the dictionary does not name")
    return list(column.values).index(wanted)


def _meets(column: Column, value: Value) -> pl.Expr:
    here: pl.Expr = pl.col(column.name)
    if value is None:
        if not column.missing:
            raise Invalid(f"'{column.name}' is never missing here")
        return here.is_null()
    if column.kind == "nominal":
        return here.eq(value).fill_null(False)
    low, high = value if isinstance(value, tuple) else (value, value)
    if not isinstance(low, int | float) or not isinstance(high, int | float) or not low <= high:
        raise Invalid(f"a condition on '{column.name}' needs a number or (low, high) with low <= high")
    return here.is_between(float(low), float(high)).fill_null(False)
