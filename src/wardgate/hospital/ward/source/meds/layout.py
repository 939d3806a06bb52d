"""What lies in a MEDS dataset, seen from its footers and its metadata: files, columns and their types.

Nothing here reads an event. Reference: Medical Event Data Standard 0.4,
https://github.com/Medical-Event-Data-Standard/meds.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException

from wardgate.hospital.ward.source.events import Noticed
from wardgate.records.errors import Invalid

EXACT = "numeric_value_64"
"""An extension column: the number as it was, beside the 32 bits of MEDS."""

VERSION = re.compile(r"^0\.4(\.\d+)?([a-z.+-].*)?$")
CODES_FILE, DATASET_FILE, SPLITS_FILE = (
    "metadata/codes.parquet",
    "metadata/dataset.json",
    "metadata/subject_splits.parquet",
)
_DATASET_BYTES = 1_000_000

Kind = Callable[[pa.DataType], bool]


def is_text(kind: pa.DataType) -> bool:
    """Whether a column holds text, in any of Arrow's forms of it."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_id(kind: pa.DataType) -> bool:
    """Whether a column holds whole numbers, also as warehouses export them."""
    return bool(pa.types.is_signed_integer(kind) or (pa.types.is_decimal(kind) and kind.scale == 0))


_EXACTLY: Mapping[str, Kind] = {
    "subject_id": pa.types.is_int64,
    "time": lambda kind: bool(pa.types.is_timestamp(kind) and kind.unit == "us"),
}
"""What MEDS asks of columns that are read in near types as well: in others than these, that is said."""


def _is_float(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float32(kind) or pa.types.is_float64(kind))


def _is_texts(kind: pa.DataType) -> bool:
    return bool((pa.types.is_list(kind) or pa.types.is_large_list(kind)) and is_text(kind.value_type))


