"""The page of the study language names every field, and its example is a study."""

from pathlib import Path

import pytest

from wardgate.records.concepts import Concept, ConceptSet
from wardgate.records.entry import Criterion, Entry, Group, Outcome
from wardgate.records.feature import Feature
from wardgate.records.record import Record
from wardgate.records.study_file import parse

ELSEWHERE = {"codes", "quasi_identifier", "type", "values"}
"""Fields of a feature that a table has as well; docs/study.md tells of them."""

REST = """
schema: wardgate/study/1
id: example
version: 1
title: An example
question: Does the page's example parse?
acceptance: {auroc_min: 0.5, worst_site_auroc_min: 0.5}
sites: [a, b, c]
"""


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs" / "data" / "language.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("record", [Concept, ConceptSet, Criterion, Group, Entry, Outcome, Feature])
def test_every_field_stands_on_the_page(record: type[Record], page: str) -> None:
    missing = [name for name in record.model_fields if f"`{name}`" not in page and name not in ELSEWHERE]
    assert not missing


def test_the_example_is_a_study(page: str) -> None:
    example = page.partition("```yaml\n")[2].partition("```")[0]
    assert parse(REST + example, name="example.yaml").of_events
