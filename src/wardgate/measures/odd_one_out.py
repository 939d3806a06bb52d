"""Which values stand out from those of the others, when sites differ anyhow."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How far sites differ in a quantity when nothing is wrong: what is known before any of them is seen.

    Attributes:
        deviation: Between sites, of the true values.
        freedom: How firmly that is known, as degrees of freedom; what the sites show is weighed against it.
    """

    deviation: float
    freedom: float = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One value against the others.

    Attributes:
        place: Index of the value.
        difference: From the mean of the others that do not stand out.
        others: That mean.
        others_error: Its standard error.
        chance: Two-sided: of so large a difference if the value were one of theirs.
    """

    place: int
    difference: float
    others: float
    others_error: float
    chance: float


def standings(values: Vector, errors: Vector, *, spread: Spread, level: float) -> tuple[Standing, ...]:
    """Return every value against the others; those that stand out at `level` are not among the others of anybody.

    A leave-one-out t test. The variance between sites is the known one, times how much more or less the others differ
    than it says (conjugate scaled inverse chi-squared), so that three others do not pretend to know their own spread.
    To keep two odd ones from hiding each other, up to a third is taken out one by one, the furthest first, and the
    longest list whose last member still stands out is believed.

    Args:
        values: Shape (k,), finite.
        errors: Standard errors, shape (k,).
        level: Chance that one clean value is taken for odd. The caller divides by the number of values and tests;
            here it is divided by the number of steps.

    Returns:
        k standings in the order of `values`; none for k below 3: of two, nobody can say which is odd.

    Reference: Rosner (1983), Percentage points for a generalized ESD many-outlier procedure, Technometrics 25:165;
        Smyth (2004), doi:10.2202/1544-6115.1027, for the moderated variance.
    """
    if len(values) < 3:
        return ()
    most = max(1, (len(values) - 1) // 3)
    left = list(range(len(values)))
    taken: list[int] = []
    believed = 0
    for step in range(1, most + 1):
        furthest = min((_against(place, left, values, errors, spread) for place in left), key=_order)
        taken.append(furthest.place)
        left.remove(furthest.place)
        if furthest.chance < level / most:
            believed = step
    kept = [place for place in range(len(values)) if place not in taken[:believed]]
    return tuple(_against(place, kept, values, errors, spread) for place in range(len(values)))


def _order(standing: Standing) -> tuple[float, float]:
    return standing.chance, -abs(standing.difference)


def _against(place: int, among: list[int], values: Vector, errors: Vector, spread: Spread) -> Standing:
    rest = np.array([other for other in among if other != place])
    known = spread.deviation**2
    variance = known + errors[rest] ** 2
    weights = 1.0 / variance
    mean = float(np.sum(weights * values[rest]) / np.sum(weights))
    freedom = len(rest) - 1
    excess = float(np.sum((values[rest] - mean) ** 2 / variance))
    factor = (spread.freedom + excess) / (spread.freedom + freedom)
    others = max(factor, 1.0) / float(np.sum(weights))
    whole = factor * known + max(factor, 1.0) * float(errors[place]) ** 2 + others
    difference = float(values[place]) - mean
    chance = 2.0 * float(stats.t.sf(abs(difference) / math.sqrt(whole), df=spread.freedom + freedom))
    return Standing(
        place=place, difference=difference, others=mean, others_error=math.sqrt(others), chance=max(chance, 1e-300)
    )
