"""The public shape of a summed computation: entries, and what one person can add at most.

Hub and ward work out the same shape from the same public parameters; nothing here depends on data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What a vector may hold.

    Attributes:
        bound: Largest absolute contribution of one person to each entry, shape (d,).
        l2: Largest L2 norm of one person's contribution.
    """

    bound: Vector
    l2: float

    @property
    def entries(self) -> int:
        """Length of the vector."""
        return len(self.bound)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """One site's addend of a secure sum, before noise and masks.

    Attributes:
        vector: Shape (d,).
        shape: The public bound per person.
        persons: Persons behind it.
        probability: With which every person, independently of all others and in secret, fell into it; below 1 a sum
            with noise costs less.
        said: Words about this site's work that go beside the sum in the open, out of a fixed list. Never with noise.
    """

    vector: Vector
    shape: Shape
    persons: int
    probability: float = 1.0
    said: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def checked(self) -> "Bounded":
        """Return itself if no entry exceeds persons x bound.

        Raises:
            Invalid: an entry is not finite or out of bound; the answer would break the promise of the sum.
        """
        limit = self.persons * self.shape.bound * (1 + 1e-9) + 1e-9
        if self.vector.shape != self.shape.bound.shape:
            raise Invalid(f"expected {self.shape.entries} entries, found {self.vector.shape}")
        if not np.all(np.isfinite(self.vector)) or np.any(np.abs(self.vector) > limit):
            raise Invalid("an answer leaves its stated bound per person")
        return self


def counts_shape(*, entries: int, l2: float) -> Shape:
    """Shape of a vector of counts, each person adding 0 or 1 to an entry."""
    return Shape(bound=np.ones(entries), l2=l2)
