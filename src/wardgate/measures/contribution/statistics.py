"""What is known of persons for shares: sums of their rows by class, and of products of rows.

From the training persons' sums any coalition's model follows, and from the holdout persons' sums what any model is
worth. No row is needed, and every sum is additive over persons.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Array = NDArray[np.float64]

FEWEST_OF_A_CLASS = 11
"""Holdout persons with and without the outcome that a group needs before it may be the worst site."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What K players bring to training.

    Attributes:
        products: Sum of x x' over a player's persons, shape (K, p, p); column 0 of the design is the intercept.
        events: Sum of x over its persons with the outcome, shape (K, p).
        noise: Standard deviation of the noise in each entry of a player's sums by class.
    """

    products: Array
    events: Array
    noise: float = 0.0

    def __post_init__(self) -> None:
        players, columns = self.events.shape
        if self.products.shape != (players, columns, columns):
            raise Invalid(f"expected products of shape {(players, columns, columns)}, found {self.products.shape}")

    @property
    def players(self) -> int:
        """K."""
        return len(self.events)

    @property
    def persons(self) -> Array:
        """Training persons of each player, shape (K,); weights where persons are weighted."""
        return np.asarray(self.products[:, 0, 0])

    @property
    def prevalence(self) -> float:
        """Share of all training persons with the outcome, kept within (0, 1)."""
        persons = float(self.persons.sum())
        return float(np.clip(self.events[:, 0].sum() / max(persons, 1.0), 1e-3, 1.0 - 1e-3))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """Holdout persons by class, 0 without and 1 with the outcome.

    Attributes:
        persons: Shape (2,).
        means: Of the design, shape (2, p).
        covariances: Shape (2, p, p).
        group_persons: The same by group of sites, shape (B, 2).
        group_means: Shape (B, 2, p).
        noise: Standard deviation of the noise in each entry of a group's sums by class.
    """

    persons: Array
    means: Array
    covariances: Array
    group_persons: Array
    group_means: Array
    noise: float = 0.0

    @property
    def prevalence(self) -> float:
        """Share of persons with the outcome."""
        return float(self.persons[1] / self.persons.sum())

    @property
    def judged(self) -> NDArray[np.bool_]:
        """Groups with enough persons of both classes to be the worst site, shape (B,)."""
        return np.asarray(self.group_persons.min(axis=1) >= FEWEST_OF_A_CLASS)


def shared_products(sums: Array, products: Array) -> Array:
    """Return products of each player where only those of all players together are known.

    Within its classes every player is given the covariance that all have in common; its own class means stay its own.

    Args:
        sums: Sum of x by player and class, shape (K, 2, p).
        products: Sum of x x' over all players, shape (p, p).

    Returns:
        Shape (K, p, p); they add up to `products`, where these are true sums.
    """
    persons = np.maximum(sums[:, :, 0], 1e-9)
    between = np.einsum("kcp,kcq->kpq", sums / persons[:, :, None], sums)
    within = positive(products - between.sum(axis=0))
    share = sums[:, :, 0].sum(axis=1) / max(float(sums[:, :, 0].sum()), 1e-9)
    return np.asarray(between + share[:, None, None] * within)


def holdout_of(sums: Array, products: Array, *, noise: float = 0.0) -> Tested:
    """Return holdout persons as utilities need them.

    Args:
        sums: Sum of x by group and class, shape (B, 2, p).
        products: Sum of x x' by class, shape (2, p, p), or over both, shape (1, p, p): the classes then share one
            covariance.
        noise: Standard deviation of the noise in each entry of `sums`.

    Raises:
        Invalid: fewer than two persons of a class.
    """
    total = sums.sum(axis=0)
    persons = total[:, 0]
    if not persons.min() >= 2:
        raise Invalid("the holdouts hold fewer than two persons of a class; nothing can be judged there")
    means = total / persons[:, None]
    squares = persons[:, None, None] * means[:, :, None] * means[:, None, :]
    if len(products) == 1:
        covariance = (products[0] - squares.sum(axis=0)) / (persons.sum() - 2.0)
        covariances = np.stack([covariance, covariance])
    else:
        covariances = (products - squares) / (persons - 1.0)[:, None, None]
    group = np.maximum(sums[:, :, 0], 1e-9)
    return Tested(
        persons=persons,
        means=means,
        covariances=np.stack([positive(one) for one in covariances]),
        group_persons=sums[:, :, 0],
        group_means=sums / group[:, :, None],
        noise=noise,
    )


def positive(matrix: Array) -> Array:
    """Return the nearest matrix without negative eigenvalues; noise in sums may bring some."""
    values, vectors = np.linalg.eigh(0.5 * (matrix + matrix.T))
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def redrawn_taught(taught: Taught, rng: np.random.Generator) -> Taught:
    """Return the same persons with outcomes as chance might have given them, by their sums alone.

    A player's sum over events varies with covariance v sum(x x'), v being the variance of the outcome.
    """
    variance = taught.prevalence * (1.0 - taught.prevalence)
    drawn = [_normal(rng, variance * positive(one)) if one[0, 0] > 0 else np.zeros(len(one)) for one in taught.products]
    events, products = taught.events + np.stack(drawn), taught.products
    if taught.noise > 0:
        without, with_outcome = rng.normal(0.0, taught.noise, (2, *taught.events.shape))
        events, products = events + with_outcome, products.copy()
        products[:, 0, :] += without + with_outcome
        products[:, 1:, 0] = products[:, 0, 1:]
        products[:, 0, 0] = np.maximum(products[:, 0, 0], events[:, 0])
        products = np.stack([positive(one) for one in products])
    return replace(taught, events=events, products=products)


def redrawn_tested(test: Tested, rng: np.random.Generator) -> Tested:
    """Return other holdout persons of the same kind: normal class means, Wishart covariances, binomial prevalence."""
    total = float(test.persons.sum())
    events = float(np.clip(rng.binomial(round(total), test.prevalence), 2, total - 2))
    covariances = []
    for persons, covariance in zip(test.persons, test.covariances, strict=True):
        covariances.append(_wishart(rng, covariance, degrees=max(round(float(persons)) - 1, 1)))
    moved = np.zeros_like(test.group_means)
    for group, sizes in enumerate(test.group_persons):
        for side in (0, 1):
            if sizes[side] > 0:
                noise = (test.noise / sizes[side]) ** 2 * np.eye(test.means.shape[1])
                moved[group, side] = _normal(rng, test.covariances[side] / sizes[side] + noise)
    weights = np.maximum(test.group_persons, 0.0) / np.maximum(test.group_persons.sum(axis=0), 1e-9)
    return replace(
        test,
        persons=np.array([total - events, events]),
        means=test.means + np.einsum("bc,bcp->cp", weights, moved),
        covariances=np.stack(covariances),
        group_means=test.group_means + moved,
    )


def _wishart(rng: np.random.Generator, covariance: Array, *, degrees: int) -> Array:
    """Return a covariance of so many persons, by Bartlett's triangle; a whole one where persons are few."""
    columns = len(covariance)
    triangle = np.tril(rng.standard_normal((columns, columns)), -1)
    left = np.maximum(degrees - np.arange(columns), 1)
    triangle[np.diag_indices(columns)] = np.sqrt(rng.chisquare(left))
    half = _root(covariance) @ triangle
    return np.asarray(half @ half.T / degrees)


def _root(covariance: Array) -> Array:
    values, vectors = np.linalg.eigh(covariance)
    # The symmetric root: it is one and the same on every machine, whatever the signs of eigenvectors.
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _normal(rng: np.random.Generator, covariance: Array) -> Array:
    return np.asarray(_root(covariance) @ rng.standard_normal(len(covariance)))
