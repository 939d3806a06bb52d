"""CSV, CSV.gz and Parquet files as one table of text, streamed by DuckDB.

Every cell is read as text, so that a bad value is counted later instead of breaking the reading; rows of the wrong
length, wrong bytes and cut-off files are refused, never skipped. No message quotes a cell, or a header that
resembles none of the wanted columns: a file without a header line has a patient there.
"""

import codecs
import csv
import difflib
import gzip
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException

from wardgate.hospital.ward.source.duckdb_engine import BATCH_ROWS, closed_connection, problem, quoted, text
from wardgate.records.errors import Invalid

ROW = "wardgate:row"
"""Number of the row in the files, from 1; a column of every source."""

VIEW = "source"
_HEADER_BYTES = 2_000_000
_ENCODINGS = {"utf-8": "utf-8-sig", "latin-1": "latin-1", "utf-16": "utf-16"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One opened hospital source.

    Attributes:
        name: The files, for messages.
        columns: All columns of the files, as named there.
        connection: DuckDB with the view `source` over the wanted columns, all text, and `ROW`. It can open nothing
            but these files, and nothing outside this machine.
    """

    name: str
    columns: tuple[str, ...]
    connection: duckdb.DuckDBPyConnection

    def batches(self, sql: str) -> Iterator[pl.DataFrame]:
        """Run a query over the view `source` and yield its rows in batches; one is held at a time.

        Raises:
            Invalid: the files cannot be read to their end, or the rows asked for do not fit the memory limit.
        """
        found: Exception | None = None
        try:
            for batch in self.connection.sql(sql).to_arrow_reader(BATCH_ROWS):
                frame = pl.from_arrow(batch)
                if isinstance(frame, pl.DataFrame):
                    yield frame
        except (duckdb.Error, ArrowException, OSError) as error:  # from the second batch on, Arrow carries the words
            found = problem(self.name, error)
        if found is not None:
            raise found


@contextmanager
def opened(
    folder: Path,
    files: Sequence[str],
    *,
    wanted: Sequence[str],
    encoding: str = "utf-8",
    delimiter: str = ",",
    memory_limit_mb: int = 2_000,
    threads: int = 2,
) -> Iterator[Source]:
    """Open the files of one hospital.

    Args:
        folder: The hospital's folder.
        files: Names inside it, all CSV or all Parquet, with the same columns.
        wanted: Columns that will be read; no other is.
        encoding: Of CSV: utf-8, latin-1 or utf-16.
        delimiter: Of CSV.
        memory_limit_mb: What DuckDB may use; nothing is spilled to disk.
        threads: What DuckDB may use.

    Raises:
        Invalid: a file is missing, a folder, empty, cut off or unlike the others, or a wanted column is missing.
    """
    found_files = listed(folder, files, wanted=wanted, encoding=encoding, delimiter=delimiter)
    paths, columns, scan = found_files.paths, found_files.columns, found_files.scan
    chosen = ", ".join(f"CAST({quoted(column)} AS VARCHAR) AS {quoted(column)}" for column in dict.fromkeys(wanted))
    row = f"row_number() OVER () AS {quoted(ROW)}"
    with closed_connection(paths, memory_limit_mb=memory_limit_mb, threads=threads) as connection:
        found: Exception | None = None
        try:
            connection.execute(f"CREATE VIEW {VIEW} AS SELECT {chosen}{', ' if chosen else ''}{row} FROM {scan}")  # noqa: S608
        except duckdb.Error as error:
            found = problem(paths[0].name, error)
        if found is not None:
            raise found
        yield Source(name=", ".join(path.name for path in paths), columns=columns, connection=connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Files with one and the same columns, and how DuckDB reads them: nothing guessed, strictly, CSV as text."""

    paths: tuple[Path, ...]
    columns: tuple[str, ...]
    scan: str


def listed(
    folder: Path, files: Sequence[str], *, wanted: Sequence[str], encoding: str = "utf-8", delimiter: str = ","
) -> Listed:
    """Look at files and their headers.

    Raises:
        Invalid: a file is missing, a folder, empty, cut off or unlike the others, or a wanted column is missing.
    """
    paths = tuple(_path(folder, file) for file in files)
    parquet = [path.suffix == ".parquet" for path in paths]
    if any(parquet) and not all(parquet):
        raise Invalid("found CSV and Parquet files in one source, expected one kind; convert one of them")
    headers = [parquet_columns(path) if parquet[0] else csv_columns(path, encoding, delimiter) for path in paths]
    for path, header in zip(paths, headers, strict=True):
        if header != headers[0]:
            raise Invalid(f"{path.name} has other columns than {paths[0].name}; give all files the same, in one order")
    _require(headers[0], wanted, paths[0].name)
    scan = _parquet_scan(paths) if parquet[0] else _csv_scan(paths, headers[0], encoding, delimiter)
    return Listed(paths=paths, columns=headers[0], scan=scan)


def _path(folder: Path, file: str) -> Path:
    path = (folder / file).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise Invalid(f"'{file}' leads out of the hospital's folder; keep the files inside it")
    if path.is_dir():
        raise Invalid(f"{file} is a folder, expected a CSV, CSV.gz or Parquet file")
    if not path.is_file():
        raise Invalid(f"{file} is missing in {folder.name}; correct 'files' in the mapping, or put the file there")
    if path.suffix not in (".csv", ".gz", ".parquet", ".tsv", ".txt"):
        raise Invalid(f"{file} ends in '{path.suffix}', expected .csv, .csv.gz or .parquet")
    if path.stat().st_size == 0:
        raise Invalid(f"{file} is empty, expected a table with a header line")
    return path


def csv_columns(
    path: Path,
    encoding: str,
    delimiter: str,
    *,
    remedy: str = "set 'encoding' in the mapping to utf-8, latin-1 or utf-16",
) -> tuple[str, ...]:
    """Read the header line. Only that: the rest is streamed.

    Args:
        remedy: What to do where the encoding is another.

    Raises:
        Invalid: there is no readable header line, or two columns have one name.
    """
    problem = ""
    header: list[str] = []
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as stream:
            raw = stream.read(_HEADER_BYTES)
        text = codecs.getincrementaldecoder(_ENCODINGS[encoding])().decode(raw, final=len(raw) < _HEADER_BYTES)
        header = next(csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True), [])
    except UnicodeDecodeError:
        problem = f"is not {encoding}; {remedy}"
    except (EOFError, gzip.BadGzipFile, zlib.error):
        problem = "is cut off or not gzip; copy it again"
    except csv.Error:
        problem = "has no readable header line; expected column names in the first line"
    except OSError:
        problem = "cannot be read; check its permissions"
    if problem:
        raise Invalid(f"{path.name} {problem}")
    return _distinct([name.strip() for name in header], path.name)


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Read the names of the columns.

    Raises:
        Invalid: cut off, or not Parquet; or two columns have one name.
    """
    names: list[str] | None = None
    try:
        names = list(pq.read_schema(path).names)
    except (ArrowException, OSError):
        names = None
    if names is None:
        raise Invalid(f"{path.name} is cut off or not Parquet; export or copy it again")
    return _distinct(names, path.name)


def _distinct(names: list[str], file: str) -> tuple[str, ...]:
    if not any(names):
        raise Invalid(f"{file} has no column names, expected a header line")
    seen: dict[str, int] = {}
    for position, name in enumerate(names, start=1):
        key = name.lower()
        if key in seen:
            raise Invalid(f"{file} has one name over columns {seen[key]} and {position}; give every column its own")
        seen[key] = position
    return tuple(names)


def _require(columns: Sequence[str], wanted: Sequence[str], file: str) -> None:
    folded = {column.lower(): column for column in columns}
    missing = []
    for name in dict.fromkeys(wanted):
        if name in columns:
            continue
        near = difflib.get_close_matches(name.lower(), list(folded), n=3, cutoff=0.6)
        hint = f" (nearest: {', '.join(repr(folded[key]) for key in near)})" if near else ""
        missing.append(f"'{name}'{hint}")
    if missing:
        raise Invalid(
            f"{file} lacks {len(missing)} of the columns that the mapping names: {'; '.join(missing)}; "
            "correct the mapping, or check that the first line holds the column names"
        )


def _csv_scan(paths: Sequence[Path], columns: Sequence[str], encoding: str, delimiter: str) -> str:
    """Everything is stated and nothing guessed: no sniffing, every column text, strict rows."""
    types = ", ".join(f"{text(name)}: 'VARCHAR'" for name in columns)
    files = ", ".join(text(str(path)) for path in paths)
    return (
        f"read_csv([{files}], auto_detect=false, header=true, strict_mode=true, delim={text(delimiter)}, quote='\"', "
        f"escape='\"', encoding={text(encoding)}, columns={{{types}}})"
    )


def _parquet_scan(paths: Sequence[Path]) -> str:
    return f"read_parquet([{', '.join(text(str(path)) for path in paths)}])"
