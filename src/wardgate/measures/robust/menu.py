"""All rules by their word."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from numpy.typing import ArrayLike

from wardgate.measures.robust.clipping import centred_clipping
from wardgate.measures.robust.middles import coordinate_median, geometric_median, mean, trimmed_mean
from wardgate.measures.robust.neighbours import mixed_trimmed_mean, multi_krum
from wardgate.measures.robust.points import Points, Vector, points
from wardgate.records.errors import Invalid

RULES: Mapping[str, Callable[[Points], Vector]] = MappingProxyType(
    {
        "mean": mean,
        "median": coordinate_median,
        "trimmed-mean": trimmed_mean,
        "geometric-median": geometric_median,
        "multi-krum": multi_krum,
        "nnm-trimmed-mean": mixed_trimmed_mean,
        "centred-clipping": centred_clipping,
    }
)

DEFAULT = "nnm-trimmed-mean"


def middle(values: ArrayLike, *, rule: str = DEFAULT, corrupt: int, weights: ArrayLike | None = None) -> Vector:
    """Return what a rule takes for the middle of some points, shape (d,); finite whatever the points are.

    Args:
        values: Shape (g, d).
        corrupt: How many of them may be anything.
        weights: Shape (g,); all alike by default. A rule believes them: cap what a liar could claim.

    Raises:
        Invalid: no such rule, or points that it cannot take; see `points`.
    """
    if rule not in RULES:
        raise Invalid(f"there is no rule '{rule}'; there are {', '.join(RULES)}")
    given = points(values, weights=weights, corrupt=corrupt)
    return RULES[rule](given) * given.scale
