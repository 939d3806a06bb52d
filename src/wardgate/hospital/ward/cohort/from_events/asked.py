"""A source as the cohort asks it: perhaps only for a range of persons, with what comes back in known types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import polars as pl

from wardgate.hospital.ward.source.events import EventSource, Expression, Pick

KEY = ("subject_id", "start")
"""What names an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A source, limited to the persons numbered `low` to `high`, both included; to nobody's loss where they are None.

    Every answer is of one person alone, so that slices of persons, one after the other, give what all at once give.
    """

    source: EventSource
    low: int | None = None
    high: int | None = None

    def events(self, picks: Sequence[Pick]) -> Expression:
        """Return the events of these picks; `pick` is the place in `picks`."""
        return self._sliced(self.source.engine.once(self.source.picked(picks)))

    def persons(self) -> Expression:
        """Return the persons."""
        return self._sliced(self.source.engine.once(self.source.persons()))

    def periods(self) -> Expression:
        """Return the observed times."""
        return self._sliced(self.source.engine.once(self.source.periods()))

    def run(self, expression: Expression) -> pl.DataFrame:
        """Run an expression and return all of its rows.

        Raises:
            Invalid: the source cannot be read to its end.
        """
        schema = {name: _polars(kind) for name, kind in expression.schema().items()}
        parts = [pl.DataFrame(schema=schema)]
        parts += [batch.select(*schema).cast(dict(schema)) for batch in self.source.engine.batches(expression)]
        return pl.concat(parts)

    def _sliced(self, table: Expression) -> Expression:
        if self.low is None or self.high is None:
            return table
        return table.filter(table.subject_id.between(self.low, self.high))


def _polars(kind: Expression) -> pl.DataType:
    if kind.is_boolean():
        return pl.Boolean()
    if kind.is_integer():
        return pl.Int64()
    if kind.is_floating():
        return pl.Float64()
    if kind.is_timestamp():
        return pl.Datetime("us")
    return pl.String()


def lookup(rows: Sequence[Sequence[object]], columns: Mapping[str, str]) -> Expression:
    """Return a small table of constants, as every engine can hold one inside a query.

    Args:
        rows: At least one; no cell is None. Numbers with a fraction are written as texts and read by the engine, which
            reads them exactly.
        columns: Names and Ibis types.
    """
    at = ibis.range(0, ibis.literal(len(rows), type="int64")).unnest().name("at").as_table()
    cells = {}
    for place, (name, kind) in enumerate(columns.items()):
        column = [row[place] for row in rows]
        if kind == "float64":
            array = ibis.literal([repr(float(str(cell))) for cell in column], type="array<string>")
        else:
            array = ibis.literal(column, type=f"array<{'string' if kind == 'string' else 'int64'}>")
        cells[name] = array[at["at"]].cast(kind)
    return at.select(**cells)


def beside(entries: Expression, found: Expression, *, key: Sequence[str] = KEY) -> Expression:
    """Return all entries with what was found of them; null where nothing was.

    Columns are picked by name: what was found is made from the entries, so a reference to theirs would be ambiguous.
    """
    names = [name for name in found.columns if name not in key]
    found = found.rename({f"{name}_found": name for name in key})
    same = [entries[name] == found[f"{name}_found"] for name in key]
    return entries.left_join(found, same).select(*entries.columns, *names)


def double(value: float) -> Expression:
    """Return a constant that every engine reads as the same double."""
    return ibis.literal(repr(float(value))).cast("float64")
