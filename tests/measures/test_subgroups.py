"""Subgroups have one order, which the masks of the ward and the names at the hub share."""

import numpy as np
import polars as pl

from wardgate.measures.subgroups import group_names, subgroup_masks
from wardgate.records.study_file import parse

STUDY = """\
schema: wardgate/study/1
id: groups
version: 1
title: Groups
question: Which groups are there?
cohort: {entry: admitted}
index_date: admission
label: {name: worse, meaning: worse, window_days: [0, 7]}
features:
  - {name: age, type: integer, unit: a, range: [18, 100]}
  - {name: sex, type: category, values: [female, male]}
  - {name: frail, type: boolean}
  - {name: bmi, type: number, unit: kg/m2, range: [10, 60]}
subgroups: [{feature: age, cuts: [40, 65.5]}, {feature: sex}, {feature: frail}, {feature: bmi, cuts: [25]}]
acceptance: {auroc_min: 0.5, worst_site_auroc_min: 0.3}
sites: [a, b, c]
"""

NAMES = (
    "age<40",
    "age>=40,<65.5",
    "age>=65.5",
    "sex=female",
    "sex=male",
    "frail=no",
    "frail=yes",
    "bmi<25",
    "bmi>=25",
)

TABLE = pl.DataFrame(
    {
        "age": [39.0, 40.0, 65.5, None],
        "sex": ["female", "male", None, "male"],
        "frail": [1.0, 0.0, None, 1.0],
        "bmi": [24.9, 25.0, None, 60.0],
        "label": [0, 1, 0, 1],
    }
)


def test_names_stand_in_the_studys_order() -> None:
    assert group_names(parse(STUDY, name="study.yaml")) == NAMES


def test_masks_match_their_names_and_a_missing_value_is_in_no_group() -> None:
    masks = dict(subgroup_masks(parse(STUDY, name="study.yaml"), TABLE))
    assert tuple(masks) == NAMES
    found = {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()}
    assert found == {
        "age<40": [0],
        "age>=40,<65.5": [1],
        "age>=65.5": [2],
        "sex=female": [0],
        "sex=male": [1, 3],
        "frail=no": [1],
        "frail=yes": [0, 3],
        "bmi<25": [0],
        "bmi>=25": [1, 3],
    }


def test_a_person_is_in_at_most_one_group_of_each_subgroup() -> None:
    masks = np.array([mask for _, mask in subgroup_masks(parse(STUDY, name="study.yaml"), TABLE)])
    for part in (masks[:3], masks[3:5], masks[5:7], masks[7:]):
        assert part.sum(axis=0).max() <= 1
