"""Training of networks over tables in the open: equal to pooled training, resumable, stopped for a stated reason."""

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from made_networks import SITES, one_step, plain_of, study_of, table, tables

from wardgate.computations.network_update import Work
from wardgate.federation.plain import Plain
from wardgate.hub.pooling.networks.algorithms import ALGORITHMS, Algorithm, algorithm_of
from wardgate.hub.pooling.networks.checkpoint import Checkpoint
from wardgate.hub.pooling.networks.rounds import Trained, train
from wardgate.hub.pooling.networks.servers import Average
from wardgate.measures.layers.start import start
from wardgate.records.errors import CheckFailed, Invalid, NotEvaluable
from wardgate.records.study import Study

pytest.importorskip("torch")
from wardgate.networks.federated import local

STUDY = study_of()


def steps_of(study: Study = STUDY, **settings: Any) -> Any:
    return train(**({"study": study, "sites": tuple(SITES), "network": "small", "rounds": 4} | settings))


def trained(plain: Plain | None = None, **settings: Any) -> Trained:
    return (plain or plain_of(STUDY)).drive(steps_of(**settings))


def network_for(name: str) -> str:
    return "norms" if name == "fedbn" else "small"


def test_one_full_step_a_round_is_gradient_descent_on_the_pooled_table() -> None:
    work = Work(steps=1, batch=1_000_000, rate=0.5)
    plain = plain_of(STUDY)
    found = trained(plain, algorithm=Algorithm(name="pooled", work=work), rounds=12, tune_every=None)
    parts = [site.part("train") for site in plain.sites.values()]
    x = np.concatenate([part.x[:, 1:] for part in parts])
    y = np.concatenate([part.y for part in parts]).astype(float)
    weights = start(STUDY.networks["small"])
    for _ in range(12):
        weights = one_step(weights, x, y, rate=0.5)
    assert np.max(np.abs(found.model.vector - weights)) < 2e-6
    assert found.best == 12
    assert not found.stopped
    assert found.history[0].weight == len(y)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_learns(name: str) -> None:
    found = trained(algorithm=ALGORITHMS[name].working(steps=10), network=network_for(name), rounds=5)
    losses = [one.after for one in found.history]
    assert len(losses) == 5
    assert losses[-1] < found.history[0].before - 0.03
    assert found.claim.kind == "exact"
    assert found.sites == tuple(SITES)
    assert found.bytes_moved == sum(one.bytes_moved for one in found.history) > 0
    judged = [one.loss for one in found.history if np.isfinite(one.loss)]
    assert bool(judged) == ALGORITHMS[name].whole


def test_adaptive_rules_and_control_variates_change_what_is_learnt() -> None:
    found = {name: trained(algorithm=name, tune_every=None).model.vector for name in ("fedavg", "fedyogi", "scaffold")}
    assert len({vector.tobytes() for vector in found.values()}) == 3


def test_weights_travel_between_blocks_of_three_and_fewer_than_six_hospitals_are_one_block() -> None:
    turns = ALGORITHMS["cyclic"].turns(tuple(SITES), coin="c")
    assert sorted(len(turn) for turn in turns) == [3, 3]
    assert sorted(site for turn in turns for site in turn) == SITES
    plain = plain_of(STUDY)
    found = plain.drive(steps_of(sites=tuple(SITES[:5]), algorithm="cyclic", tune_every=None))
    same = plain_of(STUDY).drive(steps_of(sites=tuple(SITES[:5]), algorithm="fedavg", tune_every=None))
    assert [alarm.kind for alarm in found.alarms] == ["one-block"]
    assert "FedAvg" in found.alarms[0].words
    assert np.array_equal(found.model.vector, same.model.vector)


def test_over_tables_in_the_open_weights_may_travel_from_hospital_to_hospital() -> None:
    alone = replace(ALGORITHMS["cyclic"], smallest_block=1)
    assert len(alone.turns(tuple(SITES), coin="c")) == 6
    assert trained(algorithm=alone, tune_every=None).history[-1].after < 0.6


