"""Timelines: other patients score near nothing; what a generator breaks, the measure of that name sees."""

import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.gate.battery.suite import starter
from wardgate.measures.attacks.persons import MOST_COLUMNS, constants, per_person, typed
from wardgate.measures.realism import timelines
from wardgate.measures.realism.within import within_person
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature, Relation, Subgroup

PLAN = Dictionary(
    features=(
        Feature(name="age", type="number", unit="a", range=(0, 110), quasi_identifier=True),
        Feature(name="sex", type="category", values=("f", "m"), quasi_identifier=True),
        Feature(name="pressure", type="number", unit="mm[Hg]", range=(0, 300)),
        Feature(name="ward", type="category", values=("a", "b")),
        Feature(name="oxygen", type="boolean"),
    ),
    label="died",
    person="who",
    time="hours",
)
SMALL = pl.DataFrame(
    {
        "who": [2, 1, 1, 1, 2],
        "hours": [5.0, 4.0, 0.0, 2.0, 1.0],
        "age": [70.0, 50.0, 50.0, 50.0, 70.0],
        "sex": ["m", "f", "f", "f", "m"],
        "pressure": [None, 140.0, 100.0, 120.0, 90.0],
        "ward": ["a", "b", "a", "b", None],
        "oxygen": [1.0, 0.0, 1.0, None, 0.0],
        "label": [1, 0, 0, 0, 1],
    }
)


def test_a_person_becomes_one_row_by_hand() -> None:
    table, plan = per_person(typed(SMALL, PLAN, "small"), PLAN)
    assert table.height == 2
    first, second = table.to_dicts()
    expected = {
        "age": 50.0,
        "sex": "f",
        "pressure.mean": 120.0,
        "pressure.first": 100.0,
        "pressure.last": 140.0,
        "pressure.min": 100.0,
        "pressure.max": 140.0,
        "pressure.slope": pytest.approx(40.0),
        "ward.last": "b",
        "ward.first": "a",
        "ward.mode": "b",
        "ward.share": pytest.approx(2 / 3),
        "oxygen.last": 0.0,
        "oxygen.first": 1.0,
        "oxygen.share": 0.5,
        "rows": 3,
        "gap.mean": 2.0,
        "gap.max": 2.0,
        "span": 4.0,
        "label": 0,
    }
    assert first == expected
    assert second["pressure.slope"] is None
    assert second["label"] == 1
    assert {feature.name for feature in plan.features} == set(expected) - {"label"}
    assert plan.person is None
    assert plan.time is None


def test_every_table_of_one_dictionary_gets_the_same_columns() -> None:
    events = typed(SMALL, PLAN, "small")
    still = constants(events, PLAN)
    changed = events.with_columns(age=pl.Series([1.0, 2.0, 3.0, 4.0, 5.0]))
    one, other = per_person(events, PLAN, constant=still), per_person(changed, PLAN, constant=still)
    assert one[0].schema == other[0].schema
    assert one[1] == other[1]
    assert still == {"age", "sex"}


def test_many_columns_lose_statistics_from_the_end_and_none_is_lost_whole() -> None:
    names = [f"lab{number}" for number in range(60)]
    plan = Dictionary(
        features=tuple(Feature(name=name, type="number", unit="1", range=(0, 1)) for name in names),
        person="who",
        time="hours",
    )
    rng = np.random.default_rng(0)
    events = pl.DataFrame(
        {"who": np.repeat(range(5), 3), "hours": np.arange(15.0), **{n: rng.random(15) for n in names}}
    )
    table, derived = per_person(events, plan)
    assert table.width == len(derived.features) <= MOST_COLUMNS
    assert {name.split(".")[0] for name in table.columns} >= set(names)
    assert table.width > MOST_COLUMNS - 60


def test_what_was_said_of_a_column_is_said_of_its_first_statistic() -> None:
    plan = PLAN.model_copy(
        update={
            "subgroups": (Subgroup(feature="sex"), Subgroup(feature="pressure", cuts=(120.0,))),
            "rules": (ClinicalRule(name="r", left="pressure", op="<", right="400"),),
            "relations": (Relation(name="x", between=("age", "pressure"), sign="+", size=(0.1, 0.2)),),
            "sensitive": ("ward",),
        }
    )
    _, derived = per_person(typed(SMALL, plan, "small"), plan)
    assert [group.feature for group in derived.subgroups] == ["sex", "pressure.mean"]
    assert derived.rules == ()
    assert derived.relations[0].between == ("age", "pressure.mean")
    assert derived.relations[0].size is None
    assert derived.sensitive == ("ward.last", "ward.mode", "ward.share", "ward.first")
    assert {feature.name for feature in derived.quasi_identifiers} == {"age", "sex"}


