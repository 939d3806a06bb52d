"""A source that is a table of events and a table of codes: what MEDS, FHIR and a hospital's own tables become.

A concept set is first resolved to a short list of codes, then joined to the events, which stream through it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import duckdb
import ibis

from wardgate.hospital.ward.source.duckdb_engine import compiled, quoted
from wardgate.hospital.ward.source.events import (
    BIRTH,
    CODES,
    DEATH,
    EVERY,
    OBSERVED,
    PERIODS,
    PERSONS,
    PICKED,
    Engine,
    Expression,
    Noticed,
    Pick,
)
from wardgate.records.concepts import DEATH as DEATH_SET
from wardgate.records.concepts import Concept

__all__ = ["CODES", "NO_VOCABULARY", "OverEvents", "as_view"]

NO_VOCABULARY = "SOURCE"
"""Stands for the vocabulary of a code as recorded where nobody knows it, as in OMOP rows without a source concept.

Such a code is compared without its vocabulary.
"""

_WANTED = {
    "pick": "int16",
    "only": "string",
    "code": "string",
    "concept_id": "int64",
    "source": "boolean",
    "below": "boolean",
    "out": "boolean",
    "value": "string",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OverEvents:
    """An `EventSource` over two tables of a DuckDB.

    Attributes:
        events: All events, with the columns of EVERY: a table or view by its name (see `as_view`), since DuckDB holds
            in memory whatever else a question reads twice.
        code_rows: The known codes and their ancestors, with the columns of CODES.
        found: Gives what was found amiss so far.
        unchanged: Raises Invalid where the source changed since it was opened.
    """

    name: str
    kind: str
    engine: Engine
    events: Expression
    code_rows: Expression
    found: Callable[[], tuple[Noticed, ...]]
    unchanged: Callable[[], None]

    def picked(self, picks: Sequence[Pick]) -> Expression:
        """Return the events that the picks ask for, with the columns of PICKED."""
        parts = [
            read(chosen)
            for read, chosen in (
                (self._by_code, {at: one for at, one in enumerate(picks) if not _narrow(one)}),
                (self._by_both, {at: one for at, one in enumerate(picks) if _narrow(one)}),
            )
            if chosen
        ]
        return ibis.union(*parts, distinct=False) if len(parts) > 1 else parts[0] if parts else _none(PICKED)

    def persons(self) -> Expression:
        """Return everybody who has any event, with the columns of PERSONS: the earliest birth and death."""
        return _typed(
            self.events.group_by("subject_id").aggregate(
                birth=self.events.time.min(where=self.events.code == BIRTH),
                death=self.events.time.min(where=self.events.code == DEATH),
            ),
            PERSONS,
        )

    def periods(self) -> Expression:
        """Return the observed times, with the columns of PERIODS.

        In a source that keeps none, a person is observed from the first event to the last, and to the end of visits;
        birth and death are no observation.
        """
        kept = self.events.filter(self.events.code == OBSERVED)
        told = kept.filter(kept.time.notnull() & kept.end.notnull()).select("subject_id", start="time", end="end")
        other = self.events.filter(self.events.time.notnull() & self.events.code.notin([BIRTH, DEATH, OBSERVED]))
        last = ibis.ifelse((other.table == "visit") & (other.end > other.time), other.end, other.time)
        seen = other.group_by("subject_id").aggregate(start=other.time.min(), end=last.max())
        return ibis.union(
            _typed(told, PERIODS), _typed(seen.filter(kept.count().as_scalar() == 0), PERIODS), distinct=False
        )

    def every(self) -> Expression:
        """Return all events, with the columns of EVERY."""
        return self.events if tuple(self.events.columns) == tuple(EVERY) else self.events.select(*EVERY)

    def code_table(self) -> Expression:
        """Return the known codes and their ancestors, with the columns of CODES."""
        return self.code_rows.select(*CODES)

    def codes(self, picks: Sequence[Pick]) -> Mapping[str, int]:
        """Return how many codes each pick stands for: of the table of codes, or of the events alone.

        Death counts as one code that every source knows.
        """
        asked = {at: pick for at, pick in enumerate(picks) if pick.name != DEATH_SET}
        counts = {pick.name: 1 if pick.name == DEATH_SET else 0 for pick in picks}
        if not asked:
            return counts
        named = self._named(asked)
        listed = self.code_rows.select("code")
        standard = _joined(self._standard(named), ibis.union(listed, self.events.select("code"), distinct=True))
        recorded = self.events.filter(self.events.source_code.notnull()).select(code="source_code")
        source = _joined(self._recorded(named), ibis.union(listed, recorded, distinct=True))
        both = ibis.union(standard.mutate(how=0), source.mutate(how=1), distinct=True)
        outs = both.filter(both.out & both.value.isnull())
        left = both.filter(~both.out).anti_join(outs.select("pick", "code"), ["pick", "code"])
        for batch in self.engine.batches(left.group_by("pick").aggregate(n=left.code.nunique())):
            for at, n in batch.select("pick", "n").iter_rows():
                counts[asked[at].name] = int(n)
        return counts

    def noticed(self) -> tuple[Noticed, ...]:
        """Return what was found amiss in the reading so far."""
        return self.found()

    def check_unchanged(self) -> None:
        """Say whether the source is still what it was when it was opened.

        Raises:
            Invalid: it changed while it was read.
        """
        self.unchanged()

    def _by_code(self, picks: Mapping[int, Pick]) -> Expression:
        """Events whose code alone decides."""
        wanted = self._standard(self._named(picks))
        ins = wanted.filter(~wanted.out).select("pick", "only", "code").distinct()
        outs = wanted.filter(wanted.out).select("pick", "code").distinct()
        chosen = ins.anti_join(outs, ["pick", "code"]).rename(asked="code")
        met = (self.events.code == chosen.asked) & (chosen.only.isnull() | (self.events.table == chosen.only))
        return _picked(self.events.inner_join(chosen, met))

    def _by_both(self, picks: Mapping[int, Pick]) -> Expression:
        """Events for which the recorded code or the coded value decides too.

        Every step is a join with a short list, so that the events stream through. What a standard code has brought in
        is not brought in again for its recorded code.
        """
        named = self._named(picks)
        lists = {"code": self._standard(named), "source_code": self._recorded(named)}
        ins = {column: wanted.filter(~wanted.out) for column, wanted in lists.items()}
        outs = {column: wanted.filter(wanted.out) for column, wanted in lists.items()}
        parts = [self._brought(column, ins[column]) for column in lists]
        parts[1] = _without(parts[1], "code", ins["code"])
        for column in lists:
            parts = [_without(part, column, outs[column]) for part in parts]
        return _picked(ibis.union(*parts, distinct=False))

    def _brought(self, column: str, wanted: Expression) -> Expression:
        """Events that a list brings in, each once for a pick: where a code is there without a value, its values go."""
        whole, valued = _parted(wanted)
        chosen = ibis.union(whole, valued.anti_join(whole, ["pick", "code"]), distinct=False)
        chosen = chosen.rename(asked="code", said="value")
        met = (self.events[column] == chosen.asked) & (chosen.said.isnull() | (self.events.value_code == chosen.said))
        met = met & (chosen.only.isnull() | (self.events.table == chosen.only))
        return self.events.inner_join(chosen, met).select("pick", *EVERY)

    def _named(self, picks: Mapping[int, Pick]) -> Expression:
        """What the picks name, one row an entry, each with its code; a concept id by the table of codes."""
        rows = [row for at, pick in picks.items() for row in _rows(at, pick)]
        if not rows:
            return _none(_WANTED).drop("concept_id")
        fields = ", ".join(f"{name}: {kind}" for name, kind in _WANTED.items())
        packed = ibis.literal(rows, type=f"array<struct<{fields}>>").unnest().name("one").as_table()
        wanted = packed.select(**{name: packed.one[name] for name in _WANTED})
        parts = []
        if any(row["concept_id"] is None for row in rows):
            parts.append(wanted.filter(wanted.code.notnull()).drop("concept_id"))
        if any(row["concept_id"] is not None for row in rows):
            ids = self.code_rows.filter(self.code_rows.concept_id.notnull()).select("concept_id", "code").distinct()
            found = wanted.drop("code").inner_join(ids, "concept_id")
            parts.append(found.select(*(name for name in _WANTED if name != "concept_id")))
        return ibis.union(*parts, distinct=True) if len(parts) > 1 else parts[0]

    def _standard(self, named: Expression) -> Expression:
        """The codes, with all below where it was asked, that are compared with `code`."""
        own = named.filter(~named.source)
        parents = own.filter(own.below).rename(parent="code").drop("source", "below")
        below = self.code_rows.filter(self.code_rows.parent.notnull()).select("code", "parent")
        lower = parents.inner_join(below, "parent").drop("parent")
        return ibis.union(own.drop("source", "below"), lower.select(*_order(own)), distinct=True)

    def _recorded(self, named: Expression) -> Expression:
        """The codes, with all that begin like them where it was asked, that are compared with `source_code`."""
        own = named.filter(named.source)
        known = self.events.filter(self.events.source_code.notnull()).select(recorded="source_code").distinct()
        parents = own.filter(own.below)
        longer = parents.inner_join(known, known.recorded.startswith(parents.code)).drop("code").rename(code="recorded")
        return ibis.union(own.drop("source", "below"), longer.select(*_order(own)), distinct=True)


def as_view(connection: duckdb.DuckDBPyConnection, expression: Expression, name: str) -> Expression:
    """Return an expression as a view of a DuckDB, so that every question streams it anew."""
    connection.execute(f"CREATE VIEW {quoted(name)} AS {compiled(expression, dialect='duckdb')}")
    return ibis.table(expression.schema(), name=name)


def _rows(at: int, pick: Pick) -> list[dict[str, object]]:
    """One row for each concept of a pick."""
    if pick.name == DEATH_SET:
        base: dict[str, object] = dict.fromkeys(_WANTED)
        return [base | {"pick": at, "code": DEATH, "source": False, "below": False, "out": False}]
    rows = [_row(at, pick, concept, concept.vocabulary) for concept in pick.concepts]
    recorded = [concept for concept in pick.concepts if concept.source and concept.code is not None]
    return rows + [_row(at, pick, concept, NO_VOCABULARY) for concept in recorded]


def _row(at: int, pick: Pick, concept: Concept, vocabulary: str | None) -> dict[str, object]:
    return {
        "pick": at,
        "only": pick.table,
        "code": None if concept.concept_id is not None else f"{vocabulary}/{concept.code}",
        "concept_id": concept.concept_id,
        "source": concept.source,
        "below": concept.descendants,
        "out": concept.exclude,
        "value": concept.value,
    }


def _narrow(pick: Pick) -> bool:
    """Whether more than the event's code decides."""
    return any(concept.source or concept.value is not None for concept in pick.concepts)


