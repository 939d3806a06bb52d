"""Study + folder -> cohort, whatever the hospital holds: one table with a mapping, or records with a source file."""

from pathlib import Path

from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.hospital.ward.cohort.from_files.build import load_files
from wardgate.records.mapping import Mapping
from wardgate.records.study import Study


def load(folder: Path, study: Study, *, mapping: Mapping | None = None, memory_limit_mb: int = 2_000) -> Cohort:
    """Read one hospital's folder and build its cohort.

    Args:
        folder: Holds the data files and, unless `mapping` is given, `mapping.yaml`.
        memory_limit_mb: What the reading may use; the files are streamed.

    Raises:
        Invalid: the mapping or the files cannot be used.
    """
    return load_files(folder, study, mapping=mapping, memory_limit_mb=memory_limit_mb)
