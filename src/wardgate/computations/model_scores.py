"""Any fitted model's scores in bins by outcome: enough to judge it without a single person's score."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.carried import carried, unloaded
from wardgate.computations.computation import Vector
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.opening import digest_of, list_of
from wardgate.records.parcel import pack_vector
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

MOST_BINS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelScores:
    """Events, non-events and sum of predictions in each bin of the score, and the sum of squared errors.

    Attributes:
        model: The fitted model, as its `to_bytes` gives it.
        edges: Probabilities that part the bins, rising, inside (0, 1); a score on an edge is above it.
        called: The model's name in the fixed list for which the locked test is opened.
        listed: That list; the model alone by default.
    """

    name: ClassVar[str] = "model_scores"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("tuning", "holdout", "locked_test")

    model: bytes
    edges: Vector
    called: str = "model"
    listed: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def parameters(self) -> dict[str, Any]:
        listed = dict(self.listed) or listing({self.called: self.model})
        return {"models": [self.called], "listed": listed, "models_sha256": digest_of(listed)}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return ((self.called, carried(self.model)), ("edges", self.edges))

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        names, listed = parameters.get("models"), parameters.get("listed")
        if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str) or names[0] == "edges":
            raise Invalid("model scores need 'models', the name of one model")
        if not isinstance(listed, Mapping) or "edges" not in arrays or names[0] not in arrays:
            raise Invalid("model scores need 'listed', and beside the question a model and 'edges'")
        return cls(model=unloaded(arrays[names[0]]), edges=arrays["edges"], called=names[0], listed=dict(listed))

    @property
    def bins(self) -> int:
        """How many bins."""
        return len(self.edges) + 1

    def shape(self, study: Study) -> Shape:
        """A person adds 1 to one count, their score to one sum, and at most 1 to the squared errors: sqrt(3).

        Raises:
            Invalid: edges that do not rise, lie outside (0, 1), or are too many.
        """
        del study
        check_edges(self.edges)
        return Shape(bound=np.ones(3 * self.bins + 1), l2=float(np.sqrt(3.0)))


def check_edges(edges: Vector) -> None:
    """Check the edges of score bins.

    Raises:
        Invalid: none, too many, not rising, or outside (0, 1).
    """
    if edges.ndim != 1 or not 1 <= len(edges) < MOST_BINS:
        raise Invalid(f"expected 1 to {MOST_BINS - 1} edges of score bins, found shape {edges.shape}")
    if not bool(np.all((edges > 0) & (edges < 1))) or not bool(np.all(np.diff(edges) > 0)):
        raise Invalid("edges of score bins must rise and lie between 0 and 1")


def listing(models: Mapping[str, bytes]) -> dict[str, str]:
    """Return the fixed list that names these models, for one opening of the locked test."""
    return list_of({name: pack_vector(name, carried(data))[1] for name, data in models.items()})
