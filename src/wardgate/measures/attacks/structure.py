"""What a fitted model holds of its training persons, read from its parts and never from a file that could run code.

A model is known by its exact class. What is unknown is not opened: nothing of it is called, and it is refused by name.
How many persons stand behind a leaf or a column is counted by sending the training persons through the model, since
what a model says of itself may be of another fit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.svm import SVC, NuSVC
from sklearn.tree import DecisionTreeClassifier, ExtraTreeClassifier

from wardgate.measures.attacks.copies import excess
from wardgate.records.errors import Invalid, Unsupported

Matrix = NDArray[np.float64]
Counts = NDArray[np.int64]
Flags = NDArray[np.bool_]

RARE = 10
"""A column that 1 to 10 persons have stands for them (CMS: cells of 1 to 10)."""

TELLING_VALUES, TELLING_COLUMNS = 20, 3
"""A row with so many columns of so many different values is not met with by chance."""

MOST_NUMBERS = 20_000_000
"""Numbers of a model that are searched for patients; a larger one is not supported."""

TREES = (DecisionTreeClassifier, ExtraTreeClassifier)
FORESTS = (RandomForestClassifier, ExtraTreesClassifier)
LINEAR = (LogisticRegression, LogisticRegressionCV, SGDClassifier)
MEMORISING = (
    KNeighborsClassifier,
    RadiusNeighborsClassifier,
    SVC,
    NuSVC,
    GaussianProcessClassifier,
    KernelDensity,
)

Family = Literal["trees", "linear", "memorising", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """A model laid open.

    Attributes:
        family: `memorising` keeps records of patients; `unknown` is none of the classes known here.
        title: The model's class.
        behind: Training persons behind each leaf or column that at least one of them stands behind.
        rare: Columns with an effect that 1 to 10 training persons have (or lack).
        parameters: Free numbers: leaves and cuts of trees, coefficients, all numbers of stored records.
        wrong: Numbers of the model that are not finite.
        numbers: Everything that the model holds, in the order in which it is held.
    """

    family: Family
    title: str
    behind: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    rare: int = 0
    parameters: int = 0
    wrong: int = 0
    numbers: tuple[Matrix, ...] = ()


def of_scikit_learn(model: object, x: Matrix) -> Structure:
    """Lay a fitted scikit-learn model open. Its class decides; a class derived from a known one is unknown.

    Args:
        x: The training persons as the model takes them, shape (n, d).

    Raises:
        Invalid: the model is not fitted, or takes another number of columns.
        Unsupported: a boosted model that splits on categories by itself, more than two classes, or too many numbers.
    """
    kind = type(model)
    if kind not in (*TREES, *FORESTS, *LINEAR, *MEMORISING, GradientBoostingClassifier, HistGradientBoostingClassifier):
        return Structure(family="unknown", title=kind.__name__)
    held = vars(model)
    if held.get("n_features_in_") != x.shape[1]:
        raise Invalid(f"{kind.__name__} is not fitted on the {x.shape[1]} columns of the training persons")
    if kind is not KernelDensity and len(held.get("classes_", ())) != 2:
        raise Unsupported(f"{kind.__name__} does not tell two classes apart; only such models are judged")
    numbers = tuple(_numbers(held))
    if sum(map(len, numbers)) > MOST_NUMBERS:
        raise Unsupported(f"{kind.__name__} holds more than {MOST_NUMBERS} numbers; it cannot be searched")
    if kind in MEMORISING:
        kept = sum(map(len, numbers))
        ones = np.ones(1, dtype=np.int64)
        return Structure(family="memorising", title=kind.__name__, behind=ones, parameters=kept, numbers=numbers)
    if kind in LINEAR:
        weight = np.asarray(held["coef_"], dtype=np.float64).ravel()
        flat = (weight, np.asarray(held["intercept_"], dtype=np.float64).ravel(), *numbers)
        return linear(x, weight, title=kind.__name__, parameters=int(np.sum(weight != 0)) + 1, numbers=flat)
    if kind is HistGradientBoostingClassifier:
        return _histogram_trees(model, x, numbers)
    return _trees(model, x, numbers)


def linear(x: Matrix, weight: Matrix, *, title: str, parameters: int, numbers: tuple[Matrix, ...]) -> Structure:
    """Lay a model of columns with one weight each open: behind a column stand the persons unlike most.

    Args:
        x: Columns of the training persons, shape (n, d), without an intercept.
        weight: Shape (d,); a column without an effect stands for nobody.
    """
    behind = unlike_most(x)[weight != 0]
    behind = behind[behind > 0]
    return Structure(
        family="linear",
        title=title,
        behind=behind,
        rare=int(np.sum(behind <= RARE)),
        parameters=parameters,
        wrong=_wrong(weight),
        numbers=numbers,
    )


def unlike_most(x: Matrix) -> Counts:
    """Return for each column how many persons have another value than the most common one, shape (d,)."""
    most = [int(np.unique(column, return_counts=True)[1].max()) if len(column) else 0 for column in x.T]
    return np.asarray(len(x) - np.array(most, dtype=np.int64))


def leaf_sizes(leaves: NDArray[np.int64]) -> Counts:
    """Return the persons in every leaf of every tree that holds any.

    Args:
        leaves: The leaf of each person in each tree, shape (n, t).
    """
    return np.concatenate([np.unique(tree, return_counts=True)[1] for tree in leaves.T] or [np.zeros(0, np.int64)])


def _trees(model: Any, x: Matrix, numbers: tuple[Matrix, ...]) -> Structure:
    kind = type(model)
    grown = [model] if kind in TREES else list(np.ravel(model.estimators_))
    leaves = np.column_stack([tree.tree_.apply(np.ascontiguousarray(x, dtype=np.float32)) for tree in grown])
    parts = [np.concatenate((tree.tree_.threshold, tree.tree_.value.ravel())) for tree in grown]
    return Structure(
        family="trees",
        title=kind.__name__,
        behind=leaf_sizes(leaves.astype(np.int64)),
        parameters=int(sum(tree.tree_.node_count for tree in grown)),
        wrong=sum(map(_wrong, parts)),
        numbers=(*numbers, *(part.astype(np.float64) for part in parts)),
    )


def _histogram_trees(model: Any, x: Matrix, numbers: tuple[Matrix, ...]) -> Structure:
    grown = [tree.nodes for stage in model._predictors for tree in stage]
    if any(bool(nodes["is_categorical"].any()) for nodes in grown):
        raise Unsupported("the boosted model splits on categories by itself; hand categories in as columns of 0 and 1")
    leaves = np.column_stack([_descended(nodes, x) for nodes in grown] or [np.zeros(len(x), np.int64)])
    parts = [np.where(np.isposinf(nodes["num_threshold"]), 0.0, nodes["num_threshold"]) for nodes in grown]
    parts += [nodes["value"].astype(np.float64) for nodes in grown]
    return Structure(
        family="trees",
        title=type(model).__name__,
        behind=leaf_sizes(leaves),
        parameters=sum(map(len, grown)) + 1,
        wrong=sum(map(_wrong, parts)),
        numbers=(*numbers, *parts),
    )


def _descended(nodes: NDArray[Any], x: Matrix) -> NDArray[np.int64]:
    place = np.zeros(len(x), dtype=np.int64)
    persons = np.arange(len(x))
    while True:
        inner = nodes["is_leaf"][place] == 0
        if not inner.any():
            return place
        at = nodes[place]
        value = x[persons, at["feature_idx"]]
        left = np.where(np.isnan(value), at["missing_go_to_left"] == 1, value <= at["num_threshold"])
        place = np.where(inner, np.where(left, at["left"], at["right"]), place).astype(np.int64)


def _wrong(numbers: Matrix) -> int:
    return int(np.sum(~np.isfinite(numbers)))


def _numbers(held: object, depth: int = 0) -> Iterator[Matrix]:
    """Yield every array and sequence of numbers in the attributes of an object, in their order."""
    if depth > 6:
        return
    if isinstance(held, np.ndarray):
        if held.dtype.kind in "fiu":
            flat = np.asarray(held, dtype=np.float64)
            yield flat.ravel()
            if flat.ndim > 1:
                yield flat.ravel(order="F")
        elif held.dtype.kind == "O":
            for part in held.ravel():
                yield from _numbers(part, depth + 1)
    elif isinstance(held, (list, tuple)):
        if held and all(isinstance(part, (int, float)) for part in held):
            yield np.array(held, dtype=np.float64)
        else:
            for part in held:
                yield from _numbers(part, depth + 1)
    elif isinstance(held, Mapping):
        for part in held.values():
            yield from _numbers(part, depth + 1)
    elif type(held).__module__.startswith("sklearn.") and hasattr(held, "__dict__"):
        yield from _numbers(vars(held), depth + 1)


def held_rows(numbers: Sequence[Matrix], rows: Matrix) -> Flags:
    """Return whose whole row of values stands in a model, the values one after the other, shape (n,).

    Compared in single precision. Rows of fewer than two columns are never found.

    Args:
        numbers: What the model holds, in the order in which it is held.
        rows: Records, shape (n, d).
    """
    found = np.zeros(len(rows), dtype=np.bool_)
    width = rows.shape[1]
    if width < 2 or not len(rows):
        return found
    wanted = np.ascontiguousarray(np.nan_to_num(rows), dtype=np.float32) + np.float32(0)
    pivot = int(np.argmax([len(np.unique(column)) for column in wanted.T]))
    keys = _as_keys(wanted)
    for part in numbers:
        if len(part) < width:
            continue
        held = np.ascontiguousarray(np.nan_to_num(part), dtype=np.float32) + np.float32(0)
        starts = np.flatnonzero(np.isin(held[pivot : len(held) - width + 1 + pivot], wanted[:, pivot]))
        for first in range(0, len(starts), 100_000):
            windows = held[starts[first : first + 100_000, None] + np.arange(width)]
            found |= np.isin(keys, _as_keys(windows))
    return found


def _as_keys(rows: NDArray[np.float32]) -> NDArray[Any]:
    return np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * 4))).ravel()


def keeps_rows(numbers: Sequence[Matrix], train: Matrix, holdout: Matrix) -> bool:
    """Whether a model holds records of training persons that chance does not explain.

    Where records are telling (several columns of many different values), one is enough; else training persons must be
    held more often than persons never seen, at one in a thousand.
    """
    both = np.concatenate((train, holdout))
    hit, member = held_rows(numbers, both), np.arange(len(both)) < len(train)
    if not (hit & member).any():
        return False
    if sum(len(np.unique(column)) >= TELLING_VALUES for column in both.T) >= TELLING_COLUMNS:
        return True
    return excess(hit, member) < 0.001
