"""The part of the OMOP CDM that is read: tables, columns, types, and what each clinical table calls its parts.

Reference: OHDSI Common Data Model 5.3 and 5.4, ohdsi.github.io/CommonDataModel.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import ibis

from wardgate.hospital.ward.source.events import Expression
from wardgate.records.concepts import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Clinical:
    """One table of events, and the names of its columns.

    Attributes:
        table: As the CDM calls it.
        name: As a study calls it.
        stem: What the columns of its concept begin with.
        start, end: Columns of the date and of the date with time; `end` None where events have none.
        visit: The column that names the visit.
        number: Whether it has `value_as_number` with a unit.
        coded: Whether it has `value_as_concept_id`.
        text: The column of a value in words.
    """

    table: str
    name: TableName
    stem: str
    start: tuple[str, str]
    end: tuple[str, str] | None = None
    visit: str = "visit_occurrence_id"
    number: bool = False
    coded: bool = False
    text: str | None = None

    @property
    def concept(self) -> str:
        """Column of the standard concept."""
        return f"{self.stem}_concept_id"

    @property
    def source_concept(self) -> str:
        """Column of the concept as recorded."""
        return f"{self.stem}_source_concept_id"

    @property
    def source_value(self) -> str:
        """Column of the code as recorded."""
        return f"{self.stem}_source_value"

    @property
    def columns(self) -> dict[str, str]:
        """All columns that are read, with their types."""
        times = {self.start[0]: "date", self.start[1]: _TIME}
        if self.end is not None:
            times |= {self.end[0]: "date", self.end[1]: _TIME}
        found = {"person_id": _ID, self.concept: _ID, **times, self.visit: _ID}
        found |= {self.source_concept: _ID, self.source_value: "string"}
        if self.number:
            found |= {"value_as_number": "float64", "unit_concept_id": _ID, "unit_source_value": "string"}
        if self.coded:
            found["value_as_concept_id"] = _ID
        if self.text is not None:
            found[self.text] = "string"
        return found


def _lasting(table: str, name: TableName, stem: str, dates: str) -> Clinical:
    """A table whose events have a start and an end, named after `dates`."""
    start, end = ((f"{dates}_{part}_date", f"{dates}_{part}_datetime") for part in ("start", "end"))
    return Clinical(table=table, name=name, stem=stem, start=start, end=end)


_ID, _TIME = "int64", "timestamp(6)"

CLINICAL = (
    _lasting("visit_occurrence", "visit", "visit", "visit"),
    _lasting("visit_detail", "visit", "visit_detail", "visit_detail"),
    _lasting("condition_occurrence", "condition", "condition", "condition"),
    _lasting("drug_exposure", "drug", "drug", "drug_exposure"),
    Clinical(
        table="procedure_occurrence",
        name="procedure",
        stem="procedure",
        start=("procedure_date", "procedure_datetime"),
        end=("procedure_end_date", "procedure_end_datetime"),
    ),
    _lasting("device_exposure", "device", "device", "device_exposure"),
    Clinical(
        table="measurement",
        name="measurement",
        stem="measurement",
        start=("measurement_date", "measurement_datetime"),
        number=True,
        coded=True,
        text="value_source_value",
    ),
    Clinical(
        table="observation",
        name="observation",
        stem="observation",
        start=("observation_date", "observation_datetime"),
        number=True,
        coded=True,
        text="value_as_string",
    ),
)
"""Tables whose rows are events with a concept."""

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "person": {
        "person_id": _ID,
        "gender_concept_id": _ID,
        "year_of_birth": _ID,
        "month_of_birth": _ID,
        "day_of_birth": _ID,
        "birth_datetime": _TIME,
    },
    **{one.table: one.columns for one in CLINICAL},
    "death": {"person_id": _ID, "death_date": "date", "death_datetime": _TIME},
    "observation_period": {
        "person_id": _ID,
        "observation_period_start_date": "date",
        "observation_period_end_date": "date",
    },
    "concept": {"concept_id": _ID, "vocabulary_id": "string", "concept_code": "string"},
    "concept_ancestor": {"ancestor_concept_id": _ID, "descendant_concept_id": _ID},
    "cdm_source": {"cdm_version": "string"},
}
"""Columns that are read, by table, as Ibis types. No other column is."""

NEEDED: Mapping[str, tuple[str, ...]] = {
    "person": ("person_id", "year_of_birth"),
    **{one.table: ("person_id", one.concept, one.start[0]) for one in CLINICAL},
    "death": ("person_id", "death_date"),
    "observation_period": tuple(COLUMNS["observation_period"]),
    "concept": tuple(COLUMNS["concept"]),
    "concept_ancestor": tuple(COLUMNS["concept_ancestor"]),
    "cdm_source": (),
}
"""Columns without which a table means nothing; any other may be absent and is then empty."""

NEWER = ("procedure_end_date", "procedure_end_datetime")
"""Columns that version 5.3 does not have."""

VOCABULARY = ("concept", "concept_ancestor")
"""Tables of the vocabulary; they may lie in a schema of their own."""


UNREAD = {"wardgate:unread": "string"}
"""Stands for the columns that a table has and nobody reads, so that no compiler ever writes `SELECT *`."""


def unbound_tables(database: str | None = None, *, upper: bool = False) -> Mapping[str, Expression]:
    """Return all tables of the CDM as Ibis tables of no database yet, for SQL that a hospital runs itself.

    Args:
        database: The schema that holds them, as `schema` or `catalog.schema`.
        upper: Names are in capitals in the database, as Snowflake makes them; here they are not.
    """
    catalog, _, schema = (database or "").rpartition(".")
    found = {}
    for name, columns in COLUMNS.items():
        own = {column: column.upper() if upper else column for column in columns}
        declared = {own[column]: kind for column, kind in columns.items()} | UNREAD
        table = ibis.table(declared, name.upper() if upper else name, catalog=catalog or None, database=schema or None)
        found[name] = table.select(**{column: table[own[column]] for column in columns})
    return found
