"""The hospital's own book: checked first, on disk before anything leaves, read again after a crash."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wardgate.hospital.ward.gate.ledger import POPULATION, PrivateLedger
from wardgate.privacy.budget import Spending
from wardgate.records.claim import ExponentialEvent, GaussianEvent
from wardgate.records.errors import Broken, Refused
from wardgate.records.study import Budget

BUDGET = Budget(epsilon_total=2.0, delta=1e-6)


def noisy(multiplier: float = 5.0, split: str = "train") -> Spending:
    return Spending.model_validate(
        {
            "population": POPULATION,
            "split": split,
            "what": "a sum",
            "gaussian": (GaussianEvent(noise_multiplier=multiplier, count=1, what="sum"),),
            "exponential": (ExponentialEvent(epsilon=0.1, count=1, what="choice"),),
        }
    )


def exact(split: str = "train", times: int = 1) -> Spending:
    return Spending.model_validate({"population": POPULATION, "split": split, "what": "exact", "exact": times})


def book(path: Path | None = None, ration: int = 3) -> PrivateLedger:
    return PrivateLedger(budget=BUDGET, exact_ration=ration, path=path)


def state(ledger: PrivateLedger) -> tuple[Any, ...]:
    return (
        ledger.epsilon("train"),
        ledger.exact_answers("train"),
        ledger.parts("train"),
        ledger.rosters("train"),
        ledger.openings,
    )


def test_a_check_spends_nothing_and_a_commit_does() -> None:
    ledger = book()
    ledger.check(noisy())
    assert state(ledger) == (0.0, 0, (), frozenset(), 0)
    ledger.commit(noisy())
    assert ledger.epsilon("train") > 0
    assert ledger.parts("train") == ("a sum",)


def test_what_cannot_be_afforded_is_not_half_spent(tmp_path: Path) -> None:
    ledger = book(tmp_path / "ledger.jsonl")
    ledger.commit(noisy())
    before, on_disk = state(ledger), (tmp_path / "ledger.jsonl").read_bytes()
    for too_much in (noisy(0.1), exact(times=4)):
        with pytest.raises(Refused, match="exhausted"):
            ledger.commit(too_much)
    assert state(ledger) == before
    assert (tmp_path / "ledger.jsonl").read_bytes() == on_disk


def test_the_ration_of_exact_answers_ends_and_is_kept_by_split() -> None:
    ledger = book(ration=3)
    for _ in range(3):
        ledger.commit(exact())
    with pytest.raises(Refused, match="ration of split 'train' exhausted"):
        ledger.commit(exact())
    ledger.commit(exact("holdout"))
    assert (ledger.exact_answers("train"), ledger.exact_answers("holdout")) == (3, 1)


def test_a_crash_after_the_commit_leaves_the_budget_spent(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = book(path)
    ledger.commit(noisy())
    ledger.commit(exact(times=3))
    ledger.note_roster("train", frozenset({"a", "b", "c"}))
    ledger.open_locked_test("ab" * 32, limit=1)
    again = book(path)
    assert state(again) == state(ledger)
    with pytest.raises(Refused, match="ration"):
        again.commit(exact())
    with pytest.raises(Refused, match="used up"):
        again.open_locked_test("cd" * 32, limit=1)
    assert again.open_locked_test("ab" * 32, limit=1) == 1


def test_many_restarts_do_not_refill_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    given = 0
    for _ in range(40):
        try:
            book(path).commit(noisy(3.0))
        except Refused:
            break
        given += 1
    assert 1 <= given < 40
    assert book(path).epsilon("train") <= BUDGET.epsilon_total


def test_every_entry_is_forced_to_disk_and_only_ever_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.jsonl"
    forced: list[int] = []
    real = os.fsync

    def watched(number: int) -> None:
        real(number)
        forced.append(path.stat().st_size)

    monkeypatch.setattr(os, "fsync", watched)
    ledger = book(path)
    seen = b""
    actions: list[Callable[[], object]] = [
        lambda: ledger.commit(noisy()),
        lambda: ledger.commit(exact()),
        lambda: ledger.note_roster("train", frozenset({"a", "b", "c"})),
        lambda: ledger.open_locked_test("ab" * 32, limit=1),
    ]
    for action in actions:
        action()
        now = path.read_bytes()
        assert now.startswith(seen) and len(now) > len(seen)
        assert forced[-1] == len(now)
        seen = now
    assert [sorted(json.loads(line)) for line in seen.splitlines()] == [
        ["spending"],
        ["spending"],
        ["roster", "split"],
        ["opening"],
    ]


def test_a_disk_that_fails_spends_nothing_and_nothing_leaves(tmp_path: Path, make_desk: Callable[..., Any]) -> None:
    ledger = book(tmp_path / "missing" / "ledger.jsonl")
    desk = make_desk(ledger=ledger)
    with pytest.raises(OSError, match="missing"):
        desk.sum_over("012")
    assert ledger.exact_answers("train") == 0
    assert desk.door.log.leaves == []


def test_the_budget_is_on_disk_before_the_answer_is_signed(tmp_path: Path, make_desk: Callable[..., Any]) -> None:
    """A crash between commit and send: the signer dies, and the spend stands."""
    path = tmp_path / "ledger.jsonl"
    desk = make_desk(ledger=book(path))

    class Dying:
        public_key = desk.signer.public_key
        key_id = desk.signer.key_id

        def sign(self, data: bytes) -> bytes:
            raise KeyboardInterrupt

    desk.door.signer = Dying()
    with pytest.raises(KeyboardInterrupt):
        desk.sum_over("012")
    assert book(path).exact_answers("train") == 1
    assert book(path).rosters("train") == frozenset({frozenset({"s0", "s1", "s2"})})


def test_openings_are_counted_by_list_and_the_second_list_is_refused() -> None:
    ledger = book()
    assert [ledger.open_locked_test("ab" * 32, limit=1) for _ in range(3)] == [1, 1, 1]
    with pytest.raises(Refused, match="may be opened 1 time"):
        ledger.open_locked_test("cd" * 32, limit=1)
    assert ledger.open_locked_test("cd" * 32, limit=2) == 2
    assert ledger.open_locked_test("ab" * 32, limit=2) == 1
    assert ledger.openings == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:-20],
        lambda data: data + b"{}\n",
        lambda data: data + b"spent nothing\n",
        lambda data: b"\n" + data,
        lambda data: data.replace(b'"exact":1', b'"exact":-1'),
        lambda data: data.replace(b'"exact":1', b'"exact":"none"'),
    ],
    ids=["no-end", "cut", "empty-event", "no-json", "empty-line", "negative", "text"],
)
def test_a_damaged_book_stops_everything(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = book(path)
    ledger.commit(noisy())
    ledger.commit(exact())
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole
    with pytest.raises(Broken, match="ledger"):
        book(path)
