"""The rule by which one way to learn is recommended out of several that were tried, and the reason in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.papers.words import figure, listed, number, size
from wardgate.records.comparison import Candidate, Kind, Tried
from wardgate.records.errors import NotEvaluable
from wardgate.records.study import Acceptance

Vector = NDArray[np.float64]

UNSEEN = 0.002
"""A difference in AUROC below this is none, however sure it is."""

WORST_BELOW = 0.02
"""How far the worst hospital of a candidate may stay below the highest of these, beyond two standard errors."""

SIMPLER: Mapping[Kind, int] = {"regression": 0, "boosting": 1, "network": 2, "bound": 3}

RULE = (
    "Every candidate is judged by its AUROC on the held-out synthetic rows of all simulated hospitals together,"
    " averaged over every way to divide the rows and every seed; all candidates see the same divisions.",
    "A candidate that failed in a division, whose mean O/E or calibration slope lies outside the study's own limits by"
    " more than two standard errors, or"
    f" whose worst hospital stays more than {WORST_BELOW:g} in AUROC below that of the candidate with the best worst"
    " one (beyond two standard errors) misses a guard; it is recommended only where all miss one.",
    "The leader has the highest mean. Who stays behind it by no more than one standard error of the difference over the"
    f" divisions, or by less than {UNSEEN:g}, is equal to it.",
    "Of the equal ones the simplest is recommended: regression before boosting before a network; then the one that"
    " moves the fewest bytes, then the one that stands first in the menu.",
)

CANNOT_TELL = (
    "The rows are synthetic. What their generators lost of the patients, such as how several features act together, no"
    " candidate can win by here; a network may therefore gain more on patients than this shows, or less.",
    "How real hospitals differ is not known; these differ in the ways stated. A coding error, another definition or"
    " another population at one of them would be none of these.",
    "Standard errors are over divisions of the same corpora. They say how much the division matters, not how much"
    " another set of patients would.",
    "Nothing here is a figure of any hospital. The trained model is judged on patients, by the study's own rehearsal"
    " and locked test.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the rule says.

    Attributes:
        candidates: Best first; bounds last.
        recommended: By the whole rule.
        algorithm: By the same rule among networks alone.
        reason: In words.
    """

    candidates: tuple[Candidate, ...]
    recommended: Candidate
    algorithm: Candidate
    reason: tuple[str, ...]


def choose(tried: Sequence[Tried], *, labels: Mapping[str, str], acceptance: Acceptance, ways: int) -> Choice:
    """Apply `RULE` to everything that was tried.

    Args:
        tried: Of each candidate the same divisions, in the order of the menu.
        labels: Of every candidate, for people.
        acceptance: The study's own limits of O/E and slope.
        ways: How many ways to divide stand behind it.

    Raises:
        NotEvaluable: no network was trained in any division.
    """
    found = [
        _candidate(name, [one for one in tried if one.candidate == name], labels[name], acceptance) for name in labels
    ]
    known = [one for one in found if one is not None]
    open_to_choice = [one for one in known if one.kind != "bound"]
    networks = [one for one in open_to_choice if one.kind == "network"]
    if not networks:
        failed = next((one.failed for one in tried if one.kind == "network" and one.failed), "none was tried")
        raise NotEvaluable(f"no network could be trained on the simulated hospitals, so nothing is compared: {failed}")
    judged = _judged(open_to_choice, tried)
    recommended = _first(judged)
    among = _judged(networks, tried)
    algorithm = next(one for one in judged if one.name == _first(among).name)
    best_first = sorted(judged, key=lambda one: -one.auroc)
    leader = next(one for one in judged if one.behind == 0.0 and one.equal)
    bounds = [_against(one, leader, tried) for one in known if one.kind == "bound"]
    divisions = len({(one.way, one.seed) for one in tried})
    return Choice(
        candidates=(*best_first, *bounds),
        recommended=recommended,
        algorithm=algorithm,
        reason=tuple(_reason(recommended, algorithm, best_first, bounds, divisions=divisions, ways=ways)),
    )


def _candidate(name: str, runs: Sequence[Tried], label: str, acceptance: Acceptance) -> Candidate | None:
    good = [one for one in runs if one.auroc is not None and not one.failed]
    if not good:
        return None
    logs, slopes = [math.log(one.oe) if one.oe else math.nan for one in good], [one.slope for one in good]
    limits = [math.log(end) for end in acceptance.oe]
    oe, slope, worst = math.exp(_mean(logs)), _mean(slopes), _mean([one.worst for one in good])
    guards = []
    if len(good) < len(runs):
        guards.append(f"failed in {len(runs) - len(good)} of {len(runs)} divisions")
    if _outside(logs, limits[0], limits[1]):
        guards.append(f"O/E {figure(oe)} outside {acceptance.oe[0]:g} to {acceptance.oe[1]:g}")
    if _outside(slopes, *acceptance.slope):
        guards.append(f"slope {figure(slope)} outside {acceptance.slope[0]:g} to {acceptance.slope[1]:g}")
    return Candidate(
        name=name,
        label=label,
        kind=good[0].kind,
        rate=good[0].rate,
        whole=good[0].whole,
        auroc=_mean([one.auroc for one in good]),
        low=min(one.auroc for one in good if one.auroc is not None),
        oe=oe,
        slope=slope,
        worst=worst,
        rounds=float(np.mean([one.rounds for one in good])),
        moved=float(np.mean([one.moved for one in good])),
        guards=tuple(guards),
    )


