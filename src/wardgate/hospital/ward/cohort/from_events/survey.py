"""The units in which a source holds the numbers that a study asks for, before any of them is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis
import polars as pl

from wardgate.hospital.ward.cohort.from_events.asked import Asked, double
from wardgate.hospital.ward.cohort.from_events.decimals import measured
from wardgate.hospital.ward.cohort.from_events.picks import by_number, criteria, distinct, pick_of, picks_of_feature
from wardgate.hospital.ward.source.events import Expression, Pick
from wardgate.records.study import Study

QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95)
_SMALLEST, _LARGEST = 1e-12, 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitUsed:
    """One unit of one pick, over all events of the source.

    Attributes:
        unit: As recorded; None where there is none.
        events: How many events.
        quantiles: 5, 25, 50, 75 and 95 % of the numbers as recorded, to three significant digits; None without any.
    """

    unit: str | None
    events: int
    quantiles: tuple[float, float, float, float, float] | None


Survey = Mapping[Pick, tuple[UnitUsed, ...]]
"""For each pick whose numbers matter, its units, most frequent first."""


def survey(asked: Asked, study: Study) -> Survey:
    """Return the units of everything that is read as a number, in one pass over those events.

    The engine counts values rounded to three digits, so what comes back is small and adds up over slices of persons.
    """
    picks = _numeric(study)
    if not picks:
        return {}
    counted = asked.run(_counts(asked.events(picks)))
    found: dict[Pick, tuple[UnitUsed, ...]] = dict.fromkeys(picks, ())
    for (at,), rows in sorted(counted.partition_by("pick", as_dict=True).items()):
        units = [_used(part) for part in rows.partition_by("unit")]
        found[picks[int(at)]] = tuple(sorted(units, key=lambda one: (-one.events, one.unit or "")))
    return found


def _numeric(study: Study) -> tuple[Pick, ...]:
    """The picks whose numbers matter: of numeric features, and of rules on values."""
    picks = [pick for feature in study.features if by_number(feature) for pick in picks_of_feature(study, feature)]
    picks += [pick_of(study, one.concepts, one.table) for one in criteria(study) if one.value is not None]
    return distinct(picks)


def _counts(events: Expression) -> Expression:
    """One row for each pick, unit and rounded value: `digits` times ten to the power of `power`."""
    value = measured(events.value)
    size = value.abs()
    within = ibis.ifelse(size.between(double(_SMALLEST), double(_LARGEST)), value, ibis.null("float64"))
    read = events.select("pick", unit=events.unit.nullif(""), value=value, within=within)
    read = read.mutate(power=read.within.abs().log10().floor() - 2)
    scale = double(10.0).pow(read.power.cast("float64"))
    digits = (read.within / scale + double(0.5)).floor()
    outside = ibis.ifelse(read.value.isnull(), ibis.null("int64"), ibis.literal(0, type="int64"))
    read = read.select("pick", "unit", "power", digits=ibis.coalesce(digits, outside))
    return read.group_by(["pick", "unit", "power", "digits"]).aggregate(events=read.count())


def _used(rows: pl.DataFrame) -> UnitUsed:
    numbers = rows.filter(pl.col("digits").is_not_null())
    values = numbers.select(
        value=pl.col("digits") * pl.lit(10.0).pow(pl.col("power").fill_null(0).cast(pl.Float64)), n=pl.col("events")
    ).sort("value")
    return UnitUsed(unit=rows["unit"][0], events=int(rows["events"].sum()), quantiles=_quantiles(values))


def _quantiles(values: pl.DataFrame) -> tuple[float, float, float, float, float] | None:
    total = int(values["n"].sum())
    if not total:
        return None
    below = values["n"].cum_sum()
    found: Sequence[float] = [float(values["value"][int((below < share * total).sum())]) for share in QUANTILES]
    return (found[0], found[1], found[2], found[3], found[4])
