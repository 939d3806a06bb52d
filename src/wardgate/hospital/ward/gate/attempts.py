"""What the gate was shown and what it said, verdict or refusal: a chained book that stays inside the hospital.

The gate's answers leak, so the candidates made from one pair of real tables are numbered over all its runs. The same
candidate shown again keeps its number and gets the same answer.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from wardgate.hospital.ward.gate.book import GrowingFile
from wardgate.records.canonical import canonical, sha256
from wardgate.records.errors import Broken, Invalid
from wardgate.records.record import Digest, Record

BOOK = "gate-record.jsonl"
START = "0" * 64


class Entry(Record):
    """One run of the gate.

    Attributes:
        on: ISO date.
        protocol: Digest of the real tables behind the candidate.
        candidate: Digest of the candidate with what was held back of it.
        attempt: Its number.
        outcome: The verdict's, or `refused` where it came to none.
        reason: Why, where it was no plain pass; without any value of a patient.
        evidence_sha256: Of what was measured, where it was.
        previous: Digest of the line before.
    """

    on: str
    protocol: Digest
    candidate: Digest
    attempt: int
    outcome: str
    reason: str = ""
    evidence_sha256: Digest | None = None
    previous: Digest


@dataclass(slots=True, kw_only=True)
class AttemptBook:
    """The book of one folder.

    Raises:
        Broken: it cannot be read to its end, or a line was changed, removed or put elsewhere.
    """

    folder: Path
    entries: list[Entry]
    head: str

    @classmethod
    def open(cls, folder: Path) -> "AttemptBook":
        """Read the book, or start one."""
        folder.mkdir(parents=True, exist_ok=True)
        data = GrowingFile(folder / BOOK).read()
        if data and not data.endswith(b"\n"):
            raise Broken(f"{BOOK} ends inside a line: remove that line, its candidate was never answered")
        entries, head = [], START
        for number, line in enumerate(data.splitlines(), start=1):
            entry = None
            try:
                entry = Entry.from_plain(json.loads(line))
            except (ValueError, Invalid):
                entry = None
            if entry is None or entry.previous != head:
                raise Broken(f"line {number} of {BOOK} was changed, or lines before it are missing; restore it")
            entries.append(entry)
            head = sha256(line)
        return cls(folder=folder, entries=entries, head=head)

    def attempt_of(self, protocol: str, candidate: str) -> int:
        """Return the number of a candidate: its old one, or the next."""
        judged = [entry for entry in self.entries if entry.protocol == protocol and entry.evidence_sha256 is not None]
        known = [entry.attempt for entry in judged if entry.candidate == candidate]
        return known[0] if known else 1 + len({entry.candidate for entry in judged})

    def verdicts_before(self, protocol: str, attempt: int) -> tuple[str, ...]:
        """Return the verdicts of earlier attempts in words, one an attempt, oldest first."""
        found = {
            entry.attempt: entry.outcome + (f": {entry.reason}" if entry.reason else "")
            for entry in self.entries
            if entry.protocol == protocol and entry.attempt < attempt and entry.evidence_sha256 is not None
        }
        return tuple(found[number] for number in sorted(found))

    def note(
        self,
        *,
        on: str,
        protocol: str,
        candidate: str,
        attempt: int,
        outcome: str,
        reason: str = "",
        evidence_sha256: str | None = None,
    ) -> None:
        """Write one line, on the disk before the answer is told."""
        entry = Entry(
            on=on,
            protocol=protocol,
            candidate=candidate,
            attempt=attempt,
            outcome=outcome,
            reason=reason,
            evidence_sha256=evidence_sha256,
            previous=self.head,
        )
        line = canonical(entry.plain())
        GrowingFile(self.folder / BOOK).append(line)
        self.entries.append(entry)
        self.head = sha256(line)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file, read in parts.

    Raises:
        Invalid: there is no such file.
    """
    if not path.is_file():
        raise Invalid(f"{path.name} is missing, expected a table (CSV, CSV.gz or Parquet)")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
