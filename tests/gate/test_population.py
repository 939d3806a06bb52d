"""One budget over all studies of the same people: what was spent is never under-counted, and never forgotten early."""

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))

from smallest import COLUMNS, STUDY, write_hospital

from wardgate.computations.newton import Newton
from wardgate.entropy import SystemEntropy
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.hospital.ward.gate.ledger import POPULATION, PrivateLedger
from wardgate.hospital.ward.gate.population import FILE, HEAD, PopulationBook
from wardgate.hub.pooling.ask import sum_ask
from wardgate.privacy.accountant import epsilon_of
from wardgate.privacy.budget import Spending
from wardgate.privacy.population import counting, joint_epsilon, read_book
from wardgate.records.canonical import canonical, sha256
from wardgate.records.claim import ExponentialEvent, GaussianEvent
from wardgate.records.errors import Broken, CheckFailed, Invalid, Refused
from wardgate.records.gate_policy import Population
from wardgate.records.study import Budget
from wardgate.records.study_file import parse

LIMITS = Population(epsilon_total=3.0, delta=1e-6, months=24)
DAY = "2026-03-01"


def noisy(multiplier: float = 5.0, split: str = "train", exact: int = 0) -> Spending:
    return Spending.model_validate(
        {
            "population": POPULATION,
            "split": split,
            "what": "a corpus",
            "kind": "corpus",
            "gaussian": (GaussianEvent(noise_multiplier=multiplier, count=1, what="marginals"),),
            "exponential": (ExponentialEvent(epsilon=0.1, count=1, what="choice"),),
            "exact": exact,
        }
    )


def exact(times: int = 1) -> Spending:
    return Spending(population=POPULATION, split="train", what="sums", kind="sum", exact=times)


def book(folder: Path, *, study: str = "a", on: str = DAY, **changes: Any) -> PopulationBook:
    fields: dict[str, Any] = {"population": None, "limits": LIMITS, "entropy": SystemEntropy()} | changes
    made = PopulationBook(folder, study_sha256=(study * 64)[:64], on=on, **fields)
    made.exact_answers()  # reads the book
    return made


def ledger(folder: Path, population: PopulationBook | None, *, name: str = "ledger") -> PrivateLedger:
    return PrivateLedger(
        budget=Budget(epsilon_total=2.0, delta=1e-6),
        exact_ration=100,
        path=folder / f"{name}.jsonl",
        population=population,
    )


def spent(found: PopulationBook) -> float:
    both = found.spent()
    assert both is not None
    return both[0]


def test_two_studies_that_each_keep_their_budget_may_not_pass_the_populations_together(tmp_path: Path) -> None:
    """The attack: ask small studies again and again. Without the book every one of them starts from nothing."""

    def studies(memory: Path | None) -> int:
        given = 0
        for number in range(12):
            home = tmp_path / f"{memory is not None}-{number}"
            home.mkdir()
            population = None if memory is None else book(memory, study="abcdef"[number % 6])
            try:
                ledger(home, population).commit(noisy(3.0))
            except Refused as refusal:
                assert "budget of the population exhausted" in str(refusal)
                break
            given += 1
        return given

    memory = tmp_path / "memory"
    memory.mkdir()
    assert studies(None) == 12
    given = studies(memory)
    assert 1 <= given < 12
    assert spent(book(memory)) <= LIMITS.epsilon_total


def test_over_studies_everything_composes_as_one_loss_distribution(tmp_path: Path) -> None:
    for study in "ab":
        book(tmp_path, study=study).commit(noisy(5.0))
    one = GaussianEvent(noise_multiplier=5.0, count=2, what="both")
    both = epsilon_of(
        gaussian=[one], exponential=[ExponentialEvent(epsilon=0.1, count=2, what="both")], delta=LIMITS.delta
    )
    alone = epsilon_of(gaussian=noisy().gaussian, exponential=noisy().exponential, delta=LIMITS.delta)
    assert spent(book(tmp_path)) == pytest.approx(both, abs=2e-4)
    assert alone < spent(book(tmp_path)) < 2 * alone


