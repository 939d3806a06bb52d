"""Which k-way tables to measure, chosen one after the other by where the model so far is most wrong.

AIM chooses by the exponential mechanism over the true errors. Across hospitals nobody holds the true errors, and no
site may choose alone. Here one early round measures a noisy coarse table of every pair (numbers in three bins): the
noisy summed errors. From then on every choice compares the model with these public sketches, at no further cost, and
sees each candidate through the pairs inside it. Each chosen table is then measured at full fineness.

Whoever drives the road fetches noisy counts and sends them in with their noise, as with `marginals.tree.growth`.

Reference: McKenna, Mullins, Sheldon, Miklau 2022, AIM, arXiv:2201.12677.
"""

import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.equals.graphical import Columns, Graph, Noisy, draw, fit, tree_cells
from wardgate.marginals.levels import even_groups
from wardgate.measures.encoding import LABEL
from wardgate.measures.grain import Cells, cells_of, outer_steps, value_of
from wardgate.measures.quantiles import even_steps
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.claim import ExponentialEvent, GaussianEvent
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import Feature

FINE, BINS, SKETCH_BINS = 32, 8, 3
MOST_CELLS = 4_000
MOST_TREE = 60_000

Name = Literal["one-way", "sketches", "table"]
Steps = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One question. A person adds 1 to one cell of each table, sqrt(tables) to the whole."""

    name: Name
    tables: tuple[Columns, ...]
    cuts: Steps
    noise_multiplier: float

    @property
    def sigma(self) -> float:
        """Standard deviation of the promised noise in a cell."""
        return self.noise_multiplier * math.sqrt(len(self.tables))


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgeted:
    """The noise of each round, fixed before a person is looked at.

    Attributes:
        one_way, sketches, table: Noise multipliers; `sketches` is infinite where a curator chooses by true errors.
        rounds: Tables to be chosen.
        choice: Pure epsilon of one true choice; 0 where sketches are used.
    """

    one_way: float
    sketches: float
    table: float
    rounds: int
    choice: float

    def claim(self, tables: int) -> tuple[tuple[GaussianEvent, ...], tuple[ExponentialEvent, ...]]:
        """Return the events once `tables` tables were measured."""
        gaussian = [GaussianEvent(noise_multiplier=self.one_way, count=1, what="every column alone")]
        if math.isfinite(self.sketches):
            gaussian.append(GaussianEvent(noise_multiplier=self.sketches, count=1, what="sketches of every pair"))
        if tables:
            gaussian.append(GaussianEvent(noise_multiplier=self.table, count=tables, what="chosen tables"))
        choices = (ExponentialEvent(epsilon=self.choice, count=tables, what="which tables"),) if self.choice else ()
        return tuple(gaussian), choices if tables else ()


def budgeted(
    *,
    epsilon: float,
    delta: float,
    rounds: int,
    true_choice: bool = False,
    one_way: float = 0.15,
    choosing: float = 0.1,
) -> Budgeted:
    """Split a budget: shares of inverse variance for single columns and for choosing, the rest for the tables.

    Raises:
        Invalid: fewer than one round, or shares that leave nothing.
    """
    if rounds < 1 or min(one_way, choosing) <= 0 or one_way + choosing >= 1:
        raise Invalid("expected at least one round, and shares above 0 that leave something for the tables")
    choice = 0.0
    if true_choice:
        choice = math.sqrt(choosing / rounds) / noise_multiplier_for(epsilon=epsilon, delta=delta)
    spent = (ExponentialEvent(epsilon=choice, count=rounds, what="which tables"),) if true_choice else ()
    whole = noise_multiplier_for(epsilon=epsilon, delta=delta, exponential=spent)
    left = 1.0 - one_way - (0.0 if true_choice else choosing)
    return Budgeted(
        one_way=whole / math.sqrt(one_way) * (1 + 1e-12),
        sketches=math.inf if true_choice else whole / math.sqrt(choosing) * (1 + 1e-12),
        table=whole / math.sqrt(left / rounds) * (1 + 1e-12),
        rounds=rounds,
        choice=choice,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapted:
    """A fitted model over cells, and what each cell stands for.

    Attributes:
        graph: The distribution.
        cells: Of every column.
        chosen: Tables in the order in which they were chosen.
        gaussian, exponential: What was spent.
    """

    graph: Graph
    cells: Mapping[str, Cells]
    chosen: tuple[Columns, ...]
    gaussian: tuple[GaussianEvent, ...]
    exponential: tuple[ExponentialEvent, ...]


Heard = tuple[NDArray[np.float64], float]
"""Noisy counts, and the standard deviation of the noise that is in them: more than promised where shares of sites
that could have colluded or dropped out are in it."""

Choose = Callable[[Graph, Sequence[Columns], Steps, float], int]
"""Picks a candidate by true errors (one curator only): model, candidates, cuts, noise of a cell."""


def adapt(
    features: Sequence[Feature],
    *,
    ways: int,
    budget: Budgeted,
    columns: Columns | None = None,
    choose: Choose | None = None,
) -> Generator[Round, Heard, Adapted]:
    """Ask for noisy tables and return the model.

    Args:
        ways: Columns in a chosen table at most, 2 to 4.
        columns: Features and `label`; all by default.

    Raises:
        Invalid: `ways` out of range, an unknown column, or an answer of another length.
        Refused: the noisy counts show too few persons for this budget.
    """
    names = columns if columns is not None else (*(feature.name for feature in features), LABEL)
    if not 2 <= ways <= min(4, len(names)):
        raise Invalid(f"expected tables of 2 to {min(4, len(names))} columns, found {ways}")
    if (choose is None) != math.isfinite(budget.sketches):
        raise Invalid("a budget with sketches chooses by them; one with true choices needs `choose`")
    numbers = {one.name: one for one in features if one.name in names and one.range is not None}
    fine = {name: even_steps(*outer_steps(feature), FINE) for name, feature in numbers.items()}
    first = yield from _ask("one-way", tuple((name,) for name in names), fine, budget.one_way, features)
    if float(np.median([table.values.sum() for table in first])) < 4 * float(np.max(first[0].sigma)) * math.sqrt(FINE):
        raise Refused("the noise of this budget is as large as all hospitals together; ask for a larger epsilon")
    cuts = {name: _coarser(one, fine[name], BINS) for name, one in zip(names, first, strict=True) if name in fine}
    cells = {name: cells_of(name, features, cuts) for name in names}
    sizes = {name: cells[name].size for name in names}
    measured = [_merged_cells(one, fine, cuts) for one in first]
    graph = fit(sizes, measured)
    sketches: list[Noisy] = []
    rough = {name: _thinned(steps, SKETCH_BINS) for name, steps in cuts.items()}
    if choose is None:
        sketches = yield from _ask("sketches", tuple(combinations(names, 2)), rough, budget.sketches, features)
    sigma = budget.table
    candidates = [
        one
        for size in range(2, ways + 1)
        for one in combinations(names, size)
        if prod(sizes[name] for name in one) <= MOST_CELLS
    ]
    chosen: list[Columns] = []
    for _ in range(budget.rounds):
        possible = [one for one in candidates if one not in chosen]
        if choose is not None:
            possible = [one for one in possible if _fits(sizes, [*chosen, one])]
            ranked = [possible[choose(graph, possible, cuts, sigma)]] if possible else []
        else:
            scores = errors(graph, sketches, possible, cuts, rough, sigma=sigma)
            ranked = [possible[place] for place in np.argsort(-scores, kind="stable")]
        picked = next((one for one in ranked if _fits(sizes, [*chosen, one])), None)
        if picked is None:
            break
        (table,) = yield from _ask(
            "table", (picked,), {name: cuts[name] for name in picked if name in cuts}, sigma, features
        )
        chosen.append(picked)
        measured.append(table)
        graph = fit(sizes, measured, before=graph, steps=20)
    graph = fit(sizes, measured, before=graph, steps=150)
    gaussian, exponential = budget.claim(len(chosen))
    return Adapted(graph=graph, cells=cells, chosen=tuple(chosen), gaussian=gaussian, exponential=exponential)


def _ask(
    name: Name, tables: tuple[Columns, ...], cuts: Steps, multiplier: float, features: Sequence[Feature]
) -> Generator[Round, Heard, list[Noisy]]:
    used = {column for table in tables for column in table}
    asked = Round(
        name=name,
        tables=tables,
        cuts={column: steps for column, steps in cuts.items() if column in used},
        noise_multiplier=multiplier,
    )
    sizes = {column: cells_of(column, features, cuts).size for column in used}
    told, sigma = yield asked
    values = np.asarray(told, dtype=np.float64)
    shapes = [tuple(sizes[column] for column in table) for table in tables]
    if values.shape != (sum(prod(shape) for shape in shapes),) or not np.all(np.isfinite(values)) or not sigma > 0:
        raise Invalid(f"round '{name}' expected {sum(prod(shape) for shape in shapes)} finite counts")
    found, start = [], 0
    for table, shape in zip(tables, shapes, strict=True):
        stop = start + prod(shape)
        found.append(Noisy(columns=table, values=values[start:stop].reshape(shape), sigma=sigma))
        start = stop
    return found


def _fits(sizes: Mapping[str, int], tables: Sequence[Columns]) -> bool:
    """Return whether a model of these tables can be worked with."""
    return tree_cells(sizes, tables) <= MOST_TREE


def _coarser(one: Noisy, steps: tuple[int, ...], bins: int) -> tuple[int, ...]:
    """Keep the cuts that part persons about evenly, none below twice the noise; at least one."""
    sigma = float(np.max(one.sigma))
    groups = even_groups(np.maximum(one.values[: len(steps) + 1], 0.0), bins, floor=2 * sigma)
    kept = tuple(step for step, low, high in zip(steps, groups, groups[1:], strict=False) if low != high)
    return kept or (steps[len(steps) // 2],)


def _thinned(steps: tuple[int, ...], bins: int) -> tuple[int, ...]:
    """Keep at most `bins` - 1 of the cuts, evenly."""
    wanted = {round((number + 1) * len(steps) / bins - 0.5) for number in range(bins - 1)}
    return tuple(step for place, step in enumerate(steps) if place in wanted) or steps[:1]


def groups_between(cells: int, fine: tuple[int, ...], coarse: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the coarse cell of every fine one; a missing cell beyond the cuts stays apart.

    Args:
        cells: How many fine cells, the missing one included.
    """
    inner = np.array([sum(step >= cut for cut in coarse) for step in (fine[0] - 1, *fine)])
    return np.asarray(np.append(inner, len(coarse) + 1)[:cells])