def points_of(algorithm: Algorithm, until: int, **settings: Any) -> tuple[Plain, list[bytes]]:
    """Train and stop as a killed hub would, after some rounds; return the hospitals and what was saved."""
    saved: list[bytes] = []
    plain = plain_of(STUDY)

    class Killed(Exception):
        """The hub's end."""

    def save(point: Checkpoint) -> None:
        saved.append(point.to_bytes())
        if point.rounds == until:
            raise Killed

    with pytest.raises(Killed):
        trained(plain, algorithm=algorithm, on_round=save, **settings)
    return plain, saved


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_training_that_goes_on_is_the_same_to_the_last_bit(name: str) -> None:
    settings: dict[str, Any] = {"rounds": 4, "tune_every": 2, "network": network_for(name)}
    quick = ALGORITHMS[name].working(steps=3)
    whole = trained(algorithm=quick, **settings)
    plain, saved = points_of(quick, 2, **settings)
    found = trained(plain, algorithm=quick, resume=saved[-1], **settings)
    assert np.array_equal(found.model.vector, whole.model.vector)
    assert found.checkpoint.weights.tobytes() == whole.checkpoint.weights.tobytes()
    assert found.best == whole.best
    assert [one.after for one in found.history] == [one.after for one in whole.history]
    assert found.checkpoint.resumed == 1
    assert Checkpoint.from_bytes(found.checkpoint.to_bytes()).to_bytes() == found.checkpoint.to_bytes()


def test_a_round_that_was_asked_but_not_saved_is_repeated_to_the_last_bit() -> None:
    settings: dict[str, Any] = {"algorithm": ALGORITHMS["scaffold"].working(steps=3), "tune_every": None}
    whole = trained(**settings)
    plain, saved = points_of(until=3, **settings)
    found = trained(plain, resume=saved[-2], **settings)
    assert np.array_equal(found.model.vector, whole.model.vector)


def test_a_checkpoint_of_something_else_is_refused_by_name() -> None:
    quick = ALGORITHMS["fedavg"].working(steps=3)
    _, saved = points_of(quick, 2)
    other = study_of(more="drop_out: 0.2\n")
    cases: list[tuple[str, dict[str, Any]]] = [
        ("of another study", {"study": other}),
        ("of network 'small'", {"network": "norms"}),
        ("of another algorithm", {"algorithm": "fedavg"}),
        ("of another algorithm", {"algorithm": algorithm_of("fedavg", steps=3, rate=0.2)}),
        ("hospitals 2 take part", {"sites": tuple(SITES[:2])}),
    ]
    for words, changes in cases:
        with pytest.raises(Invalid, match=words):
            next(steps_of(**({"resume": saved[-1], "algorithm": quick} | changes)))


def test_early_stopping_hands_out_what_predicted_tuning_persons_best() -> None:
    upside_down = tables()
    for splits in upside_down.values():
        splits["tuning"] = splits["tuning"].with_columns((1 - pl.col("label")).alias("label"))
    found = plain_of(STUDY, upside_down).drive(steps_of(rounds=30, tune_every=1, patience=2))
    judged = [one.loss for one in found.history]
    assert "early stopping" in found.stopped
    assert found.best == int(np.argmin(judged)) + 1
    assert len(found.history) == found.best + 2
    assert not np.array_equal(found.model.vector, found.checkpoint.weights)


def test_hospitals_that_cannot_train_are_named_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = tables(h1=table(75, 1, 1, label=0), h2=table(90, 1, 2)[:0])
    plain = plain_of(STUDY, odd)
    broken = plain.sites["h4"].part("train")
    plain.sites["h4"].parts = {"train": replace(broken, x=np.full_like(broken.x, np.nan))}
    train_here, small = local._train, len(plain.sites["h3"].part("train").y)

    def train_with_little_memory(architecture: Any, common: Any, x: Any, y: Any, **settings: Any) -> Any:
        if len(y) == small:
            raise MemoryError
        return train_here(architecture, common, x, y, **settings)

    monkeypatch.setattr(local, "_train", train_with_little_memory)
    found = plain.drive(steps_of(tune_every=None))
    kinds = {alarm.sites[0]: alarm.kind for alarm in found.alarms}
    assert kinds == {"h1": "one-class", "h2": "no-persons", "h3": "out-of-memory", "h4": "not-finite"}
    assert dict(found.history[-1].said) == kinds | {"h0": "trained", "h5": "trained"}
    assert found.history[-1].after < found.history[0].before
    assert found.history[0].weight == 60 + 75 + 135


