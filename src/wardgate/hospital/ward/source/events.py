"""Events as every source gives them: the one form in which a cohort asks for what happened to persons.

The form is that of MEDS 0.4 (subject, time, code, number, text) with columns of our own for what cohorts need: the end,
the unit, the visit, the table, and the code as it was recorded. A source need not hold it; it answers in it, as Ibis
expressions that its engine runs. Times are the hospital's local times, without a zone. What was recorded with a date
alone lies at the last second of that day: it cannot be known earlier.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import polars as pl

from wardgate.records.concepts import Concept, TableName

Expression = Any
"""An Ibis table; Ibis ships no types that a checker could use."""

EVERY: Mapping[str, str] = {
    "subject_id": "int64",
    "time": "timestamp(6)",
    "end": "timestamp(6)",
    "code": "string",
    "source_code": "string",
    "numeric_value": "float64",
    "text_value": "string",
    "value_code": "string",
    "unit": "string",
    "visit": "int64",
    "table": "string",
}
"""Columns of all events, as Ibis types.

`code` is `VOCABULARY/CODE` of the standard concept, else of the code as recorded; `source_code` the same as recorded,
where it is known; `value_code` the coded value; `unit` UCUM where the source says it, else its own text. Only what
never changes (sex) has no time. Codes of MEDS: MEDS_BIRTH, MEDS_DEATH. Observed time: OBSERVATION_PERIOD, time to end.
"""

PICKED: Mapping[str, str] = {
    "pick": "int16",
    "subject_id": "int64",
    "time": "timestamp(6)",
    "end": "timestamp(6)",
    "value": "float64",
    "unit": "string",
    "visit": "int64",
}
"""Columns of the events that a study asked for. `pick` says for what: the place in the tuple of what was asked.

An event that several picks ask for has a row for each, and none has two for one pick.
"""

CODES: Mapping[str, str] = {"code": "string", "concept_id": "int64", "parent": "string"}
"""Columns of the codes: one row for each code and ancestor; a code without any has one row, `parent` null.

`parent` names the ancestor as `VOCABULARY/CODE`; `concept_id` is the code's own, null where nobody gave it one.
"""

PERSONS: Mapping[str, str] = {"subject_id": "int64", "birth": "timestamp(6)", "death": "timestamp(6)"}
"""One row a person; times are null where unknown, `death` also of the living."""

PERIODS: Mapping[str, str] = {"subject_id": "int64", "start": "timestamp(6)", "end": "timestamp(6)"}
"""The observed times of persons. Where a source keeps none: from a person's first event to the last."""

BIRTH, DEATH, OBSERVED, SEX = "MEDS_BIRTH", "MEDS_DEATH", "OBSERVATION_PERIOD", "Gender"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """What a study asks for: the events of a concept set, perhaps of one table alone.

    Attributes:
        name: The concept set's name; `death` has no concepts and is what the source knows of deaths.
    """

    name: str
    concepts: tuple[Concept, ...]
    table: TableName | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """Something in a source that is not as it should be and did not stop the reading. Raw: never leaves the ward.

    Attributes:
        what: In words, e.g. `lines that are no JSON`.
        count: How many, of how many.
        where: The first places (file and line), for the hospital's own people.
        harm: `lost` where something could not be read, `odd` where it was read and is doubtful.
    """

    what: str
    count: int
    of: int
    where: tuple[str, ...] = ()
    harm: Literal["lost", "odd"] = "lost"


class Engine(Protocol):
    """What runs an expression: DuckDB inside the ward, or PostgreSQL behind a Unix socket."""

    @property
    def dialect(self) -> Literal["duckdb", "postgres"]:
        """How it is spoken to."""

    def once(self, expression: Expression) -> Expression:
        """Return a table for use in many questions: where it can, the engine gives it a name, and holds no row."""

    def batches(self, expression: Expression) -> Iterator[pl.DataFrame]:
        """Run it and yield its rows in batches; one is held at a time.

        Raises:
            Invalid: the source cannot be read to its end. The message quotes no cell.
        """


class EventSource(Protocol):
    """One opened source of events. All expressions belong to `engine`."""

    @property
    def name(self) -> str:
        """For messages, e.g. `OMOP CDM 5.4 in cdm.duckdb`."""

    @property
    def kind(self) -> str:
        """`omop`, `meds`, `fhir` or `tables`."""

    @property
    def engine(self) -> Engine:
        """What runs the expressions."""

    def picked(self, picks: Sequence[Pick]) -> Expression:
        """Return the events that the picks ask for, with the columns of PICKED."""

    def persons(self) -> Expression:
        """Return the persons, with the columns of PERSONS."""

    def periods(self) -> Expression:
        """Return the observed times, with the columns of PERIODS."""

    def every(self) -> Expression:
        """Return all events, with the columns of EVERY."""

    def code_table(self) -> Expression:
        """Return the codes of all events with their ancestors, with the columns of CODES."""

    def codes(self, picks: Sequence[Pick]) -> Mapping[str, int]:
        """Return how many codes of the source each pick stands for, by the pick's name. None may be an upgrade's loss.

        A code counts as known where the source's vocabulary (or, without one, its events) has it.
        """

    def noticed(self) -> tuple[Noticed, ...]:
        """Return what was found amiss in the reading so far."""

    def check_unchanged(self) -> None:
        """Say whether the source is still what it was when it was opened.

        Raises:
            Invalid: it changed while it was read; nothing made from it may be used.
        """
