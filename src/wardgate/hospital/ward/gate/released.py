"""Corpora that left before, and who was used for them: what the attack on refreshes needs, kept inside the hospital.

One folder a release: the corpus, the training persons as they were, and under keyed names who was held out. The rows of
training persons are kept because a person who has left the source since is still in the corpus that was released.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hospital.ward.gate.battery.refreshes import Earlier, Roles, Was
from wardgate.hospital.ward.gate.keyed import keyed
from wardgate.records.errors import Broken
from wardgate.records.messages import SplitName
from wardgate.road.box import sync

PERSON = "wardgate:person"
QUESTION = "question"
HELD: tuple[SplitName, ...] = ("tuning", "holdout", "locked_test")


@dataclass(frozen=True, slots=True, kw_only=True)
class Released:
    """The releases of one population.

    Attributes:
        folder: In the hospital's memory over studies.
        key: Secret under which persons are named.
        persons: Identifiers of the running study's persons by split, in the order of its tables.
    """

    folder: Path
    key: bytes
    persons: Mapping[SplitName, Sequence[str]]

    @property
    def any(self) -> bool:
        """Whether a corpus has left before."""
        return bool(self._releases())

    def _releases(self) -> list[Path]:
        """Return the folders of all releases, oldest first; drafts of a crash are none."""
        return sorted(path for path in self.folder.glob("*") if path.name.isdigit())

    def earlier(self) -> tuple[Earlier, ...]:
        """Return all earlier corpora, oldest first, with what today's persons were then.

        Raises:
            Broken: one cannot be read; what an attacker holds is then unknown.
        """
        here = {name: self._named(name) for name in self.persons}
        present = {name for names in here.values() for name in names}
        found = []
        for release in self._releases():
            problem = ""
            try:
                corpus = pl.read_parquet(release / "corpus.parquet")
                used = pl.read_parquet(release / "used.parquet")
                held = frozenset(pl.read_parquet(release / "held.parquet")[PERSON])
                names = frozenset(used[PERSON])
            except (OSError, pl.exceptions.PolarsError):
                problem = f"the earlier release {release.name} cannot be read; restore it before another corpus leaves"
            if problem:
                raise Broken(problem)
            roles = Roles(
                train=_roles(here["train"], names, held),
                holdout=_roles(here["holdout"], names, held),
                left=used.filter(~pl.col(PERSON).is_in(list(present))).drop(PERSON),
            )
            found.append(Earlier(corpus=corpus, roles=roles))
        return tuple(found)

    def forget(self, question_sha256: str) -> None:
        """Forget what an earlier try of a question remembered; the caller knows that its answer never left."""
        for release in self._releases():
            if (release / QUESTION).is_file() and (release / QUESTION).read_text() == question_sha256:
                gone = release.with_name(f".{release.name}.draft")
                shutil.rmtree(gone, ignore_errors=True)
                release.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)

    def keep(self, corpus: pl.DataFrame, train: pl.DataFrame, *, question_sha256: str = "") -> None:
        """Remember a corpus before it leaves, whole or not at all.

        Args:
            train: Training persons in the order of `persons`.
            question_sha256: Whose answer it is, where the ward remembers questions.
        """
        self.folder.mkdir(mode=0o700, exist_ok=True)
        number = 1 + max((int(path.name) for path in self._releases()), default=0)
        draft = self.folder / f".{number:04d}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        held = [name for split in HELD for name in self._named(split)]
        corpus.write_parquet(draft / "corpus.parquet")
        train.with_columns(pl.Series(PERSON, self._named("train"))).write_parquet(draft / "used.parquet")
        pl.DataFrame({PERSON: held}, schema={PERSON: pl.String}).write_parquet(draft / "held.parquet")
        if question_sha256:
            (draft / QUESTION).write_text(question_sha256)
        for path in draft.iterdir():
            path.chmod(0o600)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        draft.rename(self.folder / f"{number:04d}")
        sync(self.folder)

    def _named(self, split: SplitName) -> list[str]:
        return [keyed(self.key, person).hex() for person in self.persons[split]]


def _roles(names: Sequence[str], used: frozenset[str], held: frozenset[str]) -> NDArray[np.int8]:
    return np.array(
        [Was.USED if name in used else Was.HELD if name in held else Was.AWAY for name in names], dtype=np.int8
    )
