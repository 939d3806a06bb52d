"""Simulated timelines with a known truth: a frailty for each person, courses that wander, an age that runs, a death."""

import numpy as np
import polars as pl

from wardgate.records.dictionary import Dictionary
from wardgate.records.feature import ClinicalRule, Feature

PLAN = Dictionary(
    features=(
        Feature(name="sex", type="category", values=("female", "male")),
        Feature(name="entry", type="number", unit="a", range=(18, 110)),
        Feature(name="age", type="number", unit="a", range=(18, 130)),
        Feature(name="sbp", type="number", unit="mm[Hg]", range=(40, 300)),
        Feature(name="dbp", type="number", unit="mm[Hg]", range=(20, 200)),
        Feature(name="score", type="integer", unit="1", range=(3, 15)),
        Feature(name="stage", type="integer", unit="1", range=(0, 20)),
        Feature(name="ward", type="category", values=("general", "step-down", "intensive")),
        Feature(name="dead", type="boolean"),
    ),
    label="died",
    person="patient",
    time="hours",
    static=("sex", "entry"),
    rules=(ClinicalRule(name="diastolic-below-systolic", left="dbp", op="<", right="sbp"),),
)


def timelines(count: int, *, seed: int) -> pl.DataFrame:
    """Draw patients with 2 to 25 rows at irregular hours; the dead have their death in the last row."""
    rng = np.random.default_rng(seed)
    rows = np.clip(rng.poisson(9, size=count), 2, 25)
    whose = np.repeat(np.arange(count), rows)
    first = np.cumsum(rows) - rows
    place = np.arange(len(whose)) - first[whose]
    frailty = rng.normal(size=count)
    hours = np.cumsum(np.round(rng.gamma(2.0, 3.0, size=len(whose)) + 0.25, 2))
    hours = np.round(hours - hours[first][whose], 2)
    course = rng.normal(size=(len(whose), 2))
    for step in range(1, int(place.max()) + 1):
        here = np.flatnonzero(place == step)
        course[here] = 0.7 * course[here - 1] + np.sqrt(0.51) * course[here]
    died = rng.random(count) < 1 / (1 + np.exp(1.2 - 1.3 * frailty))
    severity = 0.9 * frailty[whose] + 0.6 * course[:, 0]
    sbp = np.clip(np.round(125 - 11 * severity + 6 * course[:, 1]), 60, 230)
    entry = np.clip(65 + 8 * frailty + 8 * rng.normal(size=count), 19, 105)
    risen = np.cumsum(rng.random(len(whose)) < 0.15)
    table = pl.DataFrame(
        {
            "patient": whose,
            "hours": hours,
            "sex": np.where(rng.random(count) < 0.5, "male", "female")[whose],
            "entry": entry[whose],
            "age": entry[whose] + hours / 8766,
            "sbp": sbp,
            "dbp": np.minimum(np.round(0.5 * sbp + 10 + 4 * rng.normal(size=len(whose))), sbp - 8),
            "score": np.clip(np.round(14 - 1.5 * severity), 3, 15),
            "stage": np.clip(risen - risen[first][whose], 0, 20).astype(float),
            "ward": np.array(["general", "step-down", "intensive"])[np.digitize(severity, (0.4, 1.3))],
            "dead": ((place == rows[whose] - 1) & died[whose]).astype(float),
            "label": died.astype(np.int8)[whose],
        }
    )
    gone = pl.Series(rng.random(len(whose)) < 0.3)
    return table.with_columns(score=pl.when(~gone).then(pl.col("score")))
