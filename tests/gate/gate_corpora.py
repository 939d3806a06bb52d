"""A small simulated hospital with ties, missing values and rare traits, and generators that leak nobody or somebody."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy.stats import norm

from wardgate.measures.attacks.nearest import nearest
from wardgate.records.feature import ClinicalRule, Feature, Subgroup
from wardgate.records.study import Acceptance, Cohort, Label, Study

REGIONS = ("north", "east", "south", "west", "islands")
TRIAGE = ("green", "yellow", "orange", "red")


def study() -> Study:
    """A study of eleven features: seven numbers, two categories, two booleans."""

    def number(name: str, unit: str, low: float, high: float, kind: str = "number", **more: object) -> Feature:
        return Feature.model_validate({"name": name, "type": kind, "unit": unit, "range": (low, high), **more})

    return Study(
        schema="wardgate/study/1",
        id="simulated",
        version=1,
        title="Simulated admissions",
        question="Who dies within 30 days?",
        cohort=Cohort(entry="admission"),
        index_date="admission",
        label=Label(name="dead_30", meaning="dead within 30 days", window_days=(0, 30)),
        features=(
            number("age", "a", 18, 100, "integer", missing="refused", quasi_identifier=True),
            number("sbp", "mm[Hg]", 40, 260, "integer"),
            number("dbp", "mm[Hg]", 20, 160, "integer"),
            number("heart_rate", "/min", 20, 220, "integer"),
            number("creatinine", "umol/L", 10, 1500),
            number("sodium", "mmol/L", 100, 180),
            number("lactate", "mmol/L", 0.1, 30),
            Feature(name="region", type="category", values=REGIONS, quasi_identifier=True),
            Feature(name="triage", type="category", values=TRIAGE),
            Feature(name="sex", type="boolean", missing="refused", quasi_identifier=True),
            Feature(name="diabetes", type="boolean"),
        ),
        subgroups=(Subgroup(feature="age", cuts=(65, 80)), Subgroup(feature="sex")),
        rules=(ClinicalRule(name="pressure", left="dbp", op="<=", right="sbp"),),
        acceptance=Acceptance(auroc_min=0.6, worst_site_auroc_min=0.5),
        sites=("a", "b", "c"),
    )


def persons(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Draw patients: skewed laboratory values with three digits, correlated by one severity, some never measured."""
    severity, frailty = rng.normal(size=count), rng.normal(size=count)
    age = np.clip(np.round(68 + 9 * frailty + 7 * rng.normal(size=count)), 18, 100)
    sbp = np.clip(np.round(135 - 9 * severity + 18 * rng.normal(size=count)), 60, 240)
    table = {
        "age": age,
        "sbp": sbp,
        "dbp": np.minimum(np.clip(np.round(0.5 * sbp + 10 + 8 * rng.normal(size=count)), 30, 140), sbp),
        "heart_rate": np.clip(np.round(82 + 10 * severity + 14 * rng.normal(size=count)), 30, 200),
        "creatinine": np.round(np.exp(4.45 + 0.25 * severity + 0.2 * frailty + 0.35 * rng.normal(size=count)), 1),
        "sodium": np.round(139 - severity + 3.5 * rng.normal(size=count), 1),
        "lactate": np.round(np.exp(0.3 + 0.35 * severity + 0.4 * rng.normal(size=count)), 2),
        "region": rng.choice(REGIONS, size=count, p=(0.4, 0.3, 0.2, 0.09, 0.01)),
        "triage": np.array(TRIAGE)[np.digitize(severity + 0.8 * rng.normal(size=count), (-0.5, 0.7, 1.8))],
        "sex": (rng.random(count) < 0.48).astype(float),
        "diabetes": (rng.random(count) < 0.22).astype(float),
    }
    risk = 1 / (1 + np.exp(-(-1.9 + 0.9 * severity + 0.6 * frailty)))
    frame = pl.DataFrame(table).with_columns(label=pl.Series(rng.random(count) < risk).cast(pl.Int8))
    for name, share in (("lactate", 0.35), ("creatinine", 0.05), ("diabetes", 0.03), ("triage", 0.02)):
        gone = pl.Series(rng.random(count) < share)
        frame = frame.with_columns(pl.when(gone).then(None).otherwise(pl.col(name)).alias(name))
    return frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Hospital:
    """The splits that the gate asks for."""

    train: pl.DataFrame
    tuning: pl.DataFrame
    holdout: pl.DataFrame


