"""A corpus with more of the few, and whether it does any good: judged on persons whom its generator has not seen."""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hospital.ward.answering.synthesis.rebalanced import Rebalanced
from wardgate.hospital.ward.generators import Fitted
from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.measures.logistic import penalty
from wardgate.measures.no_harm import Decision, judge, predicted
from wardgate.measures.rebalancing import Design, Wanted, additions, applicable, check, design_of, members, offsets
from wardgate.measures.representation import representation, service
from wardgate.measures.towards import fit_towards
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Unsupported

Vector = NDArray[np.float64]
Refit = Callable[[pl.DataFrame, np.random.Generator], Fitted]

THRESHOLDS = (0.1, 0.2, 0.3)
FOLDS = 5


def rebalance(
    fitted: Fitted,
    wanted: Sequence[Wanted],
    *,
    real: pl.DataFrame,
    tuning: pl.DataFrame,
    dictionary: Dictionary,
    rng: np.random.Generator,
    rows: int | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    refit: Refit | None = None,
    folds: int = FOLDS,
    level: float = 0.9,
) -> Rebalanced:
    """Draw a corpus and more of those who are wanted, audit both, and decide whether the change may be used.

    Drawing is post-processing: it costs no privacy where the generator's claim is differentially private. The two
    decisions and the audits look at real persons and are no part of that claim: whoever publishes only what was
    accepted tells one bit about them.

    Args:
        real: The training persons on whom `fitted` was fitted.
        tuning: Other persons, never the gate's holdout or a locked test.
        rows: Natural rows; by default as many as the generator counted persons.
        thresholds: Risks at which somebody would be treated.
        refit: Fits the same generator to other persons, nothing of which leaves. With it all real persons are judged
            on, each by models and generators that have not seen them; without it the tuning persons alone, who are few.
        level: Of the paired intervals that the decisions judge.

    Raises:
        Invalid: requests that cannot be met, a dictionary without outcome, or tables of one outcome.
        Unsupported: timelines.
    """
    if dictionary.label is None:
        raise Invalid("net benefit needs an outcome, and this dictionary names none")
    if dictionary.time is not None:
        raise Unsupported("persons of several rows each cannot be rebalanced; draw a table with one row a person")
    check(wanted, dictionary.features, labelled=True)
    if folds < 2:
        raise Invalid(f"expected at least 2 folds, found {folds}")
    dealing = rng.spawn(1)[0]  # the folds do not hang on the requests, so that requests can be compared
    natural = fitted.sample(max(1, fitted.persons if rows is None else rows), rng=rng)
    table, added = enriched(fitted, wanted, natural, rng=rng)
    design = design_of(wanted, natural, table)
    answers, judged = _cross_validated(
        fitted,
        wanted,
        real=real,
        tuning=tuning,
        dictionary=dictionary,
        refit=refit,
        folds=folds,
        dealing=dealing,
        rng=rng,
    )
    y = labels(judged)
    alone, with_added, before, after = answers.T

    def decide(one: Vector, other: Vector) -> Decision:
        return judge(y, one, other, thresholds=thresholds, rng=rng, level=level)

    served = tuple(
        service(dictionary, tuning, predicted(design_matrix(dictionary.features, tuning), beta), thresholds=thresholds)
        for beta in (taught(natural, dictionary), taught(table, dictionary, design=design))
    )
    return Rebalanced(
        natural=natural,
        table=table,
        added=added,
        design=design,
        protected=fitted.claim.kind == "dp",
        representation=(
            representation(dictionary, natural, tuning),
            representation(dictionary, table, tuning),
        ),
        service=(served[0], served[1]),
        corpus=decide(before, after),
        augmentation=decide(alone, with_added),
        validated="tuning" if refit is None else "refit",
    )


def enriched(
    fitted: Fitted, wanted: Sequence[Wanted], natural: pl.DataFrame, *, rng: np.random.Generator
) -> tuple[pl.DataFrame, tuple[int, ...]]:
    """Return a table with the rows that the requests add to it drawn from the generator, and how many for each.

    `natural` may be a corpus or real persons: how many are added follows from who is in it.

    Raises:
        Invalid: requests that contradict each other or that nobody meets.
    """
    added = additions(wanted, members(wanted, natural))
    parts = [natural]
    for one, count in zip(wanted, added, strict=True):
        if count:
            parts.append(fitted.sample(count, rng=rng, where=dict(one.where)).select(natural.columns))
    return pl.concat(parts, how="vertical_relaxed"), added


def taught(table: pl.DataFrame, dictionary: Dictionary, *, design: Design | None = None) -> Vector:
    """Return the coefficients that a table teaches, the design of a rebalanced one being corrected for.

    Raises:
        Invalid: one outcome only.
    """
    x, y = design_matrix(dictionary.features, table), labels(table)
    if len(np.unique(y)) < 2:
        raise Invalid("the label has one class only; nothing can be fitted")
    return fit_towards(
        x,
        y,
        centre=np.zeros(x.shape[1]),
        precision=np.diag(penalty(x.shape[1], dictionary.ridge)),
        offset=None if design is None else offsets(design, table),
    )


def _cross_validated(
    fitted: Fitted,
    wanted: Sequence[Wanted],
    *,
    real: pl.DataFrame,
    tuning: pl.DataFrame,
    dictionary: Dictionary,
    refit: Refit | None,
    folds: int,
    dealing: np.random.Generator,
    rng: np.random.Generator,
) -> tuple[Vector, pl.DataFrame]:
    """Return the logits of four models on persons that none of them saw, shape (n, 4), and these persons.

    The models: real persons; real persons and added rows; natural corpus; rebalanced corpus.
    """
    columns = [*(feature.name for feature in dictionary.features), LABEL]
    real, tuning = real.select(columns), tuning.select(columns)
    every = tuning if refit is None else pl.concat([real, tuning], how="vertical_relaxed")
    fold = _folds(labels(every), folds, dealing)
    found = np.full((every.height, 4), np.nan)
    for part in np.unique(fold):
        out = fold == part
        others = every.filter(pl.Series(~out))
        source = fitted if refit is None else refit(others, rng)
        known = pl.concat([real, others], how="vertical_relaxed") if refit is None else others
        corpus = source.sample(max(1, source.persons), rng=rng)
        x = design_matrix(dictionary.features, every.filter(pl.Series(out)))
        for place, base in enumerate((known, corpus)):
            before = taught(base, dictionary)
            asked = applicable(wanted, members(wanted, base))
            after = before
            if asked:
                more, _ = enriched(source, asked, base, rng=rng)
                after = taught(more, dictionary, design=design_of(asked, base, more))
            found[out, 2 * place] = predicted(x, before)
            found[out, 2 * place + 1] = predicted(x, after)
    return found, every


def _folds(y: NDArray[np.int8], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal persons with and without the outcome evenly into folds, shape (n,)."""
    found = np.empty(len(y), dtype=np.int64)
    for value in (0, 1):
        here = np.flatnonzero(y == value)
        found[here] = rng.permutation(len(here)) % folds
    return found
