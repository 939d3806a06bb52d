"""A folder of a FHIR R4 bulk export -> a source of events. Nothing of it is ever dropped without a count."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import ibis

from wardgate.hospital.ward.source.code_maps import read_code_maps
from wardgate.hospital.ward.source.duckdb_engine import DuckEngine, closed_connection
from wardgate.hospital.ward.source.events import EVERY, EventSource
from wardgate.hospital.ward.source.fhir.context import Context, Resource, inside
from wardgate.hospital.ward.source.fhir.held import CODES, EVENTS, Held, Resources
from wardgate.hospital.ward.source.fhir.instants import moment, zone_of
from wardgate.hospital.ward.source.fhir.lines import ENDINGS, LONGEST_LINE, lines
from wardgate.hospital.ward.source.fhir.resources import READERS
from wardgate.hospital.ward.source.fhir.tally import Tally
from wardgate.hospital.ward.source.over_events import CODES as CODE_COLUMNS
from wardgate.hospital.ward.source.over_events import OverEvents
from wardgate.hospital.ward.source.stamps import Stamps
from wardgate.records.errors import Invalid
from wardgate.records.source_file import SourceFile

MOST_BAD = 0.01
"""From this share of a type's lines on that are no such resource, the export is refused. A choice, not a citation."""

FEW_BAD = 3
"""Fewer bad lines prove nothing: of thirteen persons, one is 8 %."""

_LONGEST_TYPE = 40
_PERSON_BYTES, _MEDICATION_BYTES = 100, 500
_RESOURCE_BYTES = 24
_OWN_SHARE = 0.25
"""Of the memory limit, what the bookkeeping beside DuckDB may use."""


@contextmanager
def opened_fhir(
    folder: Path, settings: SourceFile, *, memory_limit_mb: int = 2_000, threads: int = 2
) -> Iterator[EventSource]:
    """Open a FHIR R4 bulk export: a folder of ndjson files, plain or gzip, one resource type a file.

    All of it is read here, once and line by line; the events are held in memory.

    Args:
        folder: Where `source.yaml` lies.
        settings: `place` is the folder of the files; `timezone` the hospital's zone, required where times have
            an offset; `codes`, `units` and `unit_names` as written there.
        memory_limit_mb: What the events and the bookkeeping may use; nothing is spilled to disk.

    Raises:
        Invalid: no files, no Patients, a file cut off inside gzip or in UTF-16, times with an offset and no
            `timezone`, more than 1 % (and at least 3) bad lines of a type, a file that changed while it was read, or
            more events than memory. The message quotes no value.
    """
    place = (folder / settings.place).resolve()
    paths = _files(place)
    stamps = Stamps.of(lambda: _files(place))
    tally = Tally()
    name = f"FHIR R4 export in {place.name}"
    context = Context(
        tally=tally,
        zone=zone_of(settings.timezone),
        maps=read_code_maps(folder, settings.codes).applied,
        units=settings.units,
        unit_names={name.strip(): unit for name, unit in settings.unit_names.items()},
    )
    events_mb = max(1, round(memory_limit_mb * (1 - _OWN_SHARE)))
    with closed_connection([], memory_limit_mb=events_mb, threads=threads) as connection:
        held = Held(name=name, connection=connection, memory_limit_mb=memory_limit_mb)
        held.create()
        _read(_by_type(paths, tally), context, held)
        held.finish()

        stamps.check()
        yield OverEvents(
            name=name,
            kind="fhir",
            engine=DuckEngine(name=name, connection=connection),
            events=ibis.table(dict(EVERY), name=EVENTS),
            code_rows=ibis.table(dict(CODE_COLUMNS), name=CODES),
            found=tally.noticed,
            unchanged=stamps.check,
        )


def _files(place: Path) -> tuple[Path, ...]:
    if not place.is_dir():
        raise Invalid(f"{place.name} is no folder, expected one that holds the ndjson files of a FHIR bulk export")
    seen = (path for path in place.iterdir() if path.name.endswith(ENDINGS) and not path.name.startswith("."))
    paths = tuple(sorted(seen))
    if not paths:
        raise Invalid(f"{place.name} holds no file that ends in .ndjson or .ndjson.gz; name the folder of the export")
    for path in paths:
        if not path.resolve().is_relative_to(place):
            raise Invalid(f"{path.name} leads out of the export's folder; copy the file into it")
        if not path.is_file():
            raise Invalid(f"{path.name} is no file, expected ndjson")
    return paths


