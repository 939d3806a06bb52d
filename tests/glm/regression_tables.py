"""Made-up hospitals whose truth is known."""

import numpy as np
import polars as pl

from wardgate.records.feature import Feature
from wardgate.records.study import Acceptance, Cohort, Label, Study

FEATURES = (
    Feature(name="age", type="number", unit="a", range=(20, 90), missing="refused"),
    Feature(name="pressure", type="number", unit="mm[Hg]", range=(80, 220)),
    Feature(name="smoker", type="boolean", missing="refused"),
    Feature(name="ward", type="category", values=("a", "b", "c"), missing="refused"),
    Feature(name="visits", type="integer", unit="1", range=(0, 12), missing="refused"),
    Feature(name="days", type="number", unit="d", range=(0, 30), missing="refused"),
)


def study_of(features: tuple[Feature, ...] = FEATURES, sites: tuple[str, ...] = ("s1", "s2", "s3", "s4")) -> Study:
    """A study over made-up hospitals."""
    return Study(
        schema="wardgate/study/1",
        id="made-up",
        version=1,
        title="t",
        question="q",
        cohort=Cohort(entry="e"),
        index_date="d",
        label=Label(name="event", meaning="m", window_days=(0, 30)),
        features=features,
        acceptance=Acceptance(auroc_min=0.6, worst_site_auroc_min=0.5),
        sites=sites,
    )


def tables_of(
    *, seed: int = 0, persons: int = 400, sites: tuple[str, ...] = ("s1", "s2", "s3", "s4"), spread: float = 0.7
) -> dict[str, pl.DataFrame]:
    """Tables of hospitals whose rates differ by `spread` (standard deviation of the logit)."""
    rng = np.random.default_rng(seed)
    found = {}
    for number, site in enumerate(sites):
        n = persons // (number + 1)
        age, pressure = rng.uniform(20, 90, n), rng.normal(140, 25, n).clip(80, 220)
        smoker, place = rng.random(n) < 0.3, rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2])
        eta = -0.6 + rng.normal() * spread + 0.03 * (age - 55) + 0.8 * smoker + 0.5 * (place == "c")
        eta = eta + 0.8 * np.sin(pressure / 20)
        label = rng.random(n) < 1 / (1 + np.exp(-eta))
        visits = rng.poisson(np.exp(0.2 + 0.3 * eta)).clip(0, 12)
        days = np.where(label, rng.exponential(10 * np.exp(-0.5 * eta)), rng.uniform(0, 40, n)).clip(0, 30)
        holes = rng.random(n) < 0.1
        found[site] = pl.DataFrame(
            {
                "age": age,
                "pressure": pl.Series([None if hole else p for hole, p in zip(holes, pressure, strict=True)]),
                "smoker": smoker.astype(np.float64),
                "ward": place.tolist(),
                "visits": visits.astype(np.float64),
                "days": days,
                "label": label.astype(np.int8),
            },
            schema_overrides={"pressure": pl.Float64},
        )
    return found
