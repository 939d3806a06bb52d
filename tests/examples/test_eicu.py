"""The eICU demo: what its own tables become, against counts of the source and an independent reading with Polars."""

import hashlib
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.examples.conftest import Example, script

from wardgate.hospital.ward.cohort.from_events.build import build
from wardgate.hospital.ward.source.opening import opened
from wardgate.records.study_file import parse

pytestmark = [pytest.mark.data, pytest.mark.slow]

DAY = 1440
VASOPRESSORS = ("2051", "36346", "2087", "35587", "36437", "2059", "2839")
DRUGS = ("norepinephrine", "phenylephrine", "vasopressin", "dopamine", "epinephrine")


def number(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Float64, strict=False)


@pytest.fixture(scope="module")
def stays(eicu_data: tuple[Path, Path]) -> pl.DataFrame:
    """Unit stays with their start in minutes on a line of time of each person, made without the product."""
    patients = pl.read_csv(eicu_data[0] / "patient.csv.gz", infer_schema=False)
    hospital = patients.select(
        "uniquepid", "hospitaldischargeyear", "hospitaldischargestatus", "patienthealthsystemstayid"
    ).unique()
    order = [pl.col("hospitaldischargestatus").fill_null(""), pl.col("patienthealthsystemstayid").cast(pl.Int64)]
    ranked = hospital.sort("uniquepid", "hospitaldischargeyear", *order).with_columns(
        rank=pl.int_range(pl.len()).over("uniquepid", "hospitaldischargeyear")
    )
    clock = pl.col("hospitaladmittime24").str.split(":")
    of_day = clock.list.get(0).cast(pl.Float64) * 60 + clock.list.get(1).cast(pl.Float64)
    year = (pl.col("hospitaldischargeyear").cast(pl.Int64) - 2014) * 365 * DAY
    return (
        patients.join(ranked.select("patienthealthsystemstayid", "rank"), on="patienthealthsystemstayid")
        .with_columns(zero=year + pl.col("rank") * 30 * DAY + of_day - number("hospitaladmitoffset"))
        .with_columns(left=pl.col("zero") + number("unitdischargeoffset"))
        .with_columns(
            died=pl.when(pl.col("hospitaldischargestatus") == "Expired").then(
                pl.col("zero") + number("hospitaldischargeoffset")
            )
        )
    )


@pytest.fixture(scope="module")
def expected(stays: pl.DataFrame) -> pl.DataFrame:
    """The cohort: person, minute of the index date, age, label."""
    deaths = stays.group_by("uniquepid").agg(death=pl.col("died").min())
    first = (
        stays.filter(pl.col("unitstaytype") != "stepdown/other")
        .sort("zero", "patientunitstayid")
        .group_by("uniquepid", maintain_order=True)
        .first()
        .join(deaths, on="uniquepid")
        .with_columns(index=pl.col("zero") + DAY)
        .filter((pl.col("left") > pl.col("index")) & (pl.col("death").is_null() | (pl.col("death") > pl.col("index"))))
    )
    age = pl.when(pl.col("age") == "> 89").then(90).otherwise(number("age"))
    label = ((pl.col("death") > pl.col("index")) & (pl.col("death") <= pl.col("index") + 28 * DAY)).fill_null(False)
    return (
        first.with_columns(years=age, label=label.cast(pl.Int8))
        .filter((pl.col("years") >= 18) & pl.col("gender").is_in(["Male", "Female"]))
        .with_columns(person=pl.col("uniquepid").map_elements(identifier, return_dtype=pl.String))
        .sort("person")
    )


def identifier(text: str) -> str:
    return str(int(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:15], 16))


def in_window(rows: pl.DataFrame, key: str, minutes: pl.Expr, stays: pl.DataFrame, expected: pl.DataFrame) -> Any:
    """Rows in the day before a person's index date, with the minute `at`."""
    own = stays.select("uniquepid", "zero", pl.col("patientunitstayid").alias(key))
    placed = rows.with_columns(pl.col(key).cast(pl.String)).join(own, on=key).with_columns(at=pl.col("zero") + minutes)
    placed = placed.join(expected.select("uniquepid", "index", "person"), on="uniquepid")
    return placed.filter(pl.col("at").is_between(pl.col("index") - DAY, pl.col("index")))


def agree(cohort: pl.DataFrame, name: str, own: pl.DataFrame) -> None:
    """Compare a feature with `own` (person, value): the same persons, the same values to nine digits."""
    both = cohort.select("person", pl.col(name).alias("told")).join(own, on="person", how="left").sort("person")
    assert both["told"].is_null().equals(both["value"].is_null(), check_names=False), name
    apart = (both["told"] - both["value"]).abs() / both["value"].abs().clip(lower_bound=1.0)
    assert (apart.max() or 0.0) < 1e-7, name


