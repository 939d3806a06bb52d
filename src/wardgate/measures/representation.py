"""Who is in a table and how well its model serves them, group by group, against real persons who are not in it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.measures.calibration import observed_over_expected, slope_of_counts
from wardgate.measures.disclosure import coarse, shown, suppressed
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import labels
from wardgate.measures.intervals import clopper_pearson, normal
from wardgate.measures.logistic import probability
from wardgate.measures.no_harm import benefits
from wardgate.measures.subgroups import subgroup_masks
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.measured import Measured

Flags = NDArray[np.bool_]
Vector = NDArray[np.float64]

LEAST = 11
"""Real persons, with or without the outcome, below whom nothing of a group is shown."""

EVERYBODY = "everybody"


@dataclass(frozen=True, slots=True, kw_only=True)
class Represented:
    """One group in a table, beside real persons. What few persons would give away is absent.

    Attributes:
        share, prevalence: Of the group in the table, and of the outcome in it; NaN where the table has nobody there.
        real_share, real_prevalence: The same of real persons, with their intervals.
        difference: Standardised difference of the two shares; 0.1 is small, 0.2 deserves a look.
    """

    name: str
    share: float
    prevalence: float
    real_share: Measured | None
    real_prevalence: Measured | None
    difference: Measured | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model in one group of real persons; figures that few persons would give away are absent."""

    name: str
    auroc: Measured | None = None
    oe: Measured | None = None
    slope: Measured | None = None
    net_benefit: tuple[Measured, ...] = ()

    @property
    def shown(self) -> bool:
        """Whether there are figures."""
        return self.auroc is not None


def standardised_difference(share: float, real: float) -> float:
    """Return the difference of two shares over the root of their mean variance; 0 where both are 0 or 1.

    Reference: Austin 2009, doi:10.1002/sim.3697 (standardised differences).
    """
    variance = (share * (1 - share) + real * (1 - real)) / 2
    if variance > 0:
        return float((share - real) / np.sqrt(variance))
    return 0.0 if share == real else float(np.copysign(np.inf, share - real))


def representation(
    dictionary: Dictionary, table: pl.DataFrame, real: pl.DataFrame, *, level: float = 0.95, least: int = LEAST
) -> tuple[Represented, ...]:
    """Return every declared group's share and prevalence in a table against real persons.

    Intervals are those of the real persons (Clopper-Pearson); the table is what it is. Which real figures are shown
    follows `disclosure.suppressed` on the counts of each subgroup: none below `least`, and none that could be worked
    out from the others. Numbers are told to three digits, numbers of persons to fifties.

    Args:
        real: Persons on whom the table's generator was not fitted.

    Raises:
        Invalid: a table without label, or without rows.
    """
    if not table.height or not real.height:
        raise Invalid("expected rows on both sides, the table's and real persons'")
    event, outcome = labels(real) == 1, labels(table)
    open_to = visible(dictionary, real, event, least=least)
    found = []
    for (name, here), (_, there) in zip(
        subgroup_masks(dictionary, table), subgroup_masks(dictionary, real), strict=True
    ):
        counted, ill = open_to[name]
        share = float(here.mean())
        real_share = _share("share", int(there.sum()), real.height, level) if counted else None
        found.append(
            Represented(
                name=name,
                share=share,
                prevalence=float(outcome[here].mean()) if here.any() else float("nan"),
                real_share=real_share,
                real_prevalence=_share("prevalence", int(event[there].sum()), int(there.sum()), level) if ill else None,
                difference=None if real_share is None else _difference(share, real_share),
            )
        )
    return tuple(found)


def _share(name: str, successes: int, trials: int, level: float) -> Measured:
    low, high = clopper_pearson(successes, trials, level=level)
    found = Measured(name=name, value=successes / trials, low=low, high=high, level=level, n=(coarse(trials),))
    return shown(found)


