"""What was gathered in slots -> one row an entry with the study's features, and what was found on the way."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from wardgate.hospital.ward.cohort.from_events.asked import KEY
from wardgate.hospital.ward.cohort.from_events.features import SPAN
from wardgate.hospital.ward.cohort.from_events.slots import Slot, Slots
from wardgate.records.feature import Feature
from wardgate.records.study import Study

OUT, UNUSABLE = "out of range", "unusable"
"""Why an entry with events has no value of a feature: numbers outside the plausible range, or none to be read."""

COUNTED = ("events", "numbers", "usable", "outside")
NOTHING = pl.DataFrame(
    schema={"subject_id": pl.Int64(), "start": pl.Datetime("us")}
    | {name: pl.Int64() for name in ("slot", "unit", *COUNTED)}
)
"""What is gathered for a study whose features are all built in."""

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wide:
    """Entries with features.

    Attributes:
        table: One row an entry, in the order given: the study's features (Float64, String for categories).
        events: The same rows: Boolean by feature, whether there was any event in the window.
        why: The same rows: String by feature, OUT, UNUSABLE or null.
    """

    table: pl.DataFrame
    events: pl.DataFrame
    why: pl.DataFrame


def wide(entries: pl.DataFrame, gathered: pl.DataFrame, study: Study, slots: Slots) -> Wide:
    """Return the features of entries.

    Args:
        entries: One row an entry, with `subject_id`, `start` and `age`.
        gathered: Rows of `features.gathered` for these entries.
    """
    rows = entries.select(*KEY).with_row_index("row")
    found = gathered.join(rows, on=list(KEY), how="inner")
    by_slot = found.partition_by("slot", as_dict=True)
    summed = {
        number: _summed(by_slot[(number,)], rows, slopes=slots.slopes)
        if (number,) in by_slot
        else _summed(found.clear(), rows, slopes=slots.slopes)
        for number in range(len(slots.every))
    }
    values, events, why = {}, {}, {}
    for feature in study.features:
        if feature.built_in is not None:
            one = entries.select(value=pl.col("age").cast(pl.Float64), out=pl.lit(value=False), usable=pl.lit(1))
            one = one.with_columns(events=pl.col("value").is_not_null().cast(pl.Int64)).with_columns(_within(feature))
        else:
            place = slots.of[feature.name]
            one = _value(summed[place], feature, slots.every[place])
        values[feature.name] = one["value"]
        events[feature.name] = one["events"] > 0
        why[feature.name] = one.select(_why().alias("why"))["why"]
    return Wide(table=pl.DataFrame(values), events=pl.DataFrame(events), why=pl.DataFrame(why))


def _summed(part: pl.DataFrame, rows: pl.DataFrame, *, slopes: bool) -> pl.DataFrame:
    """One slot over all entries: units added up, and zeros where nothing was found."""
    counts = [*COUNTED] + (["timed"] if slopes else [])
    sums = [pl.col(name).sum() for name in (*counts, "total")]
    sums += [pl.col(name).min() for name in ("low", "first")] + [pl.col(name).max() for name in ("high", "last")]
    if slopes:
        sums += [pl.col(name).cast(pl.Int128).sum() for name in ("values", "seconds", "squares", "products")]
    found = part.group_by("row").agg(sums)
    joined = rows.select("row").join(found, on="row", how="left", maintain_order="left")
    return joined.with_columns(pl.col(counts).fill_null(0))


def _value(summed: pl.DataFrame, feature: Feature, slot: Slot) -> pl.DataFrame:
    """The feature's value in its unit, with `events`, `usable`, and whether numbers were outside the range (`out`)."""
    table = summed.with_columns(out=pl.col("outside") > 0)
    if slot.categories:
        names = list(reversed(feature.values or ()))
        place = _steps_of("last").cast(pl.Int64)
        return table.with_columns(value=place.replace_strict(dict(enumerate(names)), return_dtype=pl.String))
    if feature.aggregation == "any":
        return table.with_columns(value=(pl.col("events") > 0).cast(pl.Float64))
    if feature.aggregation == "count":
        return table.with_columns(value=pl.col("events").cast(pl.Float64)).with_columns(_within(feature))
    if slot.reading is None:
        raise RuntimeError("a slot that reads no numbers was asked for one")
    steps = slot.reading.steps
    if feature.aggregation == "slope":
        n, x, y, xx, xy = (
            pl.col(name).cast(pl.Int128) for name in ("timed", "seconds", "values", "squares", "products")
        )
        spread = n * xx - x * x
        rise = (n * xy - x * y).cast(pl.Float64) / pl.when(spread > 0).then(spread.cast(pl.Float64))
        value = rise * SECONDS_PER_HOUR
    else:
        value = {
            "mean": pl.col("total") / pl.when(pl.col("usable") > 0).then(pl.col("usable")),
            "min": pl.col("low").cast(pl.Float64),
            "max": pl.col("high").cast(pl.Float64),
            "last": _steps_of("last").cast(pl.Float64),
            "first": -_steps_of("first").cast(pl.Float64),
        }[feature.aggregation]
    table = table.with_columns(value=value)
    return table.with_columns(value=divided(table["value"] * steps.down, steps.up)).with_columns(_within(feature))


def divided(numbers: pl.Series, by: float) -> pl.Series:
    """Return numbers divided as IEEE 754 says. Polars multiplies by the reciprocal, so that 12 / 10 is not 1.2."""
    return pl.Series(numbers.name, numbers.cast(pl.Float64).to_numpy() / by, nan_to_null=True)


def _steps_of(column: str) -> pl.Expr:
    """The value out of a time and value in one."""
    half = SPAN // 2
    return (pl.col(column) + half) % SPAN - half


def _within(feature: Feature) -> tuple[pl.Expr, pl.Expr]:
    """The value where it lies inside the plausible range, and whether it or any other number lay outside.

    Counts and slopes are judged here; the numbers of other features were judged one by one before.
    """
    low, high = feature.range or (float("-inf"), float("inf"))
    value = pl.col("value")
    if feature.type == "integer":
        value = value.sign() * (value.abs() + 0.5).floor()  # halves away from zero, as for tables
    inside = value.is_between(low, high)
    outside = pl.col("out") | ~inside.fill_null(True)
    return pl.when(inside).then(value).alias("value"), outside.alias("out")


def _why() -> pl.Expr:
    lost = pl.col("value").is_null() & (pl.col("events") > 0)
    return pl.when(lost & pl.col("out")).then(pl.lit(OUT)).when(lost & (pl.col("usable") == 0)).then(pl.lit(UNUSABLE))


def events_by_unit(gathered: pl.DataFrame, eligible: pl.DataFrame) -> pl.DataFrame:
    """Return events, numbers and usable numbers of entries by slot and unit; sums add up over slices."""
    found = gathered.join(eligible.select(*KEY), on=list(KEY), how="semi")
    return found.group_by("slot", "unit").agg(pl.col(COUNTED).sum()).sort("slot", "unit")


def added(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Add up what slices of persons gave."""
    return pl.concat(parts).group_by("slot", "unit").agg(pl.all().sum()).sort("slot", "unit")
