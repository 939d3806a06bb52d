"""A ward that is killed at any step of a study comes back: same results, nothing leaks, nothing is charged twice."""

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mortal import DAY, MORTAL, Fate, Killed, World
from smallest import COLUMNS

from wardgate.computations.newton import Newton
from wardgate.federation.estimators import FederatedGradientBoostingClassifier
from wardgate.hospital.ward.answering.kept import effects
from wardgate.hospital.ward.answering.kept.folder import Folder
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.ask import Ask, sum_ask
from wardgate.hub.pooling.newton import newton
from wardgate.measures.boosting import Growth
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, CheckFailed, Invalid, StepFailed
from wardgate.records.messages import open_question
from wardgate.records.opening import digest_of, list_of
from wardgate.records.parcel import Parcel, unpack_vector

Make = Callable[..., World]
DROP_OUT = "drop_out: 0.25\n"
TREES = "analyses: [boosting_bins, boosting_histograms, boosting_leaves, boosting_loss]\n"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes consortia with one mortal ward."""
    made: list[World] = []

    def make(**given: Any) -> World:
        made.append(World(root=tmp_path / str(len(made)), patch=monkeypatch, **given))
        return made[-1]

    return make


def a_sum(world: World, *, noise_multiplier: float | None = None, at: float = 0.1) -> Ask:
    asked = Newton(beta=np.full(COLUMNS, at))
    federation = world.federation
    return sum_ask(
        asked, what="a step", study=federation.study, sites=federation.sites, noise_multiplier=noise_multiplier
    )


def an_evaluation(world: World, beta: Any) -> Ask:
    listed = list_of({"model": np.asarray(beta, dtype="<f8").tobytes()})
    return Ask(
        what="locked test",
        computation="evaluate",
        sites=world.federation.sites,
        parameters={"models": ["model"], "listed": listed, "models_sha256": digest_of(listed)},
        split="locked_test",
        arrays=(("model", np.asarray(beta)),),
    )


@dataclass(frozen=True, kw_only=True)
class Course:
    """What came of a small study."""

    beta: Any
    figures: Any
    exact: int
    openings: int
    lines: int
    population: int
    leaves: list[str]


def course(world: World) -> Course:
    """Two exact sums, two sited answers, the locked test, the end."""
    federation = world.federation
    federation.enrol()
    steps = newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0, tolerance=0.7)
    beta = federation.drive(steps).beta
    said = federation.ask(
        Ask(what="definitions", computation="associations", sites=federation.sites, split="train")
    ).answers
    tested = federation.ask(an_evaluation(world, beta)).answers
    assert all(answer.outcome == "released" for answer in (*said.values(), *tested.values()))
    return Course(
        beta=beta,
        figures=[said[MORTAL].statement, tested[MORTAL].statement, tested[MORTAL].opening],
        exact=world.mortal._door.ledger.exact_answers("train"),
        openings=world.mortal._door.ledger.openings,
        lines=lines(world, "home/state/ledger.jsonl"),
        population=lines(world, "memory/population.jsonl"),
        leaves=[leaf.decode().split('"')[3] for leaf in world.mortal.log.leaves],
    )


def lines(world: World, name: str) -> int:
    return (world.root / name).read_bytes().count(b"\n")


def check_killed(world: Make, tmp_path: Path, more: str, every: int) -> World:
    steady, killed = world(more=more), world(more=more)
    killed.plan = lambda tries: 1 + (len(killed.asked) % every) + every * tries
    expected, found = course(steady), course(killed)
    assert np.array_equal(found.beta, expected.beta)
    assert (found.figures, found.exact, found.openings) == (expected.figures, expected.exact, expected.openings)
    assert (found.lines, found.population, found.leaves) == (expected.lines, expected.population, expected.leaves)
    killed.federation.save(tmp_path / "out", study_text=killed.text)
    assert audit(tmp_path / "out").findings == ()
    assert killed.federation.logs[MORTAL].count(b"\n") == len(killed.mortal.log.leaves) - 1
    return killed


@pytest.mark.slow
@pytest.mark.parametrize("more", ["", DROP_OUT])
def test_a_ward_that_is_killed_again_and_again_ends_with_the_same_study(world: Make, tmp_path: Path, more: str) -> None:
    assert check_killed(world, tmp_path, more, every=11).deaths > 10


@pytest.mark.slow
@pytest.mark.parametrize("more", ["", DROP_OUT])
def test_a_ward_that_is_killed_at_every_step_ends_with_the_same_study(world: Make, tmp_path: Path, more: str) -> None:
    killed = check_killed(world, tmp_path, more, every=1)
    assert killed.deaths >= len(killed.asked) * 10


def test_a_question_that_comes_twice_gets_the_same_bytes_without_patients_ledger_or_log(world: Make) -> None:
    here = world(more=DROP_OUT)
    course(here)
    here.restart()
    shutil.rmtree(here.root / "data" / MORTAL)
    leaves, spent = len(here.mortal.log.leaves), lines(here, "home/state/ledger.jsonl")
    for parcel in here.asked:
        (first,) = here.sent[sha256(parcel.envelope)]
        assert here.again(parcel).to_bytes() == first.to_bytes()
    assert (len(here.mortal.log.leaves), lines(here, "home/state/ledger.jsonl")) == (leaves, spent)


@pytest.mark.slow
def test_noise_is_charged_once_however_often_the_ward_is_killed(world: Make) -> None:
    here = world(plan=lambda tries: 1 + 5 * tries)
    here.federation.enrol()
    for place in range(2):
        here.federation.ask(a_sum(here, noise_multiplier=5.0, at=0.1 * place))
    other = next(ward for site, ward in here.wards.items() if site != MORTAL)
    assert here.mortal._door.ledger.epsilon("train") == other._door.ledger.epsilon("train")
    assert lines(here, "memory/population.jsonl") == lines(here, "home/state/ledger.jsonl") == 2
    assert here.mortal._door.ledger.population.cumulative(delta=1e-6, split="train") == pytest.approx(
        here.mortal._door.ledger.epsilon("train"), rel=1.0
    )


def last_sum(here: World) -> Parcel:
    """The last question that the mortal ward was asked for a sum."""
    hub = here.federation.exchange.signer.public_key
    return next(one for one in reversed(here.asked) if open_question(one.envelope, hub_key=hub).sum is not None)


def masked(here: World, parcel: Parcel) -> Any:
    answer = here.opened(parcel)
    return None if answer.outcome == "refused" else unpack_vector(answer.vectors[0], parcel.blobs[0])


def test_without_kept_answers_a_question_that_comes_twice_gives_its_noise_away(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The protection off: masks are the same, noise is fresh, and the mean of many answers is the truth."""
    here = world()
    here.federation.enrol()
    here.federation.ask(a_sum(here, noise_multiplier=5.0))
    question = last_sum(here)
    (first,) = here.sent[sha256(question.envelope)]
    assert np.array_equal(masked(here, here.again(question)), masked(here, first))
    monkeypatch.setattr(Folder, "answer", lambda *_: None)
    assert not np.array_equal(masked(here, here.again(question)), masked(here, first))