def test_within_a_run_splits_share_nobody_and_over_runs_anybody_may_be_anywhere(tmp_path: Path) -> None:
    here = book(tmp_path)
    here.commit(noisy(5.0, "train"))
    once = spent(here)
    here.commit(noisy(5.0, "holdout"))
    assert spent(here) == once, "another split of the same run holds other persons"
    again = book(tmp_path)
    again.commit(noisy(5.0, "holdout"))
    assert spent(again) > once, "the same study run anew may split anew"
    assert again.cumulative(delta=1e-6, split="holdout") == spent(again)
    assert again.cumulative(delta=1e-6, split="train") == pytest.approx(once, abs=1e-4)


def test_the_unluckiest_person_is_never_better_off_than_any_way_through_the_splits(tmp_path: Path) -> None:
    for study, (train, holdout) in zip("abc", [(4.0, 6.0), (9.0, 5.0), (5.0, 5.0)], strict=True):
        here = book(tmp_path, study=study, limits=None)
        here.commit(noisy(train, "train"))
        here.commit(noisy(holdout, "holdout"))
    entries = read_book((tmp_path / FILE).read_bytes(), head=(tmp_path / HEAD).read_bytes()).entries
    worst = epsilon_of(
        gaussian=[GaussianEvent(noise_multiplier=m, count=1, what="x") for m in (4.0, 5.0, 5.0)],
        exponential=[ExponentialEvent(epsilon=0.1, count=3, what="x")],
        delta=1e-6,
    )
    assert joint_epsilon(entries, delta=1e-6) == pytest.approx(worst, abs=2e-4)


def test_where_splits_cannot_be_told_apart_any_more_everything_counts(tmp_path: Path, monkeypatch: Any) -> None:
    for study in "abcd":
        here = book(tmp_path, study=study, limits=None)
        here.commit(noisy(4.0, "train"))
        many = Spending(
            population=POPULATION,
            split="holdout",
            what="choices",
            exponential=(ExponentialEvent(epsilon=0.2, count=3, what="x"),),
        )
        here.commit(many)
    entries = read_book((tmp_path / FILE).read_bytes(), head=(tmp_path / HEAD).read_bytes()).entries
    exactly = joint_epsilon(entries, delta=1e-6)
    monkeypatch.setattr("wardgate.privacy.population.COMBINATIONS", 1)
    assert joint_epsilon(entries, delta=1e-6) > exactly


def test_what_left_the_window_frees_its_part_and_not_a_day_earlier(tmp_path: Path) -> None:
    book(tmp_path, on="2026-03-01").commit(noisy(3.0))
    full = spent(book(tmp_path, on="2026-03-01"))
    assert spent(book(tmp_path, on="2028-02-29")) == full
    assert spent(book(tmp_path, on="2028-03-01")) == 0.0
    assert len(counting(book(tmp_path)._book.entries, on="2040-01-01", months=None)) == 1


def test_several_populations_are_kept_apart_only_where_the_hospital_names_them(tmp_path: Path) -> None:
    book(tmp_path, population="adults").commit(noisy())
    assert spent(book(tmp_path, population="children")) == 0.0
    assert spent(book(tmp_path, population="adults")) > 0
    assert spent(book(tmp_path)) == 0.0
    assert book(tmp_path).population == "one"


def test_exact_answers_are_counted_apart_and_cost_no_epsilon(tmp_path: Path) -> None:
    here = book(tmp_path)
    here.commit(exact(7))
    assert (spent(here), here.exact_answers()) == (0.0, 7)


def test_without_limits_everything_is_written_down_and_nothing_refused(tmp_path: Path) -> None:
    here = book(tmp_path, limits=None)
    here.commit(noisy(0.2))
    assert here.spent() is None
    assert here.cumulative(delta=1e-6, split="train") > 10
    with pytest.raises(Refused, match="population exhausted"):
        book(tmp_path).commit(noisy())


def test_without_a_memory_the_budget_is_of_the_study_alone(tmp_path: Path) -> None:
    alone = ledger(tmp_path, None)
    alone.commit(noisy())
    assert alone.population is None
    assert alone.cumulative("train") == alone.epsilon("train")
    with_memory = ledger(tmp_path, book(tmp_path), name="other")
    with_memory.commit(noisy())
    third = ledger(tmp_path, book(tmp_path, study="b"), name="third")
    assert third.epsilon("train") == 0
    assert third.cumulative("train") == pytest.approx(with_memory.epsilon("train"), abs=2e-4)
    assert third.cumulative("train", extra=noisy()) > third.epsilon("train", extra=noisy())


