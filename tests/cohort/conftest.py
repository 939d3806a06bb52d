"""A small study, its mapping, and a way to build a cohort from rows of text."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cohort_rows import HEADER

from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.hospital.ward.cohort.load import load
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.records.study_template import template

MAPPING = """\
schema: wardgate/mapping/1
files: [a.csv]
missing: [NA, "-9"]
person: {column: pid}
fields:
  age: {column: age, unit: a}
  sex: {column: sex, recode: {1: male, 2: female}}
  systolic_pressure: {column: sbp, unit: "mm[Hg]"}
  creatinine: {column: crea, unit: umol/L}
labels:
  died_30d: {column: dead, positive: ["1"], negative: ["0"]}
"""

Build = Callable[..., Cohort]


@pytest.fixture
def study() -> Study:
    """The template's study: age, sex, systolic pressure, creatinine."""
    return parse(template(), name="study.yaml")


@pytest.fixture
def build(tmp_path: Path, study: Study) -> Build:
    """Build a cohort from CSV rows; `mapping` changes the mapping's text, `change` the study's."""

    def run(rows: list[str], *, header: str = HEADER, mapping: dict[str, str] | None = None, change=None) -> Cohort:
        text = MAPPING
        for old, new in (mapping or {}).items():
            assert old in text
            text = text.replace(old, new)
        changed = template()
        for old, new in (change or {}).items():
            assert old in changed
            changed = changed.replace(old, new)
        (tmp_path / "a.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        (tmp_path / "mapping.yaml").write_text(text, encoding="utf-8")
        return load(tmp_path, parse(changed, name="study.yaml"))

    return run
