"""What an answer may look at: the study, and this hospital's persons in their splits."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wardgate.entropy import Entropy
from wardgate.hospital.ward.cohort.part import Part
from wardgate.records.messages import SplitName
from wardgate.records.study import Study


class Bench(Protocol):
    """One hospital's persons in one study."""

    @property
    def site(self) -> str:
        """This hospital's name in the study."""
        ...

    @property
    def study(self) -> Study:
        """The locked study."""
        ...

    @property
    def kept(self) -> dict[str, Any]:
        """What a computation remembers between two questions, under its own name; it never leaves."""
        ...

    @property
    def own(self) -> dict[str, bytes]:
        """What a computation must still know after a restart: bytes by name. It never leaves."""
        ...

    @property
    def entropy(self) -> Entropy:
        """The system's generator, for batches that must stay secret."""
        ...

    def rng(self, purpose: str) -> np.random.Generator:
        """Return a repeatable generator for work that protects nobody."""
        ...

    def part(self, split: SplitName) -> Part:
        """Return the persons of a split."""
        ...

    def local_model(self) -> NDArray[np.float64]:
        """Return the coefficients of this hospital's own model; they never leave."""
        ...