def _order(own: Expression) -> list[str]:
    return [name for name in own.columns if name not in ("source", "below")]


def _joined(wanted: Expression, known: Expression) -> Expression:
    """What was asked and is known."""
    return wanted.inner_join(known, "code").select("pick", "code", "out", "value")


def _parted(wanted: Expression) -> tuple[Expression, Expression]:
    """The entries of a list without a value and those with one, none twice."""
    columns = ["pick", "only", "code", "value"]
    return (
        wanted.filter(wanted.value.isnull()).select(*columns).distinct(),
        wanted.filter(wanted.value.notnull()).select(*columns).distinct(),
    )


def _without(rows: Expression, column: str, wanted: Expression) -> Expression:
    """The rows that no entry of a list covers."""
    whole, valued = _parted(wanted)
    left = rows.anti_join(whole, (rows.pick == whole.pick) & (rows[column] == whole.code))
    same = (left.pick == valued.pick) & (left[column] == valued.code)
    return left.anti_join(valued, same & (left.value_code == valued.value))


def _picked(joined: Expression) -> Expression:
    return _typed(joined.mutate(value=joined.numeric_value), PICKED)


def _typed(table: Expression, schema: Mapping[str, str]) -> Expression:
    return table.select(**{name: table[name].cast(kind) for name, kind in schema.items()})


def _none(schema: Mapping[str, str]) -> Expression:
    """A table without rows."""
    one = ibis.literal(1).name("one").as_table()
    return one.select(**{name: ibis.null(kind) for name, kind in schema.items()}).filter(ibis.literal(False))