def _merged_cells(one: Noisy, fine: Steps, cuts: Steps) -> Noisy:
    """Return a single column's table in its coarser cells."""
    (name,) = one.columns
    if name not in cuts:
        return one
    groups = groups_between(len(one.values), fine[name], cuts[name])
    values = np.bincount(groups, weights=one.values).astype(np.float64)
    return Noisy(columns=one.columns, values=values, sigma=np.asarray(one.sigma) * np.sqrt(np.bincount(groups)))


def errors(
    graph: Graph, sketches: Sequence[Noisy], candidates: Sequence[Columns], cuts: Steps, rough: Steps, *, sigma: float
) -> NDArray[np.float64]:
    """Return how wrong the model is on each candidate, less the noise that measuring it would bring.

    The error of a pair is the L1 distance that its sketch shows beyond noise (the noise's expected square is taken
    off; what is within two of its deviations counts as none). A candidate's is the root of the sum over its pairs.
    """
    found: dict[frozenset[str], float] = {}
    for one in sketches:
        expected = graph.table(one.columns)
        for axis, name in enumerate(one.columns):
            if name in cuts:
                groups = groups_between(expected.shape[axis], cuts[name], rough[name])
                summed = np.zeros((*expected.shape[:axis], int(groups.max()) + 1, *expected.shape[axis + 1 :]))
                np.add.at(np.moveaxis(summed, axis, 0), groups, np.moveaxis(expected, axis, 0))
                expected = summed
        cells, noise = one.values.size, float(np.max(one.sigma)) ** 2
        square = float(np.sum((one.values - expected) ** 2)) - cells * noise
        found[frozenset(one.columns)] = math.sqrt(square * cells) if square > 2 * noise * math.sqrt(2 * cells) else 0.0
    sizes = graph.tree.sizes
    return np.array(
        [
            math.sqrt(sum(found[frozenset(pair)] ** 2 for pair in combinations(one, 2)))
            - math.sqrt(2 / math.pi) * sigma * prod(sizes[column] for column in one)
            for one in candidates
        ]
    )


