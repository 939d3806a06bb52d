"""What a hospital answers when a network is trained: within its bound, by word, and never failing by its persons."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch")

from wardgate.computations.menu import MENU
from wardgate.computations.network_gradient import NetworkGradient
from wardgate.computations.network_update import (
    OUTCOMES,
    SAT_OUT,
    NetworkUpdate,
    Work,
    check_sitting_out,
    moves,
    shared,
)
from wardgate.entropy import Entropy, UnsafeEntropy
from wardgate.hospital.ward.cohort.part import Part, part_of
from wardgate.hospital.ward.learning import network_gradient, network_update
from wardgate.measures.encoding import design_columns
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import size, tensors
from wardgate.networks.federated import descent
from wardgate.networks.federated.own import State
from wardgate.records.errors import Broken, Invalid, Refused
from wardgate.records.messages import SplitName
from wardgate.records.network import Activation, Architecture, BatchNorm, GlobalMean, GroupNorm, Image, Linear
from wardgate.records.study import Study
from wardgate.sums.shape import Bounded

Make = Callable[..., pl.DataFrame]
Vector = np.ndarray[Any, Any]
NAMES = ("plain", "normed", "grouped", "deep")


@pytest.fixture(scope="module")
def locked(study: Study) -> Study:
    """The study with its networks."""
    inputs = len(design_columns(study.features)) - 1
    norms: dict[str, tuple[BatchNorm | GroupNorm, ...]] = {
        "plain": (),
        "normed": (BatchNorm(),),
        "grouped": (GroupNorm(groups=2),),
    }
    networks = {
        name: Architecture(
            inputs=inputs, layers=(Linear(units=6), *norm, Activation(how="relu"), Linear(units=1)), seed=7
        )
        for name, norm in norms.items()
    }
    deep = Architecture(inputs=inputs, layers=(*(Linear(units=16) for _ in range(62)), Linear(units=1)))
    chain = Architecture(inputs=inputs, layers=(*(Linear(units=16) for _ in range(5)), Linear(units=1)))
    line = Architecture(inputs=inputs, layers=(Linear(units=1),))
    return study.model_copy(update={"networks_": networks | {"deep": deep, "chain": chain, "line": line}})


@dataclass(slots=True, kw_only=True)
class Desk:
    """One hospital's training persons, and what it keeps."""

    study: Study
    persons: Part
    site: str = "s0"
    entropy: Entropy = field(default_factory=lambda: UnsafeEntropy("secret"))
    kept: dict[str, Any] = field(default_factory=dict)
    own: dict[str, bytes] = field(default_factory=dict)

    def part(self, split: SplitName) -> Part:
        assert split == "train"
        return self.persons

    def rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng([*purpose.encode()])

    def local_model(self) -> Vector:
        raise AssertionError("a network needs no model of this hospital's own")


def desk(locked: Study, table: pl.DataFrame) -> Desk:
    return Desk(study=locked, persons=part_of(locked, table))


def question(
    locked: Study, *, network: str = "plain", number: int = 0, weights: Vector | None = None, **work: Any
) -> NetworkUpdate:
    architecture = locked.networks[network]
    done = Work(**({"steps": 5, "rate": 0.3} | work))
    asked = NetworkUpdate(
        network=network,
        sha256=architecture.sha256,
        number=number,
        weights=start(architecture) if weights is None else weights,
        work=done,
        control=np.zeros(size(architecture)) if done.scaffold else np.zeros(0),
    )
    return NetworkUpdate.read(asked.parameters(), dict(asked.arrays()))


def answered(asked: NetworkUpdate, bench: Desk) -> Bounded:
    return network_update.answer(asked, bench=bench, split="train")


def key(locked: Study, kind: str, network: str = "plain") -> str:
    return network_update.key_of(network=network, sha256=locked.networks[network].sha256, kind=kind)


def test_both_questions_are_on_the_menu() -> None:
    assert MENU["network_update"] is NetworkUpdate
    assert MENU["network_gradient"] is NetworkGradient


def test_the_sum_of_hospitals_is_the_mean_of_their_changes_by_persons(locked: Study, make_persons: Make) -> None:
    sites = [desk(locked, make_persons(n, seed)) for seed, n in enumerate((30, 60, 110))]
    asked = question(locked)
    found = [answered(asked, site) for site in sites]
    assert [one.persons for one in found] == [30, 60, 110]
    heard = asked.heard(np.sum([one.vector for one in found], axis=0), study=locked, sites=3)
    moved = [one.vector[:-3] / one.vector[-3] for one in found]
    assert heard.weight == 200
    assert heard.change == pytest.approx(0.15 * moved[0] + 0.3 * moved[1] + 0.55 * moved[2])
    assert heard.after < heard.before


