"""One public data set of several hospitals -> one folder a hospital, so that each ward sees only its own rows."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import yaml

from wardgate.records.errors import Invalid
from wardgate.records.mapping import Mapping, Person, SiteColumn, parse_for
from wardgate.records.study import Study

ROW = "source_row"
"""Column of every divided table: the row's number in the public file."""

_TABLE = "table.parquet"


def mapping_beside(study: Path) -> Path:
    """Return the mapping of a shipped study: `<study>.mapping.yaml` beside it, else `mapping.yaml`.

    Raises:
        Invalid: neither is there.
    """
    own = study.with_name(f"{study.stem}.mapping.yaml")
    shared = study.with_name("mapping.yaml")
    for path in (own, shared):
        if path.is_file():
            return path
    raise Invalid(f"found no mapping beside {study.name}, expected {own.name} or {shared.name}")


def divide(data: Path, study: Study, mapping_path: Path, out: Path, *, memory_limit_mb: int = 1_000) -> tuple[str, ...]:
    """Divide a public data set by the study's site column.

    Streams the files; writes `out/<site>/hospital.yaml`, `mapping.yaml` and `table.parquet` with the mapped columns
    alone, values as text, in the order of the source. Rows of sites that the study does not name are left out.

    Args:
        data: Folder of the public data set.
        mapping_path: Mapping with a site column under this study's id.
        out: Folder that does not exist yet, or is empty. On failure nothing is left there.

    Returns:
        The sites, in the study's order.

    Raises:
        Invalid: the data or the mapping cannot be used, or a site of the study has no row.
    """
    mapping = parse_for(mapping_path.read_text(encoding="utf-8"), study, name=mapping_path.name)
    column = mapping.sites.get(study.id)
    if column is None:
        raise Invalid(f"{mapping_path.name} names no site column for study '{study.id}'; add it under 'sites'")
    if out.exists() and any(out.iterdir()):
        raise Invalid(f"{out.name} is not empty, expected a new folder for the hospitals")
    files = [_file(data, name) for name in mapping.files]
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".dividing-", dir=out.parent))
    problem = ""
    try:
        _write(files, study, mapping, column, work, memory_limit_mb=memory_limit_mb)
        if out.exists():
            out.rmdir()
        (work / "sites").rename(out)
    except (duckdb.Error, OSError) as error:
        problem = type(error).__name__
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if problem:
        names = ", ".join(file.name for file in files)
        raise Invalid(
            f"{names} cannot be divided ({problem}): a file is cut off, a row has other cells than the header, a "
            "column of the mapping is missing, or the disk is full; `wardgate data check` says which"
        )
    return study.sites


def _file(data: Path, name: str) -> Path:
    path = data / name
    if not path.is_file():
        raise Invalid(f"{name} is missing in {data.name}; see the README beside the study for where it comes from")
    return path


def _write(
    files: Sequence[Path], study: Study, mapping: Mapping, column: SiteColumn, work: Path, *, memory_limit_mb: int
) -> None:
    pieces = work / "pieces"
    with duckdb.connect(config={"memory_limit": f"{memory_limit_mb}MB", "threads": 2}) as connection:
        connection.execute("SET enable_progress_bar = false")
        connection.execute(f"SET temp_directory = {_text(str(work / 'spill'))}")
        connection.execute(f"CREATE VIEW source AS {_scan(files, mapping)}")
        _sites(connection, study, column)
        chosen = ", ".join(f"CAST({_name(name)} AS VARCHAR) AS {_name(name)}" for name in _columns(mapping))
        connection.execute(
            f"COPY (SELECT {chosen}, {_name(ROW)}, sites.number AS number FROM source JOIN sites "  # noqa: S608
            f"ON trim(CAST(source.{_name(column.column)} AS VARCHAR)) = sites.text) "
            f"TO {_text(str(pieces))} (FORMAT parquet, PARTITION_BY (number))"
        )
        here = mapping.model_copy(
            update={
                "files": (_TABLE,),
                "sites": {},
                "person": mapping.person if mapping.person.column else Person(column=ROW, link=mapping.person.link),
            }
        )
        mapping_text = _yaml(here.plain())
        for number, site in enumerate(study.sites):
            folder = work / "sites" / site
            folder.mkdir(parents=True)
            found = _text(str(pieces / f"number={number}" / "*.parquet"))
            connection.execute(
                f"COPY (SELECT * EXCLUDE (number) FROM read_parquet({found}) ORDER BY {_name(ROW)}) "  # noqa: S608
                f"TO {_text(str(folder / _TABLE))} (FORMAT parquet)"
            )
            (folder / "mapping.yaml").write_text(mapping_text, encoding="utf-8")
            note = f"One '{column.column}' of {', '.join(file.name for file in files)}"
            (folder / "hospital.yaml").write_text(_yaml({"id": site, "note": note}), encoding="utf-8")


def _sites(connection: duckdb.DuckDBPyConnection, study: Study, column: SiteColumn) -> None:
    """Table `sites`: source text and the site's number in the study. Every site of the study must have a row."""
    numbers = {site: number for number, site in enumerate(study.sites)}
    found = connection.execute(
        f"SELECT DISTINCT trim(CAST({_name(column.column)} AS VARCHAR)) FROM source"  # noqa: S608
    ).fetchall()
    texts = {text or "": column.names.get(text or "", f"{column.prefix}{text or ''}") for (text,) in found}
    rows = [(text, numbers[site]) for text, site in texts.items() if site in numbers]
    absent = [site for site in study.sites if numbers[site] not in {number for _, number in rows}]
    if absent:
        raise Invalid(
            f"{len(absent)} sites of the study have no row in '{column.column}': {', '.join(absent[:8])}; "
            "correct 'sites' in the study, or 'names' and 'prefix' in the mapping"
        )
    connection.execute("CREATE TABLE sites (text VARCHAR, number INTEGER)")
    connection.executemany("INSERT INTO sites VALUES (?, ?)", rows)


def _columns(mapping: Mapping) -> Iterator[str]:
    """Every column that the mapping names, once."""
    person = mapping.person
    named = [person.column, person.order, person.link]
    named += [field.column for field in mapping.fields.values()]
    named += [label.column for label in mapping.labels.values()]
    yield from dict.fromkeys(name for name in named if name is not None)


def _scan(files: Sequence[Path], mapping: Mapping) -> str:
    listed = ", ".join(_text(str(file)) for file in files)
    if files[0].suffix == ".parquet":
        table = f"read_parquet([{listed}])"
    else:
        table = (
            f"read_csv([{listed}], all_varchar=true, header=true, delim={_text(mapping.delimiter)}, quote='\"', "
            f"escape='\"', encoding={_text(mapping.encoding)}, strict_mode=true, null_padding=false)"
        )
    return f"SELECT *, row_number() OVER () AS {_name(ROW)} FROM {table}"  # noqa: S608


def _yaml(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
