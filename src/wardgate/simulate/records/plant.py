"""Errors as hospitals' records really have them, planted into simulated ones to see whether anybody notices."""

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from functools import partial

import numpy as np
import polars as pl

from wardgate.records.errors import Invalid
from wardgate.simulate.records.tables import Tables
from wardgate.simulate.records.vocabulary import INPATIENT, MEASURES, UNITS, Measure


class Planted(StrEnum):
    """What goes wrong, and what its size means."""

    UNIT_SWAP = "unit-swap"
    """Share of one measure's values that are in its other unit, and say they are not."""
    INVERTED_LABEL = "inverted-label"
    """Share of persons with a stay whose outcome is swapped: who died lives, who lived dies as the stay ends."""
    SHIFTED_CLOCK = "shifted-clock"
    """Hours by which all measurements are late; negative is early."""
    LOST_CODES = "lost-codes"
    """Share of the years, at their end, from which one measure is no longer there."""
    UNMAPPED_CODES = "unmapped-codes"
    """The same, but the rows stay and their concept becomes 0."""
    DUPLICATED_PERSONS = "duplicated-persons"
    """Share of persons who are there twice, under two numbers, with all their records."""
    DEATHS_BEFORE_VISITS = "deaths-before-visits"
    """Share of the dead whose death is dated before their last visit."""
    IMPOSSIBLE_VALUES = "impossible-values"
    """Share of all measured values that no patient can have."""


def plant(
    tables: Tables, error: Planted, rng: np.random.Generator, *, size: float, measure: str = "creatinine"
) -> Tables:
    """Return the tables with one error planted; those given stay as they are.

    Args:
        size: How much of it; see `Planted`.
        measure: Which measure, where the error concerns one.

    Raises:
        Invalid: the measure is unknown, has no other unit to be swapped with, or the size is no share.
    """
    if error is not Planted.SHIFTED_CLOCK and not 0.0 <= size <= 1.0:
        raise Invalid(f"expected the size of '{error}' as a share from 0 to 1, found {size}")
    named = next((one for one in MEASURES if one.name == measure), None)
    if named is None or (error is Planted.UNIT_SWAP and named.other is None):
        raise Invalid(f"'{measure}' cannot be given '{error}': no such measure, or no other unit of it is known")
    planters: dict[Planted, Callable[[Tables, np.random.Generator, float], Tables]] = {
        Planted.UNIT_SWAP: partial(_unit_swap, measure=named),
        Planted.INVERTED_LABEL: _inverted,
        Planted.SHIFTED_CLOCK: _shifted,
        Planted.LOST_CODES: partial(_lost, measure=named, vanish=True),
        Planted.UNMAPPED_CODES: partial(_lost, measure=named, vanish=False),
        Planted.DUPLICATED_PERSONS: _duplicated,
        Planted.DEATHS_BEFORE_VISITS: _early_deaths,
        Planted.IMPOSSIBLE_VALUES: _impossible,
    }
    return tables | planters[error](tables, rng, size)


def _drawn(frame: pl.DataFrame, rng: np.random.Generator, share: float) -> pl.Series:
    return pl.Series(rng.random(frame.height) < share)


def _of(measure: Measure) -> pl.Expr:
    return pl.col("measurement_source_value") == measure.name


def _unit_swap(tables: Tables, rng: np.random.Generator, size: float, *, measure: Measure) -> Tables:
    """A value is in the unit that its row does not name, whichever of the two the hospital uses."""
    frame, other = tables["measurement"], measure.other
    if other is None:  # `plant` refuses it
        raise RuntimeError("the measure has no other unit")
    value = pl.col("value_as_number")
    stated = pl.col("unit_concept_id") == UNITS[other.unit]
    swapped = pl.when(stated).then((value - other.offset) / other.factor).otherwise(value * other.factor + other.offset)
    return {
        "measurement": frame.with_columns(
            pl.when(_of(measure) & _drawn(frame, rng, size))
            .then(swapped.round(3))
            .otherwise(value)
            .alias("value_as_number")
        )
    }


def _inverted(tables: Tables, rng: np.random.Generator, size: float) -> Tables:
    """Swap the outcome of stays, and let the records of the newly dead end there, so that time order stays right."""
    deaths, periods = tables["death"], tables["observation_period"]
    stays = tables["visit_occurrence"].filter(
        pl.col("visit_concept_id") == INPATIENT,
        pl.col("visit_end_datetime") - pl.col("visit_start_datetime") > timedelta(days=1),
    )
    observed = stays.join(periods, on="person_id", maintain_order="left").filter(
        pl.col("visit_start_datetime").dt.date() - pl.col("observation_period_start_date") >= timedelta(days=180)
    )
    first = observed.sort("person_id", "visit_start_datetime").unique("person_id", keep="first", maintain_order=True)
    chosen = first.filter(_drawn(first, rng, size)).select("person_id", pl.col("visit_end_datetime").alias("ended"))
    lived = chosen.join(deaths, on="person_id", how="anti", maintain_order="left")
    revived = chosen.join(deaths, on="person_id", how="semi", maintain_order="left")
    new = lived.select(
        "person_id",
        pl.col("ended").dt.date().alias("death_date"),
        pl.col("ended").alias("death_datetime"),
        pl.lit(deaths["death_type_concept_id"].max(), dtype=pl.Int64).alias("death_type_concept_id"),
    )
    swapped = {
        "death": pl.concat(
            [deaths.join(revived, on="person_id", how="anti", maintain_order="left"), new], how="diagonal"
        ),
        "observation_period": periods.join(
            new.select("person_id", "death_date"), on="person_id", how="left", maintain_order="left"
        )
        .with_columns(
            pl.when(pl.col("person_id").is_in(revived["person_id"].implode()))
            .then(pl.lit(periods["observation_period_end_date"].max()))
            .otherwise(pl.coalesce("death_date", "observation_period_end_date"))
            .alias("observation_period_end_date")
        )
        .drop("death_date"),
    }
    for name, start in _STARTS.items():
        frame = tables[name].join(lived, on="person_id", how="left", maintain_order="left")
        swapped[name] = frame.filter(pl.col("ended").is_null() | (pl.col(start) <= pl.col("ended"))).drop("ended")
    return swapped