def test_every_stay_and_death_of_the_source_is_there(eicu: Example, stays: pl.DataFrame) -> None:
    events = eicu.events
    assert stays.height == 2520
    stepdown = stays.filter(pl.col("unitstaytype") == "stepdown/other").height
    assert events.filter(pl.col("source_code") == "EICU/unit-stay").height == 2520 - stepdown
    assert stays.filter(pl.col("hospitaldischargestatus") == "Expired").height == 212
    dead = stays.filter(pl.col("hospitaldischargestatus") == "Expired")["uniquepid"].n_unique()
    assert events.filter(pl.col("code") == "MEDS_DEATH").height == dead
    assert events["subject_id"].n_unique() == stays["uniquepid"].n_unique() == 1841


def test_every_filled_cell_is_an_event(eicu: Example, eicu_data: tuple[Path, Path]) -> None:
    def count(code: str) -> int:
        return eicu.events.filter(pl.col("source_code") == code).height

    cuff = pl.read_csv(eicu_data[0] / "vitalaperiodic.csv.gz", infer_schema=False)
    assert cuff.height == 274_088
    assert count("EICU/cuff-mean") == cuff.filter(number("noninvasivemean") != 0).height
    hourly = pl.read_parquet(eicu_data[1] / "dyn.parquet")
    assert count("EICU/hr") == hourly["hr"].drop_nulls().len()
    assert count("EICU/crea") == hourly["crea"].drop_nulls().len()
    apache = pl.read_csv(eicu_data[0] / "apacheapsvar.csv.gz", infer_schema=False)
    assert apache.height == 2205
    assert count("EICU/gcs-motor") == apache.filter(number("motor") != -1).height
    treatment = pl.read_csv(eicu_data[0] / "treatment.csv.gz", infer_schema=False)
    own = pl.col("source_code").str.starts_with("EICU-treatment/")
    assert eicu.events.filter(own).height == treatment.height == 38_290


def test_every_icd_code_of_a_cell_is_an_event(eicu: Example, eicu_data: tuple[Path, Path]) -> None:
    diagnosis = pl.read_csv(eicu_data[0] / "diagnosis.csv.gz", infer_schema=False)
    assert diagnosis.height == 24_978
    parts = diagnosis["icd9code"].fill_null("").str.split(",").explode().str.strip_chars()
    of_icd = eicu.events.filter(pl.col("code").str.starts_with("ICD"))
    assert of_icd.height == parts.filter(parts != "").len(), "no part of a cell is lost between the vocabularies"
    (told,) = [one for one in eicu.noticed if one.where == ("tables.diagnosis.events[0]",)]
    assert (told.what, told.count) == ("event: no code given", parts.filter(parts == "").len())


def test_the_cohort_and_its_label_are_those_of_an_independent_reading(eicu: Example, expected: pl.DataFrame) -> None:
    cohort = eicu.cohort.table
    assert cohort["person"].to_list() == expected["person"].to_list()
    assert cohort["label"].to_list() == expected["label"].to_list()
    assert cohort["label"].sum() > 90
    first = cohort.select("person", "age").join(expected.select("person", "years"), on="person")
    assert (first["age"] - first["years"]).is_between(0, 1).all(), "of several ages the earliest birth holds"
    assert (first["age"] == first["years"]).mean() > 0.98


def test_hourly_values_are_those_of_an_independent_reading(
    eicu: Example, expected: pl.DataFrame, stays: pl.DataFrame, eicu_data: tuple[Path, Path]
) -> None:
    hourly = pl.read_parquet(eicu_data[1] / "dyn.parquet")
    rows = in_window(hourly, "stay_id", pl.col("time").dt.total_minutes() + 60, stays, expected)
    usual = rows.filter(pl.col("hr").is_between(20, 250))
    agree(eicu.cohort.table, "heart_rate", usual.group_by("person").agg(value=pl.col("hr").mean()))
    sodium = rows.filter(pl.col("na").is_between(100, 190)).sort("at")
    agree(eicu.cohort.table, "sodium", sodium.group_by("person", maintain_order=True).agg(value=pl.col("na").last()))
    lactate = rows.filter(pl.col("lact").is_between(0.1, 30))
    agree(eicu.cohort.table, "lactate", lactate.group_by("person").agg(value=pl.col("lact").max()))


def test_two_tables_of_one_code_become_one_feature(
    eicu: Example, expected: pl.DataFrame, stays: pl.DataFrame, eicu_data: tuple[Path, Path]
) -> None:
    hourly = pl.read_parquet(eicu_data[1] / "dyn.parquet")
    cuff = pl.read_csv(eicu_data[0] / "vitalaperiodic.csv.gz", infer_schema=False)
    line = in_window(hourly, "stay_id", pl.col("time").dt.total_minutes() + 60, stays, expected)
    band = in_window(cuff, "patientunitstayid", number("observationoffset"), stays, expected)
    values = pl.concat(
        [line.select("person", value="map"), band.select("person", value=number("noninvasivemean"))]
    ).filter(pl.col("value").is_between(20, 200))
    agree(eicu.cohort.table, "pressure_mean_low", values.group_by("person").agg(pl.col("value").min()))


