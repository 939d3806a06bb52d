"""Models are laid open without being believed: leaves are counted by persons, records found, strangers left shut."""

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from wardgate.measures.attacks.structure import held_rows, keeps_rows, linear, of_scikit_learn, unlike_most
from wardgate.records.errors import Invalid, Unsupported


def persons(n: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    return x, (x[:, 0] + rng.normal(size=n) > 0).astype(int)


X, Y = persons()


@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(min_samples_leaf=15),
        RandomForestClassifier(5, min_samples_leaf=15, bootstrap=False),
        GradientBoostingClassifier(n_estimators=5, min_samples_leaf=15),
        HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=15),
    ],
)
def test_leaves_are_counted_by_the_persons_who_end_there(model: Any) -> None:
    opened = of_scikit_learn(model.fit(X, Y), X)
    assert opened.family == "trees"
    assert opened.behind.min() >= 15
    assert opened.behind.sum() % len(X) == 0
    assert opened.wrong == 0
    alone = type(model)().set_params(**{**model.get_params(), "min_samples_leaf": 1, "max_depth": None})
    if not isinstance(model, (GradientBoostingClassifier, HistGradientBoostingClassifier)):
        assert of_scikit_learn(alone.fit(X, Y), X).behind.min() == 1


def test_a_tree_that_lies_about_its_leaves_is_counted_all_the_same() -> None:
    small = DecisionTreeClassifier(min_samples_leaf=15).fit(X[:30], Y[:30])
    other, _ = persons(60, seed=3)
    opened = of_scikit_learn(small, np.vstack((other[:1] + 100, other)))
    assert opened.behind.sum() == 61


def test_missing_values_go_where_a_boosted_tree_sends_them() -> None:
    x = X.copy()
    x[::3, 0] = np.nan
    model = HistGradientBoostingClassifier(max_iter=1, max_depth=2, learning_rate=1.0).fit(x, Y)
    opened = of_scikit_learn(model, x)
    values, counts = np.unique(model.decision_function(x), return_counts=True)
    assert len(values) == len(opened.behind)
    assert sorted(counts) == sorted(opened.behind)


@pytest.mark.parametrize("model", [KNeighborsClassifier(), SVC(), GaussianProcessClassifier()])
def test_models_that_keep_records_are_known_and_the_records_are_found(model: Any) -> None:
    opened = of_scikit_learn(model.fit(X, Y), X)
    assert opened.family == "memorising"
    other, _ = persons(200, seed=1)
    assert keeps_rows(opened.numbers, X, other)
    assert not keeps_rows(opened.numbers, other, persons(200, seed=2)[0])


def test_a_class_that_is_unknown_or_derived_is_not_opened() -> None:
    class Impostor(LogisticRegression):
        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            raise AssertionError("nothing of an unknown class may be called")

    class Bare:
        def __getattribute__(self, name: str) -> Any:
            if name in ("__class__",):
                return object.__getattribute__(self, name)
            raise AssertionError("nothing of an unknown class may be read")

    for model in (Impostor().fit(X, Y), Bare()):
        assert of_scikit_learn(model, X).family == "unknown"


def test_what_cannot_be_judged_is_named() -> None:
    with pytest.raises(Invalid, match="not fitted"):
        of_scikit_learn(DecisionTreeClassifier(), X)
    with pytest.raises(Invalid, match="columns"):
        of_scikit_learn(DecisionTreeClassifier().fit(X, Y), X[:, :2])
    with pytest.raises(Unsupported, match="two classes"):
        of_scikit_learn(LogisticRegression().fit(X, np.arange(len(X)) % 3), X)
    codes = np.column_stack((X[:, 0], np.arange(len(X)) % 4))
    by_itself = HistGradientBoostingClassifier(max_iter=20, categorical_features=[1]).fit(codes, codes[:, 1] % 2 == 0)
    with pytest.raises(Unsupported, match="categories"):
        of_scikit_learn(by_itself, codes)


def test_a_column_of_few_persons_is_rare_only_while_it_has_an_effect() -> None:
    x = np.column_stack((X, np.arange(400) < 3, np.arange(400) >= 5, np.arange(400) < 40)).astype(float)
    assert list(unlike_most(x)[4:]) == [3, 5, 40]
    how = {"title": "a model", "parameters": 7, "numbers": ()}
    assert linear(x, np.ones(7), **how).rare == 2
    without = linear(x, np.array([1, 1, 1, 1, 0, 0, 1.0]), **how)
    assert without.rare == 0
    assert without.behind.min() == 40


@pytest.mark.parametrize("order", ["C", "F"])
def test_one_record_among_a_million_numbers_is_found(order: str) -> None:
    numbers = np.random.default_rng(5).normal(size=1_000_000)
    numbers[777:781] = X[9]
    hit = held_rows((numbers,), X)
    assert list(np.flatnonzero(hit)) == [9]
    model = KNeighborsClassifier().fit(np.asarray(X, order=order), Y)
    assert held_rows(of_scikit_learn(model, X).numbers, X).all()


def test_rows_of_zeros_and_ones_that_occur_by_chance_are_no_records() -> None:
    rng = np.random.default_rng(6)
    numbers = (rng.integers(0, 2, 5_000).astype(float),)
    train, holdout = (rng.integers(0, 2, (300, 5)).astype(float) for _ in range(2))
    assert held_rows(numbers, train).any()
    assert not keeps_rows(numbers, train, holdout)
