"""Does the corpus show what medicine knows: creatinine rises with age, the dead were older?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from wardgate.measures.realism.coding import Matrix
from wardgate.measures.realism.resampling import Vector, reach
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature, Relation
from wardgate.records.measured import Measured

SURE = 3.0
"""Standard deviations by which real persons must exceed what the corpus could show: a good one then misses a relation
with a chance of 1 in 700."""

HALF = 0.5
"""Share of its real size that a relation may have in the corpus and must still be certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """The size of a relation in one table, with its sign turned so that the known direction is positive.

    Attributes:
        value: On the scale on which it is nearly normal: Fisher's z of a rank correlation, a difference, a logarithm.
        deviation: Standard error; infinite where the table cannot tell.
        asked: The known range on the same scale, from and to.
    """

    value: float
    deviation: float
    asked: tuple[float, float]

    def ends(self, reach: float) -> tuple[float, float]:
        """Return value -/+ reach x deviation."""
        return self.value - reach * self.deviation, self.value + reach * self.deviation

    @property
    def fits(self) -> bool:
        """Whether the estimate has the known sign and size."""
        return math.isfinite(self.deviation) and self.asked[0] <= self.value <= self.asked[1] and self.value > 0


def relations(
    known: Sequence[Relation],
    features: Sequence[Feature],
    real: Matrix,
    synthetic: Matrix,
    *,
    level: float,
) -> Measured | None:
    """Share of known relations that the corpus shows with the right sign and, where it is known, the right size.

    The value counts estimates that fit. The low end counts relations whose sign is certain at this level and whose
    interval meets the known range; the high end those that are not certain to be wrong. So that chance does not
    decide, a relation is asked only where real persons show it so clearly that a corpus of this size with half of it
    would show it too, or where the corpus turns round what they show. Those left out are counted in the note, never
    named. An innocent corpus scores 1, one with independent columns about 0 at the low end.

    Args:
        real, synthetic: From `coding.values`, shapes (n, d) and (m, d).

    Returns:
        Nothing where relations are declared and none can be asked. n is (synthetic rows, real persons).

    Raises:
        Invalid: a relation compares columns that its kind cannot compare.
    """
    name, sizes = "realism.relations", (len(synthetic), len(real))
    if not known:
        note = "No relation is declared, so none can be missing."
        return Measured(name=name, value=1, low=1, high=1, level=level, n=sizes, note=note)
    away = reach(level)
    shown = [(size(one, features, real), size(one, features, synthetic)) for one in known]
    asked = [
        other
        for one, other in shown
        if _can_be_asked(one, len(real), len(synthetic), away) or _contradicts(one, other, away)
    ]
    if not asked:
        return None
    certain, likely, possible = 0, 0, 0
    for other in asked:
        low, high = other.ends(away)
        meets = high >= other.asked[0] and low <= other.asked[1]
        likely += other.fits
        certain += math.isfinite(other.deviation) and low > 0 and meets
        possible += not math.isfinite(other.deviation) or (high > 0 and meets)
    left = len(known) - len(asked)
    note = f"{len(asked)} of {len(known)} relations; real persons do not show the others clearly." if left else ""
    count = len(asked)
    low, high = min(certain, likely) / count, max(possible, likely) / count
    return Measured(name=name, value=likely / count, low=low, high=high, level=level, n=sizes, note=note)


def _can_be_asked(real: Size, persons: int, rows: int, away: float) -> bool:
    """Whether real persons show a relation, so clearly that a good corpus of as many rows would."""
    low, high = real.ends(away)
    if not math.isfinite(real.deviation) or high < real.asked[0] or low > real.asked[1]:
        return False
    # What the corpus's deviation should be, were it as good as the real persons: theirs for its number of rows.
    expected = real.deviation * math.sqrt(persons / max(1, rows))
    return real.value * HALF > away * expected + SURE * math.hypot(real.deviation, expected)


def _contradicts(real: Size, synthetic: Size, away: float) -> bool:
    """Whether a corpus turns round what real persons show, both beyond chance, however weak it is."""
    apart = math.hypot(real.deviation, synthetic.deviation)
    certain = real.ends(away)[0] > 0 > synthetic.ends(away)[1]
    return math.isfinite(apart) and certain and real.value - synthetic.value > SURE * apart


def size(relation: Relation, features: Sequence[Feature], table: Matrix) -> Size:
    """Return the size of a relation among the rows that have both values.

    References: Bonett and Wright 2000, doi:10.1007/BF02294183, for rank correlations; Welch for differences; Woolf,
        with one half added to each cell, for odds ratios.

    Raises:
        Invalid: a column is no number where one is needed, or not yes or no.
    """
    place = {feature.name: number for number, feature in enumerate(features)}
    first, second = (features[place[name]] for name in relation.between)
    one, other = (table[:, place[name]] for name in relation.between)
    both = ~np.isnan(one) & ~np.isnan(other)
    one, other = one[both], other[both]
    if relation.kind == "spearman":
        _needs(relation, (first, second), yes_or_no=False)
        value, deviation = _spearman(one, other)
    elif relation.kind == "difference":
        _needs(relation, (first,), yes_or_no=True)
        _needs(relation, (second,), yes_or_no=False)
        value, deviation = _difference(other[one == 1], other[one == 0])
    else:
        _needs(relation, (first, second), yes_or_no=True)
        value, deviation = _log_odds_ratio(one == 1, other == 1)
    low, high = relation.size or (-math.inf, math.inf)
    if relation.kind == "spearman" and relation.size:
        low, high = (math.atanh(min(max(end, -0.999999), 0.999999)) for end in relation.size)
    if relation.sign == "-":
        value, low, high = -value, -high, -low
    return Size(value=value, deviation=deviation, asked=(low, high))


def _needs(relation: Relation, columns: Sequence[Feature], *, yes_or_no: bool) -> None:
    for column in columns:
        two = column.type == "boolean" or (column.type == "category" and len(column.values or ()) == 2)
        if yes_or_no and not two:
            raise Invalid(f"relation '{relation.name}' needs '{column.name}' to be yes or no; it is a {column.type}")
        if column.type == "category" and not two:
            raise Invalid(f"relation '{relation.name}' orders the categories of '{column.name}'; they have no order")


def _spearman(one: Vector, other: Vector) -> tuple[float, float]:
    if len(one) < 4 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0, math.inf
    found = float(np.corrcoef(rankdata(one), rankdata(other))[0, 1])
    found = min(max(found, -0.999999), 0.999999)
    return math.atanh(found), math.sqrt((1 + found**2 / 2) / (len(one) - 3))


def _difference(yes: Vector, no: Vector) -> tuple[float, float]:
    if min(len(yes), len(no)) < 2:
        return 0.0, math.inf
    deviation = math.sqrt(float(np.var(yes, ddof=1)) / len(yes) + float(np.var(no, ddof=1)) / len(no))
    return float(yes.mean() - no.mean()), deviation or math.inf


def _log_odds_ratio(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    if not len(one) or one.all() or other.all() or not one.any() or not other.any():
        return 0.0, math.inf
    cells = [float(np.sum((one == a) & (other == b))) + 0.5 for a, b in ((1, 1), (1, 0), (0, 1), (0, 0))]
    value = math.log(cells[0] * cells[3] / (cells[1] * cells[2]))
    return value, math.sqrt(sum(1 / cell for cell in cells))