def test_without_keys_in_the_ledger_a_killed_ward_pays_twice(world: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The protection off: what a first try spent is spent again."""
    monkeypatch.setattr("wardgate.hospital.ward.gate.ledger.PrivateLedger.begin", lambda *_, **__: None)
    here = world()
    here.federation.enrol()
    here.plan = lambda tries: 1 + 6 * tries
    here.federation.ask(a_sum(here, noise_multiplier=50.0))
    assert lines(here, "home/state/ledger.jsonl") > 1


@pytest.mark.parametrize("kept", [True, False])
def test_a_slot_hides_one_vector_also_after_a_restart(world: Make, monkeypatch: pytest.MonkeyPatch, kept: bool) -> None:
    """A hub asks another sum under a slot that was used. With the seat not kept it gets two vectors under one mask."""
    if not kept:
        monkeypatch.setattr(
            effects,
            "_seat",
            lambda question, digest, door: (
                {digest: door.seats[digest]}
                if question.computation == "prepare"
                else {question.parameters["batch"]: door.seats[question.parameters["batch"]]}
                if question.computation == "shares"
                else {}
            ),
        )
    here = world(more=DROP_OUT)
    here.federation.enrol()
    here.federation.ask(a_sum(here))
    here.restart()
    (prepared,) = here.federation.exchange.batches.values()
    prepared.used = 0
    here.federation.retries = 0
    closed = ""
    try:
        here.federation.ask(a_sum(here, at=0.2))
    except CheckFailed as error:
        closed = str(error)
    answer = here.sent[sha256(last_sum(here).envelope)][-1]
    assert (here.opened(answer).refusal.startswith("slot 0 was used")) == kept, closed


def test_a_number_that_another_question_had_gets_no_answer(world: Make) -> None:
    here = world()
    here.federation.enrol()
    here.federation.exchange._number = 1
    _, parcel = here.federation.exchange.questions(a_sum(here))[MORTAL]
    here.restart()
    with pytest.raises(Broken, match="was asked before, and was another one"):
        here.again(parcel)


def change(here: World, line: int) -> bytes:
    path = here.root / "data" / MORTAL / "patients.csv"
    before = path.read_bytes()
    rows = before.decode().splitlines()
    fields = rows[line].split(",")
    fields[2] = str(float(fields[2]) / 2 + 1)
    rows[line] = ",".join(fields)
    path.write_text("\n".join(rows) + "\n")
    return before


def test_data_that_changed_overnight_are_noticed_and_refused_in_words(world: Make) -> None:
    here = world()
    here.federation.enrol()
    here.federation.ask(a_sum(here))
    before = change(here, 17)
    here.federation.ask(a_sum(here, at=0.3))
    here.restart()
    here.federation.retries = 0
    with pytest.raises(Exception, match="the data changed since the study began"):
        here.federation.ask(a_sum(here, at=0.2))
    (here.root / "data" / MORTAL / "patients.csv").write_bytes(before)
    here.restart()
    here.federation.ask(a_sum(here, at=0.2))
    here.restart(salt=b"another secret of the splits")
    with pytest.raises(Exception, match="the secret of the splits changed"):
        here.federation.ask(a_sum(here, at=0.25))


def test_patients_that_cannot_be_read_just_now_keep_the_question_waiting(world: Make) -> None:
    here = world(more=DROP_OUT)
    here.federation.enrol()
    here.federation.ask(a_sum(here))
    data, away = here.root / "data" / MORTAL / "patients.csv", here.root / "away"
    data.rename(away)
    here.restart()
    with pytest.raises(StepFailed, match="read the patients again"):
        here.federation.ask(a_sum(here, at=0.2))
    assert len(here.spool.box("questions").names()) == 1
    assert here.spool.box("answers").names() == []
    away.rename(data)
    (waiting,) = here.spool.box("questions").names()
    here.mortal.answer(waiting)
    (answer,) = here.spool.box("answers").names()
    assert here.opened(here.spool.take("answers", answer)).outcome == "released"


def test_a_full_disk_lets_nothing_out_and_the_question_is_answered_when_there_is_room(world: Make) -> None:
    here = world(more=DROP_OUT)
    here.federation.enrol()
    failures = 0
    ask = a_sum(here, noise_multiplier=5.0)
    real = here.mortal.answer
    ward = here.mortal

    def answer(self: Any, name: str) -> str:
        nonlocal failures
        if self is not ward:
            return real.__func__(self, name)
        for at in range(1, 200, 4):
            with Fate(at=at, fails=True).upon(here.patch):
                try:
                    return real.__func__(self, name)
                except StepFailed as failed:
                    failures += 1
                    assert len(failed.reference) == 12
                    assert "No space" not in str(failed)
            assert here.spool.box("questions").names() == [name]
        raise AssertionError("never answered")

    here.patch.setattr(type(ward), "answer", answer)
    assert here.federation.ask(ask).sites == here.federation.sites
    assert failures > 8
    assert lines(here, "home/state/ledger.jsonl") == lines(here, "memory/population.jsonl") == 1


def test_a_refusal_by_people_is_kept_like_any_answer_and_touches_nobody(world: Make) -> None:
    here = world()
    here.federation.enrol()
    _, parcel = here.federation.exchange.questions(a_sum(here))[MORTAL]
    first = here.mortal.reply(parcel, refusal="the ethics board said no")
    assert "ethics board" in here.opened(first).refusal
    here.restart()
    assert here.mortal.reply(parcel).to_bytes() == first.to_bytes()
    assert here.mortal._bench.parts == {}
    assert not (here.root / "home" / "state" / "ledger.jsonl").exists()


@pytest.mark.slow
def test_trees_grow_alike_when_the_ward_starts_anew_before_every_question(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a ward remembers between two questions to be quick is worked out again, bit by bit the same."""
    found = []
    for restarts in (False, True):
        here = world(more=DROP_OUT + TREES)
        here.federation.enrol()
        if restarts:
            monkeypatch.setattr(World, "bring", _after_a_restart(World.bring))
        estimator = FederatedGradientBoostingClassifier(growth=Growth(trees=3, depth=2))
        model = estimator.fit(here.federation, here.federation.study)
        found.append(model.predict_proba(here.wards["h1"]._bench.part("train").table))
    assert np.array_equal(*found)


def _after_a_restart(bring: Callable[..., Parcel]) -> Callable[..., Parcel]:
    def brought(here: World, site: str, parcel: Parcel) -> Parcel:
        if site == MORTAL:
            here.restart()
        return bring(here, site, parcel)

    return brought


def test_two_wards_cannot_work_on_one_folder(world: Make) -> None:
    here = world()
    with pytest.raises(Invalid, match="another ward works in the study folder"):
        here.ward()
    here.restart()


def test_all_that_a_line_names_is_on_the_disk_before_the_line_and_the_line_before_the_spool(
    world: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Power may go, not only the process: the order of waits for the disk, by the folder or file waited for."""
    here = world(more=DROP_OUT)
    here.federation.enrol()
    here.federation.ask(a_sum(here))
    waited: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda handle: waited.append(_name(handle, here.root)))
    here.federation.ask(a_sum(here, at=0.2))
    sums = waited[: waited.index("home/state/journal.jsonl") + 1]
    assert [name for name in sums if not name.startswith("spool/questions")] == [
        "memory/population.jsonl",
        "memory/.population.head.draft",
        "memory",
        "home/state/ledger.jsonl",
        "home/state/things/draft",
        "home/state/things/draft",
        "home/state/things",
        "home/state/answers/draft",
        "home/state/answers",
        "home/state/journal.jsonl",
    ]
    assert waited[len(sums)].startswith("spool/answers")


def _name(handle: int, root: Path) -> str:
    path = Path(f"/proc/self/fd/{handle}").readlink().relative_to(root.resolve())
    kept = path.parent.name in ("things", "answers") and path.parent.parent.name == "state"
    return str(path.parent / "draft") if kept else str(path)


def test_nobody_else_may_read_what_a_ward_remembers(world: Make) -> None:
    """Whatever the process's mask for new files says."""
    mask = os.umask(0)
    try:
        here = world(more=DROP_OUT)
        course(here)
        found = list((here.root / "home" / "state").rglob("*"))
        assert len(found) > 20
        assert [path for path in (*found, here.root / "home" / "state") if path.stat().st_mode & 0o077] == []
    finally:
        os.umask(mask)


def test_secrets_of_used_slots_are_gone_from_the_disk(world: Make) -> None:
    here = world(more=DROP_OUT)
    here.federation.enrol()
    here.federation.ask(a_sum(here))
    (seat,) = here.mortal._door.seats.values()
    kept = [path for path in (here.root / "home" / "state" / "things").iterdir() if b'"heard"' in path.read_bytes()]
    assert len(kept) == 1
    assert effects._seat_bytes(seat) == kept[0].read_bytes()
    assert seat.slots[0].self_seed is None


@pytest.mark.parametrize(("first", "then"), [(DAY, "2026-01-03"), (DAY, "2026-01-01"), ("2027-01-02", DAY)])
def test_a_clock_that_jumps_over_a_restart_breaks_nothing(world: Make, first: str, then: str) -> None:
    here = world(day=first)
    here.federation.enrol()
    here.federation.ask(a_sum(here))
    here.day = then
    here.restart()
    if first[:4] != then[:4]:
        with pytest.raises(Exception, match="set the clock right"):
            here.federation.ask(a_sum(here, at=0.2))
        here.mortal.issued_on = first
    here.federation.ask(a_sum(here, at=0.2))


def test_what_was_cut_off_or_altered_is_found(world: Make) -> None:
    here = world()
    here.federation.enrol()
    here.federation.ask(a_sum(here))
    state = here.root / "home" / "state"
    for name in ("journal.jsonl", "ledger.jsonl"):
        with (state / name).open("ab") as file:
            file.write(b'{"answered":"half a li')
    for name in ("population.jsonl", "cohorts.jsonl"):
        with (here.root / "memory" / name).open("ab") as file:
            file.write(b'{"half')
    (state / "answers" / ".x.draft").write_bytes(b"half an answer")
    (state / "things" / ("0" * 64)).write_bytes(b"nobody needs it")
    here.restart()
    assert not list(state.rglob("*.draft"))
    assert not (state / "things" / ("0" * 64)).exists()
    here.federation.ask(a_sum(here, at=0.2))
    (kept,) = here.sent[sha256(last_sum(here).envelope)]
    (state / "answers" / sha256(kept.to_bytes())).write_bytes(b"another answer")
    with pytest.raises(Broken, match="was altered"):
        here.again(last_sum(here))
    journal = (state / "journal.jsonl").read_bytes()
    (state / "journal.jsonl").write_bytes(journal.replace(b'"answer"', b'"answer', 1))
    with pytest.raises(Broken, match="line 2 of the ward's journal cannot be read"):
        here.restart()
    (state / "journal.jsonl").write_bytes(journal)
    with pytest.raises(Broken, match="is not this ward's"):
        here.restart(study_sha256="0" * 64)
    (state / "journal.jsonl").unlink()
    with pytest.raises(Broken, match="has lost 'journal"):
        here.restart()
    (state / "journal.jsonl").write_bytes(journal)
    (state / "identity.json").unlink()
    with pytest.raises(Broken, match="has lost 'identity"):
        here.restart()


def test_a_ward_that_remembers_needs_the_long_term_key(world: Make) -> None:
    here = world()
    with pytest.raises(Invalid, match="give it 'signer'"):
        here.restart(signer=None)


def test_a_death_passes_every_handler_of_the_product(world: Make) -> None:
    """The tests' own control: a kill that the ward could turn into a signed refusal would test nothing."""
    here = world()
    here.plan = lambda tries: 4 if tries == 0 else None
    with pytest.raises(Killed):
        here.mortal._beside_patients("a step", lambda: (_ for _ in ()).throw(Killed()))
    here.federation.enrol()
    assert here.deaths > 0