def test_scores_of_the_first_day_are_those_of_the_table(
    eicu: Example, expected: pl.DataFrame, stays: pl.DataFrame, eicu_data: tuple[Path, Path]
) -> None:
    apache = pl.read_csv(eicu_data[0] / "apacheapsvar.csv.gz", infer_schema=False)
    rows = in_window(apache.filter(number("motor") != -1), "patientunitstayid", pl.lit(DAY), stays, expected)
    own = rows.sort("at").group_by("person", maintain_order=True).agg(value=number("motor").last())
    agree(eicu.cohort.table, "gcs_motor", own)


def test_a_vasopressor_is_one_by_drug_or_by_treatment(
    eicu: Example, expected: pl.DataFrame, stays: pl.DataFrame, eicu_data: tuple[Path, Path]
) -> None:
    drugs = pl.read_csv(eicu_data[0] / "medication.csv.gz", infer_schema=False)
    drugs = drugs.filter(pl.col("drughiclseqno").is_in(VASOPRESSORS) & (pl.col("drugordercancelled") != "Yes"))
    acts = pl.read_csv(eicu_data[0] / "treatment.csv.gz", infer_schema=False)
    acts = acts.filter(pl.col("treatmentstring").str.contains("vasopressors"))
    given = in_window(drugs, "patientunitstayid", number("drugstartoffset"), stays, expected)["person"]
    treated = in_window(acts, "patientunitstayid", number("treatmentoffset"), stays, expected)["person"]
    on = set(given) | set(treated)
    cohort = eicu.cohort.table
    assert set(cohort.filter(pl.col("vasopressor") == 1)["person"]) == on
    assert len(on) > 100


def test_sepsis_is_found_by_the_codes_as_recorded(
    eicu: Example, expected: pl.DataFrame, stays: pl.DataFrame, eicu_data: tuple[Path, Path]
) -> None:
    diagnosis = pl.read_csv(eicu_data[0] / "diagnosis.csv.gz", infer_schema=False)
    one = pl.col("icd9code").str.split(",").list.eval(pl.element().str.strip_chars())
    found = (
        diagnosis.with_columns(one)
        .explode("icd9code")
        .filter(
            pl.col("icd9code").str.contains(r"^(038|A41|R65\.2)")
            | pl.col("icd9code").is_in(["995.91", "995.92", "785.52"])
        )
    )
    rows = in_window(found, "patientunitstayid", number("diagnosisoffset"), stays, expected)
    assert set(eicu.cohort.table.filter(pl.col("sepsis") == 1)["person"]) == set(rows["person"])


@pytest.mark.parametrize("kind", ["meds", "omop"])
def test_one_study_gives_one_cohort_from_tables_meds_and_omop(
    eicu: Example, root: Path, tmp_path: Path, kind: str
) -> None:
    script(root / "examples" / "eicu" / "regions.py").convert(eicu.folder, tmp_path / kind, kind=kind)
    with opened(tmp_path / kind, threads=1) as source:
        other = build(source, eicu.study)
    assert other.table.equals(eicu.cohort.table)
    assert [step.persons for step in other.flow] == [step.persons for step in eicu.cohort.flow]


def test_four_regions_hold_what_the_whole_holds(
    root: Path, eicu_data: tuple[Path, Path], eicu: Example, tmp_path: Path
) -> None:
    module = script(root / "examples" / "eicu" / "regions.py")
    module.divide(*eicu_data, tmp_path / "out")
    study = parse((root / "examples" / "eicu" / "study.yaml").read_text(encoding="utf-8"), name="study.yaml")
    assert sum(stays.len() for stays in module.regions(eicu_data[0]).values()) == 2310
    persons: list[str] = []
    for site in study.sites:
        with opened(tmp_path / "out" / site, threads=1) as source:
            cohort = build(source, study)
        assert 5 < cohort.table["label"].sum() < cohort.table.height / 4
        known = eicu.cohort.table.join(cohort.table, on="person", suffix="_here").select(
            "heart_rate", "heart_rate_here"
        )
        same = known["heart_rate"].eq_missing(known["heart_rate_here"])
        assert same.mean() > 0.97, "but for persons with stays in two regions, every value is the same"
        persons += cohort.table["person"].to_list()
    assert len(set(persons)) >= len(persons) - 7, "seven persons have stays in two regions"
    assert len(persons) > 0.88 * eicu.cohort.table.height
