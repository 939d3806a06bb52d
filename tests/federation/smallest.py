"""The smallest hospitals that can take part: made-up persons, one study, one mapping."""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loose_gate import GATE

STUDY = """\
schema: wardgate/study/1
id: attacked
version: 1
title: A study under attack
question: Does the marker say who gets worse?
cohort: {entry: admitted}
index_date: admission
label: {name: worse, meaning: worse within a week, window_days: [0, 7]}
features:
  - {name: age, type: integer, unit: a, range: [18, 100], missing: refused}
  - {name: marker, type: number, unit: mg/L, range: [0, 200], missing: refused}
  - {name: sex, type: category, values: [female, male], missing: refused}
subgroups: [{feature: sex}]
acceptance: {auroc_min: 0.55, worst_site_auroc_min: 0.3, oe: [0.2, 5], slope: [0.1, 5], subgroup_gap_max: 0.5}
GATE
sites: [SITES]
""".replace("GATE\n", GATE)

MAPPING = """\
schema: wardgate/mapping/1
files: [patients.csv]
person: {column: person}
fields:
  age: {column: age, unit: a}
  marker: {column: marker, unit: mg/L}
  sex: {column: sex, recode: {f: female, m: male}}
labels:
  worse: {column: worse, positive: ["1"], negative: ["0"]}
"""

COLUMNS = 4
"""Intercept, age, marker, male."""


def write_hospital(home: Path, persons: int, seed: Sequence[int], *, inverted: bool, note: str) -> None:
    """Write one hospital's folder."""
    rng = np.random.default_rng(list(seed))
    age, marker = rng.integers(20, 95, persons), np.round(rng.uniform(0, 200, persons), 1)
    sex = rng.choice(["f", "m"], persons)
    logit = -0.6 + 0.03 * (age - 60) + 0.02 * (marker - 100) + 0.4 * (sex == "m")
    worse = (rng.random(persons) < 1 / (1 + np.exp(-logit))).astype(int)
    worse = 1 - worse if inverted else worse
    home.mkdir(parents=True)
    rows = ["person,age,marker,sex,worse"]
    rows += [f"{home.name}-{i},{age[i]},{marker[i]},{sex[i]},{worse[i]}" for i in range(persons)]
    (home / "patients.csv").write_text("\n".join(rows) + "\n")
    (home / "mapping.yaml").write_text(MAPPING)
    (home / "hospital.yaml").write_text(f"id: {home.name}\nnote: made up by the tests\n{note}")