_NEEDED: Mapping[str, tuple[Kind, str]] = {
    "subject_id": (_is_id, "int64"),
    "time": (pa.types.is_timestamp, "timestamp[us]"),
    "code": (is_text, "string"),
}
_KNOWN: Mapping[str, tuple[Kind, str]] = {
    "numeric_value": (_is_float, "float"),
    "text_value": (is_text, "large_string"),
}
_OURS: Mapping[str, tuple[Kind, str]] = {
    EXACT: (pa.types.is_float64, "double"),
    "end": (pa.types.is_timestamp, "timestamp[us]"),
    "source_code": (is_text, "string"),
    "value_code": (is_text, "string"),
    "unit": (is_text, "string"),
    "visit": (_is_id, "int64"),
    "table": (is_text, "string"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A MEDS dataset as its footers describe it.

    Attributes:
        files: The files of `data`, in the order of their names.
        codes: `metadata/codes.parquet`; `code_columns` are those of it that can be used.
        columns: Columns of the data that can be used, with the Arrow type that each has in the files that have it.
        zoned: Whether times carry a zone.
        rows: Events in all files.
        nulls: Whether `subject_id` or `code` may hold nulls.
        noticed: What is not as it should be.
    """

    root: Path
    files: tuple[Path, ...]
    codes: Path
    code_columns: frozenset[str]
    columns: Mapping[str, pa.DataType]
    zoned: bool
    rows: int
    nulls: bool
    noticed: tuple[Noticed, ...]

    @property
    def read(self) -> tuple[Path, ...]:
        """All files that are read."""
        return (*self.files, self.codes)


def layout_of(root: Path) -> Layout:
    """Look at a dataset.

    Raises:
        Invalid: no MEDS 0.4, or a file is absent, cut off, outside the folder, or has columns of other types.
    """
    if not (root / "data").is_dir():
        raise Invalid(f"{root.name} has no folder 'data', expected a MEDS dataset: data/*.parquet and metadata/")
    noticed = [*_version(root)]
    files = data_files(root)
    if not files:
        raise Invalid(f"{root.name}/data holds no Parquet file, expected data/*.parquet as in MEDS")
    others = [path for path in _inside(root / "data") if path.suffix != ".parquet"]
    if others:
        names = tuple(str(path.relative_to(root)) for path in others[:5])
        noticed.append(
            Noticed(
                what="files in 'data' that are no Parquet", count=len(others), of=len(others) + len(files), where=names
            )
        )
    columns: dict[str, pa.DataType] = {}
    strange: dict[str, str] = {}
    zones: dict[bool, str] = {}
    rows, nulls = 0, False
    for path in files:
        metadata, schema = _footer(path, root)
        rows += metadata.num_rows
        for name, kind in _used(schema, _place(path, root), strange):
            columns[name] = _wider(columns.get(name), kind)
            if pa.types.is_timestamp(kind):
                zones.setdefault(kind.tz is not None, f"{name} in {_place(path, root)}")
        nulls |= _may_have_nulls(metadata, schema)
    if len(zones) > 1:
        raise Invalid(
            f"{zones[True]} has a time zone and {zones[False]} has none; write all times in one way, without a zone"
        )
    noticed += [
        Noticed(what=f"column '{name}' {words}, so it was not read", count=rows, of=rows, harm="odd")
        for name, words in strange.items()
    ]
    noticed += [
        Noticed(
            what=f"column '{name}' holds {columns[name]}, not the type of MEDS; it was read",
            count=rows,
            of=rows,
            harm="odd",
        )
        for name, exactly in _EXACTLY.items()
        if not exactly(columns[name])
    ]
    codes, code_columns = _codes(root)
    _splits(root)
    return Layout(
        root=root,
        files=files,
        codes=codes,
        code_columns=code_columns,
        columns=columns,
        zoned=True in zones,
        rows=rows,
        nulls=nulls,
        noticed=tuple(noticed),
    )


def data_files(root: Path) -> tuple[Path, ...]:
    """Return the Parquet files of a dataset.

    Raises:
        Invalid: one of them lies outside the folder.
    """
    found = [path for path in _inside(root / "data") if path.suffix == ".parquet"]
    for path in found:
        if not path.resolve().is_relative_to(root.resolve()):
            raise Invalid(f"{_place(path, root)} leads out of the dataset's folder; keep the files inside it")
    return tuple(path.resolve() for path in found)


def _inside(folder: Path) -> list[Path]:
    """All files below a folder but hidden ones, by name."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )


def _place(path: Path, root: Path) -> str:
    base = root.resolve()
    return str(path.relative_to(base)) if path.is_relative_to(base) else str(path.relative_to(root))


def _footer(path: Path, root: Path) -> tuple[pq.FileMetaData, pa.Schema]:
    found: tuple[pq.FileMetaData, pa.Schema] | None = None
    try:
        with pq.ParquetFile(path) as opened:
            found = opened.metadata, opened.schema_arrow
    except (ArrowException, OSError):
        found = None
    if found is None:
        raise Invalid(f"{_place(path, root)} is cut off or not Parquet; export or copy it again")
    return found


def _used(schema: pa.Schema, place: str, strange: dict[str, str]) -> Iterator[tuple[str, pa.DataType]]:
    """Yield the columns of one file that can be used; name those of ours that hold something else."""
    if len(set(schema.names)) != len(schema.names):
        raise Invalid(f"{place} has two columns of one name; give every column its own")
    for name, (fits, expected) in _NEEDED.items():
        if name not in schema.names:
            raise Invalid(f"{place} lacks column '{name}', which every MEDS file has")
        if not fits(schema.field(name).type):
            raise Invalid(
                f"{place}: column '{name}' holds {schema.field(name).type}, expected {expected} as in MEDS 0.4"
            )
        yield name, schema.field(name).type
    for name, (fits, expected) in {**_KNOWN, **_OURS}.items():
        if name not in schema.names or pa.types.is_null(schema.field(name).type):
            continue
        kind = schema.field(name).type
        if fits(kind):
            yield name, kind
        elif name in _KNOWN:
            raise Invalid(f"{place}: column '{name}' holds {kind}, expected {expected} as in MEDS 0.4")
        else:
            strange[name] = f"holds {kind}, expected {expected}"


def _wider(one: pa.DataType | None, other: pa.DataType) -> pa.DataType:
    """Of two types of one column, the one to be told of."""
    return other if one is None or pa.types.is_float64(other) else one


def _may_have_nulls(metadata: pq.FileMetaData, schema: pa.Schema) -> bool:
    """Whether subject or code may be null, by the statistics that writers leave."""
    names = [metadata.schema.column(at).path for at in range(metadata.num_columns)]
    for name in ("subject_id", "code"):
        if not schema.field(name).nullable:
            continue
        at = names.index(name)
        for group in range(metadata.num_row_groups):
            known = metadata.row_group(group).column(at).statistics
            if known is None or not known.has_null_count or known.null_count:
                return True
    return False


def _version(root: Path) -> Iterator[Noticed]:
    """Read `dataset.json` for its version."""
    path = root / DATASET_FILE
    if not path.is_file():
        raise Invalid(f"{DATASET_FILE} is missing in {root.name}; it says which version of MEDS the data are in")
    told: object = None
    if path.stat().st_size <= _DATASET_BYTES:
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, ValueError, RecursionError):
            told = None
    if not isinstance(told, dict):
        raise Invalid(f"{DATASET_FILE} in {root.name} is no JSON object; write it again")
    version = told.get("meds_version")
    if version is None:
        yield Noticed(what=f"{DATASET_FILE} names no version; read as MEDS 0.4", count=1, of=1, harm="odd")
    elif not isinstance(version, str) or not VERSION.match(version):
        raise Invalid(f"{root.name} is MEDS {str(version)[:20]!r}, expected 0.4; migrate it to MEDS 0.4")


def _codes(root: Path) -> tuple[Path, frozenset[str]]:
    path = root / CODES_FILE
    if not path.is_file():
        raise Invalid(f"{CODES_FILE} is missing in {root.name}; MEDS lists there every code with what lies above it")
    path = path.resolve()
    if not path.is_relative_to(root.resolve()):
        raise Invalid(f"{CODES_FILE} leads out of the dataset's folder; keep the files inside it")
    kinds: Mapping[str, tuple[Kind, str]] = {
        "code": (is_text, "string"),
        "parent_codes": (_is_texts, "list<string>"),
        "concept_id": (_is_id, "int64"),
    }
    _, schema = _footer(path, root)
    known = []
    for name, (fits, expected) in kinds.items():
        if name in schema.names and pa.types.is_null(schema.field(name).type):
            continue
        if name in schema.names and not fits(schema.field(name).type):
            raise Invalid(f"{CODES_FILE}: column '{name}' holds {schema.field(name).type}, expected {expected}")
        known += [name] if name in schema.names else []
    if "code" not in known:
        raise Invalid(f"{CODES_FILE} lacks column 'code'")
    return path, frozenset(known)


def _splits(root: Path) -> None:
    """Check the splits of the dataset's maker, where there are any. A study makes its own."""
    path = root / SPLITS_FILE
    if not path.is_file():
        return
    _, schema = _footer(path, root)
    for name, (fits, expected) in {"subject_id": (_is_id, "int64"), "split": (is_text, "string")}.items():
        if name not in schema.names or not fits(schema.field(name).type):
            raise Invalid(f"{SPLITS_FILE}: expected a column '{name}' of {expected}")
