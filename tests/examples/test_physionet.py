"""PhysioNet 2012: a long table of parameters against counts of the source and an independent reading with Polars."""

from pathlib import Path

import polars as pl
import pytest
from tests.examples.conftest import Example

pytestmark = [pytest.mark.data, pytest.mark.slow]


@pytest.fixture(scope="module")
def rows(data_folder: Path, physionet: Example) -> pl.DataFrame:
    """The rows of the coronary units, with their minute."""
    table = pl.read_parquet(data_folder / "physionet2012_icu" / "long_set_ab.parquet")
    here = table.filter((pl.col("Parameter") == "ICUType") & (pl.col("Value") == 1))["RecordID"]
    clock = pl.col("Time").str.split(":")
    minute = clock.list.get(0).cast(pl.Int64) * 60 + clock.list.get(1).cast(pl.Int64)
    return table.filter(pl.col("RecordID").is_in(here.implode())).with_columns(
        minute=minute, person=pl.col("RecordID").cast(pl.String)
    )


def test_every_stay_and_death_of_the_source_is_there(physionet: Example, data_folder: Path, rows: pl.DataFrame) -> None:
    outcomes = pl.read_csv(data_folder / "physionet2012_icu" / "outcomes_ab.csv")
    assert outcomes.height == 8000
    assert outcomes["In-hospital_death"].sum() == 554 + 568
    here = outcomes.filter(pl.col("RecordID").is_in(rows["RecordID"].unique().implode()))
    assert here.height == 1167
    assert physionet.events.filter(pl.col("code") == "MEDS_DEATH").height == here["In-hospital_death"].sum()
    known = rows.filter((pl.col("Parameter") == "Gender") & (pl.col("Value") >= 0))["person"]
    dead = set(here.filter(pl.col("In-hospital_death") == 1)["RecordID"].cast(pl.String))
    cohort = physionet.cohort.table
    assert set(cohort["person"]) == set(known), "only who has no sex is left out"
    assert set(cohort.filter(pl.col("label") == 1)["person"]) == dead & set(known)


def test_every_value_but_those_for_missing_is_an_event(physionet: Example, rows: pl.DataFrame) -> None:
    of_person = ["Age", "Gender", "ICUType", "RecordID"]
    values = rows.filter(~pl.col("Parameter").is_in(of_person) & (pl.col("Value") != -1))
    told = physionet.events.filter(pl.col("table") == "measurement")
    assert told.height == values.height
    assert told["numeric_value"].sum() == pytest.approx(values["Value"].sum(), rel=1e-12)


def test_age_and_sex_come_from_the_long_table(physionet: Example, rows: pl.DataFrame) -> None:
    ages = dict(rows.filter(pl.col("Parameter") == "Age").select("person", "Value").iter_rows())
    sexes = dict(rows.filter(pl.col("Parameter") == "Gender").select("person", "Value").iter_rows())
    for person, age, sex in physionet.cohort.table.select("person", "age", "sex").iter_rows():
        assert age == ages[person]
        assert sex == {0.0: "female", 1.0: "male"}[sexes[person]]


def test_features_are_those_of_an_independent_reading(physionet: Example, rows: pl.DataFrame) -> None:
    def of(*parameters: str) -> pl.DataFrame:
        return rows.filter(pl.col("Parameter").is_in(parameters) & (pl.col("Value") != -1))

    rate = of("HR").filter(pl.col("Value").is_between(20, 250)).group_by("person").agg(own=pl.col("Value").mean())
    pressure = of("MAP", "NIMAP").filter(pl.col("Value").is_between(20, 200))
    pressure = pressure.group_by("person").agg(own=pl.col("Value").min())
    potassium = of("K").filter(pl.col("Value").is_between(1.5, 10)).group_by("person").agg(own=pl.col("Value").max())
    last = of("Creatinine").with_columns(pl.col("Value") / 113.12 * 1e4).filter(pl.col("Value").is_between(9, 2200))
    last = (
        last.sort("minute")
        .group_by("person", maintain_order=True)
        .agg(own=pl.col("Value").filter(pl.col("minute") == pl.col("minute").max()))
    )
    for name, own in (("heart_rate", rate), ("pressure_mean_low", pressure), ("potassium", potassium)):
        both = physionet.cohort.table.select("person", name).join(own, on="person", how="left")
        assert both[name].is_null().equals(both["own"].is_null(), check_names=False)
        assert ((both[name] - both["own"]).abs() / both["own"]).max() < 1e-7, name
    both = physionet.cohort.table.select("person", "creatinine").join(last, on="person", how="left")
    for _, told, values in both.iter_rows():
        assert (told is None) == (values is None)
        assert told is None or min(abs(told - value) / value for value in values) < 1e-7, "in umol/L"


def test_ventilation_is_asked_of_the_second_day(physionet: Example, rows: pl.DataFrame) -> None:
    on = rows.filter((pl.col("Parameter") == "MechVent") & (pl.col("Value") == 1) & (pl.col("minute") >= 1440))
    told = physionet.cohort.table.filter(pl.col("ventilation") == 1)["person"]
    assert set(told) == set(on["person"]) & set(physionet.cohort.table["person"])
