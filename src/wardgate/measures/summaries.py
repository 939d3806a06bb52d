"""Means, spreads and second moments from sums over persons; features are mapped to [-1, 1] before they are summed."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.encoding import Column
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.feature import Feature

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Where a column can lie in the scaled design: [-1, 1] for numbers, [0, 1] for indicators and booleans."""

    low: Vector
    high: Vector

    def reach(self, centre: Vector) -> Vector:
        """Return how far a value can be from `centre`, shape (p,).

        Raises:
            Invalid: the centre has another shape, is not finite, or lies outside the span.
        """
        if centre.shape != self.low.shape:
            raise Invalid(f"expected a centre for {len(self.low)} columns, found shape {centre.shape}")
        if not np.all((centre >= self.low) & (centre <= self.high)):
            raise Invalid("a centre must lie within the scaled range of its column")
        return np.maximum(self.high - centre, centre - self.low)


def span_of_features(features: Sequence[Feature]) -> Span:
    """Return the span of features as `measures.encoding.scaled` gives them."""
    low = np.array([0.0 if feature.type == "boolean" else -1.0 for feature in features])
    return Span(low=low, high=np.ones(len(low)))


def span_of_columns(columns: Sequence[Column], features: Sequence[Feature]) -> Span:
    """Return the span of columns of the design."""
    numbers = {feature.name for feature in features if feature.type in ("number", "integer")}
    low = np.array([-1.0 if c.feature in numbers and not c.missing and c.category is None else 0.0 for c in columns])
    return Span(low=low, high=np.ones(len(low)))


def available_sums(values: Vector, centre: Vector, reach: Vector) -> Vector:
    """Return persons, and for each column: values present, sum of u, sum of u squared, u = (value - centre) / reach.

    Args:
        values: Scaled columns, shape (n, f); NaN where missing.
        centre, reach: Shape (f,); u lies in [-1, 1].

    Returns:
        Shape (1 + 3 f,). One person adds at most 1 to an entry and sqrt(1 + 3 f) to the whole.
    """
    present = np.isfinite(values)
    u = np.where(present, (values - centre) / reach, 0.0)
    return np.concatenate([[float(len(values))], present.sum(axis=0), u.sum(axis=0), (u**2).sum(axis=0)])


def joint_sums(x: Vector, centre: Vector, reach: Vector, *, order: int) -> Vector:
    """Return persons, the sum of u and, at order 2, the sum of u u', u = (x - centre) / |reach|.

    Args:
        x: Columns of the design, shape (n, p).
        centre, reach: Shape (p,); u has a norm of at most 1.

    Returns:
        Shape (1 + p) or (1 + p + p (p + 1) / 2,). The upper triangle's off-diagonal entries carry sqrt(2), so that it
        has a norm of |u| squared: one person adds at most sqrt(1 + order) to the whole.
    """
    u = (x - centre) / np.linalg.norm(reach)
    parts = [np.array([float(len(x))]), u.sum(axis=0)]
    if order == 2:
        parts.append((u.T @ u)[np.triu_indices(x.shape[1])] * _weights(x.shape[1]))
    return np.concatenate(parts)


def joint_bound(reach: Vector, *, order: int) -> Vector:
    """Return the largest size of one person's part of each entry of `joint_sums`."""
    unit = reach / np.linalg.norm(reach)
    parts = [np.ones(1), unit]
    if order == 2:
        parts.append(np.outer(unit, unit)[np.triu_indices(len(unit))] * _weights(len(unit)))
    return np.concatenate(parts)


