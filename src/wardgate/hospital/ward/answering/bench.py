"""What a ward holds once it has joined a study: its cohort in four splits, its keys and its gate."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from wardgate.entropy import Entropy
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.gate.door import Door
from wardgate.hospital.ward.gate.released import Released
from wardgate.hospital.ward.generators import Fitted
from wardgate.measures.logistic import fit
from wardgate.records.errors import Invalid
from wardgate.records.mapping import Hospital
from wardgate.records.messages import RosterEntry, SplitName
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence, Verdict

Vector = NDArray[np.float64]


@dataclass(slots=True, kw_only=True)
class Bench:
    """One ward's side of one study.

    Attributes:
        parts: Persons by split; of a ward that came back empty until a question needs them.
        cohort_sha256: Of the persons as they were when the study began; empty where nothing is remembered.
        read: Reads them again and fills `parts`.
        kept_fit: Generator and file of a fit that was kept, where it is not in `generator` yet.
        pair_secrets: With every site whose signed enrolment was checked here.
        coin: The study's public coin, worked out from the keys that this hospital knows.
        met: What those sites signed of themselves.
        rosters: By digest, the least persons of every site that a roster introduces.
        least: The least persons of every site of any roster.
        kept: What a computation remembers between two questions.
        own: The same, and also over a restart: bytes by name.
        released: Corpora of these persons that left before; nothing where the hospital keeps no memory.
    """

    hospital: Hospital
    study: Study
    study_sha256: str
    parts: dict[SplitName, Part]
    persons: int
    door: Door
    exchange_key: X25519PrivateKey
    seed: int
    cohort_sha256: str = ""
    read: Callable[[], None] | None = None
    kept_fit: tuple[str, str] | None = None
    pair_secrets: dict[str, bytes] = field(default_factory=dict)
    coin: str = ""
    met: dict[str, RosterEntry] = field(default_factory=dict)
    rosters: dict[str, dict[str, int]] = field(default_factory=dict)
    least: dict[str, int] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)
    own: dict[str, bytes] = field(default_factory=dict)
    generator: Fitted | None = None
    released: Released | None = None
    attempts: int = 0
    verdicts: list[tuple[Evidence, Verdict]] = field(default_factory=list)
    _local: Vector | None = None

    @property
    def site(self) -> str:
        """This hospital's name in the study."""
        return self.hospital.id

    @property
    def entropy(self) -> Entropy:
        """The generator of this hospital's keys and noise."""
        return self.door.entropy

    @property
    def generator_name(self) -> str:
        """Which generator this hospital uses in the study."""
        chosen = self.hospital.generator
        return chosen.name if chosen else self.study.generator.name

    def part(self, split: SplitName) -> Part:
        """Return the persons of a split.

        Raises:
            Invalid: the question names none.
            Broken: the hospital's data changed since the study began.
        """
        if split == "none":
            raise Invalid("the question names no split")
        if not self.parts and self.read is not None:
            self.read()
        return self.parts[split]

    def local_model(self) -> Vector:
        """Return this hospital's own model, fitted once on its training persons; it never leaves.

        With one class, or nobody, in training it is the intercept of a smoothed rate and says nothing more.
        """
        if self._local is None:
            train = self.part("train")
            events, persons = float(train.y.sum()), len(train.y)
            if 0 < events < persons:
                self._local = fit(train.x, train.y, ridge=self.study.model.ridge)
            else:
                self._local = np.zeros(train.x.shape[1])
                self._local[0] = np.log((events + 0.5) / (persons - events + 0.5))
        return self._local

    def rng(self, purpose: str) -> np.random.Generator:
        """Return a repeatable generator for work that protects nobody."""
        name = hashlib.sha256(f"{self.hospital.id}/{purpose}".encode()).digest()
        return np.random.default_rng([int.from_bytes(name, "big"), self.seed])
