"""Everything that is measured on a model that wants to leave: what it holds, whom it over-fits, whom it gives away."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import expit

from wardgate.hospital.ward.gate.battery.sample import MOST
from wardgate.hospital.ward.gate.battery.tables import Tables, checked
from wardgate.measures import logistic
from wardgate.measures.attacks import membership
from wardgate.measures.attacks import models as attack
from wardgate.measures.attacks.copies import p_value
from wardgate.measures.attacks.structure import (
    Structure,
    keeps_rows,
    leaf_sizes,
    linear,
    of_scikit_learn,
)
from wardgate.measures.disclosure import coarse, shown
from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.measures.trees import leaves_of
from wardgate.models.boosting import BoostingModel
from wardgate.models.linear import LinearModel
from wardgate.models.recalibrated import RecalibratedModel
from wardgate.models.saving import load
from wardgate.models.survival import CoxModel
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.gate_policy import GatePolicy, Models
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

STRUCTURE = (
    "model.type",
    "model.finite",
    "model.smallest_leaf",
    "model.rare_columns",
    "model.kept_records",
    "model.parameters_per_person",
)
ATTACKS = ("model.overfit_gap", "model.membership", "model.membership_auc", "model.tpr_at_1_percent")
NAMES = (*STRUCTURE, *ATTACKS)

LEAST = 100
"""Members, and non-members, below whom no attack is run."""

LEAST_FOR_TPR = 1_000
"""Members, and non-members, below whom one false alarm in 100 says nothing of one model without refits."""

REFITS, REFERENCES = 32, 8
"""Shadow models: refits of the model itself, or reference models of another kind."""

Matrix = NDArray[np.float64]
Encode = Callable[[pl.DataFrame], Matrix]
Refit = Callable[[pl.DataFrame, np.random.Generator], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A model beside the persons of its trial.

    Attributes:
        model: A model of `wardgate.models`, or a fitted scikit-learn model.
        encode: From a table to the columns that a scikit-learn model takes.
        refit: Fits such a model again, on other persons.
    """

    model: object
    tables: Tables
    encode: Encode
    refit: Refit | None

    def chance(self, model: object, table: pl.DataFrame) -> Matrix:
        """Return the chance of an event that a model gives to each person, shape (n,).

        Raises:
            Unsupported: the model gives none.
        """
        if isinstance(model, (BoostingModel, RecalibratedModel)) or (
            isinstance(model, LinearModel) and model.family == "logistic" and model.outcome == LABEL
        ):
            return np.asarray(model.predict_proba(table)[:, 1])
        if isinstance(model, (LinearModel, CoxModel)):
            raise Unsupported("the model predicts no chance of the outcome, so membership cannot be attacked")
        x = self.encode(table)
        if hasattr(model, "predict_proba"):
            return np.asarray(model.predict_proba(x)[:, 1], dtype=np.float64)
        if hasattr(model, "decision_function"):
            return np.asarray(expit(model.decision_function(x)), dtype=np.float64)
        raise Unsupported("the model predicts no chance of the outcome, so membership cannot be attacked")


def measure_model(
    model: object,
    *,
    train: pl.DataFrame,
    tuning: pl.DataFrame,
    holdout: pl.DataFrame,
    dictionary: Dictionary,
    policy: GatePolicy,
    attempt: int,
    rng: np.random.Generator,
    refit: Refit | None = None,
    encode: Encode | None = None,
) -> tuple[tuple[Measured, ...], tuple[Absent, ...]]:
    """Take every measure that the rules for a model read.

    Args:
        model: The bytes of a model as `wardgate.models.saving` writes them, such a model, or a fitted scikit-learn
            model in memory. Of a class that is not known nothing is called. No pickle is ever read.
        train: Real persons on whom it was fitted, one row each, in the table form of `measures.encoding`. Of a model
            that several hospitals fitted these are this hospital's own.
        tuning: Real persons used for nothing here but as reference.
        holdout: Real persons on whom it was neither fitted nor chosen.
        attempt: 1 for the first candidate; intervals widen with each further one.
        rng: Halves of the pool, relabelling, refits; it protects nobody.
        refit: Fits the same kind of model, with the same settings, on another table. Without it the attacks compare
            with reference models, and are weaker.
        encode: From a table to the columns of a scikit-learn model; `measures.encoding.design_matrix` without its
            intercept if left out.

    Returns:
        The measures, rounded, and those that could not be taken, by name with a reason.

    Raises:
        Invalid: the bytes are no model, a table lacks a column, or the model takes other columns.
    """
    if not train.height:
        raise Invalid("there are no training persons; a model is judged beside those it was fitted on")
    tables = checked(
        train=train,
        tuning=tuning,
        holdout=holdout,
        candidate=train,
        dictionary=dictionary,
        policy=policy,
        attempt=attempt,
        rng=rng,
    )
    if isinstance(model, bytes):
        model = load(model)
    judged = Judged(
        model=model,
        tables=tables,
        refit=refit,
        encode=encode or (lambda table: design_matrix(dictionary.features, table)[:, 1:]),
    )
    opened = _opened(judged)
    found = [*_structure(judged, opened), *_attacked(judged, opened)]
    return (
        tuple(shown(part) for part in found if isinstance(part, Measured)),
        tuple(part for part in found if isinstance(part, Absent)),
    )


