"""Each planted error is there, of the size asked for, and nothing else changes."""

import numpy as np
import polars as pl
import pytest

from wardgate.records.errors import Invalid
from wardgate.simulate.records.plant import Planted, plant
from wardgate.simulate.records.tables import Tables, records


@pytest.fixture(scope="module")
def tables() -> Tables:
    return records(800, np.random.default_rng(11))


def planted(tables: Tables, error: Planted, size: float, measure: str = "creatinine") -> Tables:
    return plant(tables, error, np.random.default_rng(12), size=size, measure=measure)


def test_planting_nothing_changes_nothing(tables: Tables) -> None:
    for error in Planted:
        same = planted(tables, error, 0.0)
        assert all(same[name].equals(table) for name, table in tables.items()), error


def test_planting_leaves_the_given_tables_alone(tables: Tables) -> None:
    before = {name: table.clone() for name, table in tables.items()}
    for error in Planted:
        planted(tables, error, 0.5)
    assert all(tables[name].equals(table) for name, table in before.items())


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_swapped_units_change_values_and_no_label(tables: Tables, share: float) -> None:
    before, after = tables["measurement"], planted(tables, Planted.UNIT_SWAP, share)["measurement"]
    assert before.drop("value_as_number").equals(after.drop("value_as_number"))
    changed = before["value_as_number"] != after["value_as_number"]
    assert set(before.filter(changed)["measurement_source_value"]) == {"creatinine"}
    one = before.filter(pl.col("measurement_source_value") == "creatinine").height
    assert changed.sum() / one == pytest.approx(share, abs=0.05)
    factor = (after["value_as_number"] / before["value_as_number"]).filter(changed).median()
    assert factor == pytest.approx(88.4, rel=0.01)


def test_an_inverted_label_swaps_the_dead_and_the_living_in_right_time_order(tables: Tables) -> None:
    after = planted(tables, Planted.INVERTED_LABEL, 1.0)
    assert after["death"].height > 3 * tables["death"].height
    assert len(set(after["death"]["person_id"]) & set(tables["death"]["person_id"])) < 0.6 * tables["death"].height
    late = after["visit_occurrence"].join(after["death"], on="person_id")
    assert late.filter(pl.col("visit_start_datetime") > pl.col("death_datetime")).is_empty()
    ends = after["observation_period"].join(after["death"], on="person_id")
    assert ends.filter(pl.col("observation_period_end_date") > pl.col("death_date")).is_empty()


def test_a_shifted_clock_moves_one_table(tables: Tables) -> None:
    after = planted(tables, Planted.SHIFTED_CLOCK, -5.0)
    moved = after["measurement"]["measurement_datetime"] - tables["measurement"]["measurement_datetime"]
    assert moved.dt.total_hours().unique().to_list() == [-5]
    assert (after["measurement"]["measurement_datetime"].dt.date() == after["measurement"]["measurement_date"]).all()
    assert after["visit_occurrence"].equals(tables["visit_occurrence"])


@pytest.mark.parametrize("error", [Planted.LOST_CODES, Planted.UNMAPPED_CODES])
def test_codes_are_lost_from_a_date_on(tables: Tables, error: Planted) -> None:
    after = planted(tables, error, 0.4)["measurement"]
    here = after.filter(pl.col("measurement_concept_id") == 3016723)
    before = tables["measurement"].filter(pl.col("measurement_concept_id") == 3016723)
    assert here.equals(before.filter(pl.col("measurement_datetime") <= here["measurement_datetime"].max()))
    assert 0.4 < here.height / before.height < 0.8
    unmapped = after.filter(pl.col("measurement_concept_id") == 0).height
    assert unmapped == (before.height - here.height if error is Planted.UNMAPPED_CODES else 0)


def test_duplicated_persons_have_numbers_of_their_own_and_the_same_records(tables: Tables) -> None:
    after = planted(tables, Planted.DUPLICATED_PERSONS, 0.1)
    new = set(after["person"]["person_id"]) - set(tables["person"]["person_id"])
    assert 0.05 * 800 < len(new) < 0.16 * 800
    for name in ("person", "visit_occurrence", "measurement", "drug_exposure"):
        key = after[name].columns[0]
        assert after[name][key].is_unique().all()
    copies = after["measurement"].filter(pl.col("person_id").is_in(list(new)))
    visits = after["visit_occurrence"].filter(pl.col("person_id").is_in(list(new)))
    assert set(copies["visit_occurrence_id"]) <= set(visits["visit_occurrence_id"])
    assert copies.height == after["measurement"].height - tables["measurement"].height > 0


def test_early_deaths_lie_before_a_visit(tables: Tables) -> None:
    after = planted(tables, Planted.DEATHS_BEFORE_VISITS, 1.0)
    late = after["visit_occurrence"].join(after["death"], on="person_id")
    wrong = late.filter(pl.col("visit_start_datetime") > pl.col("death_datetime"))["person_id"].n_unique()
    assert wrong == tables["death"].height


def test_impossible_values_are_as_many_as_asked_for(tables: Tables) -> None:
    after = planted(tables, Planted.IMPOSSIBLE_VALUES, 0.05)["measurement"]
    changed = after["value_as_number"] != tables["measurement"]["value_as_number"]
    assert changed.mean() == pytest.approx(0.05, abs=0.005)


def test_a_size_that_is_no_share_is_refused(tables: Tables) -> None:
    with pytest.raises(Invalid, match="share"):
        planted(tables, Planted.LOST_CODES, 1.5)
    with pytest.raises(Invalid, match="no other unit"):
        planted(tables, Planted.UNIT_SWAP, 1.0, measure="sodium")
    with pytest.raises(Invalid, match="no such measure"):
        planted(tables, Planted.LOST_CODES, 0.5, measure="humours")