def test_slopes_agree_with_least_squares() -> None:
    rng = np.random.default_rng(1)
    who = np.repeat(range(30), 6)
    events = pl.DataFrame({"who": who, "hours": rng.random(180) * 50, "x": rng.random(180)})
    plan = Dictionary(features=(Feature(name="x", type="number", unit="1", range=(0, 10)),), person="who", time="hours")
    found = per_person(events, plan)[0]["x.slope"].to_numpy()
    for person in range(30):
        part = events.filter(pl.col("who") == person)
        time = part["hours"].to_numpy()
        assert found[person] == pytest.approx(np.polyfit(time, part["x"].to_numpy(), 1)[0] * np.ptp(time), abs=1e-9)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda table: table.drop("ward"), "lacks ward"),
        (lambda table: table.with_columns(who=pl.lit(None, dtype=pl.Int64)), "missing values"),
        (lambda table: table.with_columns(hours=pl.lit(None, dtype=pl.Float64)), "missing values"),
        (lambda table: table.with_columns(hours=pl.lit(float("inf"))), "not finite"),
        (lambda table: table.with_columns(pressure=pl.lit("CANARY")), "pressure"),
    ],
)
def test_a_broken_table_is_refused_without_its_values(change, word: str) -> None:
    with pytest.raises(Invalid, match=word) as caught:
        typed(change(SMALL), PLAN, "small")
    assert "CANARY" not in str(caught.value)


def test_a_dictionary_without_persons_has_no_timelines() -> None:
    plan = PLAN.model_copy(update={"person": None, "time": None})
    for call in (lambda: typed(SMALL, plan, "small"), lambda: per_person(SMALL, plan)):
        with pytest.raises(Invalid, match="person"):
            call()
    with pytest.raises(Invalid, match="time"):
        timelines.arranged(SMALL, plan)


def _lines(events: pl.DataFrame, plan: Dictionary = PLAN) -> timelines.Timelines:
    return timelines.arranged(typed(events, plan, "small"), plan)


def _many(count: int, rng: np.random.Generator, *, own: float = 0.7, stay: float = 0.6) -> pl.DataFrame:
    """Persons with 4 to 9 rows whose pressure has a share of variance of its own, and wanders."""
    rows = rng.integers(4, 10, size=count)
    who = np.repeat(range(count), rows)
    first = np.concatenate(([True], who[1:] != who[:-1]))
    noise = rng.normal(size=len(who))
    course = np.empty(len(who))
    for row in range(len(who)):
        course[row] = noise[row] if first[row] else stay * course[row - 1] + np.sqrt(1 - stay**2) * noise[row]
    base = rng.normal(size=count)[who]
    hours = np.concatenate([np.cumsum(rng.gamma(2.0, 2.0, size=size)) for size in rows])
    return pl.DataFrame(
        {
            "who": who,
            "hours": hours,
            "age": np.round(40 + 30 * rng.random(count))[who],
            "sex": np.where(rng.random(count) < 0.5, "f", "m")[who],
            "pressure": 120 + 15 * (np.sqrt(own) * base + np.sqrt(1 - own) * course),
            "ward": np.where(rng.random(len(who)) < 0.5, "a", "b"),
            "oxygen": (course > 0.5).astype(float),
            "label": (rng.random(count) < 0.2).astype(np.int8)[who],
        }
    )


def test_the_share_of_variance_between_persons_is_what_was_simulated() -> None:
    rng = np.random.default_rng(2)
    real, other = (_lines(_many(1500, rng, own=own, stay=0.0)) for own in (0.7, 0.2))
    found = within_person(real, other, PLAN, level=0.9, rng=rng)
    assert found is not None
    assert found.value == pytest.approx(0.5, abs=0.06)
    assert "pressure" in found.note


def test_the_correlation_from_row_to_row_is_measured() -> None:
    rng = np.random.default_rng(9)
    real, other = (_lines(_many(1500, rng, own=0.0, stay=stay)) for stay in (0.8, 0.0))
    found = within_person(real, other, PLAN, level=0.9, rng=rng)
    assert found is not None
    assert found.value > 0.4


def test_other_persons_of_the_same_population_score_near_nothing() -> None:
    rng = np.random.default_rng(3)
    real, other = _lines(_many(1000, rng)), _lines(_many(3000, rng))
    for measured in (
        timelines.visits(real, other, level=0.9, rng=rng),
        timelines.gaps(real, other, level=0.9, rng=rng),
        within_person(real, other, PLAN, level=0.9, rng=rng),
        timelines.time_to_event(real, other, PLAN, level=0.9, rng=rng),
    ):
        assert measured is not None
        assert measured.low <= measured.value <= measured.high < 0.1
        assert measured.n == (3000, 1000)