@pytest.mark.parametrize(
    "work",
    [
        {},
        {"scaffold": True},
        {"scaffold": True, "stays": ("head",)},
        {"stays": ("norms", "head"), "personal": 0.5},
        {"towards": 1.0, "optimiser": "adam"},
        {"weighing": "sites", "stays": ("norms",)},
        {"longest": 1e-6},
    ],
)
def test_every_answer_has_the_shape_of_its_question(locked: Study, make_persons: Make, work: dict[str, Any]) -> None:
    asked = question(locked, network="normed", **work)
    found = answered(asked, desk(locked, make_persons(40)))
    expected = asked.shape(locked)
    assert found.vector.shape == expected.bound.shape
    assert np.array_equal(found.shape.bound, expected.bound)
    longest = asked.work.longest
    weight = 1 if asked.work.weighing == "sites" else 40
    where = shared(locked.networks["normed"], asked.work.stays)
    assert 0 < np.linalg.norm(found.vector[: where.sum()]) <= weight * longest


def test_nothing_that_stays_has_a_place_in_the_sum(locked: Study, make_persons: Make) -> None:
    architecture = locked.networks["normed"]
    norms = [tensor for tensor in tensors(architecture) if tensor.role in ("scale", "shift", "mean", "variance")]
    assert len(norms) == 4
    bench, asked = desk(locked, make_persons(80)), question(locked, network="normed", stays=("norms",))
    found = answered(asked, bench)
    assert len(found.vector) == size(architecture) - sum(tensor.size for tensor in norms) + 3
    heard = asked.heard(found.vector, study=locked, sites=1)
    assert not any(heard.change[tensor.place].any() for tensor in norms)
    kept = State.from_bytes(bench.own[key(locked, "stays", "normed")]).now
    assert len(kept) == sum(tensor.size for tensor in norms)
    assert not np.array_equal(kept, start(architecture)[~shared(architecture, ("norms",))])


# Words.


def labelled(table: pl.DataFrame, ones: int) -> pl.DataFrame:
    label = pl.Series("label", [1] * ones + [0] * (table.height - ones), dtype=pl.Int8)
    return table.with_columns(label)


@pytest.mark.parametrize(
    ("ones", "word"),
    [(0, "one-class"), (10, "one-class"), (11, "trained"), (29, "trained"), (30, "one-class"), (40, "one-class")],
)
def test_few_of_one_class_is_said_as_coarsely_as_a_small_cell_and_takes_part(
    locked: Study, make_persons: Make, ones: int, word: str
) -> None:
    found = answered(question(locked), desk(locked, labelled(make_persons(40), ones)))
    assert found.said == {"training": word}
    assert found.vector[-3] == 40
    assert found.vector[:-3].any()