def test_what_the_population_cannot_afford_is_spent_nowhere(tmp_path: Path) -> None:
    book(tmp_path).commit(noisy(2.0))
    second = ledger(tmp_path, book(tmp_path, study="b"))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for action in (second.check, second.commit):
        with pytest.raises(Refused, match="population exhausted"):
            action(noisy(2.4))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert second.epsilon("train") == 0


def test_what_the_study_cannot_afford_is_spent_nowhere(tmp_path: Path) -> None:
    second = ledger(tmp_path, book(tmp_path, limits=None))
    with pytest.raises(Refused, match="budget of split"):
        second.commit(noisy(0.2))
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize("step", ["line", "head", "ledger"])
def test_a_crash_anywhere_never_under_counts(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Power goes after each write in turn; whatever the study's ledger holds is in the population's book."""
    here = ledger(tmp_path, book(tmp_path))
    here.commit(noisy())

    def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    class_, name = {
        "line": ("wardgate.hospital.ward.gate.book.GrowingFile", "append"),
        "head": ("wardgate.hospital.ward.gate.book.GrowingFile", "write_beside"),
        "ledger": ("wardgate.hospital.ward.gate.ledger.PrivateLedger", "_write"),
    }[step]
    with monkeypatch.context() as patch:
        patch.setattr(f"{class_}.{name}", dies)
        with pytest.raises(KeyboardInterrupt):
            here.commit(noisy())
    written = {"line": 1, "head": 2, "ledger": 2}[step]
    again = book(tmp_path, study="b")
    assert len(again._book.entries) == written
    assert ledger(tmp_path, again).epsilon("train") <= spent(again)
    again.commit(noisy())
    assert len(book(tmp_path)._book.entries) == written + 1


def test_every_line_is_on_disk_before_the_ledger_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forced: list[str] = []
    real = os.fsync

    def watched(number: int) -> None:
        real(number)
        path = Path(f"/proc/self/fd/{number}").readlink()
        if not path.is_dir():
            forced.append(path.name)

    monkeypatch.setattr(os, "fsync", watched)
    ledger(tmp_path, book(tmp_path)).commit(noisy())
    assert forced == [FILE, f".{HEAD}.draft", "ledger.jsonl"]


def test_wards_that_work_at_the_same_time_see_what_the_other_spent(tmp_path: Path) -> None:
    """Each read the book before the other wrote; the second still finds the first's line, or is refused."""
    hands = [book(tmp_path, study=study) for study in "abcdef01"]

    def spend(hand: PopulationBook) -> bool:
        try:
            hand.commit(noisy(3.0))
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        given = sum(pool.map(spend, hands))
    after = book(tmp_path)
    assert len(after._book.entries) == given < 8
    assert spent(after) <= LIMITS.epsilon_total


def _relinked(lines: list[bytes]) -> bytes:
    """A forger who knows how the chain is made, and forgets the file beside it."""
    before, out = "0" * 64, b""
    for number, line in enumerate(lines, start=1):
        made = canonical(json.loads(line) | {"number": number, "before": before})
        before = sha256(made)
        out += made + b"\n"
    return out


DAMAGE: dict[str, Callable[[list[bytes]], bytes]] = {
    "cut inside a line": lambda lines: b"\n".join(lines)[:-7],
    "without the last end of line": lambda lines: b"\n".join(lines),
    "last line cut off": lambda lines: b"".join(line + b"\n" for line in lines[:-1]),
    "two lines cut off": lambda lines: b"".join(line + b"\n" for line in lines[:-2]),
    "first line cut off": lambda lines: b"".join(line + b"\n" for line in lines[1:]),
    "a line in the middle left out": lambda lines: b"".join(line + b"\n" for line in (lines[0], lines[2])),
    "everything gone": lambda lines: b"",
    "two lines changed places": lambda lines: b"".join(line + b"\n" for line in (lines[1], lines[0], lines[2])),
    "less noise told of": lambda lines: b"".join(
        line.replace(b'"noise_multiplier":"5"', b'"noise_multiplier":"500"') + b"\n" for line in lines
    ),
    "another population": lambda lines: b"".join(
        line.replace(b'"population":"one"', b'"population":"two"') + b"\n" for line in lines
    ),
    "another day": lambda lines: b"".join(line.replace(b"2026-03-01", b"2020-03-01") + b"\n" for line in lines),
    "a line twice": lambda lines: b"".join(line + b"\n" for line in (*lines, lines[-1])),
    "no JSON": lambda lines: b"".join(line + b"\n" for line in (*lines[:2], b"spent nothing")),
    "an empty line": lambda lines: b"".join(line + b"\n" for line in (*lines, b"")),
    "another spelling of the same": lambda lines: b"".join(line.replace(b",", b", ") + b"\n" for line in lines),
    "an unknown field": lambda lines: b"".join(b'{"free":true,' + line[1:] + b"\n" for line in lines),
    "a nest without end": lambda lines: b"".join(line + b"\n" for line in lines) + b"[" * 100_000 + b"\n",
    "relinked without a line": lambda lines: _relinked([lines[0], lines[2]]),
    "relinked with less noise": lambda lines: _relinked([line.replace(b'"5"', b'"500"') for line in lines]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_book_that_was_touched_stops_everything(tmp_path: Path, damage: str) -> None:
    here = book(tmp_path)
    for _ in range(3):
        here.commit(noisy())
    path = tmp_path / FILE
    path.write_bytes(DAMAGE[damage](path.read_bytes().splitlines()))
    with pytest.raises(Broken, match="population's book"):
        book(tmp_path, study="b")
    for action in (here.check, here.commit):
        with pytest.raises(Broken, match="population's book"):
            action(noisy(50.0))


@pytest.mark.parametrize("head", [None, b"", b"{}", b'{"lines":-1,"sha256":"' + b"0" * 64 + b'"}', b"[]", b"\xff"])
def test_a_book_whose_companion_is_gone_or_torn_stops_everything(tmp_path: Path, head: bytes | None) -> None:
    here = book(tmp_path)
    for _ in range(3):
        here.commit(noisy())
    if head is None:
        (tmp_path / HEAD).unlink()
    else:
        (tmp_path / HEAD).write_bytes(head)
    with pytest.raises(Broken, match="population's book"):
        book(tmp_path)


def test_a_clock_that_goes_backwards_is_refused(tmp_path: Path) -> None:
    book(tmp_path, on="2026-03-02").commit(noisy())
    with pytest.raises(Refused, match="set the clock right"):
        book(tmp_path, on="2026-03-01")
    book(tmp_path, on="2026-03-02").commit(noisy())


@pytest.mark.parametrize("on", ["", "yesterday", "2026-02-30", "01.03.2026"])
def test_a_day_that_is_none_is_refused(tmp_path: Path, on: str) -> None:
    with pytest.raises(Invalid, match="YYYY-MM-DD"):
        book(tmp_path, on=on)


def test_old_spendings_without_a_kind_still_read(tmp_path: Path) -> None:
    plain = noisy().plain()
    del plain["kind"]
    assert Spending.from_plain(plain).kind is None


def test_whole_studies_spend_from_one_book_and_a_broken_one_is_a_signed_refusal(tmp_path: Path) -> None:
    sites = ["h0", "h1", "h2"]
    for place, site in enumerate(sites):
        write_hospital(tmp_path / "hospitals" / site, 230, [5, place], inverted=False, note="")

    def step(version: int, noise: float | None) -> None:
        text = STUDY.replace("SITES", ", ".join(sites)).replace("version: 1", f"version: {version}")
        study, work = parse(text, name="study.yaml"), tmp_path / f"work-{version}"
        work.mkdir()
        settings = Settings(seed=1, issued_on="2026-01-02", memory=tmp_path / "memory")
        hospitals = find_hospitals(tmp_path / "hospitals", study)
        with local(study=study, hospitals=hospitals, settings=settings, work=work) as federation:
            asked = Newton(beta=np.zeros(COLUMNS))
            federation.ask(
                sum_ask(asked, what="a step", study=study, sites=federation.sites, noise_multiplier=noise)
            ).sum()

    step(1, 20.0)
    step(2, None)
    home = tmp_path / "memory" / "h0"
    found = read_book((home / FILE).read_bytes(), head=(home / HEAD).read_bytes())
    assert [(len(one.spending.gaussian), one.spending.exact) for one in found.entries] == [(1, 0), (0, 1)]
    assert len({one.study for one in found.entries}) == len({one.run for one in found.entries}) == 2
    (home / FILE).write_bytes((home / FILE).read_bytes().splitlines()[0] + b"\n")
    with pytest.raises(CheckFailed, match=r"1 of 3 sites refused.*population's book"):
        step(3, 20.0)