_STARTS = {
    "visit_occurrence": "visit_start_datetime",
    "visit_detail": "visit_detail_start_datetime",
    "condition_occurrence": "condition_start_datetime",
    "drug_exposure": "drug_exposure_start_datetime",
    "procedure_occurrence": "procedure_datetime",
    "measurement": "measurement_datetime",
    "observation": "observation_datetime",
}


def _shifted(tables: Tables, rng: np.random.Generator, size: float) -> Tables:
    moved = pl.col("measurement_datetime") + timedelta(hours=size)
    return {
        "measurement": tables["measurement"].with_columns(
            moved.alias("measurement_datetime"), moved.dt.date().alias("measurement_date")
        )
    }


def _lost(tables: Tables, rng: np.random.Generator, size: float, *, measure: Measure, vanish: bool) -> Tables:
    frame, periods = tables["measurement"], tables["observation_period"]
    opens, closes = periods["observation_period_start_date"].min(), periods["observation_period_end_date"].max()
    upgrade = pl.lit(closes) - (pl.lit(closes) - pl.lit(opens)) * size
    after = _of(measure) & (pl.col("measurement_datetime") >= upgrade)
    if vanish:
        return {"measurement": frame.filter(~after)}
    concept = pl.col("measurement_concept_id")
    return {
        "measurement": frame.with_columns(pl.when(after).then(0).otherwise(concept).alias("measurement_concept_id"))
    }


def _duplicated(tables: Tables, rng: np.random.Generator, size: float) -> Tables:
    """Persons get a second number above all others; rows and visits get new numbers of their own."""
    people = tables["person"]
    twice = people.filter(_drawn(people, rng, size))["person_id"]
    above = int(people["person_id"].max()) + 1 - int(people["person_id"].min())  # type: ignore[arg-type]
    visits_above = 1 + int(tables["visit_occurrence"]["visit_occurrence_id"].max() or 0)  # type: ignore[arg-type]
    doubled = {}
    for name in ("person", "observation_period", "death", *_STARTS):
        frame = tables[name]
        copies = frame.filter(pl.col("person_id").is_in(twice.implode())).with_columns(pl.col("person_id") + above)
        key = frame.columns[0]
        if key not in ("person_id", "visit_occurrence_id"):
            copies = copies.with_columns(pl.col(key) + 1 + int(frame[key].max() or 0))  # type: ignore[arg-type]
        if "visit_occurrence_id" in frame.columns:
            copies = copies.with_columns(pl.col("visit_occurrence_id") + visits_above)
        if name == "person":
            copies = copies.with_columns(pl.col("person_id").cast(pl.String).alias("person_source_value"))
        doubled[name] = pl.concat([frame, copies])
    return doubled


def _early_deaths(tables: Tables, rng: np.random.Generator, size: float) -> Tables:
    deaths = tables["death"]
    last = tables["visit_occurrence"].group_by("person_id").agg(pl.col("visit_start_datetime").max().alias("last"))
    frame = deaths.join(last, on="person_id", how="left", maintain_order="left")
    back = pl.Series(rng.integers(2, 300, frame.height)) * timedelta(days=1)
    wrong = _drawn(frame, rng, size) & frame["last"].is_not_null()
    moment = pl.when(wrong).then(pl.col("last") - back).otherwise(pl.col("death_datetime"))
    frame = frame.with_columns(moment.alias("death_datetime"), moment.dt.date().alias("death_date"))
    return {"death": frame.drop("last")}


def _impossible(tables: Tables, rng: np.random.Generator, size: float) -> Tables:
    """Some values become what typing errors and test orders leave behind: -1, 9999 or a thousand times too much."""
    frame = tables["measurement"]
    value = pl.col("value_as_number")
    kind = pl.Series(rng.integers(0, 3, frame.height))
    wrong = pl.when(kind == 0).then(pl.lit(-1.0)).when(kind == 1).then(pl.lit(9_999.0)).otherwise(value * 1_000.0)
    drawn = _drawn(frame, rng, size)
    return {"measurement": frame.with_columns(pl.when(drawn).then(wrong).otherwise(value).alias("value_as_number"))}
