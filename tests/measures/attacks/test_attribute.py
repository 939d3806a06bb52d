"""Guessing a column: against a slow oracle, blind to what is missing, and seeing a copied column."""

import numpy as np
import polars as pl
import pytest

from wardgate.measures.attacks.attribute import by_learning, by_nearest, hidden_groups
from wardgate.measures.attacks.parts import Part, agreement, known_class, nearest_class, part
from wardgate.records.feature import Feature

SEX = Feature(name="sex", type="boolean", quasi_identifier=True)
WARD = Feature(name="ward", type="category", values=("a", "b", "c"), quasi_identifier=True)
AGE = Feature(name="age", type="integer", unit="a", range=(0, 100), quasi_identifier=True)
DOSE = Feature(name="dose", type="number", unit="mg", range=(0, 1000))
FLAG = Feature(name="flag", type="boolean")
FEATURES = (SEX, WARD, AGE, DOSE, FLAG)


def people(count: int, rng: np.random.Generator) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "sex": (rng.random(count) < 0.5).astype(float),
            "ward": rng.choice(["a", "b", "c"], size=count),
            "age": rng.integers(20, 90, size=count).astype(float),
            "dose": np.round(rng.gamma(3, 50, size=count), 1),
            "flag": (rng.random(count) < 0.3).astype(float),
        }
    ).with_columns(pl.when(pl.int_range(count) % 17 == 0).then(None).otherwise(pl.col("dose")).alias("dose"))


def parts(persons: pl.DataFrame, rows: pl.DataFrame) -> dict[str, Part]:
    return {feature.name: part(feature, persons, rows) for feature in FEATURES}


def known(columns: dict[str, Part]) -> list[Part]:
    return [columns["sex"], columns["ward"], columns["age"]]


def test_the_share_of_right_rows_agrees_with_counting_them_one_by_one() -> None:
    rng = np.random.default_rng(1)
    columns = parts(people(40, rng), people(60, rng))
    traits = known(columns)
    first, row_class = known_class(traits, rng=rng)
    person_class = nearest_class(traits, first)
    for target in (columns["dose"], columns["flag"]):
        found = agreement(target, row_class, person_class)
        for person in range(40):
            rows = np.flatnonzero(row_class == person_class[person])
            wanted = target.persons[person]
            right = np.abs(target.rows[rows] - wanted) <= target.tolerance + 1e-9
            expected = np.nan if np.isnan(wanted) else right.mean()
            assert found[person] == pytest.approx(expected, nan_ok=True)


def test_alike_rows_are_one_class_and_others_are_not() -> None:
    rng = np.random.default_rng(2)
    rows = people(30, rng)
    columns = parts(rows, pl.concat((rows, rows)))
    first, row_class = known_class(known(columns), rng=rng)
    assert np.array_equal(row_class[:30], row_class[30:])
    assert len(first) == rows.select("sex", "ward", "age").unique().height


def gains(rows: pl.DataFrame, persons: pl.DataFrame, member: np.ndarray, seed: int = 0) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    columns = parts(persons, rows)
    targets = [columns["dose"], columns["flag"]]
    near = list(by_nearest(known(columns), targets, member, rng=rng))
    learned = list(by_learning(known(columns), targets, member, rng=rng))
    return {
        "near dose": near[0].value,
        "near flag": near[1].value,
        "learned dose": learned[0].value,
        "learned flag": learned[1].value,
    }


@pytest.fixture(scope="module")
def everybody() -> tuple[pl.DataFrame, np.ndarray]:
    return people(1200, np.random.default_rng(3)), np.arange(1200) < 600


def test_other_patients_teach_nothing_of_the_members(everybody: tuple[pl.DataFrame, np.ndarray]) -> None:
    found = gains(people(600, np.random.default_rng(4)), *everybody)
    assert all(abs(value) < 0.14 for value in found.values())  # five standard errors at most


def test_a_column_copied_for_members_alone_is_seen(everybody: tuple[pl.DataFrame, np.ndarray]) -> None:
    persons, member = everybody
    leaking = people(600, np.random.default_rng(5)).with_columns(persons[:600].select("sex", "ward", "age", "dose"))
    found = gains(leaking, persons, member)
    assert found["near dose"] > 0.3
    assert abs(found["near flag"]) < 0.14


def test_a_column_that_was_never_measured_is_left_out(everybody: tuple[pl.DataFrame, np.ndarray]) -> None:
    persons, member = everybody
    gone = persons.with_columns(dose=pl.lit(None, dtype=pl.Float64))
    columns = parts(gone, people(100, np.random.default_rng(6)))
    rng = np.random.default_rng(0)
    assert list(by_nearest(known(columns), [columns["dose"]], member, rng=rng)) == []
    assert list(by_learning(known(columns), [columns["dose"]], member, rng=rng)) == []
    columns = parts(persons, people(100, np.random.default_rng(6)).with_columns(dose=pl.lit(None, dtype=pl.Float64)))
    (found,) = by_nearest(known(columns), [columns["dose"]], member, rng=rng)
    assert found.value == 0.0


def test_every_target_is_hidden_once() -> None:
    rng = np.random.default_rng(7)
    rows = people(20, rng)
    targets = [
        part(DOSE.model_copy(update={"name": f"x{i}"}), rows.rename({"dose": f"x{i}"}), rows.rename({"dose": f"x{i}"}))
        for i in range(7)
    ]
    groups = hidden_groups(targets, groups=3, rng=rng)
    assert sorted(one.feature.name for group in groups for one in group) == [f"x{i}" for i in range(7)]
    assert [len(group) for group in groups] == [3, 2, 2]
    assert [len(group) for group in hidden_groups(targets[:2], groups=3, rng=rng)] == [1, 1]
