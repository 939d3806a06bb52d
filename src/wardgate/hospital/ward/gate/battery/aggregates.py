"""Everything that is measured on a table or a fit that was made inside one hospital; the safe form is made here too."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from wardgate.hospital.ward.gate.cohorts import EarlierCohorts
from wardgate.measures.aggregates import (
    Grouped,
    Limits,
    SafeTable,
    Statistic,
    few_digits_of,
    grouped,
    safe_table,
    unrounded_figures,
)
from wardgate.measures.disclosure import coarse
from wardgate.records.errors import Invalid, NotEvaluable, Refused, Unsupported
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

TABLE = ("aggregate.smallest_count", "aggregate.dominance", "aggregate.p_ratio", "aggregate.complementary")
FIT = ("aggregate.degrees_of_freedom",)
NAMES = ("aggregate.tables", "aggregate.regressions", *TABLE, *FIT, "aggregate.unrounded", "aggregate.differencing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """A table or a fit beside what was measured on it.

    Attributes:
        table: What may be shown; None where no safe form was found.
        figures: Fitted figures, rounded; empty for a table.
        cohorts: Identifiers of everybody, then of the persons behind each shown figure. They stay in the ward.
    """

    table: SafeTable | None
    figures: Mapping[str, float]
    measured: tuple[Measured, ...]
    absent: tuple[Absent, ...]
    cohorts: tuple[tuple[str, ...], ...]

    def remember(self, memory: EarlierCohorts, *, answer: str) -> None:
        """Write down whose figures leave, before they do.

        Raises:
            Refused: another answer that left in between and this one would give a few persons away.
        """
        memory.note_answer(answer, self.cohorts)


def limits_of(policy: GatePolicy) -> Limits:
    """Return what a shown entry must hold under a policy.

    Raises:
        Refused: the policy was signed before aggregates could be judged.
    """
    if policy.aggregates is None:
        raise Refused("the policy was signed before aggregates could be judged; sign one with limits for aggregates")
    return Limits(
        safe_threshold=policy.small_cells.min_count,
        safe_nk_n=policy.aggregates.dominance_largest,
        safe_nk_k=policy.aggregates.dominance_share,
        safe_pratio_p=policy.aggregates.p_ratio,
        zeros=policy.aggregates.zeros,
        rounding_base=policy.aggregates.rounding_base,
    )


def measure_aggregate(
    table: pl.DataFrame,
    *,
    by: Sequence[str],
    statistic: Statistic,
    person: str | None,
    value: str | None = None,
    policy: GatePolicy,
    memory: EarlierCohorts | None,
) -> Aggregate:
    """Make the safe form of a table and take every measure that the rules for an aggregate read.

    Args:
        table: Real rows, any number a person.
        by: Group columns, at most three.
        person: The contributor; None where every row is another person.
        value: What is added up or averaged; None for counts.
        memory: Whose figures left before; without it differencing cannot be told.

    Raises:
        Refused: the policy has no limits for aggregates.
        Invalid: the columns or values cannot be used.
    """
    limits = limits_of(policy)
    reason = ""
    safe: SafeTable | None = None
    of: Grouped | None = None
    try:
        of = grouped(table, by=by, person=person, value=value, safe_threshold=limits.safe_threshold)
        safe = safe_table(of, statistic=statistic, limits=limits)
    except (NotEvaluable, Unsupported) as error:
        reason = str(error)
    if of is None or safe is None:
        return _without(reason)
    cohorts = tuple(tuple(of.persons[row] for row in rows) for rows in safe.members)
    shown = len(cohorts)
    found: list[Measured | Absent] = [
        *_forms(tables=1, regressions=0),
        *_table(safe, limits, shown=shown),
        Absent(name=FIT[0], reason="a table is no fit"),
        _counted("aggregate.unrounded", safe.unrounded, n=(coarse(shown),)),
        _differing(cohorts, memory),
    ]
    return _aggregate(found, table=safe, figures={}, cohorts=cohorts)


def measure_fit(
    figures: Mapping[str, float],
    *,
    parameters: int,
    persons: Sequence[str],
    policy: GatePolicy,
    memory: EarlierCohorts | None,
) -> Aggregate:
    """Round the figures of a regression and take every measure that the rules for an aggregate read.

    Args:
        figures: Coefficients, errors and the like; no residuals and no predictions, which are rows.
        parameters: Fitted numbers, the intercept among them.
        persons: Identifiers of those it was fitted on, one a person.

    Raises:
        Refused: the policy has no limits for aggregates.
        Invalid: a figure is not finite, there are none, or more figures than a fit of so many parameters has.
    """
    limits_of(policy)
    least = 10 if policy.aggregates is None else policy.aggregates.min_degrees_of_freedom
    if not figures or not all(math.isfinite(one) for one in figures.values()) or parameters < 1:
        raise Invalid("expected finite figures and at least one parameter")
    if len(figures) > parameters**2 + 4 * parameters + 10:
        raise Invalid("more figures than a fit of so many parameters has; residuals and predictions are rows")
    everybody = tuple(dict.fromkeys(persons))
    freedom = len(everybody) - parameters
    shown = few_digits_of(figures)
    told = max(coarse(max(freedom, 0)), least) if freedom >= least else 0
    found: list[Measured | Absent] = [
        *_forms(tables=0, regressions=1),
        *(Absent(name=name, reason="a fit has no cells") for name in TABLE),
        _counted(FIT[0], told, n=(coarse(len(everybody)),), note="told as enough or not, above 50 in fifties"),
        _counted("aggregate.unrounded", unrounded_figures(shown), n=(len(shown),)),
        _differing((everybody,), memory),
    ]
    return _aggregate(found, table=None, figures=shown, cohorts=(everybody,))


def _table(safe: SafeTable, limits: Limits, *, shown: int) -> Iterator[Measured]:
    """Tell of the shown entries whether they hold enough, and no more: the evidence is an output too."""
    n = (coarse(shown),)
    enough = limits.safe_threshold if safe.smallest >= limits.safe_threshold else 0
    yield _counted(TABLE[0], enough, n=n, note="told as enough or not")
    if safe.values is None:
        share, ratio = limits.safe_nk_n / limits.safe_threshold, float(limits.safe_threshold - 2)
        note = "every person counts once; of the least count that may be shown"
    else:
        share, ratio, note = safe.dominance, safe.p_ratio, "rounded to 0.01 to the unsafe side"
    yield _counted(TABLE[1], min(1.0, math.ceil(share * 100 - 1e-9) / 100), n=n, note=note)
    yield _counted(TABLE[2], min(1.0, math.floor(ratio * 100 + 1e-9) / 100), n=n, note=note)
    yield _counted(TABLE[3], int(safe.exposed), n=n, note="1 if a hidden entry can be worked out")


def _differing(cohorts: Sequence[Sequence[str]], memory: EarlierCohorts | None) -> Measured | Absent:
    name = "aggregate.differencing"
    if memory is None or not memory.remembers:
        return Absent(name=name, reason="this hospital keeps no memory over answers, so nobody can tell")
    return _counted(name, int(memory.isolates(cohorts)), note="1 if earlier answers and this one give a few away")


def _forms(*, tables: int, regressions: int) -> tuple[Measured, Measured]:
    return _counted("aggregate.tables", tables), _counted("aggregate.regressions", regressions)


def _without(reason: str) -> Aggregate:
    found: list[Measured | Absent] = [
        *_forms(tables=1, regressions=0),
        *(Absent(name=name, reason=reason) for name in NAMES[2:]),
    ]
    return _aggregate(found, table=None, figures={}, cohorts=())


def _aggregate(
    found: Sequence[Measured | Absent],
    *,
    table: SafeTable | None,
    figures: Mapping[str, float],
    cohorts: tuple[tuple[str, ...], ...],
) -> Aggregate:
    return Aggregate(
        table=table,
        figures=figures,
        measured=tuple(part for part in found if isinstance(part, Measured)),
        absent=tuple(part for part in found if isinstance(part, Absent)),
        cohorts=cohorts,
    )


def _counted(name: str, value: float, *, n: tuple[int, ...] = (), note: str = "") -> Measured:
    return Measured(name=name, value=value, low=value, high=value, n=n, note=note)
