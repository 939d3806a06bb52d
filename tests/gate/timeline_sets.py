"""Two public sets of intensive-care timelines as tables of rows, and what can be done to them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from wardgate.records.dictionary import Dictionary
from wardgate.records.feature import Feature

_PHYSIONET = {
    "HR": ("/min", 0, 300),
    "MAP": ("mm[Hg]", 0, 300),
    "SysABP": ("mm[Hg]", 0, 300),
    "DiasABP": ("mm[Hg]", 0, 300),
    "Temp": ("Cel", 20, 45),
    "GCS": ("{score}", 3, 15),
    "RespRate": ("/min", 0, 100),
    "FiO2": ("1", 0.2, 1),
    "pH": ("1", 6, 8),
    "PaCO2": ("mm[Hg]", 0, 200),
    "PaO2": ("mm[Hg]", 0, 700),
    "HCT": ("%", 0, 80),
    "K": ("mmol/L", 0, 15),
    "Platelets": ("10*9/L", 0, 2000),
    "Creatinine": ("mg/dL", 0, 30),
    "BUN": ("mg/dL", 0, 300),
    "Na": ("mmol/L", 80, 220),
    "HCO3": ("mmol/L", 0, 60),
    "Glucose": ("mg/dL", 0, 1500),
    "WBC": ("10*9/L", 0, 500),
    "Lactate": ("mmol/L", 0, 40),
    "SaO2": ("%", 0, 100),
}
_EICU = {
    "bicar": ("mmol/L", 0, 80),
    "bun": ("mg/dL", 0, 300),
    "ca": ("mg/dL", 0, 30),
    "cl": ("mmol/L", 50, 180),
    "crea": ("mg/dL", 0, 30),
    "dbp": ("mm[Hg]", 0, 250),
    "fio2": ("%", 20, 100),
    "glu": ("mg/dL", 0, 1500),
    "hgb": ("g/dL", 0, 30),
    "hr": ("/min", 0, 300),
    "k": ("mmol/L", 0, 15),
    "map": ("mm[Hg]", 0, 300),
    "na": ("mmol/L", 80, 220),
    "o2sat": ("%", 0, 100),
    "plt": ("10*9/L", 0, 2000),
    "resp": ("/min", 0, 120),
    "sbp": ("mm[Hg]", 0, 350),
    "temp": ("Cel", 20, 45),
    "wbc": ("10*9/L", 0, 500),
}


def physionet(data: Path) -> tuple[pl.DataFrame, Dictionary]:
    """PhysioNet/CinC Challenge 2012, sets a and b: 8,000 stays, irregular hours (ODC-By)."""
    folder = data / "physionet2012_icu"
    long = pl.read_parquet(folder / "long_set_ab.parquet").filter(pl.col("Value") != -1)
    still = long.filter(pl.col("Parameter").is_in(["Age", "Gender", "ICUType"]))
    fixed = still.group_by("RecordID", "Parameter").agg(pl.col("Value").first()).pivot("Parameter", index="RecordID")
    rows = (
        long.filter(pl.col("Parameter").is_in(list(_PHYSIONET)))
        .group_by("RecordID", "Time", "Parameter")
        .agg(pl.col("Value").first())
        .pivot("Parameter", index=["RecordID", "Time"])
    )
    outcome = pl.read_csv(folder / "outcomes_ab.csv").select("RecordID", label="In-hospital_death")
    minutes = pl.col("Time").str.split(":").list.eval(pl.element().cast(pl.Float64))
    table = rows.join(fixed, on="RecordID", how="left").join(outcome, on="RecordID")
    table = table.with_columns(
        hours=minutes.list.get(0) + minutes.list.get(1) / 60,
        Gender=pl.col("Gender").replace_strict({0.0: "female", 1.0: "male"}, default=None),
        ICUType=pl.col("ICUType").cast(pl.Int64).cast(pl.String),
    )
    features = (
        Feature(name="Age", type="number", unit="a", range=(0, 120), quasi_identifier=True),
        Feature(name="Gender", type="category", values=("female", "male"), quasi_identifier=True),
        Feature(name="ICUType", type="category", values=("1", "2", "3", "4")),
        *_numbers(_PHYSIONET),
    )
    plan = Dictionary(features=features, label="died", person="RecordID", time="hours")
    return _inside(table, _PHYSIONET).select("RecordID", "hours", *(one.name for one in features), "label").sort(
        "RecordID", "hours"
    ), plan


def eicu(data: Path) -> tuple[pl.DataFrame, Dictionary]:
    """eICU demo as harmonised by YAIB: 1,367 stays, 25 hourly rows each (ODbL)."""
    folder = data / "yaib_demo" / "mortality24" / "eicu_demo"
    table = (
        pl.read_parquet(folder / "dyn.parquet")
        .join(pl.read_parquet(folder / "sta.parquet"), on="stay_id")
        .join(pl.read_parquet(folder / "outc.parquet"), on="stay_id")
        .with_columns(hours=pl.col("time").dt.total_minutes() / 60)
    )
    features = (
        Feature(name="age", type="number", unit="a", range=(0, 120), quasi_identifier=True),
        Feature(name="sex", type="category", values=("Female", "Male"), quasi_identifier=True),
        *_numbers(_EICU),
    )
    plan = Dictionary(features=features, label="died", person="stay_id", time="hours")
    return _inside(table, _EICU).select("stay_id", "hours", *(one.name for one in features), "label"), plan


def _numbers(units: dict[str, tuple[str, float, float]]) -> list[Feature]:
    return [
        Feature(name=name, type="number", unit=unit, range=(low, high)) for name, (unit, low, high) in units.items()
    ]


def _inside(table: pl.DataFrame, units: dict[str, tuple[str, float, float]]) -> pl.DataFrame:
    """What lies outside a plausible range is missing, as cohorts treat it."""
    return table.with_columns(
        pl.when(pl.col(name).is_between(low, high)).then(pl.col(name)) for name, (_, low, high) in units.items()
    )


def halves(
    table: pl.DataFrame, plan: Dictionary, rng: np.random.Generator, *, first: int | None = None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide the persons at random, `first` of them (or half) on the first side."""
    persons = rng.permutation(table[plan.person].unique().sort().to_numpy())
    size = len(persons) // 2 if first is None else first
    one = pl.col(plan.person).is_in(persons[:size])
    return table.filter(one), table.filter(~one)


