"""Ridge logistic regression: equal to what others compute, additive over hospitals, bounded per person."""

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from wardgate.measures.logistic import (
    Statistics,
    fit,
    linear,
    newton_step,
    objective,
    penalty,
    probability,
    statistics,
)
from wardgate.records.errors import Invalid

SMALL = st.floats(-1, 1, allow_subnormal=False)


def persons(n: int = 600, p: int = 6, seed: int = 1) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rng = np.random.default_rng(seed)
    x = np.column_stack([np.ones(n), rng.uniform(-1, 1, (n, p - 2)), rng.random(n) < 0.2]).astype(float)
    beta = rng.normal(0, 1, p)
    y = (rng.random(n) < 1 / (1 + np.exp(-x @ beta))).astype(np.int8)
    return x, y


@pytest.mark.parametrize("seed", range(3))
def test_without_a_ridge_it_is_the_maximum_likelihood_of_statsmodels(seed: int) -> None:
    x, y = persons(seed=seed)
    expected = sm.GLM(y, x, family=sm.families.Binomial()).fit(tol=1e-14, maxiter=200).params
    assert np.max(np.abs(fit(x, y, ridge=0.0) - expected)) < 1e-8


@pytest.mark.parametrize("ridge", [0.1, 1.0, 10.0])
def test_with_a_ridge_it_is_the_optimum_of_scikit_learn(ridge: float) -> None:
    x, y = persons()
    other = LogisticRegression(C=1 / ridge, tol=1e-13, max_iter=10_000, solver="newton-cholesky").fit(x[:, 1:], y)
    expected = np.concatenate([other.intercept_, other.coef_[0]])
    assert np.max(np.abs(fit(x, y, ridge=ridge) - expected)) < 1e-8


def test_the_intercept_is_not_penalised() -> None:
    x, y = persons()
    y[: len(y) // 2] = 1
    beta = fit(x, y, ridge=1e7)
    assert np.max(np.abs(beta[1:])) < 1e-4
    assert probability(beta[:1])[0] == pytest.approx(y.mean(), abs=1e-4)
    assert penalty(3, 2.0).tolist() == [0.0, 2.0, 2.0]


def test_the_gradient_and_hessian_are_those_of_the_log_likelihood() -> None:
    x, y = persons(n=50)
    beta = np.linspace(-1, 1, x.shape[1])
    sums = statistics(x, y, beta)
    step = 1e-6
    for column in range(len(beta)):
        moved = np.zeros(len(beta))
        moved[column] = step
        up, down = statistics(x, y, beta + moved), statistics(x, y, beta - moved)
        assert (up.log_likelihood - down.log_likelihood) / (2 * step) == pytest.approx(sums.gradient[column], abs=1e-6)
        assert (down.gradient - up.gradient) / (2 * step) == pytest.approx(sums.hessian[column], abs=1e-6)


def test_sums_over_hospitals_are_the_sums_over_all() -> None:
    x, y = persons()
    beta = np.full(x.shape[1], 0.3)
    parts = [statistics(x[part::4], y[part::4], beta) for part in range(4)]
    whole = statistics(x, y, beta)
    assert sum(part.gradient for part in parts) == pytest.approx(whole.gradient, abs=1e-10)
    assert sum(part.hessian for part in parts) == pytest.approx(whole.hessian, abs=1e-10)
    assert sum(part.log_likelihood for part in parts) == pytest.approx(whole.log_likelihood, abs=1e-9)


@given(
    st.lists(st.tuples(SMALL, SMALL, SMALL), min_size=1, max_size=8),
    st.tuples(SMALL, SMALL, SMALL),
    st.integers(0, 1),
    st.lists(st.floats(-40, 40), min_size=4, max_size=4),
)
@example([(1, 1, 1)], (1, 1, 1), 1, [0.0, 0.0, 0.0, 0.0])
@example([(1, 1, 1)], (-1, -1, -1), 1, [-40.0, 40.0, 40.0, 40.0])
def test_one_person_more_moves_every_sum_by_no_more_than_stated(
    others: list[tuple[float, ...]], one: tuple[float, ...], label: int, beta: list[float]
) -> None:
    rows = np.array([(1.0, *row) for row in [*others, one]])
    y = np.array([0] * len(others) + [label], dtype=np.int8)
    at = np.array(beta)
    with_one, without = statistics(rows, y, at), statistics(rows[:-1], y[:-1], at)
    slack = 1e-12 * len(rows)
    assert np.max(np.abs(with_one.gradient - without.gradient)) <= 1 + slack
    assert np.max(np.abs(with_one.hessian - without.hessian)) <= 0.25 + slack
    l1 = float(np.sum(np.abs(at)))
    assert abs(with_one.log_likelihood - without.log_likelihood) <= np.logaddexp(0, l1) + l1 + 1e-9


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5))
def test_a_probability_never_overflows_or_leaves_its_range(values: list[float]) -> None:
    eta = np.array(values)
    with np.errstate(over="raise", invalid="raise"):
        p = probability(eta)
    assert np.all((p >= 0) & (p <= 1))
    assert probability(-eta) == pytest.approx(1 - p, abs=1e-15)


def test_separable_persons_end_at_the_ridge_optimum() -> None:
    x = np.column_stack([np.ones(40), np.linspace(-1, 1, 40)])
    y = (x[:, 1] > 0).astype(np.int8)

    def loss(beta: np.ndarray[Any, Any]) -> float:
        return -objective(statistics(x, y, beta), beta, ridge=0.01)

    expected = minimize(loss, np.zeros(2), method="BFGS", options={"gtol": 1e-9}).x
    assert fit(x, y, ridge=0.01) == pytest.approx(expected, abs=1e-4)
    with pytest.raises(Invalid, match=r"set a larger ridge|singular|not finite"):
        fit(x, y, ridge=0.0)


def test_what_cannot_be_fitted_is_refused() -> None:
    x, y = persons(n=40)
    with pytest.raises(Invalid, match="one class"):
        fit(x, np.zeros(40, dtype=np.int8), ridge=1.0)
    twice = np.column_stack([x, x[:, 1]])
    with pytest.raises(Invalid, match=r"singular|not finite|convergence"):
        newton_step(statistics(twice[:2], y[:2], np.zeros(7)), np.zeros(7), ridge=0.0)
    broken = Statistics(gradient=np.array([np.nan]), hessian=np.eye(1), log_likelihood=0.0)
    with pytest.raises(Invalid, match="not finite"):
        newton_step(broken, np.zeros(1), ridge=1.0)
    assert linear(np.ones((2, 1)), np.array([3.0])).tolist() == [3.0, 3.0]
