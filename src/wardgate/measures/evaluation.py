"""What a model is worth, from counts of events and non-events in bins of its score."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm

from wardgate.measures.calibration import CurvePoint, curve_of_counts, observed_over_expected, slope_of_counts
from wardgate.measures.discrimination import auroc_of_counts, bin_error
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.measured import Measured

Vector = NDArray[np.float64]

LARGEST_LOGIT = 20.0
"""Logits of a score beyond this count as this: a score of 0 or 1 has none."""


def score_edges(*, bins: int, thresholds: Sequence[float] = (), low: float = -6.0, high: float = 6.0) -> Vector:
    """Return edges at even logits, and at every threshold, so that what is decided there is exact.

    Raises:
        Invalid: fewer than two bins, or a threshold outside (0, 1).
    """
    if bins < 2 or not low < high:
        raise Invalid(f"expected at least 2 bins between a lower and a higher logit, found {bins}")
    if not all(0 < threshold < 1 for threshold in thresholds):
        raise Invalid("every threshold must lie between 0 and 1")
    return np.unique(np.concatenate([expit(np.linspace(low, high, bins - 1)), np.asarray(thresholds, dtype=float)]))


def mass_edges(edges: Vector, counts: Vector, *, bins: int, thresholds: Sequence[float] = ()) -> Vector:
    """Return edges that part the persons of an earlier sum about evenly, for a second and finer one.

    Scores are taken to lie evenly within the earlier bins, on the logit scale.
    """
    inner = logit(edges)
    step = float(np.median(np.diff(inner))) if len(inner) > 1 else 1.0
    outer = np.concatenate([[inner[0] - step], inner, [inner[-1] + step]])
    held = np.concatenate([[0.0], np.cumsum(np.maximum(counts, 0.0))])
    wanted = np.linspace(0, held[-1], bins + 1)[1:-1]
    spread = np.interp(wanted, held + 1e-9 * np.arange(len(held)), outer)
    return np.unique(np.concatenate([expit(spread), np.asarray(thresholds, dtype=float)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Summed scores.

    Attributes:
        edges: Shape (b - 1,).
        events, non_events, predicted: Counts, and sum of scores, of each bin, shape (b,).
        squared: Sum of squared errors.
    """

    edges: Vector
    events: Vector
    non_events: Vector
    predicted: Vector
    squared: float

    @property
    def persons(self) -> Vector:
        """Of each bin."""
        return self.events + self.non_events

    @property
    def logits(self) -> Vector:
        """Logit of the mean score of each bin; of its middle where it holds nobody."""
        ends = np.concatenate([[0.0], self.edges, [1.0]])
        middle = (ends[:-1] + ends[1:]) / 2
        some = self.persons > 0.5
        mean = np.divide(self.predicted, self.persons, out=middle.copy(), where=some)
        inside = np.where((mean >= ends[:-1]) & (mean <= ends[1:]), mean, middle)
        return np.asarray(np.clip(logit(np.clip(inside, 1e-12, 1 - 1e-12)), -LARGEST_LOGIT, LARGEST_LOGIT))