def test_who_sat_out_answers_zeros_and_says_why(
    locked: Study, make_persons: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = desk(locked, make_persons(40))
    heard = {
        "no-persons": (question(locked), desk(locked, make_persons(0))),
        "not-finite": (question(locked, network="chain", rate=10.0, steps=40), bench),
        "diverged": (question(locked, network="line", rate=10.0, batch=1, momentum=0.9, steps=40), bench),
    }
    found = {word: answered(asked, site) for word, (asked, site) in heard.items()}
    with monkeypatch.context() as patched:
        patched.setattr(descent, "at_work", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
        found["out-of-memory"] = answered(question(locked), bench)
    assert {word: one.said["training"] for word, one in found.items()} == {word: word for word in SAT_OUT}
    assert not any(one.vector.any() for one in found.values())
    assert set(SAT_OUT) | {"trained", "one-class"} == set(OUTCOMES)


@pytest.mark.parametrize(("sites", "refuses"), [(3, True), (5, True), (6, False), (40, False)])
def test_zeros_are_answered_only_where_enough_others_are_in_the_sum(sites: int, refuses: bool) -> None:
    check_sitting_out({"training": "trained"}, sites=3, least=3)
    check_sitting_out({}, sites=3, least=3)
    for word in SAT_OUT:
        if refuses:
            with pytest.raises(Refused, match="too little would hide the others"):
                check_sitting_out({"training": word}, sites=sites, least=3)
        else:
            check_sitting_out({"training": word}, sites=sites, least=3)


def test_a_sum_opens_though_a_hospital_sat_out(locked: Study, make_persons: Make) -> None:
    asked = question(locked)
    found = [answered(asked, desk(locked, make_persons(n))) for n in (50, 0, 30)]
    heard = asked.heard(np.sum([one.vector for one in found], axis=0), study=locked, sites=3)
    assert heard.weight == 80


@pytest.mark.parametrize("network", NAMES)
def test_where_noise_may_come_nothing_is_said_and_nobodys_data_make_it_fail(
    locked: Study, make_persons: Make, network: str
) -> None:
    weights = np.full(size(locked.networks[network]), 1e4)
    tables = [make_persons(0), make_persons(1), labelled(make_persons(30), 0), labelled(make_persons(30), 30)]
    for table in tables:
        for common in (None, weights):
            asked = question(locked, network=network, weights=common, weighing="sites", rate=10.0)
            found = answered(asked, desk(locked, table))
            assert not found.said
            assert np.linalg.norm(found.vector) <= asked.work.longest


def test_an_exact_sum_counts_persons_and_a_noisy_one_hospitals(locked: Study) -> None:
    question(locked).check_noise(None)
    question(locked, weighing="sites").check_noise(1.0)
    with pytest.raises(Refused, match="sites"):
        question(locked).check_noise(1.0)


def test_weights_made_to_hold_persons_are_refused_before_an_exact_sum(locked: Study, make_persons: Make) -> None:
    bench = desk(locked, make_persons(60))
    trap = start(locked.networks["plain"])
    trap[-1] = 60.0
    with pytest.raises(Refused, match="single persons"):
        answered(question(locked, weights=trap), bench)
    with pytest.raises(Refused, match="single persons"):
        question(locked, weights=trap, weighing="sites").check_exact(locked)
    assert bench.own == {}
    assert not answered(question(locked, weights=trap, weighing="sites"), bench).said


# What stays at the hospital.


def rounds(locked: Study, bench: Desk, numbers: list[int], **work: Any) -> list[bytes]:
    return [answered(question(locked, number=number, **work), bench).vector.tobytes() for number in numbers]


WORK = {"scaffold": True, "personal": 0.2, "stays": ("head",)}


def test_a_round_asked_again_begins_where_it_began(locked: Study, make_persons: Make) -> None:
    once, twice = (desk(locked, make_persons(60)) for _ in range(2))
    first = rounds(locked, once, [0, 1, 2], **WORK)
    again = rounds(locked, twice, [0, 0, 1, 1, 1, 2], **WORK)
    assert again == [first[place] for place in (0, 0, 1, 1, 1, 2)]
    assert once.own == twice.own


def test_what_a_hospital_keeps_changes_its_next_round(locked: Study, make_persons: Make) -> None:
    bench = desk(locked, make_persons(60))
    kept = rounds(locked, bench, [0, 1], **WORK)[1]
    bench.own.clear()
    assert rounds(locked, bench, [1], **WORK)[0] != kept


def test_a_new_run_begins_anew(locked: Study, make_persons: Make) -> None:
    fresh, used = (desk(locked, make_persons(60)) for _ in range(2))
    rounds(locked, used, [0, 1, 2], **WORK)
    assert rounds(locked, used, [0, 1], **WORK) == rounds(locked, fresh, [0, 1], **WORK)
    assert used.own == fresh.own


def test_an_older_checkpoint_goes_on_from_what_is_there(locked: Study, make_persons: Make) -> None:
    bench = desk(locked, make_persons(60))
    rounds(locked, bench, [0, 1, 2, 3], **WORK)
    before = State.from_bytes(bench.own[key(locked, "personal")])
    rounds(locked, bench, [2], **WORK)
    after = State.from_bytes(bench.own[key(locked, "personal")])
    assert (before.number, after.number) == (3, 2)
    assert after.before is not None
    assert np.array_equal(after.before, before.now)


def test_who_sits_out_keeps_what_was_there_but_no_new_run_goes_on_from_an_old_one(
    locked: Study, make_persons: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = desk(locked, make_persons(60))
    rounds(locked, bench, [0, 1], **WORK)
    kept = dict(bench.own)
    assert set(kept) == {key(locked, kind) for kind in ("control", "stays", "personal")}
    monkeypatch.setattr(descent, "at_work", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
    rounds(locked, bench, [2], **WORK)
    assert bench.own == kept
    rounds(locked, bench, [0], **WORK)
    assert bench.own == {}


def test_the_control_variates_of_hospitals_sum_to_what_they_answered(locked: Study, make_persons: Make) -> None:
    bench = desk(locked, make_persons(60))
    architecture = locked.networks["plain"]
    heard = np.zeros(size(architecture))
    for number in range(3):
        asked = question(locked, number=number, scaffold=True)
        found = asked.heard(answered(asked, bench).vector, study=locked, sites=1)
        heard = heard + found.control / found.weight
    assert heard == pytest.approx(State.from_bytes(bench.own[key(locked, "control")]).now)
    assert moves(architecture, ()).all()


def test_another_kind_of_run_leaves_what_it_does_not_use(locked: Study, make_persons: Make) -> None:
    bench = desk(locked, make_persons(60))
    rounds(locked, bench, [0, 1], personal=0.1)
    kept = dict(bench.own)
    rounds(locked, bench, [0, 1])
    assert bench.own == kept


def test_what_cannot_be_read_is_broken_and_says_nothing_of_anybody(locked: Study, make_persons: Make) -> None:
    bench = desk(locked, make_persons(60))
    rounds(locked, bench, [0], **WORK)
    name = key(locked, "control")
    bench.own[name] = bench.own[name][:-1]
    with pytest.raises(Broken, match="kept of a network"):
        rounds(locked, bench, [1], **WORK)


# Gradients.


def gradient(locked: Study, bench: Desk, *, network: str = "grouped", **settings: Any) -> Bounded:
    architecture = locked.networks[network]
    fields: dict[str, Any] = {"weights": start(architecture), "longest": 0.5} | settings
    asked = NetworkGradient(network=network, sha256=architecture.sha256, **fields)
    asked = NetworkGradient.read(asked.parameters(), dict(asked.arrays()))
    return network_gradient.answer(asked, bench=bench, split="train")


def test_a_gradient_says_with_which_chance_its_batch_was_drawn_and_not_how_large_it_was(
    locked: Study, make_persons: Make
) -> None:
    bench = desk(locked, make_persons(200))
    found = gradient(locked, bench, probability=0.1)
    assert (found.probability, found.persons, dict(found.said)) == (0.1, 200, {})
    assert 0 < np.linalg.norm(found.vector) < 60
    assert not np.array_equal(found.vector, gradient(locked, bench, probability=0.1).vector), (
        "the next batch is another"
    )


def test_one_person_more_moves_a_gradient_by_at_most_one(locked: Study, make_persons: Make) -> None:
    table = make_persons(60)
    whole = gradient(locked, desk(locked, table)).vector
    for place in range(0, 60, 7):
        rest = pl.concat([table[:place], table[place + 1 :]])
        assert np.linalg.norm(whole - gradient(locked, desk(locked, rest)).vector) <= 1.0


@pytest.mark.parametrize("network", ["plain", "grouped", "deep"])
def test_nobodys_data_make_a_gradient_fail(locked: Study, make_persons: Make, network: str) -> None:
    for n in (0, 1, 30):
        for scale in (0.0, 1.0, 1e4):
            weights = np.full(size(locked.networks[network]), scale)
            found = gradient(locked, desk(locked, labelled(make_persons(n), n)), network=network, weights=weights)
            assert np.isfinite(found.vector).all()
            assert np.linalg.norm(found.vector) <= n


def test_gradients_bear_noise_or_are_refused_and_batch_norms_have_none(locked: Study, make_persons: Make) -> None:
    architecture = locked.networks["plain"]
    asked = NetworkGradient(network="plain", sha256=architecture.sha256, weights=start(architecture), longest=1.0)
    asked.check_noise(1.0)
    with pytest.raises(Refused, match="noise"):
        asked.check_noise(None)
    with pytest.raises(Invalid, match="group_norm"):
        gradient(locked, desk(locked, make_persons(20)), network="normed")


# Questions that do not fit the study.


def test_a_network_without_weights_is_invalid(locked: Study, make_persons: Make) -> None:
    inputs = locked.networks["line"].inputs
    empty = Architecture(inputs=inputs, layers=(Image(channels=1, height=1, width=inputs), GlobalMean()))
    changed = locked.model_copy(update={"networks_": {"empty": empty}})
    asked = replace(question(locked), network="empty", sha256=empty.sha256, weights=np.zeros(0))
    with pytest.raises(Invalid, match="nothing to learn"):
        answered(asked, desk(changed, make_persons(30)))


def test_another_network_or_other_weights_than_the_study_locks_are_invalid(locked: Study, make_persons: Make) -> None:
    bench, asked = desk(locked, make_persons(30)), question(locked)
    for changed in (
        replace(asked, network="elsewhere"),
        replace(asked, sha256="0" * 64),
        replace(asked, weights=asked.weights[:-1]),
        replace(asked, weights=np.full(len(asked.weights), 1.1e4)),
        replace(asked, weights=np.full(len(asked.weights), np.nan)),
    ):
        with pytest.raises(Invalid):
            answered(changed, bench)
