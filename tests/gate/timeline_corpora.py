"""Simulated timelines, generators that are safe and true to life, and ones that lose or copy the person."""

from collections.abc import Callable

import numpy as np
import polars as pl

from wardgate.records.dictionary import Dictionary
from wardgate.records.feature import Feature

DICTIONARY = Dictionary(
    features=(
        Feature(name="age", type="number", unit="a", range=(18, 110), quasi_identifier=True),
        Feature(name="sex", type="category", values=("female", "male"), quasi_identifier=True),
        Feature(name="sbp", type="number", unit="mm[Hg]", range=(40, 300)),
        Feature(name="dbp", type="number", unit="mm[Hg]", range=(20, 200)),
        Feature(name="creatinine", type="number", unit="umol/L", range=(10, 2000)),
        Feature(name="lactate", type="number", unit="mmol/L", range=(0, 40)),
        Feature(name="ward", type="category", values=("general", "step-down", "intensive")),
        Feature(name="oxygen", type="boolean"),
    ),
    label="died",
    person="patient",
    time="hours",
)

Generator = Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]

_CHANGING = ("sbp", "dbp", "creatinine", "lactate", "ward", "oxygen")
_NUMBERS = ("sbp", "dbp", "creatinine", "lactate")


def timelines(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Draw patients: a frailty each, a course that wanders from row to row, 2 to 40 rows at irregular hours."""
    rows = np.clip(rng.poisson(8, size=count) + rng.integers(1, 6, size=count), 2, 40)
    whose = np.repeat(np.arange(count), rows)
    frailty = rng.normal(size=count)
    gap = np.round(rng.gamma(2.0, 2.0, size=len(whose)) + 0.1, 2)
    first = np.concatenate(([True], whose[1:] != whose[:-1]))
    hours = np.cumsum(gap)
    hours -= hours[first][whose] - 1
    course = rng.normal(size=(len(whose), 4))
    place = np.arange(len(whose)) - np.flatnonzero(first)[whose]
    for step in range(1, int(place.max()) + 1):
        here = np.flatnonzero(place == step)
        course[here] = 0.7 * course[here - 1] + np.sqrt(1 - 0.49) * course[here]
    severity = 0.8 * frailty[whose] + 0.6 * course[:, 0]
    sbp = np.clip(np.round(125 - 10 * severity + 8 * course[:, 1]), 50, 240)
    risk = 1 / (1 + np.exp(2.2 - 1.1 * frailty))
    return pl.DataFrame(
        {
            "patient": whose,
            "hours": np.round(hours, 2),
            "age": np.clip(np.round(66 + 8 * frailty + 9 * rng.normal(size=count)), 18, 105)[whose],
            "sex": np.where(rng.random(count) < 0.48, "male", "female")[whose],
            "sbp": sbp,
            "dbp": np.minimum(np.round(0.5 * sbp + 8 + 5 * course[:, 2]), sbp - 6),
            "creatinine": np.round(np.exp(4.4 + 0.3 * frailty[whose] + 0.15 * course[:, 3]), 1),
            "lactate": np.round(np.exp(0.3 + 0.35 * severity + 0.2 * rng.normal(size=len(whose))), 2),
            "ward": np.array(["general", "step-down", "intensive"])[np.digitize(severity, (0.3, 1.3))],
            "oxygen": (severity + 0.5 * course[:, 2] > 0.5).astype(float),
            "label": (rng.random(count) < risk).astype(np.int8)[whose],
        }
    ).with_columns(lactate=pl.when(pl.Series(rng.random(len(whose)) < 0.4)).then(None).otherwise(pl.col("lactate")))


def persons_of(table: pl.DataFrame) -> list[int]:
    return table["patient"].unique().sort().to_list()


def taken(table: pl.DataFrame, persons: list[int] | np.ndarray, *, first: int) -> pl.DataFrame:
    """Return the rows of persons, numbered anew from `first`; a person named twice comes twice."""
    parts = pl.DataFrame({"patient": list(persons), "__new": np.arange(len(persons)) + first}).with_columns(
        pl.col("patient").cast(table["patient"].dtype), pl.col("__new").cast(table["patient"].dtype)
    )
    return (
        parts.join(table, on="patient", how="left", maintain_order="left")
        .with_columns(patient="__new")
        .drop("__new")
        .select(table.columns)
    )


def fresh(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Other patients of the same hospital."""
    return timelines(train["patient"].n_unique(), rng)


def smooth(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Other patients, every number moved a little: true to life, not exact."""
    found = fresh(train, rng)
    return _moved(found, found, rng, noise=0.1)


SAFE: dict[str, Generator] = {"fresh": fresh, "smooth": smooth}


def rows_drawn_alone(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Right in every column and pair of a row, but each row belongs to anybody: the person is lost."""
    found = fresh(train, rng)
    order = rng.permutation(found.height)
    return found.with_columns(found[name][order] for name in _CHANGING)


def columns_shuffled(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Every column by itself, among all rows."""
    found = fresh(train, rng)
    return found.with_columns(found[name][rng.permutation(found.height)] for name in _CHANGING)


def visits_doubled(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Every row twice."""
    found = fresh(train, rng)
    return pl.concat((found, found)).sort("patient", "hours")


def times_shuffled(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Every row at the time of another."""
    found = fresh(train, rng)
    return found.with_columns(hours=found["hours"][rng.permutation(found.height)])


def ages_falling(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Patients whose age and sex are drawn anew in every row."""
    found = fresh(train, rng)
    return found.with_columns(found[name][rng.permutation(found.height)] for name in ("age", "sex"))


def deaths_late(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The outcome drawn by itself, a third of the deaths forgotten and follow-up half as long again."""
    found = fresh(train, rng)
    died = pl.Series(rng.random(found["patient"].n_unique()) < 0.02).cast(pl.Int8)
    label = pl.DataFrame({"patient": persons_of(found), "label": died})
    return found.drop("label").join(label, on="patient").with_columns(hours=pl.col("hours") * 1.5)


BROKEN: dict[str, tuple[Generator, str]] = {
    "rows drawn alone": (rows_drawn_alone, "timelines.within_person"),
    "columns shuffled": (columns_shuffled, "timelines.within_person"),
    "visits doubled": (visits_doubled, "timelines.visits"),
    "times shuffled": (times_shuffled, "timelines.gaps"),
    "ages drawn anew in every row": (ages_falling, "timelines.order"),
    "deaths forgotten": (deaths_late, "timelines.time_to_event"),
}
"""By name the generator and the measure that must see what it broke."""


def _moved(rows: pl.DataFrame, scale: pl.DataFrame, rng: np.random.Generator, *, noise: float) -> pl.DataFrame:
    moved = rows.with_columns(
        (pl.col(name) + noise * float(scale[name].std()) * rng.normal(size=rows.height)).round(2) for name in _NUMBERS
    )
    return moved.with_columns(dbp=pl.min_horizontal("dbp", pl.col("sbp") - 1), lactate=pl.col("lactate").clip(0.05))


def timelines_copied(share: float, *, noise: float = 0.05) -> Generator:
    """Other patients, a share of whom are training patients with a little noise on every number."""

    def generate(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        safe, persons = fresh(train, rng), persons_of(train)
        chosen = rng.choice(persons, size=round(share * len(persons)), replace=False)
        return _planted(safe, _moved(taken(train, chosen, first=10**6), train, rng, noise=noise))

    return generate


def one_copied(times: int, *, noise: float = 0.05) -> Generator:
    """Other patients, among them one training patient many times over, each time with a little noise."""

    def generate(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        safe, chosen = fresh(train, rng), [persons_of(train)[0]] * times
        return _planted(safe, _moved(taken(train, chosen, first=10**6), train, rng, noise=noise))

    return generate


def _planted(safe: pl.DataFrame, copies: pl.DataFrame) -> pl.DataFrame:
    kept = persons_of(safe)[copies["patient"].n_unique() :]
    return pl.concat((safe.filter(pl.col("patient").is_in(kept)), copies.cast(dict(safe.schema))))
