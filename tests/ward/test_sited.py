"""One hospital's own figures: never over fewer than eleven events or non-events, wherever these stand."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from wardgate.hospital.ward.answering.sited import associate, evaluate
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.transfer.figures import local_shift
from wardgate.records.errors import Refused
from wardgate.records.messages import Question
from wardgate.records.parcel import Parcel, pack_vector
from wardgate.records.study import Study


def part(make_persons: Any, events: int, persons: int, first: int | None = None) -> Part:
    """Persons of whom so many have the outcome, `first` of them among the first fifty."""
    y = np.zeros(persons, dtype=np.int8)
    early = min(events, 50) if first is None else first
    y[:early] = 1
    y[50 : 50 + events - early] = 1
    x = np.column_stack([np.ones(persons), np.random.default_rng(3).uniform(-1, 1, persons)])
    return Part(table=make_persons(persons), x=x, y=y)


def bench(study: Study, train: Part, test: Part) -> Any:
    parts = {"train": train, "holdout": test, "locked_test": test}
    return SimpleNamespace(study=study, part=parts.__getitem__, local_model=lambda: np.zeros(2))


def asked(beta: Any, **parameters: Any) -> tuple[Question, Parcel]:
    ref, data = pack_vector("m", np.asarray(beta, dtype=float))
    question = Question(
        study_sha256="ab" * 32,
        number=1,
        computation="evaluate",
        split="holdout",
        parameters={"models": ["m"], **parameters},
        vectors=(ref,),
    )
    return question, Parcel(b"", (data,))


@pytest.mark.parametrize(("events", "persons"), [(10, 200), (190, 200), (0, 200), (11, 21), (5, 5)])
def test_ten_events_or_non_events_show_nothing(study: Study, make_persons: Any, events: int, persons: int) -> None:
    train = part(make_persons, 60, 200)
    with pytest.raises(Refused, match="fewer than 11 events or non-events"):
        evaluate(bench(study, train, part(make_persons, events, persons)), *asked([0, 1]))


def test_eleven_of_each_show_figures(study: Study, make_persons: Any) -> None:
    found = evaluate(bench(study, part(make_persons, 60, 200), part(make_persons, 11, 22)), *asked([0, 1]))
    assert found.smallest_cell == 11
    assert {"m.auroc", "m.auroc_low", "m.auroc_high", "m.oe"} <= set(found.figures)
    assert found.models == 1


def test_a_shift_learned_from_few_events_would_count_them_and_is_not_told(study: Study, make_persons: Any) -> None:
    """With a model that says one half for everybody, the shift gives the events among fifty records to the unit."""
    train, test = part(make_persons, 60, 200, first=4), part(make_persons, 80, 200)
    shift = local_shift(
        train_logits=np.zeros(200),
        train_y=train.y,
        test_logits=np.zeros(200),
        test_y=test.y,
        records=50,
        prior_deviation=1e3,
    ).shift
    assert round(50 * expit(round(shift, 2))) == 4, "the attack works on the rounded figure"
    asks = asked([0, 0], recalibrate="m", prior_deviation="1000")
    kept = evaluate(bench(study, train, test), *asks)
    assert not any(name.startswith("recalibration") for name in kept.figures)
    assert "recalibration_records" not in kept.said
    told = evaluate(bench(study, part(make_persons, 60, 200, first=11), test), *asks)
    assert told.said["recalibration_records"] == 50
    assert "recalibration.shift" in told.figures
    assert told.models == 2


def test_the_same_model_named_often_is_one_model(study: Study, make_persons: Any) -> None:
    question, parcel = asked([0, 1])
    many = question.model_copy(update={"parameters": {"models": ["m"] * 40 + ["local"]}})
    found = evaluate(bench(study, part(make_persons, 60, 200), part(make_persons, 80, 200)), many, parcel)
    assert found.models == 2


@pytest.mark.parametrize("split", ["tuning", "none"])
def test_models_are_not_evaluated_elsewhere(study: Study, make_persons: Any, split: str) -> None:
    question, parcel = asked([0, 1])
    elsewhere = question.model_copy(update={"split": split})
    with pytest.raises(Refused, match="not evaluated on the split"):
        evaluate(bench(study, part(make_persons, 60, 200), part(make_persons, 80, 200)), elsewhere, parcel)


def test_associations_touch_training_persons_alone_and_state_their_smallest_class(
    study: Study, make_persons: Any
) -> None:
    question, _ = asked([0, 1])
    desk = bench(study, part(make_persons, 7, 200), part(make_persons, 80, 200))
    with pytest.raises(Refused, match="training persons only"):
        associate(desk, question)
    assert associate(desk, question.model_copy(update={"split": "train"})).smallest_cell == 7
