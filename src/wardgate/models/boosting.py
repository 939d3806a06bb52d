"""A fitted ensemble of trees: splits and leaves in, predictions out."""

import json
from typing import Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from wardgate.measures.histograms import Bins
from wardgate.measures.logistic import probability
from wardgate.measures.trees import Splits, Trees
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.record import Number, Record

Matrix = NDArray[np.float64]


class Tree(Record):
    """One tree, laid out as `measures.trees` describes.

    Attributes:
        place: Of each split twice the feature's position, plus one where missing values go left; -1 for no split.
        cut: Of each split the last bin, or the bins as bits, that go left.
        value: Leaf values on the logit scale, from left to right.
    """

    place: tuple[int, ...]
    cut: tuple[int, ...]
    value: tuple[Number, ...]


class BoostingModel(Record):
    """A fitted classifier.

    Attributes:
        features: Definitions of the features that are used, as the study has them.
        edges: Inner edges of the bins of each feature, in the study's units; none for a category.
        base: The score before the first tree.
        trees: Summed onto it.
        noise: In words, what noise the leaves carry; empty for an exact fit.
    """

    schema_: Literal["wardgate/model/boosting/1"] = Field(default="wardgate/model/boosting/1", alias="schema")
    features: tuple[Feature, ...]
    edges: tuple[tuple[Number, ...], ...]
    base: Number
    depth: int
    trees: tuple[Tree, ...]
    noise: str = ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        try:
            self.ensemble.splits.checked(self.bins)
        except (Invalid, ValueError, OverflowError) as error:
            raise ValueError(str(error)) from None
        return self

    @classmethod
    def of(cls, bins: Bins, trees: Trees, *, noise: str = "") -> Self:
        """Return the model that a driver fitted."""
        return cls.from_plain(
            {
                "schema": "wardgate/model/boosting/1",
                "features": bins.features,
                "edges": tuple(tuple(map(float, edges)) for edges in bins.edges),
                "base": trees.base,
                "depth": trees.splits.depth,
                "trees": tuple(
                    {"place": place.tolist(), "cut": cut.tolist(), "value": value.tolist()}
                    for place, cut, value in zip(trees.splits.place, trees.splits.cut, trees.value, strict=True)
                ),
                "noise": noise,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote.

        Raises:
            Invalid: not JSON, another schema, or trees that do not fit their bins.
        """
        try:
            value = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Invalid("a model must be JSON; the file is cut off or is something else") from error
        return cls.from_plain(value)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Features that a table needs."""
        return tuple(feature.name for feature in self.features)

    @property
    def bins(self) -> Bins:
        """The bins of the features."""
        return Bins(features=self.features, edges=tuple(np.array(edges, dtype=np.float64) for edges in self.edges))

    @property
    def ensemble(self) -> Trees:
        """The trees as arrays."""
        splits, leaves = 2**self.depth - 1 if 0 <= self.depth <= 64 else -1, 2 ** max(0, min(self.depth, 64))
        if any(len(t.place) != splits or len(t.cut) != splits or len(t.value) != leaves for t in self.trees):
            raise Invalid(f"expected {splits} splits and {leaves} leaves in every tree of depth {self.depth}")
        place, cut = (
            np.array(rows, dtype=np.int64).reshape(len(self.trees), splits)
            for rows in ([tree.place for tree in self.trees], [tree.cut for tree in self.trees])
        )
        value = np.array([tree.value for tree in self.trees], dtype=np.float64).reshape(len(self.trees), leaves)
        return Trees(base=self.base, splits=Splits(place=place, cut=cut), value=value)

    def decision_function(self, table: pl.DataFrame) -> Matrix:
        """Return the score of each row on the logit scale, shape (n,).

        Args:
            table: Study features as `measures/encoding.py` describes.

        Raises:
            Invalid: a column is missing, unreadable, or holds what the study does not name.
        """
        bins = self.bins
        return self.ensemble.scores(bins.codes(table), bins)

    def predict_proba(self, table: pl.DataFrame) -> Matrix:
        """Return the chance of either class of each row, shape (n, 2)."""
        chance = probability(self.decision_function(table))
        return np.column_stack([1.0 - chance, chance])

    def predict(self, table: pl.DataFrame) -> NDArray[np.int64]:
        """Return the likelier class of each row, shape (n,)."""
        return np.asarray(self.decision_function(table) > 0, dtype=np.int64)
