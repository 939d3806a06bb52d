"""The engine's cohort beside the same cohort worked out person by person in plain Python: equal to the last bit."""

from random import Random

import oracle
import pytest
from plain_source import duck_source
from random_studies import records, study

from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.hospital.ward.cohort.from_events.build import build
from wardgate.records.study import Study

PERSONS = 40


def compared(cohort: Cohort, expected: oracle.Expected, asked: Study) -> None:
    """Equal rows, and equal flow."""
    names = [feature.name for feature in asked.features]
    assert cohort.timing is not None
    table = cohort.table.join(cohort.timing, on="person", maintain_order="left")
    found = sorted(table.select(*names, "label", "state", "days", group=cohort.groups).rows(), key=repr)
    wanted = [
        (*(row[name] for name in (*names, "label", "state", "days")), str(subject))
        for (subject, _), row in expected.rows.items()
    ]
    assert found == sorted(wanted, key=repr)
    for step in cohort.entry_flow[1:]:
        assert (step.entries, step.persons) == (expected.entries[step.step], len(expected.persons.get(step.step, ())))
    assert {step.step for step in cohort.entry_flow} >= set(expected.entries)


def _agree(seed: int) -> int:
    """One random study over random records; how many rows were compared."""
    rng = Random(seed)
    given, asked = records(rng, persons=PERSONS), study(rng)
    expected = oracle.cohort(given, asked)
    compared(build(duck_source(given), asked), expected, asked)
    return len(expected.rows)


def test_a_cohort_is_what_plain_reading_gives() -> None:
    assert sum(_agree(seed) for seed in (2, 5, 11)) > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_hundreds_of_cohorts_are_what_plain_reading_gives(seed: int) -> None:
    assert sum(_agree(1000 + 30 * seed + place) for place in range(30)) > 100
