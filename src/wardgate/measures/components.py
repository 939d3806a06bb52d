"""Principal components of summed second moments."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.summaries import Second, varying
from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Principal components, the strongest first.

    Attributes:
        columns: Names of the p columns.
        mean: Shape (p,).
        scale: What each centred column is divided by, shape (p,); ones unless standardised.
        loadings: One component a row, shape (k, p), of length 1; the entry of largest size is positive (the first of
            them where two are within 1e-9 of each other), so that signs are the same everywhere.
        variance: Shape (k,).
        share: Of the whole variance, shape (k,).
        persons: Behind the moments.
    """

    columns: tuple[str, ...]
    mean: Vector
    scale: Vector
    loadings: Vector
    variance: Vector
    share: Vector
    persons: float

    def transform(self, x: Vector) -> Vector:
        """Return the scores of persons, shape (n, k).

        Args:
            x: The columns of the design in this order, shape (n, p).

        Raises:
            Invalid: another number of columns.
        """
        if x.ndim != 2 or x.shape[1] != len(self.columns):
            raise Invalid(f"expected {len(self.columns)} columns, found shape {x.shape}")
        return np.asarray((x - self.mean) / self.scale @ self.loadings.T)


def components_of(second: Second, *, count: int | None = None, standardise: bool = False) -> Components:
    """Return the leading components.

    Components whose variances are equal are one space; within it the axes are arbitrary.

    Args:
        count: How many; all by default.
        standardise: Take the correlation in place of the covariance.

    Raises:
        Invalid: a count that is not 1 to p, nothing varies, or a constant column where standardised.
    """
    p = len(second.columns)
    count = p if count is None else count
    if not 1 <= count <= p:
        raise Invalid(f"expected 1 to {p} components, found {count}")
    scale = varying(second) if standardise else np.ones(p)
    values, vectors = np.linalg.eigh(second.correlation() if standardise else second.covariance)
    values = np.maximum(values[::-1], 0.0)
    if not values.sum() > 0:
        raise Invalid("no column varies; there are no components")
    return Components(
        columns=second.columns,
        mean=second.mean,
        scale=scale,
        loadings=signed(vectors[:, ::-1].T[:count]),
        variance=values[:count],
        share=values[:count] / values.sum(),
        persons=second.persons,
    )


def signed(loadings: Vector) -> Vector:
    """Turn each row so that its entry of largest size is positive."""
    size = np.abs(loadings)
    first = np.argmax(size >= size.max(axis=1, keepdims=True) - 1e-9, axis=1)
    return np.asarray(loadings * np.sign(loadings[np.arange(len(loadings)), first])[:, None])