def _opened(judged: Judged) -> Structure:
    model, train = judged.model, judged.tables.train
    if not isinstance(model, (LinearModel, CoxModel, BoostingModel, RecalibratedModel)):
        known = type(model).__module__.startswith("sklearn.")
        return of_scikit_learn(model, judged.encode(train) if known else np.zeros((0, 0)))
    text = model.to_bytes()
    numbers = (np.array([float(one) for one in re.findall(rb"-?\d+\.?\d*(?:[eE][+-]?\d+)?", text)]),)
    extra = 0
    if isinstance(model, RecalibratedModel):
        model, extra = model.model, 2
    if isinstance(model, BoostingModel):
        ensemble, bins = model.ensemble, model.bins
        behind = leaf_sizes(leaves_of(ensemble.splits, bins.codes(train), bins))
        return Structure(
            family="trees",
            title="BoostingModel",
            behind=behind,
            parameters=len(behind) + 1 + extra,
            numbers=numbers,
        )
    weight = np.array(model.coefficients)
    baseline = len(model.baseline) if isinstance(model, CoxModel) else 0
    weight = weight if baseline else weight[1:]
    x = model.design.matrix(train)[:, 1:]
    parameters = int(np.sum(weight != 0)) + (baseline or 1) + extra
    opened = linear(x, weight, title=type(model).__name__, parameters=parameters, numbers=numbers)
    if not isinstance(model, CoxModel):
        return opened
    time = np.searchsorted(model.edges[1:], train[model.time].cast(pl.Float64).to_numpy())
    ended = np.bincount(time[labels(train) == 1] if LABEL in train.columns else time, minlength=baseline)[:baseline]
    return Structure(
        family="linear",
        title=opened.title,
        behind=np.concatenate((opened.behind, ended[ended > 0])),
        rare=opened.rare,
        parameters=parameters,
        wrong=opened.wrong,
        numbers=numbers,
    )


def _structure(judged: Judged, opened: Structure) -> Iterator[Measured | Absent]:
    tables = judged.tables
    persons, level = tables.train.height, tables.level

    def exactly(name: str, value: float, note: str) -> Measured:
        return Measured(name=name, value=value, low=value, high=value, level=level, n=(coarse(persons),), note=note)

    safe = opened.family in ("trees", "linear")
    yield exactly("model.type", 0 if safe else 1, f"{opened.title}: {_KINDS[opened.family]}.")
    if opened.family == "unknown":
        reason = f"models of class {opened.title} are not known here; nothing of it was opened"
        yield from (Absent(name=name, reason=reason) for name in STRUCTURE[1:])
        return
    yield exactly("model.finite", opened.wrong, "Numbers of the model that are infinite or no number.")
    least = int(opened.behind.min()) if len(opened.behind) else persons
    limits = tables.policy.models or Models()
    note = "Training persons at least behind every leaf or column; 0 stands for too few to be said."
    yield exactly("model.smallest_leaf", _at_least(least, limits.min_leaf), note)
    note = "Columns with an effect that few training persons have, or lack."
    yield exactly("model.rare_columns", opened.rare, note)
    kept = opened.family == "memorising" or any(keeps_rows(opened.numbers, *pair) for pair in _records(judged, opened))
    yield exactly("model.kept_records", int(kept), "1: whole records of training persons stand in the model.")
    yield exactly("model.parameters_per_person", opened.parameters / persons, "Leaves, cuts and coefficients.")


_KINDS = {
    "trees": "trees, known here",
    "linear": "one weight a column, known here",
    "memorising": "keeps records of training persons",
    "unknown": "not known here",
}


def _at_least(persons: int, limit: int) -> int:
    """Return persons rounded down so that the figure is no count of 1 to 10 and none finer than the grid."""
    return max((step for step in (0, 11, max(11, limit), coarse(persons)) if step <= persons), default=0)