def test_the_distance_of_visits_is_the_one_that_was_made() -> None:
    """Covers the truth: half of the persons lose all rows but one, which moves half of the distribution."""
    rng = np.random.default_rng(4)
    real, other = _many(2000, rng), _many(2000, rng)
    cut = other.filter((pl.col("who") % 2 == 0) | pl.col("who").is_first_distinct())
    found = timelines.visits(_lines(real), _lines(cut), level=0.9, rng=rng)
    assert found.low <= 0.5 <= found.high + 0.02
    assert found.value == pytest.approx(0.5, abs=0.03)


def test_persons_weigh_equally_however_many_rows_they_have() -> None:
    """One restless person with a thousand rows moves a distance between rows, not one between persons."""
    rng = np.random.default_rng(5)
    real, other = _many(300, rng), _many(300, rng)
    restless = other.head(1).join(pl.DataFrame({"add": np.arange(1000) * 0.001}), how="cross")
    restless = restless.with_columns(hours=pl.col("hours") + pl.col("add"), who=pl.lit(10**6)).drop("add")
    crowd = pl.concat((other, restless.select(other.columns).cast(dict(other.schema))))
    quiet = timelines.gaps(_lines(real), _lines(other), level=0.9, rng=rng)
    loud = timelines.gaps(_lines(real), _lines(crowd), level=0.9, rng=rng)
    assert quiet is not None
    assert loud is not None
    assert abs(loud.value - quiet.value) < 0.02


def test_survival_agrees_with_a_count_by_hand() -> None:
    """Deaths at 2 and 6, one lost at 4: the curve is 3/4 after 2, unchanged after 4, 3/8 after 6."""
    events = pl.DataFrame(
        {
            "who": [1, 2, 3, 4],
            "hours": [2.0, 4.0, 6.0, 8.0],
            **{name: [1.0] * 4 for name in ("age", "pressure", "oxygen")},
            "sex": ["f"] * 4,
            "ward": ["a"] * 4,
            "label": [1, 0, 1, 0],
        }
    )
    grid = np.array([2.0, 4.0, 6.0, 8.0])
    end, event = timelines._ends(_lines(events), PLAN)
    summed = timelines._leaving(end, event, np.zeros(4, dtype=np.int64), 1, grid)[0]
    assert timelines._survival(summed) == pytest.approx([0.75, 0.75, 0.375, 0.375])


ORDERS = {
    "written backwards in time": lambda table: table.sort("who", "hours", descending=[False, True]),
    "two rows at one time": lambda table: table.with_columns(hours=pl.col("hours").first().over("who")),
    "changing sex": lambda table: table.with_columns(
        sex=pl.when(pl.col("hours") == pl.col("hours").max().over("who")).then(pl.lit("f")).otherwise(pl.lit("m"))
    ),
    "age-never-falls": lambda table: table.with_columns(age=pl.col("age") - pl.col("hours") / 10),
}


@pytest.mark.parametrize("name", ORDERS)
def test_each_order_is_seen_when_broken_and_not_counted_when_real_patients_break_it(name: str) -> None:
    rng = np.random.default_rng(6)
    real, good, bad = _many(400, rng), _many(400, rng), ORDERS[name](_many(400, rng))
    judged = timelines.order(_lines(real), _lines(bad), PLAN, level=0.9, suite=starter())
    assert name in judged.note
    assert judged.value == judged.high > 0.9
    assert timelines.order(_lines(real), _lines(good), PLAN, level=0.9, suite=starter()).value == 0
    excused = timelines.order(_lines(ORDERS[name](real)), _lines(bad), PLAN, level=0.9, suite=starter())
    assert excused.value == 0


def test_rows_after_death_are_seen() -> None:
    plan = PLAN.model_copy(
        update={"features": (*PLAN.features, Feature(name="death_time", type="number", unit="d", range=(0, 99)))}
    )
    rng = np.random.default_rng(7)
    real = _many(300, rng).with_columns(death_time=pl.col("hours").max().over("who") / 24)
    late = real.with_columns(hours=pl.when(pl.col("who") < 30).then(pl.col("hours") + 2000).otherwise(pl.col("hours")))
    found = timelines.order(_lines(real, plan), _lines(late, plan), plan, level=0.9, suite=starter())
    assert "nothing-after-death" in found.note
    assert found.value == pytest.approx(0.1)


def test_one_row_a_person_has_no_gaps_and_nothing_within_persons() -> None:
    rng = np.random.default_rng(8)
    single = _many(200, rng).filter(pl.col("who").is_first_distinct())
    lines = _lines(single)
    assert timelines.gaps(lines, lines, level=0.9, rng=rng) is None
    other = _lines(_many(200, rng))
    lost = timelines.gaps(other, lines, level=0.9, rng=rng)
    assert lost is not None
    assert lost.value == pytest.approx(1.0)
    assert timelines.visits(other, lines, level=0.9, rng=rng).value > 0.9


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(Invalid, match="no rows"):
        _lines(SMALL.clear())
