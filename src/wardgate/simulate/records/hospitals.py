"""Five simulated hospitals that hold records in OMOP, as folders: Parquet, CSV or a DuckDB file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np
import polars as pl
import yaml

from wardgate.records.source_file import NAME_OF_FILE, SCHEMA
from wardgate.simulate.records.course import Site
from wardgate.simulate.records.tables import records

Form = Literal["parquet", "csv", "duckdb"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeps:
    """A simulated hospital, how it keeps its records, and how many persons it has of what each was asked for."""

    site: Site
    form: Form = "parquet"
    share: float = 1.0


HOSPITALS = (
    Keeps(site=Site(id="northport", note="Simulated. University hospital; the study's own units")),
    Keeps(
        site=Site(
            id="eastmoor",
            note="Simulated. City hospital; molar units under their own LOINC codes",
            older=-0.15,
            sicker=0.1,
            others=("creatinine", "urea_nitrogen", "glucose", "bilirubin"),
        )
    ),
    Keeps(
        site=Site(id="hillcrest", note="Simulated. Teaching hospital; a DuckDB file", older=0.15, intercept=-3.1),
        form="duckdb",
    ),
    Keeps(
        site=Site(
            id="westfield",
            note="Simulated. District hospital; CSV, degrees Fahrenheit, haemoglobin in g/L",
            sicker=-0.1,
            missing=1.3,
            others=("temperature", "haemoglobin"),
        ),
        form="csv",
    ),
    Keeps(
        site=Site(id="lakeside", note="Simulated. Small hospital", older=0.1, sicker=0.2, missing=2.0, intercept=-2.9),
        share=1 / 3,
    ),
)


def build(folder: Path, *, seed: int, persons: int) -> dict[str, Path]:
    """Write the hospitals.

    Args:
        folder: Gets one folder for each hospital.
        seed: The same seed writes the same rows.
        persons: Of a hospital of usual size.

    Returns:
        The folder of each hospital, by its id.
    """
    homes = {}
    streams = np.random.SeedSequence(seed).spawn(len(HOSPITALS))
    for keeps, stream in zip(HOSPITALS, streams, strict=True):
        site = keeps.site
        tables = records(round(persons * keeps.share), np.random.default_rng(stream), site=site)
        homes[site.id] = folder / site.id
        write_hospital(homes[site.id], tables, site=site, form=keeps.form)
    return homes


def write_hospital(folder: Path, tables: Mapping[str, pl.DataFrame], *, site: Site, form: Form = "parquet") -> None:
    """Write one hospital: its tables, `hospital.yaml` and `source.yaml`."""
    folder.mkdir(parents=True, exist_ok=True)
    if form == "duckdb":
        _database(folder / "cdm.duckdb", tables)
    else:
        place = folder / "cdm"
        place.mkdir(exist_ok=True)
        for name, table in tables.items():
            if form == "parquet":
                table.write_parquet(place / f"{name}.parquet")
            else:
                table.write_csv(place / f"{name}.csv", datetime_format="%Y-%m-%d %H:%M:%S")
    source = {"schema": SCHEMA, "kind": "omop", "place": "cdm.duckdb" if form == "duckdb" else "cdm"}
    (folder / NAME_OF_FILE).write_text(yaml.safe_dump(source, sort_keys=False), encoding="utf-8")
    hospital = {"id": site.id, "note": site.note}
    (folder / "hospital.yaml").write_text(yaml.safe_dump(hospital, sort_keys=False), encoding="utf-8")


def _database(path: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        for name, table in tables.items():
            connection.from_arrow(table.to_arrow()).create(name)
