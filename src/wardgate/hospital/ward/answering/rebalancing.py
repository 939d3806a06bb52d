"""A corpus with more of the few, and whether it does any good: judged on persons whom its generator has not seen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.hospital.ward.generators import Fitted
from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.measures.logistic import penalty
from wardgate.measures.no_harm import Decision, judge, predicted
from wardgate.measures.rebalancing import Design, Wanted, additions, check, design_of, members, offsets
from wardgate.measures.representation import Represented, Served, gap, representation, service
from wardgate.measures.towards import fit_towards
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.measured import Measured

Vector = NDArray[np.float64]
Refit = Callable[[pl.DataFrame, np.random.Generator], Fitted]

THRESHOLDS = (0.1, 0.2, 0.3)
FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalanced:
    """A rebalanced corpus, what it was made from, and what it is good for. It holds figures of real persons: it is for
    the hospital's own people, and what leaves of it passes the gate.

    Attributes:
        natural: The corpus as the generator draws it.
        table: The same rows, and the added ones after them.
        added: Rows added for each request, in order; the last `sum(added)` rows of `table`.
        design: Shares of the requests' cells before and after; from synthetic rows alone.
        protected: Whether the generator's claim is differentially private, so that drawing more cost nothing. Without
            that the gate has to judge `table` itself.
        representation: Each group in `natural` and in `table` against real persons: (before, after).
        service: The model of each corpus in each group of real persons: (before, after).
        corpus: Whether a model of `table` serves real persons better than one of `natural`.
        augmentation: Whether real persons with the added rows teach a better model than real persons alone.
        validated: How persons were kept apart: `tuning` (the generator saw none of them, but perhaps to stop early) or
            `refit` (it was fitted anew for every fold).
    """

    natural: pl.DataFrame
    table: pl.DataFrame
    added: tuple[int, ...]
    design: Design
    protected: bool
    representation: tuple[tuple[Represented, ...], tuple[Represented, ...]]
    service: tuple[tuple[Served, ...], tuple[Served, ...]]
    corpus: Decision
    augmentation: Decision
    validated: str

    @property
    def accepted(self) -> pl.DataFrame:
        """The table to be used: the rebalanced one where it does no harm, else the natural one."""
        return self.table if self.corpus.accepted else self.natural

    def plain(self) -> dict[str, Any]:
        """Return everything but the rows, as JSON can hold it; what is not a number is null."""
        named: dict[str, Any] = {}
        for name, before, after in (("representation", *self.representation), ("service", *self.service)):
            named[name] = {
                "before": [_plain(asdict(one)) for one in before],
                "after": [_plain(asdict(one)) for one in after],
            }
        return {
            "requests": [
                {**_plain(asdict(one)), "words": one.words, "rows_added": count}
                for one, count in zip(self.design.wanted, self.added, strict=True)
            ],
            "rows": {"natural": self.natural.height, "rebalanced": self.table.height},
            "design": {
                "natural": {str(code): count for code, count in sorted(self.design.natural.items())},
                "rebalanced": {str(code): count for code, count in sorted(self.design.rebalanced.items())},
            },
            "protected": self.protected,
            "validated": self.validated,
            **named,
            "corpus": _plain(asdict(self.corpus)),
            "augmentation": _plain(asdict(self.augmentation)),
        }

    def text(self) -> str:
        """Return a page for people."""
        return "\n".join(_lines(self))


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
    """
    if dictionary.label is None:
        raise Invalid("net benefit needs an outcome, and this dictionary names none")
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
            more, _ = enriched(source, wanted, base, rng=rng)
            changed = taught(more, dictionary, design=design_of(wanted, base, more))
            found[out, 2 * place] = predicted(x, taught(base, dictionary))
            found[out, 2 * place + 1] = predicted(x, changed)
    return found, every


def _folds(y: NDArray[np.int8], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Deal persons with and without the outcome evenly into folds, shape (n,)."""
    found = np.empty(len(y), dtype=np.int64)
    for value in (0, 1):
        here = np.flatnonzero(y == value)
        found[here] = rng.permutation(len(here)) % folds
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Measured):
        return _plain(value.model_dump())
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(found: Rebalanced) -> list[str]:
    lines = [f"{found.natural.height} rows drawn, {sum(found.added)} added."]
    for one, count in zip(found.design.wanted, found.added, strict=True):
        target = f"{one.factor:g} times as many" if one.factor is not None else f"{one.share:.0%} of all"
        lines.append(f"  {one.words}: wanted {target}, {count} rows added")
    lines.append(
        "The generator's claim covers all rows: drawing more cost no privacy."
        if found.protected
        else "The generator has no claim: the gate has to judge the rebalanced rows themselves."
    )
    lines += ["", "Who is there (share of all rows; in brackets the outcome):"]
    for before, after in zip(*found.representation, strict=True):
        real = "real: too few to show"
        if before.real_share is not None:
            ill = "not shown" if before.real_prevalence is None else f"{before.real_prevalence.value:.3g}"
            real = f"real {before.real_share.value:.3g} ({ill})"
        lines.append(
            f"  {before.name}: {real}, before {before.share:.3g} ({before.prevalence:.3g}), "
            f"after {after.share:.3g} ({after.prevalence:.3g})"
        )
    lines += ["", "How well a model of the corpus serves real persons (AUROC, O/E, slope):"]
    for old, new in zip(*found.service, strict=True):
        lines.append(f"  {old.name}: before {_figures(old)}; after {_figures(new)}")
    for name, served in zip(("before", "after"), found.service, strict=True):
        distance = gap(served)
        if distance is not None:
            lines.append(f"  worst group {name}: AUROC {distance:.3f} below everybody's")
    lines += [
        "",
        *_verdict("The rebalanced corpus", found.corpus),
        *_verdict("Real persons with added rows", found.augmentation),
    ]
    return lines


def _figures(one: Served) -> str:
    if one.auroc is None or one.oe is None or one.slope is None:
        return "too few to show"
    return f"{one.auroc.value:.3g}, {one.oe.value:.3g}, {one.slope.value:.3g}"


def _verdict(what: str, decision: Decision) -> list[str]:
    word = "accepted" if decision.accepted else "not accepted"
    return [f"{what}: {word}.", *(f"  {reason}" for reason in decision.reasons)]
