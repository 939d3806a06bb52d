"""First and second moments of columns of the design: means, covariance, correlation, principal components."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.measures.encoding import Column, design_columns
from wardgate.measures.summaries import Span, joint_bound, span_of_columns
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

Rows = Literal["all", "complete"]

MOST_COLUMNS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Moments:
    """Persons, sum of the centred columns and, at order 2, the sum of their products.

    Attributes:
        columns: Names of columns of the design, the intercept not among them.
        centre: Taken away before summing, shape (columns,).
        order: 1 or 2.
        rows: `all` persons, a missing number counting as the middle of its range, as in every fit;
            or only persons who are `complete` in the features behind the columns.
    """

    name: ClassVar[str] = "moments"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train", "tuning", "holdout")

    columns: tuple[str, ...]
    centre: Vector
    order: int = 2
    rows: Rows = "all"

    def parameters(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "order": self.order, "rows": self.rows}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return (("centre", self.centre),)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        names, order, rows = (parameters.get(part) for part in ("columns", "order", "rows"))
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise Invalid("moments need a list 'columns' of names")
        if type(order) is not int or order not in (1, 2) or rows not in get_args(Rows) or "centre" not in arrays:
            raise Invalid("moments need 'order' (1 or 2), 'rows' (all or complete) and a vector 'centre'")
        return cls(
            columns=tuple(names), centre=arrays["centre"], order=order, rows="all" if rows == "all" else "complete"
        )

    def places(self, study: Study) -> tuple[int, ...]:
        """Return where the columns stand in the design.

        Raises:
            Invalid: none, too many, one twice, or an unknown one.
        """
        known = {column.name: place for place, column in enumerate(design_columns(study.features)) if place}
        if not 1 <= len(self.columns) <= MOST_COLUMNS or len(set(self.columns)) != len(self.columns):
            raise Invalid(f"expected 1 to {MOST_COLUMNS} different columns, found {len(self.columns)}")
        for name in self.columns:
            if name not in known:
                raise Invalid(f"'{name[:80]}' is no column of the study's design")
        return tuple(known[name] for name in self.columns)

    def behind(self, study: Study) -> tuple[str, ...]:
        """Return the features behind the columns."""
        return tuple(dict.fromkeys(column.feature for column in self._columns(study)))

    def _columns(self, study: Study) -> tuple[Column, ...]:
        every = design_columns(study.features)
        return tuple(every[place] for place in self.places(study))

    def span(self, study: Study) -> Span:
        """Return where the columns can lie."""
        return span_of_columns(self._columns(study), study.features)

    def reach(self, study: Study) -> Vector:
        """Return how far the columns can be from the centre, shape (columns,)."""
        return self.span(study).reach(self.centre)

    def shape(self, study: Study) -> Shape:
        """With columns divided by the length of their reach, a person adds at most sqrt(1 + order) to the whole."""
        return Shape(bound=joint_bound(self.reach(study), order=self.order), l2=float(np.sqrt(1.0 + self.order)))
