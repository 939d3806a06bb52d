"""A data dictionary as people write it: one YAML file, read, checked line by line, and written for review."""

from typing import Any

import yaml

from wardgate.records.dictionary import SCHEMA, Dictionary
from wardgate.records.record import Record
from wardgate.records.yaml_file import check_schema, read, validate


def parse(text: str, *, name: str) -> Dictionary:
    """Read a dictionary.

    Raises:
        Findings: everything that is wrong in it, as `file:line: path: found X, expected Y`, one a line.
    """
    parsed = read(text, name=name, what="a data dictionary")
    check_schema(parsed, (SCHEMA,))
    return validate(parsed, Dictionary)


def text_of(dictionary: Dictionary) -> str:
    """Return a dictionary as YAML that reads back as itself; what has its default is left out."""
    plain = {"schema": SCHEMA, **_said(dictionary)}
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)


def _said(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = record.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    return found