def _outside(values: Sequence[float | None], low: float, high: float) -> bool:
    """Say whether the mean lies outside by more than two standard errors, or cannot be told."""
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return True
    mean, error = float(np.mean(finite)), _error(finite)
    return mean + 2 * error < low or mean - 2 * error > high


def _judged(candidates: Sequence[Candidate], tried: Sequence[Tried]) -> list[Candidate]:
    """Return the candidates with the guard of the worst hospital, and with how far each is behind the leader."""
    sound = [one for one in candidates if not one.guards] or candidates
    safest = max(sound, key=lambda one: -math.inf if math.isnan(one.worst) else one.worst)
    guarded = []
    for one in candidates:
        behind, error = _behind(tried, one.name, safest.name, "worst")
        missed = one.guards
        if behind > WORST_BELOW + 2 * error:
            missed += (f"worst hospital {figure(one.worst)}, {figure(behind, 3)} below that of {safest.label}",)
        guarded.append(one.model_copy(update={"guards": missed}))
    free = [one for one in guarded if not one.guards] or guarded
    leader = max(free, key=lambda one: one.auroc)
    return [_against(one, leader, tried) for one in guarded]


def _against(one: Candidate, leader: Candidate, tried: Sequence[Tried]) -> Candidate:
    behind, error = _behind(tried, one.name, leader.name, "auroc")
    may = one.kind != "bound" and (not one.guards or leader.guards != ())
    return one.model_copy(update={"behind": behind, "error": error, "equal": may and behind <= max(error, UNSEEN)})


def _behind(tried: Sequence[Tried], name: str, other: str, what: str) -> tuple[float, float]:
    """Return how far one stays behind the other in the mean over divisions that both have, and its standard error."""
    tables = [
        {(one.way, one.seed): getattr(one, what) for one in tried if one.candidate == who and not one.failed}
        for who in (other, name)
    ]
    both = sorted(tables[0].keys() & tables[1].keys())
    gaps = [
        tables[0][key] - tables[1][key] for key in both if tables[0][key] is not None and tables[1][key] is not None
    ]
    gaps = [gap for gap in gaps if math.isfinite(gap)]
    if not gaps:
        return math.inf, 0.0
    return float(np.mean(gaps)), _error(gaps)


def _first(judged: Sequence[Candidate]) -> Candidate:
    equal = [one for one in judged if one.equal]
    return min(equal, key=lambda one: (SIMPLER[one.kind], one.moved))


def _reason(
    chosen: Candidate,
    algorithm: Candidate,
    judged: Sequence[Candidate],
    bounds: Sequence[Candidate],
    *,
    divisions: int,
    ways: int,
) -> list[str]:
    leader = next(one for one in judged if one.behind == 0.0 and one.equal)
    words = [
        f"{_capital(chosen.label)} has AUROC {figure(chosen.auroc, 3)} on held-out synthetic rows, the mean of"
        f" {number(divisions, 'division')} in {number(ways, 'way')}; O/E {figure(chosen.oe)}, slope"
        f" {figure(chosen.slope)}, worst hospital {figure(chosen.worst, 3)}."
    ]
    if leader.name != chosen.name:
        words.append(
            f"{_capital(leader.label)} leads with {figure(leader.auroc, 3)}, which is {figure(chosen.behind, 4)} more"
            f" with a standard error of {figure(chosen.error, 4)}: nothing that would be noticed."
        )
    if chosen.kind != "network":
        words.append(
            f"The network brings nothing that these rows could show: {chosen.label} is enough, with"
            f" {chosen.rounds:.0f} sums and {size(round(chosen.moved))}. {_capital(algorithm.label)}, the best way to"
            f" train the network, reaches {figure(algorithm.auroc, 3)} with {algorithm.rounds:.0f} sums and"
            f" {size(round(algorithm.moved))}."
        )
    elif equal := [one.label for one in judged if one.equal and one.name != chosen.name]:
        words.append(
            f"Nothing tells it from {listed(tuple(equal), 8)}; of these it is the simplest and moves the fewest bytes,"
            f" {size(round(chosen.moved))} in {chosen.rounds:.0f} sums."
        )
    simpler = [one for one in judged if SIMPLER[one.kind] < SIMPLER[chosen.kind] and not one.equal]
    words += [
        f"{_capital(one.label)} would be simpler but stays {figure(one.behind, 3)} behind"
        f" (standard error {figure(one.error, 3)})" + (f" and misses a guard: {one.guards[0]}." if one.guards else ".")
        for one in simpler
    ]
    if chosen.guards:
        words.append(f"No candidate meets every guard; this one misses: {'; '.join(chosen.guards)}.")
    words += [f"{_capital(one.label)}: AUROC {figure(one.auroc, 3)}." for one in bounds]
    return words


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _error(values: Sequence[float]) -> float:
    """Return the standard error of a mean; 0 where one value cannot tell."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def _mean(values: Sequence[float | None]) -> float:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.nan
