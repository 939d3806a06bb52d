"""DuckDB inside the ward: a connection that can open nothing but the named files, and what runs expressions on it.

No network, no extensions, no spilling to disk, no view of Python's own variables, and a configuration that nothing
can change any more. What DuckDB says of an error is never passed on: it quotes the row.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import duckdb
import ibis
import polars as pl
from pyarrow.lib import ArrowException

from wardgate.hospital.ward.source.events import Expression
from wardgate.records.errors import Invalid

BATCH_ROWS = 100_000
CATALOG = "source"
"""The name under which an attached DuckDB file is known."""

_KINDS = {
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "float64": "double precision",
    "string": "text",
    "boolean": "boolean",
    "date": "date",
    "timestamp": "timestamp",
}
_OUR_MISTAKES = ("Binder", "Catalog", "Conversion", "INTERNAL", "Not implemented", "Parser", "Permission", "Syntax")


@dataclass(frozen=True, slots=True, kw_only=True)
class DuckEngine:
    """Runs expressions on one DuckDB.

    Tables are found by name among the connection's own views and tables, or in an attached database by its catalog;
    temporary ones, and frames that were registered, are not: every run has a cursor of its own, so that two may be
    read at a time.

    Attributes:
        name: The source, for messages.
        connection: As `closed_connection` gives it.
    """

    name: str
    connection: duckdb.DuckDBPyConnection
    dialect: Literal["duckdb"] = field(default="duckdb", init=False)
    _views: dict[Any, Expression] = field(default_factory=dict, init=False, repr=False)

    def once(self, expression: Expression) -> Expression:
        """Return the same table as a view, so that questions over it are short to compile. Nothing is held."""
        operation = expression.op()
        if operation not in self._views:
            name = f"wardgate:once-{len(self._views)}"
            found: Exception | None = None
            try:
                self.connection.execute(f"CREATE VIEW {quoted(name)} AS {statement(expression, dialect='duckdb')}")
            except duckdb.Error as error:
                found = problem(self.name, error)
            if found is not None:
                raise found
            self._views[operation] = ibis.table(expression.schema(), name=name)
        return self._views[operation]

    def batches(self, expression: Expression) -> Iterator[pl.DataFrame]:
        """Run an expression and yield its rows in batches, an empty one where there are none; one is held at a time.

        Raises:
            Invalid: the source cannot be read to its end, or what was asked for does not fit the memory limit.
        """
        sql = statement(expression, dialect="duckdb")
        found: Exception | None = None
        cursor = self.connection.cursor()
        try:
            reader = cursor.sql(sql).to_arrow_reader(BATCH_ROWS)
            some = False
            for batch in reader:
                some = True
                yield pl.DataFrame(pl.from_arrow(batch))
            if not some:
                yield pl.DataFrame(pl.from_arrow(reader.schema.empty_table()))
        except (duckdb.Error, ArrowException, OSError) as error:  # from the second batch on, Arrow carries the words
            found = problem(self.name, error)
        finally:
            cursor.close()
        if found is not None:
            raise found


def statement(expression: Expression, *, dialect: str) -> str:
    """Compile a table whose columns come back as the very types that the expression says.

    Engines widen sums and literals as they please; a column of a type that is not listed comes back as it is, and so
    does everything that is sorted: the order of a subquery is nobody's promise.
    """
    if isinstance(expression.op(), (ibis.expr.operations.Sort, ibis.expr.operations.Limit)):
        return compiled(expression, dialect=dialect)
    columns = []
    for name, kind in expression.schema().items():
        plain = "timestamp" if kind.is_timestamp() and kind.timezone is None else str(kind).removeprefix("!")
        column = quoted(name)
        columns.append(f"CAST({column} AS {_KINDS[plain]}) AS {column}" if plain in _KINDS else column)
    return f"SELECT {', '.join(columns)} FROM ({compiled(expression, dialect=dialect)}) AS answer"  # noqa: S608


def compiled(expression: Expression, *, dialect: str, pretty: bool = False) -> str:
    """Compile stage by stage. Fused into one, every stage would be written out again for each use of it."""
    return _compiled(expression.op(), dialect, pretty)


@lru_cache(maxsize=256)
def _compiled(operation: Any, dialect: str, pretty: bool) -> str:
    """Hospitals whose sources are alike share one compilation, which costs more than many a query."""
    fused = ibis.options.sql.fuse_selects
    ibis.options.sql.fuse_selects = False
    try:
        return str(ibis.to_sql(operation.to_expr(), dialect=dialect, pretty=pretty))
    finally:
        ibis.options.sql.fuse_selects = fused


@contextmanager
def closed_connection(
    paths: Sequence[Path], *, memory_limit_mb: int, threads: int, ordered: bool = True
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB that may read `paths` and nothing else: no network, no extensions, no spilling.

    Args:
        paths: Files that it may read.
        memory_limit_mb: What DuckDB may use; nothing is spilled to disk.
        threads: What DuckDB may use.
        ordered: Keep rows in the order of the files; without it, large results need less memory.
    """
    connection = duckdb.connect(config={"memory_limit": f"{memory_limit_mb}MB", "threads": threads})
    allowed = ", ".join(text(str(path)) for path in paths)
    for setting in (
        "enable_progress_bar = false",
        "temp_directory = ''",
        "python_enable_replacements = false",
        f"preserve_insertion_order = {'true' if ordered else 'false'}",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        f"allowed_paths = [{allowed}]",
        "enable_external_access = false",
        "lock_configuration = true",
    ):
        connection.execute(f"SET {setting}")
    try:
        yield connection
    finally:
        connection.close()