def test_a_sum_in_which_fewer_than_three_hospitals_trained_is_the_last_one() -> None:
    empty = tables(**{site: table(5, 1)[:0] for site in SITES[2:]})
    with pytest.raises(NotEvaluable, match="2 of 6 hospitals trained"):
        plain_of(STUDY, empty).drive(steps_of(tune_every=None))
    block = ALGORITHMS["cyclic"].turns(tuple(SITES), coin=STUDY.fingerprint())[1]
    odd = tables(**{block[0]: table(5, 1)[:0]})
    found = plain_of(STUDY, odd).drive(steps_of(tune_every=None, algorithm="cyclic"))
    assert {alarm.kind for alarm in found.alarms} == {"closed"}
    assert "among fewer than 6 hospitals it does not answer zeros" in found.alarms[0].words
    assert [len(one.sites) for one in found.history] == [3, 3, 3, 3]
    assert not set(block) & set(found.sites)


def test_nobody_who_could_train_is_said_before_a_second_round() -> None:
    empty = tables(**{site: table(5, 1)[:0] for site in SITES})
    with pytest.raises(NotEvaluable, match="no hospital trained"):
        plain_of(STUDY, empty).drive(steps_of(tune_every=None))


def test_weights_that_leave_their_range_end_training_with_the_reason() -> None:
    far = Algorithm(name="far", work=Work(steps=1, rate=1.0), server=Average(rate=100.0, momentum=0.99))
    found = trained(algorithm=far, rounds=60, tune_every=None)
    assert "the weights left their range" in found.stopped or "no hospital trained" in found.stopped
    assert np.all(np.isfinite(found.model.vector))


def test_a_later_sum_that_stays_closed_ends_training_with_what_was_learnt() -> None:
    plain, rounds = plain_of(STUDY), []
    steps = steps_of(rounds=9, tune_every=None, on_round=lambda point: rounds.append(point.rounds))
    ask = next(steps)
    for _ in range(3):
        ask = steps.send(plain.ask(ask))
    with pytest.raises(StopIteration) as end:
        steps.throw(CheckFailed("a gate refuses"))
    found: Trained = end.value.value
    assert rounds == [1, 2, 3]
    assert found.stopped == "ended after 3 of 9 rounds: a gate refuses"
    assert found.best == 3


def test_a_first_sum_that_stays_closed_is_an_error() -> None:
    steps = steps_of()
    next(steps)
    with pytest.raises(CheckFailed, match="a gate refuses"):
        steps.throw(CheckFailed("a gate refuses"))


def granting(**dp: Any) -> Study:
    gate = STUDY.gate.model_copy(update={"dp": STUDY.gate.dp.model_copy(update=dp)})
    return STUDY.model_copy(update={"gate": gate})


def test_what_hospitals_would_refuse_is_said_before_anybody_is_asked() -> None:
    few, many = (lambda *_: 50), (lambda *_: 100_000)
    cases: list[tuple[str, dict[str, Any]]] = [
        ("asks 73 training persons", {"least": few}),
        ("201 rounds are as many exact sums", {"least": many, "rounds": 201}),
        (
            "4 rounds are as many exact sums",
            {"least": many, "tune_every": 1, "study": granting(exact_sum_ration=3), "rounds": 4},
        ),
        ("denies exact sums", {"least": many, "study": granting(exact_sums="deny")}),
        ("tuning persons", {"least": lambda _, split: 15 if split == "tuning" else 1_000}),
        ("keeps norms at the hospitals", {"algorithm": "fedbn"}),
        ("no network 'large'", {"network": "large"}),
        ("no algorithm 'fedmagic'", {"algorithm": "fedmagic"}),
        ("at least 1", {"rounds": 0}),
    ]
    for words, changes in cases:
        with pytest.raises(Invalid, match=words):
            next(steps_of(**changes))
