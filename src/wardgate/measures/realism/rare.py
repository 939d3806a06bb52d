"""Are the rare there: the outcome, and few people's traits? A generator that drops them looks good on average."""

import math
from collections.abc import Sequence

import numpy as np

from wardgate.measures.encoding import LABEL
from wardgate.measures.realism.coding import Matrix
from wardgate.measures.realism.resampling import reach
from wardgate.records.feature import Feature
from wardgate.records.measured import Measured

NAME = "realism.rare_outcome_ratio"

RARE = 0.05
"""Share of persons below whom a trait is rare."""

PRIOR = 15.0
"""Events added on both sides, so that a few more or less do not decide. None in the corpus where 30 were to be
expected gives a ratio of one third."""

LEAST = 11
"""Real events below whom their number has no influence; a corpus may still have far too many."""

GRID = 0.1
"""Step to which ratios are told, so that they do not tell how many real persons there are."""


def rare_outcome_ratio(
    features: Sequence[Feature], real: Matrix, synthetic: Matrix, *, level: float
) -> Measured | None:
    """Prevalence in the corpus over that in real persons: of the outcome, and of every trait of fewer than 5 %.

    The ratio furthest from 1; 1 is right, below 1 lost, above 1 exaggerated. Numbers of events are compared at the
    size of the smaller table, `PRIOR` added to both. The ends are those of the lowest and of the highest ratio, over
    resampled persons (a count resampled is binomial), rounded outwards to tenths.

    Args:
        real, synthetic: From `coding.values`, shapes (n, d) and (m, d).

    Returns:
        Nothing where all that could be compared is too rare. Without an outcome and without any rare trait the ratio
        is 1 and the note says so. n is (synthetic rows, real persons).
    """
    n, m = len(real), len(synthetic)
    size, away = min(n, m), reach(level)
    ratios: list[tuple[float, float, float]] = []
    left = 0
    for place, feature in enumerate(features):
        if feature.type in ("number", "integer"):
            continue
        held, made = (_counted(feature, table[:, place]) for table in (real, synthetic))
        always = feature.name == LABEL
        for code in range(len(held)):
            wanted = (always and code == 1) or held[code] < RARE * n
            if not wanted or (always and code == 0):
                continue
            if held[code] < LEAST and made[code] / m * size <= LEAST:
                left += 1
                continue
            share = max(held[code], LEAST - 1) / n
            expected, found = share * size + PRIOR, made[code] / m * size + PRIOR
            deviation = size * math.sqrt(share * (1 - share) / n) / expected
            value = math.log(found / expected)
            ratios.append((value, value - away * deviation, value + away * deviation))
    if not ratios and left:
        return None
    if not ratios:
        note = "There is no outcome and no rare trait."
        return Measured(name=NAME, value=1, low=1, high=1, level=level, n=(m, n), note=note)
    note = f"{left} traits are too rare to be compared." if left else ""
    value = math.exp(max((one[0] for one in ratios), key=abs))
    low, high = math.exp(min(one[1] for one in ratios)), math.exp(max(one[2] for one in ratios))
    value, low, high = round(value / GRID) * GRID, _floor(low), -_floor(-high)
    return Measured(
        name=NAME,
        value=round(value, 1),
        low=min(low, round(value, 1)),
        high=max(high, round(value, 1)),
        level=level,
        n=(m, n),
        note=note,
    )


def _counted(feature: Feature, column: np.ndarray) -> list[float]:
    known = 2 if feature.type == "boolean" else len(feature.values or ())
    held = np.bincount(column[~np.isnan(column)].astype(np.int64), minlength=known)
    return [float(count) for count in held]


def _floor(value: float) -> float:
    return round(math.floor(value / GRID + 1e-9) * GRID, 1)
