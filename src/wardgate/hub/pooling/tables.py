"""Counts over hospitals: categories, missing values, histograms, two-way and k-way tables, as they may be published."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.tables import MOST_WAYS, Tables, split_tables
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.measures.consistent import agreeing
from wardgate.measures.encoding import LABEL
from wardgate.measures.grain import cells_of, outer_steps, step_of
from wardgate.measures.quantiles import even_steps
from wardgate.measures.suppression import bordered, suppress
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

Columns = tuple[str, ...]
Table = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One table as it may be shown.

    Attributes:
        columns: What its axes are.
        names: The name of every cell along each axis.
        bordered: Counts with totals in the last place of each axis; NaN where hidden.
        noise: Standard deviation of the noise in a cell before the tables were made to agree; 0 for true counts.
        note: What was done to protect small counts, in words.
    """

    columns: Columns
    names: tuple[tuple[str, ...], ...]
    bordered: Table
    noise: float
    note: str

    @property
    def cells(self) -> Table:
        """The cells without totals."""
        return self.bordered[tuple(slice(0, -1) for _ in self.columns)]

    @property
    def total(self) -> float:
        """Persons in all."""
        return float(self.bordered[tuple(-1 for _ in self.columns)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Published tables and what they cost.

    Attributes:
        tables: In the order asked for.
        gaussian: What the sum cost; empty where it was exact.
        bytes_moved: Both ways.
    """

    tables: tuple[Published, ...]
    gaussian: tuple[GaussianEvent, ...]
    bytes_moved: int

    def table(self, *columns: str) -> Published:
        """Return the table over these columns.

        Raises:
            Invalid: there is none.
        """
        for found in self.tables:
            if set(found.columns) == set(columns):
                return found
        raise Invalid(f"no table over {' x '.join(columns)} was counted")


def tables(
    *,
    study: Study,
    sites: tuple[str, ...],
    columns: Sequence[Columns],
    persons_at_least: int,
    edges: Mapping[str, Sequence[float]] | None = None,
    bins: int = 8,
    split: SplitName = "train",
    epsilon: float | None = None,
) -> Generator[Ask, Told, Counted]:
    """Count persons in tables.

    Exact counts are published with small cells, and what would give them away, hidden; the hub itself sees every total,
    so an exact table has at most one cell for every smallest count of persons. Noisy counts are made to agree with
    each other (one total, equal margins) and shown as they are; they may be negative.

    Args:
        columns: The columns of each table: features, or `label`; at most four, none for the number of persons.
        persons_at_least: Public lower bound on the persons in the sum.
        edges: Cuts of numbers, multiples of their grain; a number without is cut into `bins` even parts of its range.
        epsilon: What all tables together cost at the study's delta; None for true counts.

    Raises:
        Invalid: an unknown column, more than four, too many cells, or cuts that do not rise or are off the grain.
        Refused: an exact table with too many cells.
        NotEvaluable: fewer persons than the policy's smallest count.
    """
    asked = asked_tables(study, columns, edges=edges or {}, bins=bins)
    sizes, cells = asked.sizes(study), asked.cells(study)
    multiplier = None
    if epsilon is None:
        asked.check_exact(study, persons_at_least=persons_at_least)
    else:
        multiplier = noise_multiplier_for(epsilon=epsilon, delta=study.budget.delta)
    told = yield sum_ask(asked, what="tables", study=study, sites=sites, split=split, noise_multiplier=multiplier)
    found = split_tables(told.sum(), sizes)
    minimum = study.gate.small_cells.min_count
    if multiplier is None:
        shown = suppress(found, asked.tables, minimum=minimum)
        parts = [(one.bordered, one.note) for one in shown]
    else:
        agreed = agreeing(dict(zip(asked.tables, found, strict=True)))
        parts = [(bordered(agreed[names]), "every count carries noise") for names in asked.tables]
        if not float(parts[0][0].flat[-1]) >= minimum:
            raise NotEvaluable(f"the noisy counts show fewer than {minimum} persons")
    return Counted(
        tables=tuple(
            Published(
                columns=names,
                names=tuple(cells[name].names for name in names),
                bordered=part,
                noise=told.noise,
                note=note,
            )
            for names, (part, note) in zip(asked.tables, parts, strict=True)
        ),
        gaussian=()
        if multiplier is None
        else (GaussianEvent(noise_multiplier=multiplier, count=1, what=f"{len(sizes)} tables of counts"),),
        bytes_moved=told.bytes_moved,
    )


def counts(
    *,
    study: Study,
    sites: tuple[str, ...],
    persons_at_least: int,
    by_label: bool = False,
    split: SplitName = "train",
    epsilon: float | None = None,
) -> Generator[Ask, Told, Counted]:
    """Count every category and boolean with its missing values, and the label; with `by_label` beside the label."""
    names = [feature.name for feature in study.features if feature.type in ("category", "boolean")]
    columns: list[Columns] = [(LABEL,), *((name, LABEL) if by_label else (name,) for name in names)]
    return (
        yield from tables(
            study=study, sites=sites, columns=columns, persons_at_least=persons_at_least, split=split, epsilon=epsilon
        )
    )


def kway(
    *,
    study: Study,
    sites: tuple[str, ...],
    ways: int,
    persons_at_least: int,
    columns: Columns | None = None,
    edges: Mapping[str, Sequence[float]] | None = None,
    bins: int = 8,
    split: SplitName = "train",
    epsilon: float | None = None,
) -> Generator[Ask, Told, Counted]:
    """Count every marginal of `ways` of the columns (all features and the label by default), with one total.

    Raises:
        Invalid: `ways` above four or above the columns, or as `tables`.
    """
    names = columns if columns is not None else (*(feature.name for feature in study.features), LABEL)
    if not 1 <= ways <= min(MOST_WAYS, len(names)):
        raise Invalid(f"expected 1 to {min(MOST_WAYS, len(names))} columns in a marginal, found {ways}")
    return (
        yield from tables(
            study=study,
            sites=sites,
            columns=list(combinations(names, ways)),
            persons_at_least=persons_at_least,
            edges=edges,
            bins=bins,
            split=split,
            epsilon=epsilon,
        )
    )


def histogram(
    *,
    study: Study,
    sites: tuple[str, ...],
    feature: str,
    persons_at_least: int,
    edges: Sequence[float] | None = None,
    bins: int = 20,
    by_label: bool = False,
    split: SplitName = "train",
    epsilon: float | None = None,
) -> Generator[Ask, Told, Counted]:
    """Count one number in public bins, the outer ones open, missing values last.

    Args:
        edges: Inner edges, rising; `bins` even parts of the range by default.
    """
    return (
        yield from tables(
            study=study,
            sites=sites,
            columns=[(feature, LABEL) if by_label else (feature,)],
            persons_at_least=persons_at_least,
            edges={} if edges is None else {feature: edges},
            bins=bins,
            split=split,
            epsilon=epsilon,
        )
    )


def asked_tables(
    study: Study, columns: Sequence[Columns], *, edges: Mapping[str, Sequence[float]], bins: int
) -> Tables:
    """Return the computation that counts these tables.

    Raises:
        Invalid: as `tables`.
    """
    if not bins >= 2:
        raise Invalid(f"expected at least 2 bins, found {bins}")
    cuts: dict[str, tuple[int, ...]] = {}
    for name in dict.fromkeys(name for names in columns for name in names):
        feature = next((feature for feature in study.features if feature.name == name), None)
        if name in edges:
            if feature is None or feature.type not in ("number", "integer"):
                raise Invalid(f"edges are given for '{name}', which is no number")
            if not edges[name]:
                raise Invalid(f"the histogram of '{name}' has no edges; name at least one")
            cuts[name] = tuple(step_of(feature, edge) for edge in edges[name])
        elif feature is not None and feature.type in ("number", "integer"):
            cuts[name] = even_steps(*outer_steps(feature), bins)
        cells_of(name, study.features, cuts)
    stray = set(edges) - set(cuts)
    if stray:
        raise Invalid(f"edges are given for '{min(stray)}', which no table counts")
    return Tables(tables=tuple(tuple(names) for names in columns), cuts=cuts)