def hospital(rng: np.random.Generator, *, train: int, tuning: int, holdout: int) -> Hospital:
    """Draw a hospital."""
    everybody = persons(train + tuning + holdout, rng)
    return Hospital(
        train=everybody[:train], tuning=everybody[train : train + tuning], holdout=everybody[train + tuning :]
    )


Generator = Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]

_DIGITS = {"age": 0, "sbp": 0, "dbp": 0, "heart_rate": 0, "creatinine": 1, "sodium": 1, "lactate": 2}


def fresh(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Other patients of the same hospital: as good as data can be, and nobody of the training persons."""
    return persons(train.height, rng)


def copula(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A Gaussian copula over smooth margins: 40 quantiles of a number, shares of a category."""
    names = train.columns
    normal = np.column_stack([_normal(train[name], rng) for name in names])
    correlation = np.corrcoef(normal, rowvar=False)
    drawn = norm.cdf(rng.multivariate_normal(np.zeros(len(names)), correlation, size=train.height, method="cholesky"))
    return pl.DataFrame([_back(train[name], drawn[:, place]) for place, name in enumerate(names)]).select(names)


def independent(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Every column by itself, from smooth margins: useless, and harmless."""
    return pl.DataFrame([_back(train[name], rng.random(train.height)) for name in train.columns])


SAFE: dict[str, Generator] = {"fresh": fresh, "copula": copula, "independent": independent}


def _levels(column: pl.Series) -> tuple[list[object], np.ndarray]:
    counts = column.value_counts().sort(column.name, nulls_last=True)
    return counts[column.name].to_list(), np.cumsum(counts["count"].to_numpy()) / len(column)


def _normal(column: pl.Series, rng: np.random.Generator) -> np.ndarray:
    values, edges = _levels(column)
    place = column.replace_strict(values, list(range(len(values))), return_dtype=pl.Int64).to_numpy()
    low = np.concatenate(([0.0], edges[:-1]))
    at = low[place] + rng.random(len(place)) * (edges - low)[place]
    return norm.ppf(np.clip(at, 1e-6, 1 - 1e-6))


def _back(column: pl.Series, at: np.ndarray) -> pl.Series:
    if column.name not in _DIGITS:
        values, edges = _levels(column)
        place = np.minimum(np.searchsorted(edges, at), len(values) - 1)
        return pl.Series(column.name, [values[index] for index in place], dtype=column.dtype)
    present = column.drop_nulls().to_numpy()
    share = len(present) / len(column)
    knots = np.linspace(0, 1, 41)
    knots[0], knots[-1] = 0.002, 0.998  # the ends are single persons
    found = np.round(
        np.interp(np.clip(at / share, 0, 1), np.linspace(0, 1, 41), np.quantile(present, knots)), _DIGITS[column.name]
    )
    return pl.Series(column.name, [None if gone else value for gone, value in zip(at > share, found, strict=True)])


def planted(safe: pl.DataFrame, copies: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Put copies in place of random rows."""
    kept = rng.permutation(safe.height)[copies.height :]
    return pl.concat((safe[kept], copies.select(safe.columns)))


def copied(share: float) -> Generator:
    """A fresh sample in which a share of rows are whole training persons."""

    def generate(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        chosen = rng.choice(train.height, size=round(share * train.height), replace=False)
        return planted(fresh(train, rng), train[chosen], rng)

    return generate


def jittered(share: float, *, noise: float = 0.05) -> Generator:
    """The same with every number moved by a little of its spread, so that no value is equal."""

    def generate(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        chosen = rng.choice(train.height, size=round(share * train.height), replace=False)
        return planted(fresh(train, rng), moved(train[chosen], train, rng, noise=noise), rng)

    return generate


def moved(rows: pl.DataFrame, train: pl.DataFrame, rng: np.random.Generator, *, noise: float) -> pl.DataFrame:
    """Move every number by noise x its spread."""
    return rows.with_columns(
        pl.col(name) + noise * float(train[name].std()) * rng.normal(size=rows.height) for name in _DIGITS
    )


def outliers_copied(share: float, *, noise: float = 0.05) -> Generator:
    """The same, but only of the most unusual training persons, measured by their squared standard scores."""

    def generate(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        scores = train.select(((pl.col(name) - pl.col(name).mean()) / pl.col(name).std()) ** 2 for name in _DIGITS)
        lonely = np.argsort(-scores.fill_null(0).sum_horizontal().to_numpy())[: round(share * train.height)]
        return planted(fresh(train, rng), moved(train[lonely], train, rng, noise=noise), rng)

    return generate


def replayed(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """A generator that memorises: its training rows, in another order."""
    return train[rng.permutation(train.height)]


def shifted(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Every training row with a constant added to every number: far away in values, identical in ranks."""
    return train.with_columns(pl.col(name) + 3.0 * float(train[name].std()) for name in _DIGITS)


def columns_resampled(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Every column by itself, drawn from the training values: no row is anybody's, laboratory values are."""
    return pl.DataFrame(
        [
            train[name].sample(train.height, with_replacement=True, seed=int(rng.integers(2**31)))
            for name in train.columns
        ]
    )


def one_person(count: int, *, noise: float = 0.05) -> Generator:
    """A fresh sample with `count` noisy copies of one training person."""

    def generate(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        same = pl.concat([train[int(rng.integers(train.height))]] * count)
        return planted(fresh(train, rng), moved(same, train, rng, noise=noise), rng)

    return generate


def smote(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Every row between two training persons who are alike: numbers interpolated, the rest of the first."""
    chosen = train[rng.integers(train.height, size=train.height)]
    scaled = [((train[name] - train[name].mean()) / train[name].std()).fill_null(0).to_numpy() for name in _DIGITS]
    points = np.column_stack(scaled).astype(np.float32)
    asked = np.column_stack(
        [((chosen[name] - train[name].mean()) / train[name].std()).fill_null(0).to_numpy() for name in _DIGITS]
    ).astype(np.float32)
    near = nearest(asked, points, 6).index[np.arange(train.height), rng.integers(1, 6, size=train.height)]
    part = rng.random(train.height)
    other = train[near]
    return chosen.with_columns(
        (pl.col(name) + pl.Series(part) * (other[name] - chosen[name])).round(digits)
        for name, digits in _DIGITS.items()
    )


def one_subgroup(train: pl.DataFrame, rng: np.random.Generator, *, noise: float = 0.05) -> pl.DataFrame:
    """A fresh sample whose rows of one small subgroup (the oldest women) are that subgroup's training persons."""
    mine = (pl.col("age") >= 85) & (pl.col("sex") == 1)
    made = fresh(train, rng)
    copies = moved(train.filter(mine), train, rng, noise=noise).with_columns(pl.col("age").round())
    return pl.concat((made.filter(~mine), copies.select(made.columns)))


def permuted_columns(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Every column of the training table in an order of its own."""
    return pl.DataFrame([train[name][rng.permutation(train.height)] for name in train.columns])


def parts_replayed(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Half of a training person's columns, the other half of another's, numbers moved a little."""
    halves = train.columns[::2], train.columns[1::2]
    first, second = (train[rng.permutation(train.height)].select(half) for half in halves)
    return moved(pl.concat((first, second), how="horizontal").select(train.columns), train, rng, noise=0.02)


def jittered_replay(share: float) -> Generator:
    """What a generative network does that memorises: a share of its rows are training rows with tiny noise."""
    return jittered(share, noise=0.01)