def _weights(columns: int) -> Vector:
    rows, cells = np.triu_indices(columns)
    return np.where(rows == cells, 1.0, np.sqrt(2.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One feature over the persons who have it, in the study's unit.

    Attributes:
        feature: Its name.
        unit: Its unit; empty for a boolean, whose mean is the share of yes.
        present, missing: Persons with and without a value; noisy where the sum was.
        mean, deviation, variance: Unbiased (n - 1); variance and deviation are NaN below two persons.
        error: Standard error of the mean; in a noisy sum without the noise's own part, which is in `mean_noise`.
        mean_noise: Standard deviation that the sum's noise gives the mean.
    """

    feature: str
    unit: str
    present: float
    missing: float
    mean: float
    variance: float
    deviation: float
    error: float
    mean_noise: float


def summaries_of(
    total: Vector, features: Sequence[Feature], centre: Vector, reach: Vector, *, noise: float, minimum: int
) -> tuple[Summary, ...]:
    """Return the summary of each feature from the total of `available_sums`.

    Args:
        noise: Standard deviation of the noise in each entry; 0 for an exact sum.
        minimum: Fewest persons behind a shown figure; over fewer it is NaN, and in an exact sum the number of
            missing values below it is NaN as well.

    Raises:
        NotEvaluable: fewer than `minimum` persons in all.
    """
    persons = float(total[0])
    if not persons >= minimum:
        raise NotEvaluable(f"fewer than {minimum} persons in the sum; nothing can be said of them")
    present, first, second = total[1:].reshape(3, len(features))
    found = []
    for place, feature in enumerate(features):
        n, unit = float(present[place]), _unit(feature)
        missing = max(persons - n, 0.0) if feature.missing == "allowed" else 0.0
        hidden = noise == 0 and 0 < missing < minimum
        if n < minimum:
            found.append(_unknown(feature, present=float("nan"), missing=float("nan")))
            continue
        u = float(first[place]) / n
        spread = max(float(second[place]) - n * u**2, 0.0) / max(n - 1, 1.0) * (reach[place] * unit) ** 2
        middle = centre[place] + np.clip(u, -1.0, 1.0) * reach[place]
        found.append(
            Summary(
                feature=feature.name,
                unit=feature.unit or "",
                present=float("nan") if hidden else n,
                missing=float("nan") if hidden else missing,
                mean=unscaled(feature, float(middle)),
                variance=float(spread),
                deviation=float(np.sqrt(spread)),
                error=float(np.sqrt(spread / n)),
                mean_noise=float(noise * np.sqrt(1 + u**2) / n * reach[place] * unit),
            )
        )
    return tuple(found)


def _unknown(feature: Feature, *, present: float, missing: float) -> Summary:
    nan = float("nan")
    return Summary(
        feature=feature.name,
        unit=feature.unit or "",
        present=present,
        missing=missing,
        mean=nan,
        variance=nan,
        deviation=nan,
        error=nan,
        mean_noise=nan,
    )


def _unit(feature: Feature) -> float:
    """Return how much of the feature's unit one step of its scaled form is."""
    if feature.type == "boolean" or feature.range is None:
        return 1.0
    return (feature.range[1] - feature.range[0]) / 2


def constant(summary: Summary, feature: Feature) -> bool:
    """Return whether what was summed cannot be told from a constant."""
    return not summary.variance > CONSTANT * _unit(feature) ** 2


def unscaled(feature: Feature, value: float) -> float:
    """Return a scaled value in the feature's own unit."""
    if feature.type == "boolean" or feature.range is None:
        return value
    return feature.range[0] + (value + 1) * _unit(feature)


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """First and second moments of columns.

    Attributes:
        columns: Their names, p of them.
        persons: How many; noisy where the sum was.
        mean: Shape (p,), of the scaled design.
        covariance: Unbiased, shape (p, p), positive semidefinite.
        noise: Standard deviation of the noise in an off-diagonal entry of the covariance; 0 for an exact sum.
    """

    columns: tuple[str, ...]
    persons: float
    mean: Vector
    covariance: Vector
    noise: float = 0.0

    @property
    def deviation(self) -> Vector:
        """Standard deviations, shape (p,)."""
        return np.sqrt(np.diag(self.covariance))

    def correlation(self) -> Vector:
        """Return the correlations, shape (p, p).

        Raises:
            Invalid: a column is constant.
        """
        spread = varying(self)
        found = np.clip(self.covariance / np.outer(spread, spread), -1.0, 1.0)
        np.fill_diagonal(found, 1.0)
        return np.asarray(found)


CONSTANT = 1e-14
"""A variance up to this, in the scaled design, is that of a constant column: the rounding of a secure sum over
hundreds of sites reaches 1e-16."""


def varying(second: Second) -> Vector:
    """Return the standard deviations.

    Raises:
        Invalid: a column is constant.
    """
    flat = [name for name, part in zip(second.columns, np.diag(second.covariance), strict=True) if not part > CONSTANT]
    if flat:
        raise Invalid(f"column '{flat[0]}' is constant and cannot be standardised ({len(flat)} such); leave it out")
    return second.deviation


def second_of(
    total: Vector, columns: Sequence[str], centre: Vector, reach: Vector, *, noise: float, minimum: int
) -> Second:
    """Return moments from the total of `joint_sums` at order 2.

    Noisy moments are projected to the nearest positive semidefinite matrix (Frobenius norm).

    Raises:
        NotEvaluable: fewer than `minimum` persons, or than two.
    """
    p, persons = len(columns), float(total[0])
    if not persons >= max(minimum, 2):
        raise NotEvaluable(f"fewer than {max(minimum, 2)} persons in the sum; nothing can be said of them")
    scale = float(np.linalg.norm(reach))
    mean = total[1 : 1 + p] / persons
    square = np.zeros((p, p))
    square[np.triu_indices(p)] = total[1 + p :] / _weights(p)
    square = square + np.triu(square, 1).T
    covariance = (square - persons * np.outer(mean, mean)) / (persons - 1) * scale**2
    if noise > 0:
        covariance = nearest_semidefinite(covariance)
    return Second(
        columns=tuple(columns),
        persons=persons,
        mean=centre + mean * scale,
        covariance=covariance,
        noise=noise / np.sqrt(2.0) / persons * scale**2,
    )


def first_of(total: Vector, centre: Vector, reach: Vector, span: Span, *, minimum: int) -> tuple[float, Vector]:
    """Return persons and means from the total of `joint_sums` at order 1, held within the span.

    Raises:
        NotEvaluable: fewer than `minimum` persons.
    """
    persons = float(total[0])
    if not persons >= max(minimum, 1):
        raise NotEvaluable(f"fewer than {max(minimum, 1)} persons in the sum; nothing can be said of them")
    mean = centre + total[1 : 1 + len(centre)] / persons * float(np.linalg.norm(reach))
    return persons, np.clip(mean, span.low, span.high)


def nearest_semidefinite(matrix: Vector) -> Vector:
    """Return the nearest symmetric matrix without negative eigenvalues (Frobenius norm).

    Reference: Higham 1988, doi:10.1016/0024-3795(88)90223-6.
    """
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    found = (vectors * np.maximum(values, 0.0)) @ vectors.T
    return np.asarray((found + found.T) / 2)
