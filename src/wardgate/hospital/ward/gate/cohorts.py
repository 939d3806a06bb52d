"""Whose persons gave exact answers in earlier studies: two cohorts that differ by a few persons give these away.

One study's sums are guarded by its own ledger. Over studies a hub could ask for the same sums over a cohort, and then
over the cohort without one person. So the hospital remembers, under a secret of its own, who stood in which split.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from wardgate.entropy import Entropy
from wardgate.records.canonical import canonical
from wardgate.records.errors import Broken, Refused
from wardgate.records.messages import SplitName

_KEY_BYTES = 32
_HASH_BYTES = 12
"""Two of a million persons share a keyed hash of 96 bits with a probability below 10^-17."""


class EarlierCohorts:
    """One hospital's memory over studies. It never leaves, and holds keyed hashes only.

    Args:
        folder: Kept by the hospital over studies; None remembers nothing, as in simulations.
        study_sha256: The running study.
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
        study_sha256: str,
        persons: Mapping[SplitName, Iterable[str]],
        minimum: int,
        entropy: Entropy,
    ) -> None:
        self._path = None if folder is None else folder / "cohorts.jsonl"
        self._study = study_sha256
        self._minimum = minimum
        self._noted: set[SplitName] = set()
        self._earlier: list[frozenset[bytes]] = []
        self._persons: dict[SplitName, frozenset[bytes]] = {}
        if folder is None or self._path is None:
            return
        key = _secret(folder / "cohorts.key", entropy)
        for split, names in persons.items():
            self._persons[split] = frozenset(_keyed(key, name) for name in names)
        if self._path.exists():
            self._read(self._path.read_bytes())

    def check(self, split: SplitName) -> None:
        """Check that exact answers on a split say nothing of fewer than `minimum` persons beside earlier studies'.

        Raises:
            Refused: they would.
        """
        here = self._persons.get(split)
        if here is None:
            return
        for earlier in self._earlier:
            if 0 < len(here ^ earlier) < self._minimum:
                raise Refused(
                    f"an earlier study gave exact answers over nearly the same persons: fewer than {self._minimum}"
                    " differ, and the difference of both answers would give them away; ask with noise"
                )

    def note(self, split: SplitName) -> None:
        """Remember that a split gives an exact answer, on disk before it leaves."""
        if self._path is None or split in self._noted:
            return
        entry = {
            "study": self._study,
            "split": split,
            "persons": sorted(name.hex() for name in self._persons[split]),
        }
        with self._path.open("ab") as file:
            file.write(canonical(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self._noted.add(split)

    def _read(self, data: bytes) -> None:
        if data and not data.endswith(b"\n"):
            raise Broken("the memory of earlier cohorts ends inside a line; remove that line to go on")
        for number, line in enumerate(data.splitlines(), start=1):
            try:
                entry = json.loads(line)
                if entry["study"] == self._study:
                    self._noted.add(entry["split"])
                else:
                    self._earlier.append(frozenset(map(bytes.fromhex, entry["persons"])))
            except (ValueError, KeyError, TypeError) as error:
                raise Broken(
                    f"line {number} of the memory of earlier cohorts cannot be read; restore it before anything leaves"
                ) from error


def _secret(path: Path, entropy: Entropy) -> bytes:
    if not path.exists():
        path.touch(mode=0o600)
        with path.open("wb") as file:
            file.write(entropy.bytes(_KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise Broken("the secret of the memory of earlier cohorts is cut off; restore it before anything leaves")
    return key


def _keyed(key: bytes, person: str) -> bytes:
    return hmac.digest(key, b"wardgate/cohort/1\0" + person.encode(), hashlib.sha256)[:_HASH_BYTES]
