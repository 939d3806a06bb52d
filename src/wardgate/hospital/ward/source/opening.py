"""Any source of events, opened: what a place holds is said by its `source.yaml`, else seen from its files."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from wardgate.hospital.ward.source.code_maps import apply_code_maps, read_code_maps
from wardgate.hospital.ward.source.events import EventSource
from wardgate.hospital.ward.source.over_events import OverEvents
from wardgate.hospital.ward.source.texts import text_in
from wardgate.records.errors import Invalid
from wardgate.records.source_file import NAME_OF_FILE, Postgres, SourceFile, parse

MAPPING = "mapping.yaml"
"""What makes a folder one table with the hospital's own mapping, which holds fields and no events."""

DATABASE = "postgresql://"

_URL = re.compile(r"^postgresql://(?:(?P<user>[^@/:?]+)@)?/(?P<database>[^/?]+)\?(?P<rest>[^#]+)$")
_DUCKDB = (".duckdb", ".db", ".ddb")
_TABLE = re.compile(r"^person\.(csv|tsv|parquet)(\.gz)?$", re.IGNORECASE)

Opener = Callable[..., AbstractContextManager[EventSource]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a hospital's data lie.

    Attributes:
        folder: What file names in `settings` are relative to.
        settings: How to open it; None where it is one table with a mapping.
    """

    folder: Path
    settings: SourceFile | None

    @property
    def words(self) -> str:
        """What kind of source this is, for people."""
        if self.settings is None:
            return "one table with a mapping"
        if self.settings.postgres is not None:
            return "OMOP CDM in PostgreSQL"
        kinds = {"omop": "OMOP CDM", "meds": "MEDS", "fhir": "FHIR R4 bulk export", "tables": "the hospital's tables"}
        return kinds[self.settings.kind]


def place_of(where: str) -> Place:
    """Say what lies at a place that a person named.

    Args:
        where: A folder (with `source.yaml`, with `mapping.yaml`, or of OMOP, MEDS or FHIR files), a DuckDB file, or
            `postgresql://[USER@]/DATABASE?host=/SOCKET/FOLDER[&schema=SCHEMA][&port=PORT]`.

    Raises:
        Invalid: nothing is there, or nothing that can be read as records.
    """
    if where.startswith(("postgresql:", "postgres:")):
        return Place(folder=Path(), settings=SourceFile(kind="omop", postgres=_postgres(where)))
    path = Path(where)
    if path.is_file() and path.suffix in _DUCKDB:
        return Place(folder=path.parent, settings=SourceFile(kind="omop", place=path.name))
    if not path.is_dir():
        raise Invalid(f"{where} is neither a folder nor a DuckDB file (.duckdb); name where the hospital's data lie")
    if (path / NAME_OF_FILE).is_file():
        return Place(folder=path, settings=_written(path / NAME_OF_FILE))
    if (path / MAPPING).is_file():
        return Place(folder=path, settings=None)
    return Place(folder=path, settings=_seen(path))


def _written(path: Path) -> SourceFile:
    return parse(text_in(path), name=path.name)


def _seen(folder: Path) -> SourceFile:
    """Tell the kind of a folder by its files alone."""
    if (folder / "metadata" / "dataset.json").is_file() or (folder / "metadata" / "codes.parquet").is_file():
        return SourceFile(kind="meds")
    inside = sorted(folder.iterdir())
    if any(_TABLE.match(path.name) or (path.is_dir() and path.name.lower() == "person") for path in inside):
        return SourceFile(kind="omop")
    if any(path.name.endswith((".ndjson", ".ndjson.gz")) for path in inside):
        return SourceFile(kind="fhir")
    databases = [path for path in inside if path.suffix in _DUCKDB]
    if len(databases) == 1:
        return SourceFile(kind="omop", place=databases[0].name)
    raise Invalid(
        f"{folder.name} holds no {NAME_OF_FILE}, no {MAPPING}, no OMOP table 'person', no MEDS metadata, no FHIR "
        f"ndjson and no single DuckDB file; write a {NAME_OF_FILE} that says what is there"
    )


def _postgres(where: str) -> Postgres:
    found = _URL.match(where)
    parts = dict(part.partition("=")[::2] for part in found["rest"].split("&")) if found else {}
    unknown = sorted(set(parts) - {"host", "schema", "port"})
    socket, port = parts.get("host", ""), parts.get("port", "5432")
    if found is None or unknown or not socket.startswith("/") or not port.isdecimal() or "%" in where:
        raise Invalid(
            f"a database is named as {DATABASE}[USER@]/DATABASE?host=/FOLDER/OF/SOCKET[&schema=SCHEMA][&port=PORT], "
            "without percent signs; only a Unix socket of this machine can be read"
        )
    return Postgres(
        socket=socket,
        database=found["database"],
        user=found["user"],
        port=int(port),
        tables=parts.get("schema", "public"),
    )


@contextmanager
def opened(
    folder: Path, settings: SourceFile | None = None, *, memory_limit_mb: int = 2_000, threads: int = 2
) -> Iterator[EventSource]:
    """Open a source of events.

    Args:
        folder: What file names in `settings` are relative to.
        settings: How to open it; absent, what `place_of` says of the folder.
        memory_limit_mb: What the engine may use; nothing is spilled to disk.

    Raises:
        Invalid: the place holds one table with a mapping, or cannot be read.
    """
    if settings is None:
        settings = place_of(str(folder)).settings
    if settings is None:
        raise Invalid(f"{folder.name} holds one table with a mapping, expected records; a table has no events")
    with _opener(settings.kind)(folder, settings, memory_limit_mb=memory_limit_mb, threads=threads) as source:
        yield _recoded(source, folder, settings) if settings.codes and settings.kind == "omop" else source


def _recoded(source: EventSource, folder: Path, settings: SourceFile) -> EventSource:
    """The events of a CDM with the hospital's own codes mapped; the other adapters map theirs while they read."""
    events = source.engine.once(apply_code_maps(source.every(), read_code_maps(folder, settings.codes)))
    return OverEvents(
        name=source.name,
        kind=source.kind,
        engine=source.engine,
        events=events,
        code_rows=source.engine.once(source.code_table()),
        found=source.noticed,
        unchanged=source.check_unchanged,
    )


def _opener(kind: str) -> Opener:
    """Return what opens a kind of source. Only that one is loaded."""
    if kind == "omop":
        from wardgate.hospital.ward.source.omop.opened import opened_omop

        return opened_omop
    if kind == "meds":
        from wardgate.hospital.ward.source.meds.opened import opened_meds

        return opened_meds
    if kind == "fhir":
        from wardgate.hospital.ward.source.fhir.opened import opened_fhir

        return opened_fhir
    from wardgate.hospital.ward.source.tables.opened import opened_tables

    return opened_tables