def _by_type(paths: tuple[Path, ...], tally: Tally) -> Mapping[str, list[Path]]:
    """Say which resource type each file holds: by its name, else by its first resource."""
    files: dict[str, list[Path]] = {}
    for path in paths:
        begun = path.name.partition(".")[0].partition("-")[0]
        kind = begun if begun in READERS else _first_type(path)
        if kind in READERS:
            files.setdefault(kind, []).append(path)
            continue
        tally.place = path.name
        what = f"files of {kind}, not read" if kind else "files without FHIR resources, not read"
        tally.note("", what, harm="odd")
    if "Patient" not in files:
        raise Invalid("the export holds no file of Patient resources; without them nobody can be told from another")
    return files


def _first_type(path: Path) -> str:
    for at, (_, raw) in enumerate(lines(path)):
        found = _parsed(raw) if raw is not None else None
        kind = found.get("resourceType") if isinstance(found, dict) else None
        if isinstance(kind, str) and kind.isalpha() and len(kind) <= _LONGEST_TYPE:
            return kind
        if at >= 100:
            break
    return ""


def _read(files: Mapping[str, list[Path]], context: Context, held: Held) -> None:
    """Read all types, those first to which others refer.

    Raises:
        Invalid: too many bad lines of a type, or nobody is in the export.
    """
    for index, kind in enumerate(kind for kind in READERS if kind in files):
        context.kind = kind
        resources = Resources(resource_type=kind)
        base = index << 40
        for path in files[kind]:
            for resource, updated in _resources(path, kind, context):
                place = base + len(resources.first)
                number = resources.add(resource["id"], updated)
                context.updated = updated or 0
                if kind == "Patient":
                    context.persons.add(number)
                held.add(READERS[kind](resource, context), place)
                if place % 100_000 == 0:
                    _fits(context, len(resources.first), held)
        _judge(kind, context.tally)
        held.flush()
        old = resources.superseded()
        held.drop([base + place for place in old])
        if old:
            what = "resources whose id comes again: the newest lastUpdated counts, of equals the last"
            context.tally.note(kind, what, harm="odd", count=len(old), placed=False)
        if kind == "Patient" and not context.persons:
            raise Invalid("the export holds no Patient resources; without them nobody can be told from another")
    unknown = held.visits_unknown()
    if unknown:
        what = "events of encounters that are not in the export or were left out"
        context.tally.note("", what, harm="odd", count=unknown, placed=False)


def _fits(context: Context, resources: int, held: Held) -> None:
    """Check the bookkeeping against its share of the memory limit; DuckDB checks its own."""
    used = (
        resources * _RESOURCE_BYTES
        + len(context.persons) * _PERSON_BYTES
        + len(context.medications) * _MEDICATION_BYTES
    )
    if used > held.memory_limit_mb * _OWN_SHARE * 1e6:
        raise held.too_large()


def _resources(path: Path, kind: str, context: Context) -> Iterator[tuple[Resource, int | None]]:
    """Yield the resources of one file, and when each was last updated. Bad lines are counted."""
    tally = context.tally
    for number, raw in lines(path):
        tally.place = f"{path.name}, line {number}"
        tally.seen[kind] = tally.seen.get(kind, 0) + 1
        if raw is None:
            tally.spoilt(kind, f"lines longer than {LONGEST_LINE:,} bytes")
            continue
        resource = _parsed(raw)
        if isinstance(resource, str):
            tally.spoilt(kind, resource)
        elif resource.get("resourceType") != kind:
            tally.spoilt(kind, "lines that hold no resource of this type")
        elif not isinstance(resource.get("id"), str) or not resource["id"]:
            tally.spoilt(kind, "resources without an id")
        else:
            updated = inside(resource.get("meta"), "lastUpdated", str)
            yield resource, None if updated is None else moment(updated, context.zone)[0]


def _parsed(raw: bytes) -> Resource | str:
    """Return the object on a line, or what is wrong with it."""
    try:
        found = _JSON.decode(raw.decode("utf-8"))
        if b"\\u" in raw:
            json.dumps(found, ensure_ascii=False).encode()  # half a surrogate pair is no character
    except UnicodeError:
        return "lines that are not UTF-8"
    except (ValueError, RecursionError):
        return "lines that are no JSON, or cut off"
    return found if isinstance(found, dict) else "lines that hold no resource of this type"


def _no_constant(name: str) -> float:
    raise ValueError(name)


_JSON = json.JSONDecoder(parse_constant=_no_constant)


def _judge(kind: str, tally: Tally) -> None:
    """Refuse an export of which too much is lost.

    Raises:
        Invalid: more than 1 % of a type's lines, and at least 3, are no such resource; or all are.
    """
    bad, seen = tally.bad.get(kind, 0), tally.seen.get(kind, 0)
    if bad and (bad == seen or (bad >= FEW_BAD and bad > MOST_BAD * seen)):
        raise Invalid(
            f"{bad} of {seen} lines of {kind} cannot be read ({'; '.join(tally.places(kind))}), expected at most "
            f"{MOST_BAD:.0%}; export them again"
        )
