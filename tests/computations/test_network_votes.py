"""Votes as all parties know them: bounded, read back as they were written, and nothing broken gets in."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wardgate.computations.menu import MENU
from wardgate.computations.network_votes import MOST_CANDIDATES, Harm, NetworkVotes, kinds_of_persons
from wardgate.records.errors import Invalid
from wardgate.records.study import Study
from wardgate.records.study_file import parse

STUDY = """\
schema: wardgate/study/1
id: votes
version: 1
title: Votes
question: Does the marker say who gets worse?
cohort: {entry: admitted}
index_date: admission
label: {name: worse, meaning: worse within a week, window_days: [0, 7]}
features:
  - {name: marker, type: number, unit: mg/L, range: [0, 200], missing: refused}
  - {name: sex, type: category, values: [female, male], missing: refused}
subgroups: [{feature: sex}]
acceptance: {auroc_min: 0.55, worst_site_auroc_min: 0.3}
analyses: [network_update, network_votes]
networks:
  line: {schema: wardgate/network/1, inputs: 2, layers: [{kind: linear, units: 1}]}
sites: [a, b, c]
"""


@pytest.fixture(scope="module")
def study() -> Study:
    return parse(STUDY, name="study.yaml")


def asked(study: Study, count: int = 2, **changes: Any) -> NetworkVotes:
    rng = np.random.default_rng(1)
    plain = NetworkVotes(
        network="line",
        sha256=study.networks["line"].sha256,
        anchor=np.zeros(3),
        reference=rng.normal(size=3),
        candidates=rng.normal(size=(count, 3)),
        harm=Harm(),
    )
    return replace(plain, **changes)


def test_a_vote_is_read_as_it_was_written(study: Study) -> None:
    written = asked(study, harm=Harm(own=0.1, errors=0.5))
    read = MENU["network_votes"].read(written.parameters(), dict(written.arrays()))
    assert isinstance(read, NetworkVotes)
    assert read.parameters() == written.parameters()
    np.testing.assert_array_equal(read.arrays()[0][1], written.arrays()[0][1])
    assert read.harm == written.harm


def test_one_person_moves_every_entry_by_one_at_most(study: Study) -> None:
    shape = asked(study).shape(study)
    kinds = kinds_of_persons(study, Harm())
    assert kinds == ("reference", "floor", "without-outcome", "with-outcome", "sex=female", "sex=male")
    assert shape.entries == 3 * len(kinds)
    assert np.all(shape.bound == 1.0)
    assert shape.l2 == pytest.approx(np.sqrt(shape.entries))
    assert kinds_of_persons(study, Harm(own=0.0))[2] == "own-model"


@pytest.mark.parametrize(
    ("entry", "value"), [(0, -0.01), (0, 1.5), (-1, 3.2), (-1, -1.0), (0, np.inf), (0, np.nan), (-6, 0.0)]
)
def test_a_sum_that_honest_hospitals_cannot_give_is_known(study: Study, entry: int, value: float) -> None:
    question = asked(study)
    kinds = len(kinds_of_persons(study, Harm()))
    honest = np.concatenate([np.full(2 * kinds, 1.0), np.full(kinds, 2.5)])
    honest[0] = 2.0
    assert question.counted(honest, study=study, sites=3).possible
    forged = honest.copy()
    forged[entry] = value if value != 1.5 else 2.6
    assert not question.counted(forged, study=study, sites=3).possible


@pytest.mark.parametrize(
    "change",
    [
        {"candidates": 0},
        {"candidates": MOST_CANDIDATES + 1},
        {"candidates": "2"},
        {"candidates": 3},
        {"network": 3},
        {"sha256": None},
        {"harm": {}},
        {"harm": {**Harm().plain(), "reference": 0.1}},
        {"harm": {**Harm().plain(), "full": "20"}},
        {"harm": {**Harm().plain(), "errors": "-1"}},
        {"harm": {**Harm().plain(), "errors": "nan"}},
        {"more": 1},
    ],
)
def test_what_is_no_vote_is_refused(study: Study, change: dict[str, Any]) -> None:
    question = asked(study)
    with pytest.raises(Invalid):
        NetworkVotes.read(question.parameters() | change, dict(question.arrays()))


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "0" * 64},
        {"network": "other"},
        {"candidates": np.zeros((2, 4))},
        {"candidates": np.zeros((0, 3))},
        {"anchor": np.full(3, 1e9)},
        {"reference": np.full(3, np.nan)},
    ],
)
def test_weights_that_do_not_fit_the_study_are_refused(study: Study, change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        asked(study, **change).shape(study)


def test_kinds_of_persons_whom_nobody_has_count_as_no_harm(study: Study) -> None:
    question = asked(study, count=1)
    kinds = len(kinds_of_persons(study, Harm()))
    counted = question.counted(np.zeros(2 * kinds), study=study, sites=3)
    assert counted.possible
    assert np.all(counted.shares == 0.0)
