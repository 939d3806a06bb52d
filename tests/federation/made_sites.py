"""Tables of persons at several made-up sites with one truth, and what they tell of themselves."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from wardgate.computations.definitions.statistics import SiteStatistics
from wardgate.hospital.ward.learning.site_statistics import site_statistics
from wardgate.measures.encoding import labels
from wardgate.records.feature import Feature

FEATURES = (
    Feature(name="age", type="integer", unit="a", range=(18, 110), missing="refused"),
    Feature(name="creatinine", type="number", unit="umol/L", range=(0.1, 3000)),
    Feature(name="glucose", type="number", unit="mg/dL", range=(1, 1500)),
    Feature(name="lactate", type="number", unit="mmol/L", range=(0, 40)),
    Feature(name="height", type="number", unit="cm", range=(0, 260)),
    Feature(name="temperature", type="number", unit="Cel", range=(0, 120)),
    Feature(name="base_excess", type="number", unit="mmol/L", range=(-40, 40)),
    Feature(name="pressure", type="number", unit="mm[Hg]", range=(1, 300)),
    Feature(name="sex", type="category", values=("female", "male")),
    Feature(name="admission", type="category", values=("emergency", "planned", "transfer")),
    Feature(name="diabetes", type="boolean"),
    Feature(name="cancer", type="boolean"),
)


def table(persons: int, *, rng: np.random.Generator, differ: float = 1.0) -> pl.DataFrame:
    """Persons of one site; `differ` scales how far its case mix, practice and risk lie from other sites'."""

    def shift(deviation: float) -> float:
        return float(rng.normal(0.0, deviation * differ))

    sick = rng.normal(shift(0.3), 1.0, persons)
    numbers = {
        "age": np.clip(np.round(62 + shift(4) + 16 * rng.standard_normal(persons)), 18, 110),
        "creatinine": 88 * np.exp(0.45 * (0.5 * sick + 0.87 * rng.standard_normal(persons)) + shift(0.1)),
        "glucose": 118 * np.exp(0.35 * rng.standard_normal(persons) + 0.1 * sick + shift(0.07)),
        "lactate": 1.6 * np.exp(0.5 * (0.6 * sick + 0.8 * rng.standard_normal(persons)) + shift(0.12)),
        "height": 169 + shift(1.5) + 10 * rng.standard_normal(persons),
        "temperature": 37.1 + shift(0.12) + 0.8 * rng.standard_normal(persons),
        "base_excess": -1 + shift(0.8) - 2 * sick + 3 * rng.standard_normal(persons),
        "pressure": 118 + shift(4) - 8 * sick + 18 * rng.standard_normal(persons),
    }
    sex = np.where(rng.random(persons) < 0.54 + shift(0.02), "male", "female")
    share = rng.dirichlet(40 * np.array([0.6, 0.3, 0.1]))
    admission = rng.choice(["emergency", "planned", "transfer"], persons, p=share)
    diabetes = rng.random(persons) < 1 / (1 + np.exp(1.4 - shift(0.3) - 0.3 * sick))
    cancer = rng.random(persons) < 1 / (1 + np.exp(2.2 - shift(0.3)))
    risk = (
        -2.3
        + shift(0.35)
        + (0.03 + shift(0.003)) * (numbers["age"] - 62)
        + (0.6 + shift(0.05)) * sick
        + (0.7 + shift(0.1)) * (admission == "transfer")
        - (0.9 + shift(0.1)) * (admission == "planned")
        + (0.35 + shift(0.1)) * diabetes
        + (0.9 + shift(0.1)) * cancer
    )
    made = pl.DataFrame(
        {
            **numbers,
            "sex": sex,
            "admission": admission,
            "diabetes": diabetes.astype(float),
            "cancer": cancer.astype(float),
            "label": (rng.random(persons) < 1 / (1 + np.exp(-risk))).astype(np.int8),
        }
    )
    gone = {
        name: pl.Series(rng.random(persons) < 1 / (1 + np.exp(-shift(0.7) - base)))
        for name, base in {"creatinine": -2.5, "glucose": -2.0, "lactate": 0.0, "height": -1.0, "sex": -5.0}.items()
    }
    return made.with_columns(pl.when(gap).then(None).otherwise(pl.col(name)).alias(name) for name, gap in gone.items())


def told(site: str, made: pl.DataFrame) -> SiteStatistics:
    """What a site tells of a table."""
    return site_statistics(made, labels(made), FEATURES, site=site, smallest_cell=11)


def consortium(persons: Mapping[str, int], *, rng: np.random.Generator, differ: float = 1.0) -> dict[str, pl.DataFrame]:
    """Tables by site."""
    return {site: table(count, rng=rng, differ=differ) for site, count in persons.items()}
