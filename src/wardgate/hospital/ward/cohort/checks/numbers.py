"""The numbers of a study's concept sets over the whole source, as histograms of the logarithm of their size."""

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hospital.ward.cohort.checks.sample import Sample, month
from wardgate.hospital.ward.cohort.units import Linear, conversion, loinc_of
from wardgate.hospital.ward.source.events import Expression, Pick
from wardgate.measures.modes import BIN, centres
from wardgate.records.feature import Feature
from wardgate.records.study import Study

QUARTER = 3
"""Months in the step of time by which numbers are counted."""

_SMALLEST, _LARGEST = 1e-12, 1e15


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The numbers of one pick in one unit.

    Attributes:
        unit: As recorded, None where there is none.
        linear: Into the feature's unit; None where that is not known.
        signs, bins, quarters, counts: One entry a cell: sign (-1, 0, 1), bin of log(size), three months, how many.
        without: Events without a number.
    """

    unit: str | None
    linear: Linear | None
    signs: NDArray[np.int64]
    bins: NDArray[np.int64]
    quarters: NDArray[np.int64]
    counts: NDArray[np.int64]
    without: int

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    @property
    def recorded(self) -> NDArray[np.float64]:
        """Values as recorded, one a cell: the middle of its bin."""
        return np.asarray(np.where(self.signs == 0, 0.0, self.signs * centres(self.bins)))

    def positive(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return bins and counts of the positive numbers, over all time."""
        chosen = self.signs > 0
        bins, place = np.unique(self.bins[chosen], return_inverse=True)
        counts = np.zeros(len(bins), dtype=np.int64)
        np.add.at(counts, place, self.counts[chosen])
        return bins, counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One numeric concept set: the feature by which it is judged, its codes, and its numbers unit by unit."""

    pick: Pick
    feature: Feature
    loinc: tuple[str, ...]
    units: tuple[Numbers, ...]

    @property
    def range(self) -> tuple[float, float]:
        """What single values are plausible, in the feature's unit."""
        low, high = self.feature.value_range or self.feature.range or (0.0, 0.0)
        return float(low), float(high)


def judged_by(study: Study) -> dict[Pick, Feature]:
    """Return the first feature that reads the numbers of each pick."""
    found: dict[Pick, Feature] = {}
    for feature in study.features:
        concepts = (study.concept_sets or {}).get(feature.concepts or "")
        if concepts is not None and feature.type in ("number", "integer") and feature.aggregation != "count":
            pick = Pick(name=str(feature.concepts), concepts=concepts.concepts, table=feature.table)
            found.setdefault(pick, feature)
    return found


def counted(sample: Sample) -> pl.DataFrame:
    """Count all events in one pass: by pick, unit, three months, sign and bin. `bin` is null without a number."""
    return sample.run(_cells(sample.events()))


def _cells(events: Expression) -> Expression:
    size = events.value.abs()
    usable = size.between(_SMALLEST, _LARGEST)
    cells = events.select(
        "pick",
        unit=events.unit.nullif(""),
        quarter=(month(events.time) / QUARTER).floor().cast("int64"),
        sign=ibis.cases(
            (usable & (events.value > 0), 1), (usable, -1), (events.value == 0, 0), else_=ibis.null("int64")
        ).cast("int64"),
        bin=ibis.cases(
            (usable, (size.nullif(0.0).ln() / BIN).floor().cast("int64")),
            (events.value == 0, ibis.literal(0, type="int64")),
            else_=ibis.null("int64"),
        ),
    )
    return cells.group_by(["pick", "unit", "quarter", "sign", "bin"]).aggregate(n=cells.count())


def measured(study: Study, picks: Sequence[Pick], cells: pl.DataFrame) -> tuple[Measured, ...]:
    """Return the numeric concept sets among the picks, with what was counted of them."""
    by, sets = judged_by(study), study.concept_sets or {}
    found = []
    for place, pick in enumerate(picks):
        feature = by.get(pick)
        if feature is None:
            continue
        loinc = loinc_of(sets.get(pick.name))
        rows = cells.filter(pl.col("pick") == place)
        units = [_numbers(part, feature, loinc) for part in rows.partition_by("unit", maintain_order=True)]
        units.sort(key=lambda one: (-one.total, one.unit or ""))
        found.append(Measured(pick=pick, feature=feature, loinc=loinc, units=tuple(units)))
    return tuple(found)


def _numbers(rows: pl.DataFrame, feature: Feature, loinc: Sequence[str]) -> Numbers:
    unit = rows["unit"][0]
    there = rows.filter(pl.col("bin").is_not_null())
    return Numbers(
        unit=unit,
        linear=conversion(unit or "", feature, loinc=loinc),
        signs=there["sign"].to_numpy().astype(np.int64),
        bins=there["bin"].to_numpy().astype(np.int64),
        quarters=there["quarter"].to_numpy().astype(np.int64),
        counts=there["n"].to_numpy().astype(np.int64),
        without=int(rows["n"].sum()) - int(there["n"].sum()),
    )
