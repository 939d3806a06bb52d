"""A folder of OMOP tables as CSV or Parquet files: which file is which table, and how its cells are read.

Names of files and columns may be in any case. A table is one file, or a folder of Parquet files. `2b_concept.csv`
extends `concept.csv`, as the custom concepts of the MIMIC-IV demo do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wardgate.hospital.ward.source.duckdb_engine import text
from wardgate.hospital.ward.source.files import csv_columns, parquet_columns
from wardgate.hospital.ward.source.omop.duckdb_tables import Relation
from wardgate.hospital.ward.source.omop.tables import COLUMNS
from wardgate.records.errors import Invalid

EXTRA = "2b_"
_ENDS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files of one table.

    Attributes:
        table: As the CDM calls it.
        paths: The table's own, then those that extend it.
    """

    table: str
    paths: tuple[Path, ...]


def found(folder: Path) -> tuple[Files, ...]:
    """Say which files of a folder are which tables; other files are left alone.

    Raises:
        Invalid: a table is there twice, or is empty.
    """
    own: dict[str, list[Path]] = {}
    extra: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        stem = next(
            (name.removesuffix(end) for end in sorted(_ENDS, key=len, reverse=True) if name.endswith(end)), name
        )
        into = extra if stem.startswith(EXTRA) else own
        table = stem.removeprefix(EXTRA)
        if table not in COLUMNS or (stem == name and not path.is_dir()):
            continue
        into.setdefault(table, []).append(path)
    made = []
    for table in COLUMNS:
        places = own.get(table, [])
        if len(places) > 1:
            names = ", ".join(path.name for path in places)
            raise Invalid(f"{folder.name} holds the table {table} more than once ({names}); keep one of them")
        paths = [file for place in (*places, *extra.get(table, [])) for file in _files(place)]
        if paths:
            made.append(Files(table=table, paths=tuple(path.resolve() for path in paths)))
    return tuple(made)


def relation(files: Files) -> Relation:
    """Say how DuckDB reads the files of a table.

    Raises:
        Invalid: a file is cut off, or has no readable line of column names.
    """
    parquet = [path for path in files.paths if path.suffix.lower() == ".parquet"]
    scans = [_csv(path) for path in files.paths if path not in parquet]
    for path in parquet:
        parquet_columns(path)
    if parquet:
        scans.append(f"read_parquet([{', '.join(text(str(path)) for path in parquet)}], union_by_name=true)")
    first = files.paths[0]
    name = first.name if len(files.paths) == 1 or not first.parent.name.lower().startswith(files.table) else files.table
    return Relation(table=files.table, name=name, scans=tuple(scans))


def _files(place: Path) -> Iterator[Path]:
    if not place.is_dir():
        if place.stat().st_size == 0:
            raise Invalid(f"{place.name} is empty, expected a table with a header line; export or copy it again")
        yield place
        return
    inside = sorted(path for path in place.rglob("*.parquet") if path.is_file() and path.name[0] not in "._")
    if not inside:
        raise Invalid(f"the folder {place.name} holds no Parquet file; put the table's files there, or remove it")
    yield from inside


def _csv(path: Path) -> str:
    """Everything is stated and nothing guessed; a tab in the first line says that tabs divide.

    Files with tabs are read without quoting, as OHDSI's vocabularies are written.
    """
    remedy = "save it as UTF-8"
    columns = csv_columns(path, "utf-8", ",", remedy=remedy)
    tabs = any("\t" in column for column in columns)
    if tabs:
        columns = csv_columns(path, "utf-8", "\t", remedy=remedy)
    types = ", ".join(f"{text(name)}: 'VARCHAR'" for name in columns)
    divided = "delim='\t', quote='', escape=''" if tabs else "delim=',', quote='\"', escape='\"'"
    return (
        f"read_csv([{text(str(path))}], auto_detect=false, header=true, strict_mode=true, {divided}, "
        f"encoding='utf-8', nullstr=['', 'NULL', 'null', '\\N'], columns={{{types}}})"
    )