def bins_of(total: Vector, edges: Vector) -> Bins:
    """Read a sum of score bins.

    Raises:
        Invalid: it has another length.
    """
    bins = len(edges) + 1
    if total.shape != (3 * bins + 1,):
        raise Invalid(f"expected {3 * bins + 1} sums, found shape {total.shape}")
    events, non_events, predicted = total[:-1].reshape(3, bins)
    return Bins(edges=edges, events=events, non_events=non_events, predicted=predicted, squared=float(total[-1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What treating everybody at or above one threshold does; exact, since the threshold is an edge.

    Attributes:
        treated: Share of persons at or above the threshold.
        net_benefit: True positives less weighted false positives, per person.
        treat_all: Net benefit of treating everybody; treating nobody has 0.
    """

    threshold: float
    sensitivity: Measured
    specificity: Measured
    treated: float
    net_benefit: Measured
    treat_all: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A model's figures.

    Attributes:
        auroc: Its interval holds sampling, the bins' own error and noise.
        auroc_error: The AUROC of the persons' own scores is within this of `auroc.value`: half the share of pairs that
            a bin ties. In a noisy sum an estimate.
        oe, brier: Exact sums, but for noise.
        in_the_large, slope: From the mean score of each bin; `recalibrate` gives them from the scores themselves.
        curve: Bins merged to groups of at least the smallest count.
        events, non_events: Persons; noisy where the sum was.
    """

    auroc: Measured
    auroc_error: float
    oe: Measured
    brier: Measured
    in_the_large: Measured
    slope: Measured
    curve: tuple[CurvePoint, ...]
    decisions: tuple[Decision, ...]
    events: float
    non_events: float


def evaluate(
    found: Bins, *, thresholds: Sequence[float] = (), noise: float = 0.0, minimum: int = 11, level: float = 0.95
) -> Evaluation:
    """Return the figures.

    Intervals: AUROC by DeLong, O/E log-normal, slope and calibration-in-the-large by the information, Brier score by
    the spread of squared errors between bins, decisions by the spread over persons. Noise widens each by what 100
    repeatable redraws of it move the figure.

    Args:
        thresholds: Each must be an edge.
        noise: Standard deviation of the noise in each sum; 0 for an exact one.
        minimum: Fewest events and non-events behind shown figures.

    Raises:
        NotEvaluable: fewer events or non-events than `minimum`; with one class alone nothing can be told apart.
        Invalid: a threshold that is no edge.

    References: DeLong et al. 1988, doi:10.2307/2531595; Vickers and Elkin 2006, doi:10.1177/0272989X06295361.
    """
    events, non_events = float(found.events.sum()), float(found.non_events.sum())
    if not min(events, non_events) >= minimum:
        raise NotEvaluable(f"fewer than {minimum} events or non-events; the model cannot be judged on these persons")
    for threshold in thresholds:
        if threshold not in found.edges:
            raise Invalid("a threshold is no edge of the score bins; name it when the bins are laid")
    widen = _widener(found, noise)
    area = auroc_of_counts(found.events, found.non_events, level=level)
    error = float(np.clip(bin_error(found.events, found.non_events), 0.0, 0.5))
    area = widen(area, lambda bins: auroc_of_counts(bins.events, bins.non_events).value, (0.0, 1.0))
    area = area.model_copy(
        update={
            "low": max(area.low - error, 0.0),
            "high": min(area.high + error, 1.0),
            "note": f"bins tie some pairs: the persons' own AUROC is within {error:.2g} of this",
        }
    )
    return Evaluation(
        auroc=area,
        auroc_error=error,
        oe=widen(_oe(found, level), lambda bins: _oe(bins, level).value, (0.0, np.inf)),
        brier=widen(_brier(found, level), lambda bins: _brier(bins, level).value, (0.0, 1.0)),
        in_the_large=widen(_in_the_large(found, level), lambda bins: _in_the_large(bins, level).value, None),
        slope=widen(_slope(found, level), lambda bins: _slope(bins, level).value, None),
        curve=curve_of_counts(
            found.logits, np.maximum(found.events, 0.0), np.maximum(found.non_events, 0.0), minimum=minimum
        ),
        decisions=tuple(_decision(found, threshold, level, widen) for threshold in thresholds),
        events=events,
        non_events=non_events,
    )


Widen = Callable[[Measured, Callable[[Bins], float], tuple[float, float] | None], Measured]


def _widener(found: Bins, noise: float, redraws: int = 100) -> Widen:
    """Return what adds noise's own spread to an interval, and keeps figure and interval within their limits."""
    rng = np.random.default_rng(0)

    def drawn(part: Vector) -> Vector:
        return part + rng.normal(0.0, noise, len(part))

    others = [
        replace(
            found,
            events=drawn(found.events),
            non_events=drawn(found.non_events),
            predicted=drawn(found.predicted),
            squared=found.squared + float(rng.normal(0.0, noise)),
        )
        for _ in range(redraws if noise > 0 else 0)
    ]

    def widen(figure: Measured, of: Callable[[Bins], float], limits: tuple[float, float] | None) -> Measured:
        if not others or not np.isfinite(figure.value):
            return figure
        again = np.array([of(one) for one in others])
        extra = float(norm.ppf(0.5 + figure.level / 2)) * float(np.nanstd(again))
        low = figure.value - float(np.hypot(figure.value - figure.low, extra))
        high = figure.value + float(np.hypot(figure.high - figure.value, extra))
        bottom, top = limits or (-np.inf, np.inf)
        value = float(np.clip(figure.value, bottom, top))
        return figure.model_copy(update={"value": value, "low": max(low, bottom), "high": min(high, top)})

    return widen


def _oe(found: Bins, level: float) -> Measured:
    persons = round(float(found.persons.sum()))
    return observed_over_expected(float(found.events.sum()), float(found.predicted.sum()), persons=persons, level=level)


def _around(name: str, value: float, deviation: float, persons: float, level: float) -> Measured:
    reach = float(norm.ppf(0.5 + level / 2)) * deviation
    return Measured(name=name, value=value, low=value - reach, high=value + reach, level=level, n=(round(persons),))


def _brier(found: Bins, level: float) -> Measured:
    n = float(found.persons.sum())
    value, p = found.squared / n, expit(found.logits)
    fourth = float(np.sum(found.events * (1 - p) ** 4 + found.non_events * p**4)) / n
    return _around("brier", value, float(np.sqrt(max(fourth - value**2, 0.0) / n)), n, level)


def _slope(found: Bins, level: float) -> Measured:
    return slope_of_counts(found.logits, np.maximum(found.events, 0.0), np.maximum(found.non_events, 0.0), level=level)


def _in_the_large(found: Bins, level: float) -> Measured:
    shift, information = 0.0, 1.0
    total, events = np.maximum(found.persons, 0.0), float(found.events.sum())
    for _ in range(60):
        p = expit(found.logits + shift)
        information = float(np.sum(total * p * (1 - p)))
        step = float(np.clip((events - float(np.sum(total * p))) / max(information, 1e-9), -2.0, 2.0))
        shift += step
        if abs(step) < 1e-12:
            break
    n = float(total.sum())
    return _around("calibration-in-the-large", shift, float(1 / np.sqrt(max(information, 1e-9))), n, level)


def _decision(found: Bins, threshold: float, level: float, widen: Widen) -> Decision:
    place = int(np.searchsorted(found.edges, threshold)) + 1

    def share(of: Callable[[Bins], Vector], name: str, *, above: bool) -> Measured:
        def figure(bins: Bins) -> float:
            part = of(bins)
            return float((part[place:] if above else part[:place]).sum() / part.sum())

        n = float(of(found).sum())
        return widen(_wilson(name, float(np.clip(figure(found), 0.0, 1.0)), n, level), figure, (0.0, 1.0))

    weight = threshold / (1 - threshold)

    def benefit(bins: Bins) -> float:
        return float((bins.events[place:].sum() - weight * bins.non_events[place:].sum()) / bins.persons.sum())

    n = float(found.persons.sum())
    value = benefit(found)
    second = float(found.events[place:].sum() + weight**2 * found.non_events[place:].sum()) / n
    net = _around("net-benefit", value, float(np.sqrt(max(second - value**2, 0.0) / n)), n, level)
    return Decision(
        threshold=threshold,
        sensitivity=share(lambda bins: bins.events, "sensitivity", above=True),
        specificity=share(lambda bins: bins.non_events, "specificity", above=False),
        treated=float(np.clip(found.persons[place:].sum() / n, 0.0, 1.0)),
        net_benefit=widen(net, benefit, None),
        treat_all=float((found.events.sum() - weight * found.non_events.sum()) / n),
    )


def _wilson(name: str, share: float, n: float, level: float) -> Measured:
    """Wilson's score interval of a share; it may be taken over noisy counts, which are no integers."""
    z = float(norm.ppf(0.5 + level / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * float(np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)))
    low, high = min(middle - reach, share), max(middle + reach, share)
    return Measured(name=name, value=share, low=max(low, 0.0), high=min(high, 1.0), level=level, n=(round(n),))


def recalibration_rows(p: Vector, *, largest: float) -> Vector:
    """Return (1, logit / largest) of each score, entries in [-1, 1], shape (n, 2)."""
    edge = float(expit(-largest))
    scaled = logit(np.clip(p, edge, 1 - edge)) / largest
    return np.column_stack([np.ones(len(p)), np.clip(scaled, -1.0, 1.0)])