def _difference(share: float, real: Measured) -> Measured:
    """The difference falls as the real share rises, so its ends are those of the real share."""
    value, low, high = (standardised_difference(share, end) for end in (real.value, real.high, real.low))
    return Measured(
        name="standardised-difference",
        value=round(value, 3),
        low=round(min(low, value), 3),
        high=round(max(high, value), 3),
        level=real.level,
        n=real.n,
    )


def visible(
    dictionary: Dictionary, real: pl.DataFrame, event: Flags, *, least: int = LEAST
) -> dict[str, tuple[bool, bool]]:
    """Return for each group whether its share, and whether its outcomes, may be shown.

    Each subgroup's groups are the rows of a table of persons without and with the outcome, those in none of them being
    one row more: else what is hidden in one group could be found by subtraction.
    """
    found: dict[str, tuple[bool, bool]] = {}
    masks = dict(subgroup_masks(dictionary, real))
    for subgroup in dictionary.subgroups:
        own = dict(subgroup_masks(dictionary.model_copy(update={"subgroups": (subgroup,)}), real))
        rest = ~np.any(np.stack(list(own.values())), axis=0)
        rows = [*own.values(), *([rest] if rest.any() else [])]
        counts = np.array([[(mask & ~event).sum(), (mask & event).sum()] for mask in rows], dtype=np.float64)
        hidden = suppressed(counts, min_count=least)
        for place, name in enumerate(own):
            counted = not hidden[place, 2]
            found[name] = (counted, counted and not hidden[place, :2].any())
    return {name: found[name] for name in masks}


def service(
    dictionary: Dictionary,
    real: pl.DataFrame,
    logits: Vector,
    *,
    thresholds: Sequence[float],
    level: float = 0.95,
    least: int = LEAST,
) -> tuple[Served, ...]:
    """Return how well a model serves everybody and each declared group: AUROC, O/E, slope, net benefit.

    Args:
        real: Persons on whom neither the model nor the table's generator was fitted.
        logits: The model's, shape (n,).

    Raises:
        Invalid: not one logit a person.
    """
    y = labels(real)
    if logits.shape != y.shape:
        raise Invalid(f"expected one logit for each of {len(y)} persons, found shape {logits.shape}")
    everybody = np.ones(len(y), dtype=np.bool_)
    enough = min(int(y.sum()), int(len(y) - y.sum())) >= least
    open_to = {name: ill for name, (_, ill) in visible(dictionary, real, y == 1, least=least).items()} if enough else {}
    groups = ((EVERYBODY, everybody), *subgroup_masks(dictionary, real))
    return tuple(
        _served(name, y[mask], logits[mask], thresholds, level)
        if enough and open_to.get(name, name == EVERYBODY)
        else Served(name=name)
        for name, mask in groups
    )


def _served(name: str, y: NDArray[np.int8], logits: Vector, thresholds: Sequence[float], level: float) -> Served:
    each = y.astype(np.float64)
    persons, p = len(y), probability(logits)
    found = (
        auroc(y, logits, level=level),
        observed_over_expected(float(each.sum()), float(p.sum()), persons=persons, level=level),
        slope_of_counts(logits, each, 1.0 - each, level=level),
    )
    gains = []
    for threshold, column in zip(thresholds, benefits(y, logits, thresholds).T, strict=True):
        value = float(column.mean())
        low, high = normal(value, float(column.std(ddof=1)) / np.sqrt(persons), level=level)
        gains.append(Measured(name=f"net-benefit at {threshold:g}", value=value, low=low, high=high, level=level))
    told = [shown(one.model_copy(update={"n": (coarse(persons),)})) for one in (*found, *gains)]
    return Served(name=name, auroc=told[0], oe=told[1], slope=told[2], net_benefit=tuple(told[3:]))


def gap(served: Sequence[Served]) -> float | None:
    """Return by how much the worst shown group's AUROC lies below everybody's; nothing where no group is shown."""
    whole = next((one.auroc.value for one in served if one.name == EVERYBODY and one.auroc is not None), None)
    groups = [one.auroc.value for one in served if one.name != EVERYBODY and one.auroc is not None]
    return None if whole is None or not groups else round(float(whole) - min(map(float, groups)), 3)
