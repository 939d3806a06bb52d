"""A small study, and made-up persons with known relations; for every room that needs no hospital around them."""

from typing import Any

import numpy as np
import polars as pl

from wardgate.records.feature import Feature
from wardgate.records.study import Acceptance, Cohort, Label, Study

FEATURES = (
    Feature(name="age", type="integer", unit="a", range=(18, 99), missing="refused"),
    Feature(name="glucose", type="number", unit="mmol/L", range=(0, 30)),
    Feature(name="sex", type="category", values=("F", "M"), missing="refused"),
    Feature(name="stage", type="category", values=("I", "II", "III", "IV")),
    Feature(name="smoker", type="boolean", missing="refused"),
    Feature(name="cough", type="boolean"),
)

SITES = ("a", "b", "c")


def small_study(*features: Feature, **changes: Any) -> Study:
    return Study(
        schema="wardgate/study/1",
        id="small",
        version=1,
        title="Small",
        question="Who has the outcome?",
        cohort=Cohort(entry="everybody"),
        index_date="admission",
        label=Label(name="outcome", meaning="the outcome", window_days=(0, 30)),
        features=features or FEATURES,
        acceptance=Acceptance(auroc_min=0.6, worst_site_auroc_min=0.5),
        sites=SITES,
        **changes,
    )


def persons(count: int, *, seed: int) -> pl.DataFrame:
    """Persons whose stage follows smoking, whose cough follows the stage, and whose outcome follows age and stage."""
    rng = np.random.default_rng(seed)
    age = np.clip(np.rint(rng.normal(62, 14, count)), 18, 99)
    smoker = (rng.random(count) < 0.3).astype(float)
    stage = np.clip(rng.poisson(0.7 + 1.2 * smoker), 0, 3)
    cough = (rng.random(count) < 0.2 + 0.2 * stage).astype(float)
    glucose = np.clip(rng.gamma(9, 0.75, count), 0, 30)
    risk = 1 / (1 + np.exp(-(-1.2 + 0.06 * (age - 62) + 0.7 * stage)))
    outcome = (rng.random(count) < risk).astype(np.int8)
    stages = np.array(["I", "II", "III", "IV"])[stage]
    return pl.DataFrame(
        {
            "age": age,
            "glucose": pl.Series(glucose).set(pl.Series(rng.random(count) < 0.15), None),
            "sex": np.array(["F", "M"])[(rng.random(count) < 0.5).astype(int)],
            "stage": pl.Series(stages).set(pl.Series(rng.random(count) < 0.1), None),
            "smoker": smoker,
            "cough": pl.Series(cough).set(pl.Series(rng.random(count) < 0.05 + 0.2 * outcome), None),
            "label": outcome,
        }
    )
