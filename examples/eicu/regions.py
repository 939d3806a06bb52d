"""The eICU demo as four hospitals, one a region, each with the same tables of its own, or as MEDS or OMOP.

    .venv/bin/python examples/eicu/regions.py EICU YAIB OUT [tables|meds|omop]

EICU is the folder of the demo's tables (`patient.csv.gz` ...), YAIB the folder of its hourly values (`dyn.parquet` of
the task `los`). OUT must not exist; it then holds one folder a region, with `hospital.yaml` and `source.yaml`. Stays in
hospitals whose region is unknown are left out and counted.
"""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
from to_omop import write_omop

from wardgate.hospital.ward.source.meds.written import write_meds
from wardgate.hospital.ward.source.tables.opened import opened_tables
from wardgate.records.event_mapping import EventMapping
from wardgate.records.event_mapping import parse as parse_mapping
from wardgate.records.source_file import parse as parse_source

HERE = Path(__file__).resolve().parent
REGIONS = ("Midwest", "Northeast", "South", "West")
KINDS = ("tables", "meds", "omop")
_OURS = ("events.yaml", "source.yaml", "codes.csv")


def gather(eicu: Path, yaib: Path, folder: Path, *, stays: pl.Series | None = None) -> None:
    """Write the tables that the mapping names, with the mapping beside them, as one hospital's folder.

    Args:
        eicu: Folder of the demo's tables.
        yaib: Folder of the hourly values.
        folder: Is made.
        stays: Only these unit stays (as text); all of them where absent.
    """
    folder.mkdir(parents=True)
    mapping = parse_mapping((HERE / "events.yaml").read_text(encoding="utf-8"), name="events.yaml")
    for name, file in _files(mapping):
        origin = yaib / "dyn.parquet" if file.endswith(".parquet") else eicu / file
        if stays is None:
            shutil.copyfile(origin, folder / file)
            continue
        table = mapping.tables[name]
        key = table.key or (table.parent.column if table.parent is not None else "")
        if file.endswith(".parquet"):
            hourly = pq.read_table(origin)  # with its types as they are: Polars would turn seconds into milliseconds
            here = pl.Series(hourly[key].to_pylist()).cast(pl.String).is_in(stays.implode())
            pq.write_table(hourly.filter(here.to_arrow()), folder / file)
        else:
            rows = pl.read_csv(origin, infer_schema=False, empty_string_is_null=False)
            rows.filter(pl.col(key).is_in(stays.implode())).write_csv(folder / file, compression="gzip")
    for file in _OURS:
        shutil.copyfile(HERE / file, folder / file)


def _files(mapping: EventMapping) -> Iterator[tuple[str, str]]:
    return ((name, file) for name, table in mapping.tables.items() for file in table.files)


def regions(eicu: Path) -> dict[str, pl.Series]:
    """Return the unit stays (as text) of each region, by its hospital's."""
    patients = pl.read_csv(eicu / "patient.csv.gz", infer_schema=False)
    hospitals = pl.read_csv(eicu / "hospital.csv.gz", infer_schema=False)
    placed = patients.join(hospitals, on="hospitalid", how="left")
    return {region.lower(): placed.filter(pl.col("region") == region)["patientunitstayid"] for region in REGIONS}


def divide(eicu: Path, yaib: Path, out: Path, *, kind: str = "tables") -> None:
    """Write one hospital's folder for each region, in one of KINDS."""
    out.mkdir(parents=True)
    for name, stays in regions(eicu).items():
        own = out / name if kind == "tables" else out / f".{name}-tables"
        gather(eicu, yaib, own, stays=stays)
        if kind != "tables":
            convert(own, out / name, kind=kind)
            shutil.rmtree(own)
        (out / name / "hospital.yaml").write_text(f"id: {name}\nnote: eICU demo, region {name}\n", encoding="utf-8")


def convert(tables: Path, folder: Path, *, kind: str) -> None:
    """Write the same events as MEDS or OMOP."""
    folder.mkdir(parents=True)
    settings = parse_source((tables / "source.yaml").read_text(encoding="utf-8"), name="source.yaml")
    with opened_tables(tables, settings) as source:
        if kind == "meds":
            write_meds(source, folder / "meds", name="eICU demo", codes=source.code_table())
        else:
            write_omop(source, folder / "omop")
    text = f"schema: wardgate/source/1\nkind: {kind}\nplace: {kind}\n"
    (folder / "source.yaml").write_text(text, encoding="utf-8")


def main(eicu: Path, yaib: Path, out: Path, kind: str) -> None:
    """Divide, and say how many stays have no region."""
    if kind not in KINDS:
        raise SystemExit(f"found '{kind}', expected one of {', '.join(KINDS)}")
    if out.exists():
        raise SystemExit(f"{out} exists; name a folder that does not")
    divide(eicu, yaib, out, kind=kind)
    known = sum(stays.len() for stays in regions(eicu).values())
    whole = pl.read_csv(eicu / "patient.csv.gz", infer_schema=False).height
    print(f"{out} holds {known} unit stays in {len(REGIONS)} regions; {whole - known} stays have no region")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else "tables")
