"""An imported definition -> the part of a study file that says it."""

from typing import Any

import yaml

from wardgate.records.circe.imported import Imported
from wardgate.records.record import Record


def to_yaml(imported: Imported) -> str:
    """Return `cohort` and `concept_sets` of a study file, which read back as the same values.

    The notes stand above as comments.
    """
    plain = {
        "cohort": {"entry": imported.name, "entries": imported.entries, "events": _plain(imported.entry)},
        "concept_sets": {name: _plain(one) for name, one in imported.concept_sets.items()},
    }
    notes = "".join(f"# {line}\n" for note in imported.notes for line in note.splitlines())
    return notes + yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)


def _plain(record: Record) -> dict[str, Any]:
    """Fields that differ from their default, as plain data."""
    return record.model_dump(mode="json", exclude_none=True, exclude_defaults=True, by_alias=True)