@contextmanager
def opened_database(path: Path, *, memory_limit_mb: int, threads: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """An existing DuckDB file, attached read-only as `CATALOG` to a closed connection.

    What a writer left in the file's log (`.wal`) is read as well.

    Raises:
        Invalid: no DuckDB file, damaged, made by a newer DuckDB, or open for writing elsewhere.
    """
    resolved = path.resolve()
    if not resolved.is_file():
        raise Invalid(f"{path.name} is missing or no file, expected a DuckDB database")
    log = resolved.with_name(resolved.name + ".wal")
    with closed_connection(
        [resolved, log], memory_limit_mb=memory_limit_mb, threads=threads, ordered=False
    ) as connection:
        found: Exception | None = None
        try:
            connection.execute(f"ATTACH {text(str(resolved))} AS {quoted(CATALOG)} (READ_ONLY)")
        except (duckdb.Error, OSError) as error:
            found = _unopened(path.name, error)
        if found is not None:
            raise found
        yield connection


def quoted(name: str) -> str:
    """Return a name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return a text as SQL writes it."""
    return "'" + value.replace("'", "''") + "'"


def problem(name: str, error: Exception) -> Exception:
    """Say what DuckDB found without its words, which quote the row."""
    words = str(error)
    line = re.match(r"Invalid Input Error: CSV Error on Line: (\d+)", words)
    if line:
        where = f"{_file(words) or name}, line {line[1]}"
        cells = re.search(r"^Expected Number of Columns: (\d+) Found: (\d+)", words, flags=re.MULTILINE)
        if cells:
            return Invalid(
                f"{where}: found {cells[2]} cells, expected {cells[1]} as in the header; repair the row (a cell that "
                "holds the delimiter or a line break must be quoted)"
            )
        if re.search(r"^Invalid unicode", words, flags=re.MULTILINE):
            return Invalid(
                f"{where}: found bytes of another encoding; save it as UTF-8, or set 'encoding' in the mapping"
            )
        return Invalid(f"{where}: not readable as CSV (an open quote, or a line too long); repair the row")
    if words.startswith("Out of Memory"):
        return Invalid(f"{name}: the rows of this study do not fit the memory limit; narrow the cohort, or raise it")
    if words.startswith(_OUR_MISTAKES):
        return RuntimeError(f"the reading of {name} failed: {words.partition(' ')[0]} error")
    return Invalid(f"{name} is cut off or damaged; export or copy it again")


def _unopened(name: str, error: Exception) -> Exception:
    words = str(error)
    if "Could not set lock" in words:
        return Invalid(f"{name} is open for writing in another program; close it there, or give a copy")
    if "version" in words:
        return Invalid(
            f"{name} was made by another version of DuckDB ({duckdb.__version__} here); export it as Parquet"
        )
    if words.startswith("Out of Memory"):
        return problem(name, error)
    return Invalid(f"{name} is no DuckDB database, cut off or damaged; export or copy it again")


def _file(words: str) -> str | None:
    """The file that DuckDB names below the row: the last such line, whatever the row itself says."""
    files = re.findall(r"^  file = (.+)$", words, flags=re.MULTILINE)
    return Path(files[-1]).name if files else None
