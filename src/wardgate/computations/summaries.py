"""Persons, values present, mean and variance of single features, each over the persons who have it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.measures.summaries import span_of_features
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

MOST_FEATURES = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Summaries:
    """Per class: persons, and of each feature the values present, their sum and their sum of squares.

    Attributes:
        features: Names of features that are numbers or booleans.
        centre: What is taken away before summing, in the scaled form, shape (features,). A centre near the mean keeps
            the variance exact where it is small beside the range.
        by_label: Sum persons without and with the outcome apart.
    """

    name: ClassVar[str] = "summaries"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train", "tuning", "holdout")

    features: tuple[str, ...]
    centre: Vector
    by_label: bool = False

    def parameters(self) -> dict[str, Any]:
        return {"features": list(self.features), "by_label": self.by_label}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return (("centre", self.centre),)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        names, by_label = parameters.get("features"), parameters.get("by_label")
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise Invalid("summaries need a list 'features' of names")
        if type(by_label) is not bool or "centre" not in arrays:
            raise Invalid("summaries need 'by_label' (true or false) and a vector 'centre' beside the question")
        return cls(features=tuple(names), centre=arrays["centre"], by_label=by_label)

    @property
    def classes(self) -> int:
        """How many groups of persons are summed apart."""
        return 2 if self.by_label else 1

    def chosen(self, study: Study) -> tuple[Feature, ...]:
        """Return the features.

        Raises:
            Invalid: none, too many, one twice, an unknown one, or a category.
        """
        return numeric_features(study, self.features)

    def shape(self, study: Study) -> Shape:
        """One person adds at most 1 to an entry and is in one class, so sqrt(1 + 3 features) to the whole."""
        features = self.chosen(study)
        span_of_features(features).reach(self.centre)
        return Shape(
            bound=np.ones(self.classes * (1 + 3 * len(features))), l2=float(np.sqrt(1.0 + 3.0 * len(features)))
        )


def numeric_features(study: Study, names: tuple[str, ...]) -> tuple[Feature, ...]:
    """Return the named numbers and booleans of a study.

    Raises:
        Invalid: none, too many, one twice, an unknown one, or a category.
    """
    known = {feature.name: feature for feature in study.features}
    if not 1 <= len(names) <= MOST_FEATURES or len(set(names)) != len(names):
        raise Invalid(f"expected 1 to {MOST_FEATURES} different features, found {len(names)}")
    for name in names:
        if name not in known:
            raise Invalid(f"'{name[:80]}' is not a feature of the study")
        if known[name].type == "category":
            raise Invalid(f"'{name}' is a category and has no mean; ask for its counts")
    return tuple(known[name] for name in names)
