"""What a regression uses of a study: its predictors, their columns, and what bounds a person's row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.encoding import design_columns, design_matrix, scaled
from wardgate.measures.splines import DEGREE, MAX_SEGMENTS, basis, roughness
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One predictor.

    Attributes:
        feature: Name of a study feature.
        segments: 0 for the feature's own columns (a straight line for a number); else a smooth curve on so many parts.
    """

    feature: str
    segments: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """Columns of a regression, the intercept first. Everything here is public.

    Attributes:
        names: Of the columns.
        groups: For each column the number of its group. Within a group the absolute entries of a row add up to at
            most 1: indicators of one feature, the splines of one curve, a number beside its missing indicator.
        signed: Whether a column lies in [-1, 1] rather than [0, 1].
        picked: Where the column stands in the study's own design (measures/encoding.py), or -1 for a spline's.
        smooth: Segments of each spline, by the place of its first column.
    """

    features: tuple[Feature, ...]
    terms: tuple[Term, ...]
    names: tuple[str, ...]
    groups: tuple[int, ...]
    signed: tuple[bool, ...]
    picked: tuple[int, ...]
    smooth: Mapping[int, int]

    @property
    def columns(self) -> int:
        """How many columns, the intercept included."""
        return len(self.names)

    def matrix(self, table: pl.DataFrame) -> Matrix:
        """Encode a table: shape (n, columns), entries in [-1, 1], the first column 1."""
        wanted = [feature for feature in self.features if any(term.feature == feature.name for term in self.terms)]
        places = {column.name: place for place, column in enumerate(design_columns(wanted))}
        return self._joined(design_matrix(wanted, table), [places.get(name, -1) for name in self.names], table)

    def from_study(self, x: Matrix, table: pl.DataFrame) -> Matrix:
        """Do the same from the study's own design of the same rows, which a ward has already."""
        return self._joined(x, list(self.picked), table)

    def _joined(self, x: Matrix, places: Sequence[int], table: pl.DataFrame) -> Matrix:
        if not self.smooth:
            return x if list(places) == list(range(x.shape[1])) else x[:, list(places)]
        found = x[:, [max(place, 0) for place in places]]
        named = {feature.name: feature for feature in self.features}
        curves = [term for term in self.terms if term.segments]
        for term, (first, segments) in zip(curves, self.smooth.items(), strict=True):
            values = scaled(named[term.feature], table[term.feature])
            found[:, first : first + segments + DEGREE - 1] = basis(values, segments=segments)
        return found

    def reach(self, beta: Matrix) -> float:
        """Return the largest |eta| that any row can have at coefficients `beta`."""
        high = low = float(beta[0])
        for group in range(1, max(self.groups, default=0) + 1):
            inside = [place for place, number in enumerate(self.groups) if number == group]
            ends = [0.0, *beta[inside].tolist(), *(-beta[place] for place in inside if self.signed[place])]
            high, low = high + max(ends), low + min(ends)
        return float(max(abs(high), abs(low)))

    @property
    def norm(self) -> float:
        """Largest L2 norm of any row: 1 for the intercept and at most 1 for each group."""
        return float(np.sqrt(1.0 + max(self.groups, default=0)))

    @property
    def typical_norm(self) -> float:
        """L2 norm of a centred row, were every feature spread evenly over its range or categories."""
        squares = 1.0
        for inside in self._present():
            if any(self.signed[place] for place in inside):
                squares += 1.0 / 3.0
            else:
                squares += 0.25 if len(inside) == 1 else len(inside) / (len(inside) + 1.0)
        return float(np.sqrt(squares))

    def centring(self) -> Matrix:
        """Return the public map that puts yes/no columns at -1/2 and 1/2, shape (columns, columns): rows @ map.

        Rows are then shorter, so that clipping them takes less away and noise is smaller.
        """
        found = np.eye(self.columns)
        for inside in self._present():
            if len(inside) == 1 and not self.signed[inside[0]]:
                found[0, inside[0]] = -0.5
        return found

    def _present(self) -> list[list[int]]:
        """Columns of each group, without those that say a value is missing."""
        return [
            [place for place, number in enumerate(self.groups) if number == group and not self._says_missing(place)]
            for group in range(1, max(self.groups, default=0) + 1)
        ]

    def _says_missing(self, place: int) -> bool:
        return self.names[place].endswith("=missing")

    def penalty(self, ridge: float, smoothing: float) -> Matrix:
        """Return the penalty matrix: `ridge` on every column but the intercept, `smoothing` on bends of splines."""
        found = np.diag(np.where(np.arange(self.columns) == 0, 0.0, ridge))
        for first, segments in self.smooth.items():
            part = slice(first, first + segments + DEGREE - 1)
            found[part, part] += smoothing * roughness(segments)
        return found


def design_of(features: Sequence[Feature], terms: Sequence[Term]) -> Design:
    """Lay out the columns of `terms`.

    Raises:
        Invalid: no term, a feature named twice or unknown, or a smooth curve of something that is no number.
    """
    named = {feature.name: feature for feature in features}
    places = {column.name: place for place, column in enumerate(design_columns(features))}
    if not terms:
        raise Invalid("a regression needs at least one predictor")
    if len({term.feature for term in terms}) != len(terms):
        raise Invalid("a predictor is named twice; name every feature once")
    names, groups, signed, picked = ["intercept"], [0], [True], [0]
    smooth: dict[int, int] = {}
    for group, term in enumerate(terms, start=1):
        feature = named.get(term.feature)
        if feature is None:
            raise Invalid(f"'{term.feature}' is no feature of the study; predictors are named by the study's features")
        numeric = feature.type in ("number", "integer")
        if term.segments and not numeric:
            raise Invalid(f"'{term.feature}' is a {feature.type}; a smooth curve needs a number")
        if term.segments and not 2 <= term.segments <= MAX_SEGMENTS:
            raise Invalid(f"expected 2 to {MAX_SEGMENTS} segments for '{term.feature}', found {term.segments}")
        own = design_columns([feature])[1:]
        if term.segments:
            smooth[len(names)] = term.segments
            bent = term.segments + DEGREE - 1
            names += [f"{feature.name}~{number}" for number in range(1, bent + 1)]
            groups += [group] * bent
            signed += [False] * bent
            picked += [-1] * bent
            own = tuple(column for column in own if column.missing)
        for column in own:
            names.append(column.name)
            groups.append(group)
            signed.append(numeric and not column.missing)
            picked.append(places[column.name])
    return Design(
        features=tuple(features),
        terms=tuple(terms),
        names=tuple(names),
        groups=tuple(groups),
        signed=tuple(signed),
        picked=tuple(picked),
        smooth=smooth,
    )


def terms_to_plain(terms: Sequence[Term]) -> list[dict[str, Any]]:
    """Return the terms as JSON."""
    return [{"feature": term.feature, "segments": term.segments} for term in terms]


def terms_from_plain(value: object) -> tuple[Term, ...]:
    """Read what `terms_to_plain` wrote.

    Raises:
        Invalid: not a list of terms.
    """
    if not isinstance(value, list):
        raise Invalid("expected a list of terms")
    found = []
    for item in value:
        if not isinstance(item, dict) or set(item) != {"feature", "segments"}:
            raise Invalid("a term has 'feature' and 'segments' and nothing else")
        if not isinstance(item["feature"], str) or type(item["segments"]) is not int:
            raise Invalid("a term has a feature's name and a whole number of segments")
        found.append(Term(feature=item["feature"], segments=item["segments"]))
    return tuple(found)
