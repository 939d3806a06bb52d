"""Ways to break a step beside patients with a patient's words in the error, and to listen to what then leaves."""

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import leaks
import made_up
import polars as pl
import pytest

from wardgate.federation.local import Finished, Settings, find_hospitals, run_study
from wardgate.hub.commons.directory import write_run
from wardgate.hub.exchange import Exchange
from wardgate.hub.telling import results_of
from wardgate.papers.report import render
from wardgate.papers.summary import summarise
from wardgate.records.errors import Invalid, WardgateError
from wardgate.records.study_file import parse

WARD = "wardgate.hospital.ward"

STEPS = {
    "cohort loading": f"{WARD}.answering.ward.read_cohort",
    "opening of the source": f"{WARD}.cohort.from_files.build.opened",
    "counting": f"{WARD}.cohort.from_files.build.judge",
    "split": f"{WARD}.answering.review.tables",
    "commitment": f"{WARD}.answering.review.commitment",
    "encode": f"{WARD}.cohort.part.design_matrix",
    "what a cohort may show": f"{WARD}.answering.review.shown_flow",
    "roster": f"{WARD}.answering.roster.pair_secret",
    "generator fit": f"{WARD}.generators.marginal_tree.MarginalTree.fit",
    "generator sample": f"{WARD}.generators.marginal_tree.FittedTree.sample",
    "battery": f"{WARD}.answering.corpus.measure",
    "corpus file": f"{WARD}.gate.door.write_corpus",
    "certificate": f"{WARD}.gate.door.corpus_certificate",
    "associations": f"{WARD}.answering.sited.associations",
    "marginals": f"{WARD}.learning.marginals.counted",
    "newton": f"{WARD}.learning.newton.step",
    "local model": f"{WARD}.answering.bench.fit",
    "score bins": f"{WARD}.learning.score_bins.binned",
    "evaluate": f"{WARD}.answering.sited.model_figures",
    "recalibrate": f"{WARD}.answering.sited.local_shift",
    "decision": f"{WARD}.gate.door.decide",
    "masking": f"{WARD}.gate.door.contribute",
    "ledger": f"{WARD}.gate.ledger.PrivateLedger.commit",
    "close": f"{WARD}.gate.ledger.PrivateLedger.parts",
    "signature": f"{WARD}.gate.door.seal",
}

VICTIM = made_up.marked("northgate")[0]
SECRET = " / ".join((*VICTIM.texts, repr(VICTIM.numbers[0])))
"""What an error beside patients may quote: a whole row."""


class Mute(Exception):
    """An error that cannot even be printed."""

    def __str__(self) -> str:
        raise ValueError(SECRET)


def _number() -> object:
    return float(SECRET)


def _arguments() -> object:
    raise RuntimeError("a row could not be read", {"row": SECRET})


def _chain() -> object:
    try:
        return float(SECRET)
    except ValueError as error:
        raise KeyError(SECRET) from error


def _ours_with_a_cause() -> object:
    try:
        return float(SECRET)
    except ValueError as error:
        raise Invalid("the column 'marker' could not be read; correct the mapping") from error


def _notes() -> object:
    error = RuntimeError("a row could not be read")
    error.add_note(SECRET)
    raise error


def _group() -> object:
    raise ExceptionGroup("several rows", [ValueError(SECRET), TypeError(SECRET)])


def _panic() -> object:
    raise pl.exceptions.PanicException(f"called `unwrap()` on an Err value: {SECRET}")


def _leaves_the_process() -> object:
    raise SystemExit(SECRET)


def _memory() -> object:
    raise MemoryError(SECRET)


def _half_a_character() -> object:
    raise ValueError(f"{SECRET} \ud800")


def _mute() -> object:
    raise Mute(SECRET)


ERRORS: dict[str, Callable[[], object]] = {
    "a number that is none": _number,
    "arguments": _arguments,
    "a chain": _chain,
    "our own error with a cause": _ours_with_a_cause,
    "a note": _notes,
    "a group": _group,
    "a panic, which is no Exception": _panic,
    "an exit": _leaves_the_process,
    "no memory": _memory,
    "half a character": _half_a_character,
    "an error that cannot be printed": _mute,
}


