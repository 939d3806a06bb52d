"""Whose persons gave exact answers before: two cohorts that differ by a few persons give these away.

One study's sums are guarded by its own ledger. Over studies a hub could ask for the same sums over a cohort, and then
over the cohort without one person; or for two tables that differ by one. So the hospital remembers, under a secret of
its own, who stood in which split and behind which shown figure: one memory over studies, splits and aggregates.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wardgate.entropy import Entropy
from wardgate.hospital.ward.gate.book import GrowingFile
from wardgate.hospital.ward.gate.keyed import keyed, secret
from wardgate.measures.differencing import Shown, everybody, nearly_same
from wardgate.records.canonical import canonical
from wardgate.records.errors import Broken, Refused
from wardgate.records.messages import SplitName
from wardgate.sums.incidence import thin

FILE = "cohorts.jsonl"

MOST_COMBINED = 50
"""Different cohorts up to which every linear combination is searched; beyond, pairs of answers alone."""


class EarlierCohorts:
    """One hospital's memory over studies. It never leaves, and holds keyed hashes only.

    Several wards may share it: whoever notes an answer holds the file, and has read what others noted.

    Args:
        folder: Kept by the hospital over studies; None remembers nothing, as in simulations.
        study_sha256: The running study; None for aggregates that stand by themselves.
        persons: Identifiers of the persons in each split.
        minimum: Fewest persons by which two cohorts may differ, if they differ at all.
        entropy: For the secret, made once.

    Raises:
        Broken: the memory cannot be read to its end; what was answered is then unknown.
    """

    def __init__(
        self,
        folder: Path | None,
        *,
        study_sha256: str | None,
        persons: Mapping[SplitName, Iterable[str]],
        minimum: int,
        entropy: Entropy,
    ) -> None:
        self._file = None if folder is None else GrowingFile(folder / FILE)
        self._study = study_sha256
        self._minimum = minimum
        self._noted: set[SplitName] = set()
        self._earlier: list[Shown] = []
        self._read_to = 0
        self._key = b""
        self._persons: dict[SplitName, frozenset[bytes]] = {}
        if folder is None or self._file is None:
            return
        with self._file.held():
            self._key = secret(folder / "cohorts.key", entropy)
            self._read()
        for split, names in persons.items():
            self._persons[split] = frozenset(keyed(self._key, name) for name in names)

    @property
    def remembers(self) -> bool:
        """Whether there is a memory at all."""
        return self._file is not None

    def check(self, split: SplitName) -> None:
        """Check that exact answers on a split say nothing of fewer than `minimum` persons beside earlier ones'.

        Raises:
            Refused: they would.
        """
        here = self._persons.get(split)
        if self._file is None or here is None:
            return
        with self._file.held():
            self._read()
        if self._isolates((here,)):
            raise Refused(
                f"an earlier study gave exact answers over nearly the same persons: fewer than {self._minimum}"
                " differ, and the difference of both answers would give them away; ask with noise"
            )

    def note(self, split: SplitName) -> None:
        """Remember that a split gives an exact answer, on disk before it leaves."""
        if self._file is None or split in self._noted:
            return
        entry = {"study": self._study, "split": split, "persons": sorted(name.hex() for name in self._persons[split])}
        with self._file.held():
            self._read()
            if (self._persons[split],) not in self._earlier:
                self._append(entry)
        self._noted.add(split)

    def isolates(self, shown: Sequence[Iterable[str]]) -> bool:
        """Return whether an answer, beside all earlier ones, would give fewer than `minimum` persons away.

        Args:
            shown: Identifiers of everybody it speaks of, then of the persons behind every figure that it shows.

        Raises:
            Refused: there is no memory, so nobody can tell.
        """
        with self._open().held():
            self._read()
        return self._isolates(self._hashed(shown))

    def note_answer(self, answer: str, shown: Sequence[Iterable[str]]) -> None:
        """Check once more and remember an answer under one lock, on disk before it leaves.

        Args:
            answer: What was answered, opaque.

        Raises:
            Refused: it would give a few persons away; another ward may have answered in between.
        """
        hashed = self._hashed(shown)
        with self._open().held():
            self._read()
            if self._isolates(hashed):
                raise Refused(
                    "this answer and earlier ones together would give fewer persons away than the policy allows"
                )
            names = sorted(hashed[0])
            place = {name: number for number, name in enumerate(names)}
            self._append(
                {
                    "answer": answer,
                    "persons": [name.hex() for name in names],
                    "shown": [sorted(place[name] for name in part) for part in hashed[1:]],
                }
            )

    def _isolates(self, new: Shown) -> bool:
        if nearly_same(new, self._earlier, minimum=self._minimum):
            return True
        rosters, persons = everybody([shown for shown in (new, *self._earlier) if len(shown[0]) >= self._minimum])
        return 2 < len(rosters) <= MOST_COMBINED and thin(rosters, persons=persons, minimum=self._minimum) is not None

    def _hashed(self, shown: Sequence[Iterable[str]]) -> Shown:
        return tuple(frozenset(keyed(self._key, name) for name in part) for part in shown)

    def _open(self) -> GrowingFile:
        if self._file is None:
            raise Refused("this hospital keeps no memory over answers, so nobody can tell what two of them give away")
        return self._file

    def _append(self, entry: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.append(canonical(entry))
            self._read()

    def _read(self) -> None:
        """Read what was noted since the last time."""
        data = b"" if self._file is None else self._file.read()
        if len(data) < self._read_to:
            raise Broken("the memory of earlier cohorts is shorter than it was; restore it before anything leaves")
        if data and not data.endswith(b"\n"):
            raise Broken("the memory of earlier cohorts ends inside a line; remove that line to go on")
        done = data[: self._read_to].count(b"\n")
        for number, line in enumerate(data[self._read_to :].splitlines(), start=done + 1):
            try:
                self._enter(json.loads(line))
            except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
                raise Broken(
                    f"line {number} of the memory of earlier cohorts cannot be read; restore it before anything leaves"
                ) from error
        self._read_to = len(data)

    def _enter(self, entry: dict[str, Any]) -> None:
        names = [bytes.fromhex(name) for name in entry["persons"]]
        if "answer" in entry:
            parts = (frozenset(names[place] for place in part) for part in entry["shown"])
            self._earlier.append((frozenset(names), *parts))
            return
        if not isinstance(entry["study"], str | None) or not isinstance(entry["split"], str):
            raise TypeError("expected a study and a split")
        self._earlier.append((frozenset(names),))
