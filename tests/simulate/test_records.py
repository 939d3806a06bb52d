"""The simulated records are what they say: whole, linked, repeatable, and true to the model behind them."""

import numpy as np
import polars as pl
import pytest

from wardgate.simulate.records.course import CENTRES, COEFFICIENTS, DAY, Site, cancer, course
from wardgate.simulate.records.forms import FORMS
from wardgate.simulate.records.tables import CLINICAL, IDS_PER_PERSON, LATE, NO_UNIT, Tables, events, records
from wardgate.simulate.records.vocabulary import LOCAL, MEASURES, UNITS, vocabulary

TIMES = {
    "visit_occurrence": "visit_start_datetime",
    "visit_detail": "visit_detail_start_datetime",
    "condition_occurrence": "condition_start_datetime",
    "drug_exposure": "drug_exposure_start_datetime",
    "procedure_occurrence": "procedure_datetime",
    "measurement": "measurement_datetime",
    "observation": "observation_datetime",
}


@pytest.fixture(scope="module")
def tables() -> Tables:
    return records(1_500, np.random.default_rng(3))


def test_the_same_seed_gives_the_same_records(tables: Tables) -> None:
    again = records(1_500, np.random.default_rng(3))
    assert all(again[name].equals(table) for name, table in tables.items())
    other = records(1_500, np.random.default_rng(4))
    assert not other["measurement"].equals(tables["measurement"])


def test_every_table_has_the_columns_of_the_standard(tables: Tables) -> None:
    for name, form in FORMS.items():
        assert dict(tables[name].schema) == form


def test_row_ids_are_unique_and_chunks_of_persons_never_share_one(tables: Tables) -> None:
    beside = records(200, np.random.default_rng(5), first_person=1_501)
    for name in CLINICAL:
        column = tables[name].columns[0]
        assert tables[name][column].is_unique().all()
        if name != "death":
            assert tables[name].height < 1_500 * IDS_PER_PERSON
        assert not set(tables[name][column]) & set(beside[name][column])


def test_nothing_happens_after_death_or_outside_observation(tables: Tables) -> None:
    dead = tables["death"].select("person_id", "death_datetime")
    periods = tables["observation_period"]
    for name, time in TIMES.items():
        joined = tables[name].join(dead, on="person_id")
        assert joined.filter(pl.col(time) > pl.col("death_datetime")).is_empty()
        outside = (
            tables[name]
            .join(periods, on="person_id")
            .filter(
                (pl.col(time).dt.date() < pl.col("observation_period_start_date"))
                | (pl.col(time).dt.date() > pl.col("observation_period_end_date"))
            )
        )
        assert outside.height <= 2 * LATE * tables["measurement"].height, name


def test_events_lie_inside_their_visits_but_for_a_few_late_ones(tables: Tables) -> None:
    visits = tables["visit_occurrence"].select(
        "visit_occurrence_id", "visit_start_datetime", "visit_end_datetime", pl.col("person_id").alias("whose")
    )
    for name, time in TIMES.items():
        if name == "visit_occurrence":
            continue
        joined = tables[name].join(visits, on="visit_occurrence_id")
        assert joined.height == tables[name].height
        assert (joined["person_id"] == joined["whose"]).all()
        inside = joined.filter(pl.col(time).is_between(pl.col("visit_start_datetime"), pl.col("visit_end_datetime")))
        assert inside.height >= (1 - 2 * LATE if name == "measurement" else 1) * joined.height


def test_stays_of_a_person_never_overlap(tables: Tables) -> None:
    stays = tables["visit_occurrence"].filter(pl.col("visit_concept_id") == 9201).sort("person_id", "visit_start_date")
    after = stays.with_columns(pl.col("visit_end_datetime").shift(1).over("person_id").alias("before"))
    assert after.filter(pl.col("visit_start_datetime") <= pl.col("before")).is_empty()


def test_every_concept_is_in_the_vocabulary_and_every_unit_fits_its_measure(tables: Tables) -> None:
    known = set(tables["concept"]["concept_id"])
    assert tables["concept"]["concept_id"].is_unique().all()
    for name in CLINICAL[:-1]:
        column = next(one for one in tables[name].columns if one.endswith("_concept_id"))
        assert set(tables[name][column]) <= known
    units = tables["measurement"].filter(pl.col("unit_concept_id") != 0)
    assert 1 - units.height / tables["measurement"].height == pytest.approx(NO_UNIT, rel=0.5)
    expected = {one.concept_id: UNITS[one.unit] for one in MEASURES}
    assert (units["measurement_concept_id"].replace_strict(expected) == units["unit_concept_id"]).all()


def test_hierarchies_lead_from_classes_to_what_was_recorded() -> None:
    tables = vocabulary()
    ids = {(row["vocabulary_id"], row["concept_code"]): row["concept_id"] for row in tables["concept"].to_dicts()}
    pairs = set(tables["concept_ancestor"].select("ancestor_concept_id", "descendant_concept_id").iter_rows())
    assert (ids["ATC", "A10"], 1503297) in pairs
    assert (ids["ATC", "A"], ids["ATC", "A10BA02"]) in pairs
    assert (201820, 201826) in pairs
    assert (1503297, 1503297) in pairs
    assert all(number < LOCAL or number > LOCAL + 100 for number in ids.values())


def test_a_hospital_may_report_in_another_unit_and_means_the_same() -> None:
    plain = records(800, np.random.default_rng(6))["measurement"]
    molar = records(800, np.random.default_rng(6), site=Site(others=("creatinine",)))["measurement"]
    one = plain.filter(pl.col("measurement_concept_id") == 3016723)["value_as_number"].median()
    two = molar.filter(pl.col("measurement_source_value") == "creatinine")
    assert set(two["unit_source_value"].drop_nulls()) == {"umol/L"}
    assert two["value_as_number"].median() / one == pytest.approx(88.4, rel=0.02)  # type: ignore[operator]


def test_deaths_follow_the_stated_coefficients() -> None:
    """Newton on 25,000 persons' stays finds the log odds back, each within five standard errors."""
    site = Site()
    truth = course(25_000, np.random.default_rng(7), site=site, start_year=2016, years=6)
    stays, people = truth.stays, truth.people
    long = stays.end - stays.start > DAY
    person = stays.person[long]
    columns = {
        "age": (stays.start[long] - people.birth[person]) / (365.25 * DAY),
        "sex=male": people.male[person],
        "heart_failure": people.diseases["heart_failure"][person],
        "cancer": cancer(people.diseases)[person],
    }
    columns |= {name: stays.first_day[name][long] for name in list(CENTRES)[1:]}
    names = list(columns)
    design = np.column_stack([columns[name] - CENTRES.get(name, 0.0) for name in names] + [np.ones(len(person))])
    died = stays.died[long].astype(np.float64)
    weights = np.zeros(design.shape[1])
    for _ in range(12):
        chance = 1 / (1 + np.exp(-design @ weights))
        hessian = (design * (chance * (1 - chance))[:, None]).T @ design
        weights += np.linalg.solve(hessian, design.T @ (died - chance))
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    expected = np.array([COEFFICIENTS[name] for name in names] + [site.intercept])
    assert (np.abs(weights - expected) < 5 * errors).all()
    assert 0.04 < died.mean() < 0.15


def test_events_are_counted_over_all_clinical_tables(tables: Tables) -> None:
    assert events(tables) == sum(tables[name].height for name in CLINICAL)
    assert events(tables) > 50 * 1_500
