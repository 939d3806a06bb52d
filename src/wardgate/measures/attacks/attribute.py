"""Attribute inference: an attacker who knows something of a person guesses the rest with the corpus.

Three attackers try every target: one who knows the quasi-identifiers and takes the nearest synthetic record; one
who knows them and learns the target on the corpus; and one who knows everything but a few targets and takes the
nearest record. A member's guess is compared with that of strangers who have the same true value.

References: Fredrikson et al. 2014, Privacy in Pharmacogenetics, for the attack; correct attribution probability of
    Taub et al. 2018, Differential Correct Attribution Probability for Synthetic Data, for the guess among records
    that are alike.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from wardgate.measures.attacks.excess import Contrast, matched
from wardgate.measures.attacks.parts import Part, agreement, known_class, nearest_class

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]
Indices = NDArray[np.int64]

LEAST = 50
"""Members, and strangers, with a value of the target; fewer say nothing."""

BANDS = 10
"""Bands of a number within which members and strangers are alike."""

LEARNED = 4
"""Targets that are learned with trees at most; drawn at random among more."""

LEARNING_ROWS = 10_000
"""Synthetic rows to learn from at most."""


def by_nearest(
    known: Sequence[Part], targets: Sequence[Part], member: Flags, *, rng: np.random.Generator
) -> Iterator[Contrast]:
    """Yield the gain on each target for who knows some columns and takes the nearest synthetic record.

    An innocent corpus gains 0 on average. Blind to a corpus that moves all known columns away from the patients.
    """
    first, row_class = known_class(known, rng=rng)
    person_class = nearest_class(known, first)
    for target in targets:
        yield from gained(target, agreement(target, row_class, person_class), member)


def by_learning(
    known: Sequence[Part], targets: Sequence[Part], member: Flags, *, rng: np.random.Generator
) -> Iterator[Contrast]:
    """Yield the gain on each target for who learns it on the corpus with boosted trees.

    A category is guessed as surely as the trees hold it likely; a number is guessed within its tolerance.
    """
    if len(targets) > LEARNED:
        targets = [targets[place] for place in np.sort(rng.choice(len(targets), size=LEARNED, replace=False))]
    persons = np.column_stack([part.persons for part in known])
    rows = np.column_stack([part.rows for part in known])
    for target in targets:
        use = np.flatnonzero(~np.isnan(target.rows))
        if len(use) > LEARNING_ROWS:
            use = np.sort(rng.choice(use, size=LEARNING_ROWS, replace=False))
        if len(use) >= LEAST and len(np.unique(target.rows[use])) > 1:
            yield from gained(target, _learned(target, rows[use], target.rows[use], persons), member)


def _learned(target: Part, rows: Vector, answers: Vector, persons: Vector) -> Vector:
    rows = np.where(np.isnan(rows).all(axis=0), 0.0, rows)  # a column without any value has nothing to be cut at
    with threadpool_limits(limits=1):  # threads that wait for each other cost more than they save on so few rows
        return _guessed(target, rows, answers, persons)


def _guessed(target: Part, rows: Vector, answers: Vector, persons: Vector) -> Vector:
    shape = {"max_iter": 20, "max_leaf_nodes": 15, "learning_rate": 0.2, "early_stopping": False, "random_state": 0}
    if target.feature.type in ("number", "integer"):
        guess = HistGradientBoostingRegressor(**shape).fit(rows, answers).predict(persons)
        return np.where(np.abs(guess - target.persons) <= target.tolerance, 1.0, 0.0)
    found = HistGradientBoostingClassifier(**shape).fit(rows, answers)
    likely = found.predict_proba(persons)
    place = np.searchsorted(found.classes_, target.persons)
    place = np.minimum(place, len(found.classes_) - 1)
    right = found.classes_[place] == target.persons
    return np.where(right, likely[np.arange(len(place)), place], 0.0)


def gained(target: Part, success: Vector, member: Flags) -> Iterator[Contrast]:
    """Yield the gain on one target, or nothing where too few persons have a value of it."""
    inside = ~np.isnan(target.persons)
    if min(int(np.sum(inside & member)), int(np.sum(inside & ~member))) < LEAST:
        return
    found = matched(np.where(inside, success, 0.0), member, _bands(target, inside), inside=inside)
    if found is not None:
        yield found


def _bands(target: Part, inside: Flags) -> Indices:
    """Persons with the same value of a category, or in the same tenth of a number. Blind to membership."""
    if target.feature.type not in ("number", "integer"):
        return np.where(inside, target.persons, 0).astype(np.int64)
    edges = np.unique(np.quantile(target.persons[inside], np.linspace(0, 1, BANDS + 1)[1:-1]))
    return np.searchsorted(edges, np.where(inside, target.persons, 0.0), side="right").astype(np.int64)


def hidden_groups(targets: Sequence[Part], *, groups: int, rng: np.random.Generator) -> list[list[Part]]:
    """Return the targets in groups that are hidden together: each alone where there are few, else seeded groups."""
    order = rng.permutation(len(targets))
    count = min(groups, len(targets))
    return [[targets[place] for place in np.sort(order[start::count])] for start in range(count)]
