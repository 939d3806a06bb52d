"""One study gives the same cohort from every engine, in every order of rows, and in any number of slices."""

from random import Random
from typing import Any

import pytest
from plain_source import Records, duck_source
from polars.testing import assert_frame_equal
from postgres_source import postgres_source
from random_studies import records, study

from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.hospital.ward.cohort.from_events.build import build


def alike(one: Cohort, other: Cohort) -> None:
    """The same to the last bit, but for quantiles, which are for people to look at."""
    assert one.table.equals(other.table)
    assert one.groups.equals(other.groups)
    assert one.timing is not None and other.timing is not None
    assert_frame_equal(one.timing, other.timing, check_exact=True)
    assert (one.entry_flow, one.quality, one.found) == (other.entry_flow, other.quality, other.found)


def test_slices_of_persons_give_the_same_cohort() -> None:
    rng = Random(50)
    given, asked = records(rng, persons=40), study(rng)
    alike(build(duck_source(given), asked), build(duck_source(given), asked, slices=3))


def test_the_order_of_rows_does_not_matter() -> None:
    rng = Random(60)
    given, asked = records(rng, persons=40), study(rng)
    turned = Records(
        events=rng.sample(given.events, len(given.events)), persons=given.persons[::-1], periods=given.periods[::-1]
    )
    alike(build(duck_source(given), asked), build(duck_source(turned), asked))


def _both(seed: int, server: Any) -> None:
    rng = Random(seed)
    given, asked = records(rng, persons=40), study(rng)
    with postgres_source(given, server) as source:
        alike(build(duck_source(given), asked), build(source, asked))


def test_postgresql_gives_the_same_cohort(postgres_server: Any) -> None:
    _both(70, postgres_server)


@pytest.mark.slow
def test_postgresql_gives_sixty_times_the_same_cohort(postgres_server: Any) -> None:
    for seed in range(60):
        _both(2000 + seed, postgres_server)
