"""A ward's private folder for one study: answers, and what the next question needs of the last.

    lock            held while a ward works here
    identity.json   whose folder it is; the exchange key; the run's name in the population's book
    journal.jsonl   one line a question that was begun, and one line a question that was answered
    answers/        every answer, named by the SHA-256 of its bytes
    things/         seats, fits, what computations keep, the study: named alike; what nobody needs any more is removed
    ledger.jsonl    what the study spent (gate/ledger.py)

An answer counts when its line stands in the journal: that one line holds everything that the question changed, or
names it. Before that line nothing has left; after it the same question gets the same bytes.
"""

import fcntl
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from wardgate.entropy import Entropy
from wardgate.hospital.ward.gate.book import GrowingFile, write_whole
from wardgate.records.canonical import canonical, sha256
from wardgate.records.errors import Broken, Invalid, StepFailed
from wardgate.records.parcel import Parcel
from wardgate.road.box import sync
from wardgate.sums.keys import KEY_BYTES

FORM = "wardgate/ward-state/1"


class Later(StepFailed):
    """Nothing of the answer left, and nothing is lost: the same question may be asked again when the cause is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a ward draws once a study.

    Attributes:
        exchange_key: Without it no mask of the study opens.
        run: This ward's name in the population's book.
    """

    exchange_key: X25519PrivateKey = field(repr=False)
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An answered question.

    Attributes:
        question: Digest of its envelope.
        answer: SHA-256 of the answer's parcel.
        leaves: What it added to the site's log.
        effect: What it changed on the bench, as `effects` wrote it.
    """

    question: str
    answer: str
    leaves: tuple[bytes, ...]
    effect: dict[str, Any]


class Folder:
    """One ward's memory of one study. Whoever opens it holds it alone until `close`, and begins with `read`.

    Args:
        path: Made where it is missing; its parent must exist. Readable by its owner alone.
        site, study_sha256, public_key: Of the ward.
        entropy: For the exchange key and the run's name, made once.

    Raises:
        Invalid: another ward holds it.
        Broken: it is another ward's or another study's, or it cannot be read. Nothing may leave then.
    """

    def __init__(self, path: Path, *, site: str, study_sha256: str, public_key: bytes, entropy: Entropy) -> None:
        self._path = path
        for folder in (path, path / "answers", path / "things"):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
        (path / "lock").touch(mode=0o600)
        self._lock = (path / "lock").open("rb")
        held = True
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held = False
        if not held:
            self.close()
            raise Invalid(f"another ward works in the study folder {path.name}; end it first, or do not start two")
        self._journal = GrowingFile(path / "journal.jsonl")
        self.outcomes: dict[str, Outcome] = {}
        self._begun: dict[int, str] = {}
        self._seats: dict[str, str] = {}
        self._own: dict[str, str] = {}
        try:
            self.identity = self._known(site, study_sha256, public_key, entropy)
        except BaseException:
            self.close()
            raise

    @property
    def ledger(self) -> Path:
        """Where the study's ledger lies."""
        return self._path / "ledger.jsonl"

    def close(self) -> None:
        """Let others work here."""
        self._lock.close()

    def begin(self, number: int, question: str) -> None:
        """Note that a question is being worked on.

        Should the power fail and the note be lost, nothing of an answer had left.

        Raises:
            Broken: another question has the same number.
        """
        self.check(number, question)
        self._journal.append(canonical({"begun": question, "number": number}), wait=False)
        self._begun[number] = question

    def check(self, number: int, question: str) -> None:
        """Check that no other question had this number.

        Raises:
            Broken: one had.
        """
        if self._begun.get(number, question) != question:
            raise Broken(f"question {number} was asked before, and was another one; a replayed number gets no answer")

    def answer(self, question: str) -> Parcel | None:
        """Return the answer that a question got, or None.

        Raises:
            Broken: it was altered or is gone.
        """
        outcome = self.outcomes.get(question)
        return None if outcome is None else Parcel.from_bytes(self._get("answers", outcome.answer))

    def keep(self, outcome: Outcome, *, answer: bytes, things: Iterable[bytes]) -> None:
        """Remember an answer and what it changed; on disk when this returns, or not at all.

        Args:
            answer: The parcel's bytes.
            things: What the effect names by its digest.

        Raises:
            OSError: no room; nothing counts then.
        """
        self._put("things", things)
        self._put("answers", [answer])
        self._journal.append(
            canonical(
                {
                    "answered": outcome.question,
                    "answer": outcome.answer,
                    "leaves": [leaf.decode() for leaf in outcome.leaves],
                    "effect": outcome.effect,
                }
            )
        )
        self.outcomes[outcome.question] = outcome
        for batch, name in outcome.effect.get("seats", {}).items():
            old = self._seats.get(batch, name)
            self._seats[batch] = name
            if old != name:
                (self._path / "things" / old).unlink(missing_ok=True)
        before = set(self._own.values())
        self._own = _kept(self._own, outcome.effect)
        for old in before - set(self._own.values()):
            (self._path / "things" / old).unlink(missing_ok=True)

    def thing(self, name: str) -> bytes:
        """Return what an effect names.

        Raises:
            Broken: it was altered or is gone.
        """
        return self._get("things", name)

    @property
    def seats(self) -> dict[str, str]:
        """The thing that holds each seat as it is now, by the batch's question."""
        return dict(self._seats)

    @property
    def own(self) -> dict[str, str]:
        """The thing that holds what a computation keeps, as it is now, by the name that it gave it."""
        return dict(self._own)

    def _put(self, kind: str, parts: Iterable[bytes]) -> None:
        folder, written = self._path / kind, False
        for data in parts:
            path = folder / sha256(data)
            if not path.exists():
                write_whole(path, data, settle=False)
                written = True
        if written:
            sync(folder)

    def _get(self, kind: str, name: str) -> bytes:
        path = self._path / kind / name
        data = path.read_bytes() if path.is_file() else b""
        if sha256(data) != name:
            raise Broken(f"the ward's memory of this study was altered: {kind}/{name[:16]}; restore it")
        return data

    def _known(self, site: str, study_sha256: str, public_key: bytes, entropy: Entropy) -> Identity:
        path = self._path / "identity.json"
        said = {"form": FORM, "site": site, "study_sha256": study_sha256, "public_key": public_key.hex()}
        if not path.is_file():
            if self._journal.path.exists():
                raise Broken("the ward's memory of this study has lost 'identity.json'; restore it")
            secrets = {"exchange_key": entropy.bytes(KEY_BYTES).hex(), "run": entropy.bytes(12).hex()}
            write_whole(path, canonical(said | secrets))
        found: Identity | None = None
        try:
            plain = json.loads(path.read_bytes())
            if {name: plain[name] for name in said} == said:
                key = X25519PrivateKey.from_private_bytes(bytes.fromhex(plain["exchange_key"]))
                found = Identity(exchange_key=key, run=str(plain["run"]))
        except (ValueError, KeyError, TypeError):
            found = None
        if found is None:
            raise Broken(
                f"the study folder {self._path.name} is not this ward's: its key, its site or its study is another one"
            )
        return found

    def read(self) -> None:
        """Read the journal, and remove what was begun and never counted.

        Raises:
            Broken: a line that was once whole cannot be read.
        """
        if not self._journal.path.exists() and any((self._path / "answers").iterdir()):
            raise Broken("the ward's memory of this study has lost 'journal.jsonl'; restore it")
        self.outcomes, self._begun = self._journalled()
        self._seats, self._own = {}, {}
        for outcome in self.outcomes.values():
            self._seats |= outcome.effect.get("seats", {})
            self._own = _kept(self._own, outcome.effect)
        self._sweep()

    def _journalled(self) -> tuple[dict[str, Outcome], dict[int, str]]:
        with self._journal.held():
            self._journal.mend()
        ledger = GrowingFile(self.ledger)
        with ledger.held():
            ledger.mend()
        outcomes: dict[str, Outcome] = {}
        begun: dict[int, str] = {}
        for number, line in enumerate(self._journal.read().splitlines(), start=1):
            try:
                said = json.loads(line)
                if "begun" in said:
                    begun[int(said["number"])] = str(said["begun"])
                    continue
                leaves = tuple(str(leaf).encode() for leaf in said["leaves"])
                outcomes[said["answered"]] = Outcome(
                    question=said["answered"], answer=said["answer"], leaves=leaves, effect=dict(said["effect"])
                )
            except (ValueError, KeyError, TypeError) as error:
                raise Broken(f"line {number} of the ward's journal cannot be read; restore it") from error
        return outcomes, begun

    def _sweep(self) -> None:
        """Remove what a killed ward had begun to write: nothing of it left."""
        current = {*self._seats.values(), *self._own.values()}
        for outcome in self.outcomes.values():
            current |= {name for part, name in _named(outcome.effect) if part not in ("seats", "own")}
        answers = {outcome.answer for outcome in self.outcomes.values()}
        for kind, known in (("things", current), ("answers", answers)):
            for path in (self._path / kind).iterdir():
                if path.name not in known:
                    path.unlink()
        for path in self._path.glob(".*.draft"):
            path.unlink()


def _kept(own: dict[str, str], effect: dict[str, Any]) -> dict[str, str]:
    """Return what computations keep after a question: a thing by name, and nothing where the name is empty."""
    return {key: name for key, name in (own | effect.get("own", {})).items() if name}


def _named(effect: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (part, thing) for everything that an effect names."""
    for several in ("seats", "pending", "own"):
        yield from ((several, name) for name in effect.get(several, {}).values() if name)
    for part, inner in (("study", effect), ("fit", effect.get("corpus", {}))):
        if inner.get(part):
            yield part, inner[part]
