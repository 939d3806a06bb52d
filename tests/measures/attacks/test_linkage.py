"""Joining two halves through the corpus: against a slow oracle, and a memorising generator beside a safe one."""

import numpy as np
import polars as pl
import pytest

from wardgate.measures.attacks.linkage import linkage, linked
from wardgate.measures.attacks.parts import Part, part
from wardgate.records.feature import Feature

COARSE = tuple(Feature(name=f"c{i}", type="category", values=("x", "y", "z")) for i in range(4))
FINE = tuple(Feature(name=f"n{i}", type="number", unit="1", range=(-9, 9)) for i in range(6))


def coarse(count: int, rng: np.random.Generator) -> pl.DataFrame:
    return pl.DataFrame({one.name: rng.choice(["x", "y", "z"], size=count) for one in COARSE})


def fine(count: int, rng: np.random.Generator) -> pl.DataFrame:
    return pl.DataFrame({one.name: rng.normal(size=count) for one in FINE})


def test_the_chance_of_a_right_join_agrees_with_trying_every_pair() -> None:
    rng = np.random.default_rng(1)
    persons, rows = coarse(30, rng), coarse(50, rng)
    parts = [part(one, persons, rows) for one in COARSE]
    found = linked(parts[:2], parts[2:], rng=rng)
    mine, theirs = (_nearest(persons, rows, names) for names in (("c0", "c1"), ("c2", "c3")))
    for person in range(30):
        chances = []
        for row in mine[person]:
            candidates = [other for other in range(30) if row in theirs[other]]
            chances.append(1 / len(candidates) if person in candidates else 0.0)
        assert found[person] == pytest.approx(np.mean(chances))


def _nearest(persons: pl.DataFrame, rows: pl.DataFrame, names: tuple[str, ...]) -> list[set[int]]:
    """The rows that hold exactly the person's values: with nine combinations and fifty rows all are there."""
    found = []
    for person in persons.select(names).rows():
        same = {at for at, row in enumerate(rows.select(names).rows()) if row == person}
        assert same
        found.append(same)
    return found


def gain(rows: pl.DataFrame, persons: pl.DataFrame) -> list[float]:
    parts: list[Part] = [part(one, persons, rows) for one in FINE]
    member = np.arange(persons.height) < persons.height // 2
    return [one.value for one in linkage(parts, member, splits=3, rng=np.random.default_rng(0))]


def test_a_memorising_generator_joins_its_patients_and_a_safe_one_does_not() -> None:
    rng = np.random.default_rng(2)
    persons = fine(600, rng)
    assert min(gain(persons[:300], persons)) > 0.5  # strangers are nearest to the same rows, so some joins stay open
    assert max(map(abs, gain(fine(300, rng), persons))) < 0.05


def test_one_column_cannot_be_split() -> None:
    rows = fine(20, np.random.default_rng(3))
    parts = [part(FINE[0], rows, rows)]
    assert linkage(parts, np.arange(20) < 10, splits=3, rng=np.random.default_rng(0)) == []
