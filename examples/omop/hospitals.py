"""Write five simulated hospitals as OMOP CDM 5.4, for the study beside this file.

    python examples/omop/hospitals.py DIR [PERSONS]

Each hospital becomes a folder in DIR with `hospital.yaml`, `source.yaml` and its tables: Parquet, but for one that
keeps them in a DuckDB file and one that exported CSV.
"""

import sys
from pathlib import Path

from wardgate.simulate.records.hospitals import build

folder = Path(sys.argv[1])
persons = int(sys.argv[2]) if len(sys.argv) > 2 else 3_000
for home in build(folder, seed=2026, persons=persons).values():
    print(home)