def _records(judged: Judged, opened: Structure) -> Iterator[tuple[Matrix, Matrix]]:
    """Yield training and holdout records as they might be kept: the model's columns, and the numbers as they are."""
    tables = judged.tables
    both = (tables.train, tables.holdout)
    if isinstance(judged.model, (LinearModel, CoxModel)):
        design = judged.model.design
        yield design.matrix(tables.train)[:, 1:], design.matrix(tables.holdout)[:, 1:]
    elif not isinstance(judged.model, (BoostingModel, RecalibratedModel)):
        yield judged.encode(tables.train), judged.encode(tables.holdout)
    plain = [feature.name for feature in tables.dictionary.features if feature.type in ("number", "integer")]
    if plain:
        first, second = (
            table.select(pl.col(plain).cast(pl.Float64).fill_null(0.0)).to_numpy().astype(np.float64) for table in both
        )
        yield first, second


def _attacked(judged: Judged, opened: Structure) -> Iterator[Measured | Absent]:
    tables = judged.tables
    size = coarse(min(tables.train.height, tables.holdout.height, MOST))
    reason = ""
    if opened.family == "unknown":
        reason = f"models of class {opened.title} are not known here; nothing of it was called"
    elif tables.dictionary.label is None:
        reason = "the dictionary names no outcome, so there is nothing that the model could be right about"
    elif size < LEAST:
        reason = f"fewer than {LEAST} training or holdout persons"
    elif any(labels(table).sum() < 2 or (labels(table) == 0).sum() < 2 for table in (tables.train, tables.holdout)):
        reason = "one outcome only among training or holdout persons"
    else:
        try:
            judged.chance(judged.model, tables.holdout[:1])
        except Unsupported as error:
            reason = str(error)
    if reason:
        yield from (Absent(name=name, reason=reason) for name in ATTACKS)
        return
    yield from _measured(judged, size)


def _measured(judged: Judged, size: int) -> Iterator[Measured | Absent]:
    tables, rng, level = judged.tables, judged.tables.rng, judged.tables.level
    seen = rng.permutation(tables.train.height)
    unseen = rng.permutation(tables.holdout.height)[:size]
    pool = pl.concat((tables.train[seen[:size]], tables.holdout[unseen]))
    rest = tables.train[seen[size:]]
    label, member, persons = labels(pool), np.arange(2 * size) < size, (size, size)
    told = attack.confidence(judged.chance(judged.model, pool), label)
    if judged.refit is not None:
        refit = judged.refit

        def fit(half: NDArray[np.bool_]) -> Matrix:
            again = refit(pl.concat((rest, pool.filter(pl.Series(half)))), rng)
            return attack.confidence(judged.chance(again, pool), label)

        known = attack.shadows(2 * size, count=REFITS, fit=fit, rng=rng)
    else:
        known = _reference(judged, pool, pl.concat((rest, tables.tuning)))
    refitted = judged.refit is not None and attack.like_refits(told, member, known)
    scores = attack.attacks(told, known, online=refitted)
    hard = known.out <= np.quantile(known.out, 0.1)
    drawn = membership.battery(member, [hard], permutations=tables.policy.membership.permutations, rng=rng)
    found, _ = membership.null(scores, drawn)
    sign = np.where(label == 1, 1.0, -1.0)
    first, second = slice(0, size), slice(size, None)
    yield attack.overfit_gap(
        label_train=label[first],
        score_train=(sign * told)[first],
        usual_train=(sign * known.out)[first],
        label_holdout=label[second],
        score_holdout=(sign * told)[second],
        usual_holdout=(sign * known.out)[second],
        persons=persons,
        level=level,
    )
    how = "by reference models; the model was not refitted"
    if judged.refit is not None:
        how = "by refits" if refitted else "by reference models; the refits are of another kind than the model"
    yield p_value("model.membership", found, persons=persons, level=level, note=f"All attacks together, {how}.")
    yield attack.worst_auc(scores, member, persons=persons, level=level)
    if refitted:
        yield attack.tpr_of_refits(told, member, known, persons=persons, level=level, rng=rng)
        return
    share = attack.tpr(scores, member, drawn.order, persons=persons, level=level)
    if size < LEAST_FOR_TPR or share is None:
        reason = f"fewer than {LEAST_FOR_TPR} members or non-members, and no refits: one in 100 is a few persons"
        yield Absent(name="model.tpr_at_1_percent", reason=reason)
    else:
        yield share


def _reference(judged: Judged, pool: pl.DataFrame, further: pl.DataFrame) -> attack.Shadows:
    """Return what ridge logistic regressions say of everybody, each fitted on one half of the pool and on `further`."""
    features, ridge = judged.tables.dictionary.features, max(1.0, judged.tables.dictionary.ridge)
    x, more = design_matrix(features, pool), design_matrix(features, further)
    y, further_y = labels(pool), labels(further)

    def fit(half: NDArray[np.bool_]) -> Matrix:
        beta = logistic.fit(np.concatenate((more, x[half])), np.concatenate((further_y, y[half])), ridge=ridge)
        return attack.confidence(logistic.probability(logistic.linear(x, beta)), y)

    return attack.shadows(pool.height, count=REFERENCES, fit=fit, rng=judged.tables.rng)
