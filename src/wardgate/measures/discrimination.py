"""How well a score tells events from non-events: AUROC, from persons or from binned counts."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from wardgate.records.measured import Measured

Counts = NDArray[np.float64]


def auroc_of_counts(events: Counts, non_events: Counts, *, level: float = 0.95, name: str = "auroc") -> Measured:
    """AUROC from counts in bins of rising score; ties within a bin count one half.

    Args:
        events: Events per bin, shape (b,).
        non_events: Non-events per bin, shape (b,).

    Returns:
        The AUROC with DeLong's interval on the logit scale; NaN where a class is empty.
        n is (events, non-events). An uninformative score gives 0.5.

    Reference: DeLong et al. 1988, doi:10.2307/2531595, in the form that Sun and Xu 2014 give for mid-ranks.
    """
    m, n = float(events.sum()), float(non_events.sum())
    if m < 2 or n < 2:
        return Measured(name=name, value=np.nan, low=np.nan, high=np.nan, level=level, n=(int(m), int(n)))
    below = np.concatenate(([0.0], np.cumsum(non_events)[:-1])) + 0.5 * non_events
    above = m - np.cumsum(events) + 0.5 * events
    per_event, per_non_event = below / n, above / m
    value = float(np.sum(events * per_event) / m)
    variance = float(np.sum(events * (per_event - value) ** 2) / (m - 1) / m)
    variance += float(np.sum(non_events * (per_non_event - value) ** 2) / (n - 1) / n)
    low, high = _logit_interval(value, variance, m, n, level)
    return Measured(
        name=name, value=value, low=min(low, value), high=max(high, value), level=level, n=(round(m), round(n))
    )


def _logit_interval(value: float, variance: float, m: float, n: float, level: float) -> tuple[float, float]:
    edge = 0.5 / (m * n)
    inside = min(max(value, edge), 1 - edge)
    deviation = np.sqrt(max(variance, edge**2)) / (inside * (1 - inside))
    reach = float(norm.ppf(0.5 + level / 2)) * deviation
    logit = np.log(inside / (1 - inside))
    return float(expit(logit - reach)), float(expit(logit + reach))


def bin_error(events: Counts, non_events: Counts) -> float:
    """Return by how much the AUROC from bins can differ from the exact one: half the share of tied pairs."""
    m, n = float(events.sum()), float(non_events.sum())
    return float("nan") if m == 0 or n == 0 else 0.5 * float(np.sum(events * non_events)) / (m * n)


def auroc(y: NDArray[np.int8], score: NDArray[np.float64], *, level: float = 0.95, name: str = "auroc") -> Measured:
    """AUROC of persons, ties counted one half.

    Args:
        y: Labels, shape (n,), 0 or 1.
        score: Scores, shape (n,), higher meaning more likely an event.
    """
    values, place = np.unique(score, return_inverse=True)
    events = np.bincount(place, weights=y.astype(np.float64), minlength=len(values)).astype(np.float64)
    every = np.bincount(place, minlength=len(values)).astype(np.float64)
    return auroc_of_counts(events, every - events, level=level, name=name)
