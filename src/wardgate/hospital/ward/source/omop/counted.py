"""What is amiss in OMOP tables, counted by the engine: rows without person or date, unknown persons and concepts."""

from collections.abc import Iterator, Mapping

import ibis

from wardgate.hospital.ward.source.events import Engine, Expression, Noticed
from wardgate.hospital.ward.source.omop.occurrences import Cdm
from wardgate.hospital.ward.source.omop.vocabulary import ALWAYS


def counted(cdm: Cdm, engine: Engine) -> Iterator[Noticed]:
    """Yield what was found amiss in the tables; rows that have no event or person are left out of everything.

    Raises:
        Invalid: the source cannot be read to its end.
    """
    yield from _persons(cdm, engine)
    for one in cdm.clinical:
        table = cdm.tables[one.table]
        dates = table[one.start[0]].isnull() & table[one.start[1]].isnull()
        apart = table[one.start[0]] != table[one.start[1]].cast("date")
        yield from _rows(cdm, engine, one.table, nodate=dates, apart=apart)
        yield from _concepts(cdm, engine, one.table, one.concept)
    if "death" in cdm.tables:
        death = cdm.tables["death"]
        dates = death.death_date.isnull() & death.death_datetime.isnull()
        yield from _rows(cdm, engine, "death", nodate=dates, apart=None)
        yield from _repeated(engine, death, "death: rows beyond a person's first; the earliest counts")
    if "observation_period" in cdm.tables:
        table = cdm.tables["observation_period"]
        start, end = table.observation_period_start_date, table.observation_period_end_date
        yield from _rows(cdm, engine, "observation_period", nodate=start.isnull() | end.isnull(), apart=None)


def _persons(cdm: Cdm, engine: Engine) -> Iterator[Noticed]:
    person = cdm.tables["person"]
    found = _one(
        engine,
        person.aggregate(
            rows=person.count(),
            nobody=person.person_id.isnull().sum(),
            unborn=(person.year_of_birth.isnull() & person.birth_datetime.isnull()).sum(),
        ),
    )
    if found["nobody"]:
        yield Noticed(what="person: rows without person_id", count=found["nobody"], of=found["rows"])
    if found["unborn"]:
        yield Noticed(what="person: persons without a year of birth", count=found["unborn"], of=found["rows"])
    yield from _repeated(engine, person, "person: rows that repeat a person_id; one counts")


def _repeated(engine: Engine, table: Expression, words: str) -> Iterator[Noticed]:
    rows = table.filter(table.person_id.notnull())
    found = _one(engine, rows.aggregate(rows=rows.count(), persons=rows.person_id.nunique()))
    if found["rows"] > found["persons"]:
        yield Noticed(what=words, count=found["rows"] - found["persons"], of=found["rows"], harm="odd")


def _rows(cdm: Cdm, engine: Engine, name: str, *, nodate: Expression, apart: Expression | None) -> Iterator[Noticed]:
    """Rows are added up by person first, so that few are compared with the table of persons."""
    table = cdm.tables[name]
    sums = {"rows": table.count(), "nodate": nodate.sum()}
    if apart is not None:
        sums["apart"] = apart.sum()
    by = table.group_by("person_id").aggregate(**sums)
    stranger = by.person_id.notnull() & ~by.person_id.isin(cdm.tables["person"].person_id).fill_null(False)
    found = _one(
        engine,
        by.aggregate(
            **{part: by[part].sum() for part in sums},
            nobody=by.rows.sum(where=by.person_id.isnull()),
            strangers=by.rows.sum(where=stranger),
        ),
    )
    for part, words in (
        ("nobody", "rows without a person"),
        ("strangers", "rows of a person that the table person does not have"),
        ("nodate", "rows without a date"),
    ):
        if found[part]:
            yield Noticed(what=f"{name}: {words}", count=found[part], of=found["rows"])
    if found.get("apart"):
        words = f"{name}: rows whose date is another than that of their date with time, which counts"
        yield Noticed(what=words, count=found["apart"], of=found["rows"], harm="odd")


def _concepts(cdm: Cdm, engine: Engine, name: str, column: str) -> Iterator[Noticed]:
    """Rows are added up by concept first."""
    table = cdm.tables[name]
    by = table.group_by(concept_id=table[column].fill_null(0)).aggregate(rows=table.count())
    unknown = ibis.literal(False)
    if "concept" in cdm.tables:
        always = by.concept_id.isin([0, *ALWAYS])
        unknown = ~always & ~by.concept_id.isin(cdm.tables["concept"].concept_id).fill_null(False)
    found = _one(
        engine,
        by.aggregate(
            rows=by.rows.sum(), unmapped=by.rows.sum(where=by.concept_id == 0), unknown=by.rows.sum(where=unknown)
        ),
    )
    if found["unmapped"]:
        words = f"{name}: rows without a standard concept; they are found by codes as recorded alone"
        yield Noticed(what=words, count=found["unmapped"], of=found["rows"], harm="odd")
    if found["unknown"]:
        words = f"{name}: rows with a concept id that the vocabulary does not have"
        yield Noticed(what=words, count=found["unknown"], of=found["rows"], harm="odd")


def _one(engine: Engine, expression: Expression) -> Mapping[str, int]:
    """The one row of counts; nothing added up is 0."""
    for batch in engine.batches(expression):
        for row in batch.iter_rows(named=True):
            return {name: int(value or 0) for name, value in row.items()}
    return dict.fromkeys(expression.columns, 0)