def broken(
    monkeypatch: pytest.MonkeyPatch, step: str, *, error: Callable[[], object] = _number, times: int | None = 1
) -> list[int]:
    """Make a step fail its first `times` times, or always; return a list that grows with each failure."""
    path = STEPS[step]
    kept = _found(path)
    failed: list[int] = []

    def instead(*args: Any, **kwargs: Any) -> Any:
        if times is None or len(failed) < times:
            failed.append(len(failed))
            return error()
        return kept(*args, **kwargs)

    monkeypatch.setattr(path, instead)
    return failed


def wrapped(monkeypatch: pytest.MonkeyPatch, step: str, change: Callable[[Any], Any]) -> None:
    """Let a step run, and change what it returns."""
    path = STEPS.get(step, step)
    kept = _found(path)
    monkeypatch.setattr(path, lambda *args, **kwargs: change(kept(*args, **kwargs)))


def replaced(value: Any, **changes: Any) -> Any:
    """Return a copy of a frozen value with other fields."""
    return replace(value, **changes)


def _found(path: str) -> Any:
    parts = path.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            thing: Any = __import__(".".join(parts[:end]), fromlist=["_"])
        except ImportError:
            continue
        for name in parts[end:]:
            thing = getattr(thing, name)
        return thing
    raise LookupError(path)


@dataclass(slots=True, kw_only=True)
class Heard:
    """What left the hospitals of one run, and what stayed."""

    out: Path
    work: Path
    exchanges: list[Exchange] = field(default_factory=list)
    finished: Finished | None = None
    error: WardgateError | None = None
    printed: str = ""

    @property
    def refusals(self) -> list[str]:
        """The reasons of all signed refusals."""
        return [r.answer.refusal for e in self.exchanges for r in e.received if r.answer.outcome == "refused"]

    def private(self) -> str:
        """What the hospitals wrote into their private logs."""
        return "\n".join(path.read_text(encoding="utf-8") for path in sorted(self.work.glob("*/private.log")))

    def left(self) -> Iterator[leaks.Piece]:
        """Everything that left: parcels, the finished run, what was printed, and the error with what clings to it."""
        for exchange in self.exchanges:
            for number, kept in enumerate(exchange.store):
                yield from leaks.pieces(f"parcel {number} of {kept.party}", kept.parcel.envelope)
                for place, blob in enumerate(kept.parcel.blobs):
                    masked = len(blob) > 64 and blob[:4] != b"PAR1" and kept.party != "hub" and blob[:1] != b"{"
                    yield from leaks.pieces(f"parcel {number} of {kept.party}, blob {place}", blob, masked=masked)
        if self.out.exists():
            yield from leaks.of_folder(self.out)
        yield leaks.Piece("what was printed", self.printed.encode(errors="surrogatepass"))
        yield leaks.Piece("the error", "\n".join(clinging(self.error)).encode(errors="surrogatepass"))


def clinging(error: BaseException | None) -> list[str]:
    """What an error says, with its arguments, notes, causes and contexts."""
    said: list[str] = []
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        said += [str(one), repr(one.args), repr(getattr(one, "__notes__", ""))]
        said += traceback.format_exception_only(one)
        waiting += [one.__cause__, one.__context__]
        waiting += list(getattr(one, "exceptions", ()))
    return said


def run(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Heard:
    """Run the whole chain over the made-up hospitals, write it down, and keep whatever left.

    Any error that is not one of Wardgate's own comes out of here and fails the test.
    """
    made_up.hospitals(folder / "hospitals")
    work = folder / "private"
    work.mkdir()
    heard = Heard(out=folder / "out", work=work)
    text = made_up.study_text()
    study = parse(text, name="study.yaml")

    class Listened(Exchange):
        def __post_init__(self) -> None:
            super().__post_init__()
            heard.exchanges.append(self)

    monkeypatch.setattr("wardgate.federation.local.Exchange", Listened)
    try:
        finished = run_study(
            study=study,
            hospitals=find_hospitals(folder / "hospitals", study),
            settings=Settings(seed=5, issued_on="2026-01-02", **settings),
            work=work,
        )
        results = results_of(finished.run, finished.exchange, simulated=True, isolated=False)
        write_run(
            heard.out,
            exchange=finished.exchange,
            run=finished.run,
            results=results,
            report_html=render(results),
            study_text=text,
            replace=False,
            issued_on="2026-01-02",
        )
        heard.printed = summarise(results)
        heard.finished = finished
    except WardgateError as error:
        heard.error = error
    return heard
