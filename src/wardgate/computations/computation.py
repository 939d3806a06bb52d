"""What every federated computation says of itself before it sees a person."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

Vector = NDArray[np.float64]


class Computation(Protocol):
    """Public parameters of one asked sum.

    Nothing in it depends on data, so hub, ward and auditor work out the same shape from the same signed question.

    Attributes:
        name: The word in the signed question.
        version: Of what is computed; a hospital's standing approval of one version does not cover the next.
        splits: Whose persons it may touch; a ward refuses every other split.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    splits: ClassVar[tuple[SplitName, ...]]

    def parameters(self) -> dict[str, Any]:
        """Return the parameters as JSON, numbers that are no integers as text."""
        ...

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        """Return the named vectors that travel beside the question, finite."""
        ...

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        """Return what `parameters` and `arrays` were made of.

        Raises:
            Invalid: they describe no such computation.
        """
        ...

    def shape(self, study: Study) -> Shape:
        """Return how many numbers the answer has, and what one person can add to each.

        Raises:
            Invalid: the parameters do not fit the study.
        """
        ...
