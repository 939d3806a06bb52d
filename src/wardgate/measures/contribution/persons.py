"""Shares by persons: every person is a player, and a hospital's share is the sum of its persons' shares.

A hospital that answers under two names then has, together, exactly the share that it has under one, however it
divides its persons. With many persons a Shapley value is an integral over how many have already come (the diagonal of
Aumann and Shapley): each player's share is the integral over t of the gain per further person of it, when a share t of
all persons is there by chance. Models of those chance choices scatter, which costs worth; so the first persons count
for much.

References: Aumann, Shapley (1974), Values of Non-Atomic Games; Owen (1972), Multilinear extensions of games,
    doi:10.1287/mnsc.18.5.64; Ghorbani, Zou (2019), Data Shapley, arXiv:1904.02868.
"""

import numpy as np
from numpy.typing import NDArray

from wardgate.measures.contribution.models import coalition_models, sampling_spread
from wardgate.measures.contribution.statistics import Taught
from wardgate.measures.contribution.utilities import Worth

Array = NDArray[np.float64]

NODES = 24
STEP = 1e-4


def shares_by_persons(taught: Taught, worth: Worth, *, ridge: float, nodes: int = NODES) -> Array:
    """Return the share of each player, shape (K, U).

    They add up to the worth of everybody's model less that of nobody's, up to the integral's error; a player without
    persons has 0, and shares of two halves of a player add up to its share.
    """
    players = taught.players
    points, weights = np.polynomial.legendre.leggauss(nodes)
    # Nodes even in the logarithm of persons, and closer near nobody, where worth rises with the root of persons.
    u, far = 0.5 * (points + 1.0), float(np.log1p(max(float(taught.persons.sum()), 1.0)))
    there = np.expm1(far * u**2) / np.expm1(far)
    width = weights * far * u * np.exp(far * u**2) / np.expm1(far)
    move = np.concatenate([np.eye(players), -np.eye(players)])
    chosen = (there[:, None, None] * (1.0 + STEP * move)).reshape(-1, players)
    products = _sums(chosen, taught.products)
    models = coalition_models(products, chosen @ taught.events, prevalence=taught.prevalence, ridge=ridge)
    varied = _sums(chosen * (1.0 - chosen), taught.products)
    spread = sampling_spread(products, varied, prevalence=taught.prevalence, ridge=ridge)
    found = worth(models, spread).reshape(nodes, 2, players, -1)
    slope = (found[:, 0] - found[:, 1]) / (2.0 * STEP * there)[:, None, None]
    return np.asarray(np.einsum("n,nku->ku", width, slope))


def _sums(weights: Array, products: Array) -> Array:
    """Return weighted sums of matrices, shape (C, p, p)."""
    columns = products.shape[1]
    return np.asarray((weights @ products.reshape(len(products), -1)).reshape(-1, columns, columns))