def synthesise(found: Adapted, features: Sequence[Feature], rows: int, *, rng: np.random.Generator) -> pl.DataFrame:
    """Draw rows in the table form of `measures.encoding`: categories, and points evenly within the cells of numbers.

    Raises:
        Invalid: the model leaves out a feature or the label, or a negative number of rows.
    """
    known = {feature.name: feature for feature in features}
    if set(found.cells) != {*known, LABEL} or rows < 0:
        raise Invalid("expected a model of every feature and the label, and rows from 0 up")
    drawn = draw(found.graph, rows, rng=rng)
    columns = [_values(found.cells[name], feature, drawn[name], rng) for name, feature in known.items()]
    return pl.DataFrame([*columns, pl.Series(LABEL, drawn[LABEL], dtype=pl.Int8)])


def _values(cells: Cells, feature: Feature, drawn: NDArray[np.int64], rng: np.random.Generator) -> pl.Series:
    gone = drawn >= cells.present
    safe = np.where(gone, 0, drawn)
    if cells.values:
        found = pl.Series(feature.name, list(cells.values)).gather(safe)
    else:
        low, high = feature.range or (0.0, 0.0)
        edges = np.array([low, *cells.cuts, value_of(feature, outer_steps(feature)[1])])
        if feature.type == "integer":
            whole = np.ceil(edges)
            point = whole[safe] + np.floor(rng.random(len(safe)) * np.maximum(np.diff(whole)[safe], 1.0))
        else:
            point = edges[safe] + rng.random(len(safe)) * np.diff(edges)[safe]
        found = pl.Series(feature.name, np.clip(point, low, high))
    return found.to_frame().select(pl.when(pl.Series(~gone)).then(pl.col(feature.name)))[feature.name]
