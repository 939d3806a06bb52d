"""The PhysioNet 2012 records as four hospitals, one a kind of intensive care unit.

    .venv/bin/python examples/physionet/unit_types.py DATA OUT

DATA is the folder with `long_set_ab.parquet` and `outcomes_ab.csv`. OUT must not exist; it then holds one folder a kind
of unit, with `hospital.yaml`, `source.yaml`, the mapping and the codes.
"""

import shutil
import sys
from pathlib import Path

import polars as pl

HERE = Path(__file__).resolve().parent
TYPES = {1.0: "coronary", 2.0: "cardiac-surgery", 3.0: "medical", 4.0: "surgical"}
LONG, OUTCOMES = "long_set_ab.parquet", "outcomes_ab.csv"


def divide(data: Path, out: Path) -> None:
    """Write one hospital's folder for each kind of unit."""
    rows = pl.read_parquet(data / LONG)
    outcomes = pl.read_csv(data / OUTCOMES, infer_schema=False)
    for number, name in TYPES.items():
        folder = out / name
        folder.mkdir(parents=True)
        here = rows.filter((pl.col("Parameter") == "ICUType") & (pl.col("Value") == number))["RecordID"].implode()
        rows.filter(pl.col("RecordID").is_in(here)).write_parquet(folder / LONG)
        outcomes.filter(pl.col("RecordID").cast(pl.Int64).is_in(here)).write_csv(folder / OUTCOMES)
        for file in ("events.yaml", "source.yaml", "codes.csv"):
            shutil.copyfile(HERE / file, folder / file)
        (folder / "hospital.yaml").write_text(f"id: {name}\nnote: PhysioNet 2012, {name}\n", encoding="utf-8")


if __name__ == "__main__":
    if Path(sys.argv[2]).exists():
        raise SystemExit(f"{sys.argv[2]} exists; name a folder that does not")
    divide(Path(sys.argv[1]), Path(sys.argv[2]))
    print(f"{sys.argv[2]} holds {len(TYPES)} folders, one a kind of unit")
