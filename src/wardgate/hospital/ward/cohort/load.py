"""Study + folder -> cohort, whatever the hospital holds: one table with a mapping, or records with a source file."""

from pathlib import Path

from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.hospital.ward.cohort.from_files.build import MAPPING, load_files
from wardgate.records.errors import Unsupported
from wardgate.records.mapping import Mapping
from wardgate.records.source_file import NAME_OF_FILE
from wardgate.records.study import Study


def load(folder: Path, study: Study, *, mapping: Mapping | None = None, memory_limit_mb: int = 2_000) -> Cohort:
    """Read one hospital's folder and build its cohort.

    Args:
        folder: Holds the data files and, unless `mapping` is given, `mapping.yaml`; for a study of events perhaps the
            hospital's records instead.
        memory_limit_mb: What the reading may use; the data are streamed.

    Raises:
        Invalid: the mapping, the files or the records cannot be used.
        Unsupported: the study keeps entries in a way that what is here cannot give.
    """
    if study.of_events and mapping is None and _holds_records(folder):
        from wardgate.hospital.ward.cohort.from_events.build import load_events

        return load_events(folder, study, memory_limit_mb=memory_limit_mb)
    if study.cohort.entries in ("first-eligible", "all"):
        raise Unsupported(
            f"'entries: {study.cohort.entries}' is known of records alone, found one table with a mapping; write "
            "'entries: first' or 'single', or let the hospital give its records"
        )
    return load_files(folder, study, mapping=mapping, memory_limit_mb=memory_limit_mb)


def _holds_records(folder: Path) -> bool:
    """Whether a folder holds records, as `source.yaml` says, rather than one table with a mapping."""
    return (folder / NAME_OF_FILE).is_file() or not (folder / MAPPING).is_file()
