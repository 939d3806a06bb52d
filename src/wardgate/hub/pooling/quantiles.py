"""Quantiles over hospitals from histograms that zoom in until the stated resolution, or until persons run thin."""

from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np

from wardgate.computations.tables import Tables, split_tables
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.measures.grain import outer_steps, value_of
from wardgate.measures.quantiles import Window, next_steps, window_of
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.feature import Feature
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

CELLS = 32
"""Parts into which a window is cut at most."""

NOISY_ROUNDS = 3
NOISY_CELLS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantile:
    """One quantile, the smallest value that at least the share `level` of persons do not exceed.

    Attributes:
        value: Middle of the bracket, at most half its width off; the integer itself where the bracket holds only one.
        low, high: The quantile is at least `low` and below `high`; with noise, in about 95 of 100 sums.
        resolved: Whether the bracket is as narrow as asked for. It is not where too few persons would stand behind a
            narrower one, or noise hides where to cut.
    """

    feature: str
    level: float
    value: float
    low: float
    high: float
    resolved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Quantiles of several features and what they cost."""

    found: tuple[Quantile, ...]
    gaussian: tuple[GaussianEvent, ...]
    rounds: int
    bytes_moved: int

    def of(self, feature: str) -> tuple[Quantile, ...]:
        """Return the quantiles of one feature."""
        return tuple(one for one in self.found if one.feature == feature)


def quantiles(
    *,
    study: Study,
    sites: tuple[str, ...],
    features: tuple[str, ...],
    persons_at_least: int,
    levels: tuple[float, ...] = (0.25, 0.5, 0.75),
    resolution: float = 0.001,
    rounds: int = 4,
    split: SplitName = "train",
    epsilon: float | None = None,
) -> Generator[Ask, Told, Quantiles]:
    """Zoom in on quantiles of numbers, all features in each sum.

    An exact zoom cuts a bracket into parts that hold the policy's smallest count on average and stops where that leaves
    fewer than two, so no bracket comes down to a few persons' own values; cuts lie on the feature's grain. A noisy zoom
    has a fixed number of rounds.

    Args:
        persons_at_least: Public lower bound on the persons in the sum; exact histograms are kept that coarse.
        resolution: Width of a bracket that is narrow enough, as a share of the feature's range.
        rounds: Sums at most; with noise exactly three.
        epsilon: What all rounds cost together at the study's delta; None for exact sums.

    Raises:
        Invalid: an unknown feature or one that is no number, or a level outside (0, 1).
        Refused: too few persons for any histogram of all these levels.
        NotEvaluable: fewer persons than the policy's smallest count have a value.
    """
    chosen = _numbers(study, features)
    if not levels or not all(0 < level < 1 for level in levels) or not 0 < resolution <= 1 or rounds < 1:
        raise Invalid("expected levels between 0 and 1, a resolution in (0, 1] and at least one round")
    minimum = study.gate.small_cells.min_count
    outer = {name: outer_steps(feature) for name, feature in chosen.items()}
    windows = {
        name: tuple(Window(low=low, high=high, persons=np.inf) for _ in levels) for name, (low, high) in outer.items()
    }
    rounds = rounds if epsilon is None else NOISY_ROUNDS
    multiplier = (
        None if epsilon is None else noise_multiplier_for(epsilon=epsilon, delta=study.budget.delta, count=rounds)
    )
    goal = {name: max(1, int(resolution * (high - low))) for name, (low, high) in outer.items()}
    asked_rounds = moved = 0
    for _ in range(rounds):
        open_ = {name: _open(windows[name], goal[name], 0 if epsilon else 2 * minimum) for name in chosen}
        cuts = {
            name: _cuts(part, outer[name], minimum=None if epsilon else minimum, room=persons_at_least // minimum)
            for name, part in open_.items()
            if part
        }
        if not any(cuts.values()):
            break
        asked = Tables(tables=tuple((name,) for name in cuts), cuts=cuts)
        if epsilon is None:
            asked.check_exact(study, persons_at_least=persons_at_least)
        told = yield sum_ask(
            asked, what="quantiles", study=study, sites=sites, split=split, noise_multiplier=multiplier
        )
        asked_rounds, moved = asked_rounds + 1, moved + told.bytes_moved
        for name, counted in zip(cuts, split_tables(told.sum(), asked.sizes(study)), strict=True):
            present = counted[: len(cuts[name]) + 1]
            if not float(present.sum()) >= minimum:
                raise NotEvaluable(f"fewer than {minimum} persons have a value of '{name}'")
            windows[name] = tuple(
                _narrower(before, window_of(present, cuts[name], level, outer=outer[name], noise=told.noise))
                for before, level in zip(windows[name], levels, strict=True)
            )
    found = tuple(
        _quantile(chosen[name], level, window, goal[name])
        for name in features
        for level, window in zip(levels, windows[name], strict=True)
    )
    gaussian = (
        ()
        if multiplier is None or not asked_rounds
        else (GaussianEvent(noise_multiplier=multiplier, count=asked_rounds, what="histograms for quantiles"),)
    )
    return Quantiles(found=found, gaussian=gaussian, rounds=asked_rounds, bytes_moved=moved)


def _numbers(study: Study, names: tuple[str, ...]) -> Mapping[str, Feature]:
    known = {feature.name: feature for feature in study.features}
    if not names or len(set(names)) != len(names):
        raise Invalid("expected at least one feature, each once")
    for name in names:
        if name not in known or known[name].type not in ("number", "integer"):
            raise Invalid(f"'{name[:80]}' is no number of the study; quantiles need one")
    return {name: known[name] for name in names}


def _open(windows: tuple[Window, ...], goal: int, persons: float) -> tuple[Window, ...]:
    """Return the windows that are still to be cut."""
    return tuple(one for one in windows if one.width > goal and one.persons >= persons)


def _cuts(windows: tuple[Window, ...], outer: tuple[int, int], *, minimum: int | None, room: int) -> tuple[int, ...]:
    """Return the next cuts.

    Args:
        minimum: Fewest persons that a part of a window should hold in an exact histogram; None with noise.
        room: How many cells an exact histogram may have.
    """
    different = tuple({(one.low, one.high): one for one in windows}.values())
    if minimum is None:
        return next_steps(different, (NOISY_CELLS,) * len(different), outer=outer)
    most = max(2, min(CELLS, (room - 2) // len(different) - 2))
    cells = tuple(int(max(2, min(most, one.persons // minimum))) for one in different)
    return next_steps(different, cells, outer=outer)


def _narrower(before: Window, after: Window) -> Window:
    """Return what both windows leave; a noisy sum that contradicts the earlier one changes nothing."""
    low, high = max(before.low, after.low), min(before.high, after.high)
    return Window(low=low, high=high, persons=after.persons) if low < high else before


def _quantile(feature: Feature, level: float, window: Window, goal: int) -> Quantile:
    low, high = value_of(feature, window.low), value_of(feature, window.high)
    single = feature.type == "integer" and high - low <= 1
    return Quantile(
        feature=feature.name,
        level=level,
        value=low if single else (low + high) / 2,
        low=low,
        high=high,
        resolved=window.width <= goal,
    )