Damage = Callable[[pl.DataFrame, Dictionary, np.random.Generator], pl.DataFrame]


def _changing(plan: Dictionary) -> list[str]:
    return [one.name for one in plan.features if one.name.lower() not in ("age", "sex", "gender", "icutype")]


def columns_shuffled(table: pl.DataFrame, plan: Dictionary, rng: np.random.Generator) -> pl.DataFrame:
    """Every column by itself, among all rows."""
    return table.with_columns(table[name][rng.permutation(table.height)] for name in _changing(plan))


def rows_drawn_alone(table: pl.DataFrame, plan: Dictionary, rng: np.random.Generator) -> pl.DataFrame:
    """Whole rows among all persons: pairs of columns stay, the person is lost."""
    order = rng.permutation(table.height)
    return table.with_columns(table[name][order] for name in _changing(plan))


def visits_doubled(table: pl.DataFrame, plan: Dictionary, rng: np.random.Generator) -> pl.DataFrame:
    """Every row twice."""
    return pl.concat((table, table)).sort(plan.person, plan.time)


def times_shuffled(table: pl.DataFrame, plan: Dictionary, rng: np.random.Generator) -> pl.DataFrame:
    """Every row at the time of another."""
    return table.with_columns(table[plan.time][rng.permutation(table.height)])


def course_lost(table: pl.DataFrame, plan: Dictionary, rng: np.random.Generator) -> pl.DataFrame:
    """Every person's values in a random order of their own, times kept: the course is lost, the person is not."""
    mixed = table.with_columns(pl.Series("__at", rng.random(table.height))).sort(plan.person, "__at")
    kept = table.sort(plan.person, maintain_order=True)
    return kept.with_columns(mixed[name] for name in _changing(plan))


DAMAGE: dict[str, Damage] = {
    "columns shuffled among rows": columns_shuffled,
    "rows shuffled among persons": rows_drawn_alone,
    "rows shuffled within persons": course_lost,
    "every row twice": visits_doubled,
    "times shuffled": times_shuffled,
}
