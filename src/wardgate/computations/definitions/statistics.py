"""What one site says of its own data before training: figures safe to show, by which definitions are compared.

The ward works them out (`hospital/ward/learning/site_statistics.py`), the hub compares them
(`compare.py`); here is what both understand by them.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wardgate.records.feature import Feature

PREVALENCE = "prevalence"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureStatistics:
    """One feature at one site. None where a figure could not be shown.

    Attributes:
        coverage: Share of persons with a value.
        centre: Mean of the middle half of the values, in the study's unit; numbers alone.
        spread: Standard deviation that the middle half would have in a normal distribution, in the study's unit.
        shares: Of those with a value, the share of each level but the first: `true` for yes or no.
        associations: Correlation with the outcome among those with a value, by level; of ranks for a number, whose
            one entry is called `value`, so that neither its unit nor its outliers count.
    """

    feature: str
    coverage: float | None = None
    centre: float | None = None
    spread: float | None = None
    shares: Mapping[str, float]
    associations: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteStatistics:
    """One site.

    Attributes:
        persons_at_least: Lower end of the band of persons behind the figures.
        step: To which figures are rounded; centre and spread to `step * unit_of(feature)`.
        prevalence_step: To which prevalence is rounded.
        prevalence: Share of persons with the outcome; None where it could not be shown.
        features: In the study's order.
    """

    site: str
    persons_at_least: int
    step: float = 0.01
    prevalence_step: float = 0.01
    prevalence: float | None
    features: tuple[FeatureStatistics, ...]


def unit_of(feature: Feature) -> float:
    """Return the power of ten in which a number's centre is told: the range is 10 to 100 of them.

    >>> unit_of(Feature(name="creatinine", type="number", unit="umol/L", range=(20, 2000)))
    100.0
    """
    low, high = feature.range or (0.0, 10.0)
    return float(10.0 ** (math.floor(math.log10(high - low)) - 1))


def levels_of(feature: Feature) -> tuple[str, ...]:
    """Return the levels whose shares are told: all but the first, which is the rest."""
    if feature.type == "boolean":
        return ("true",)
    return (feature.values or ())[1:] if feature.type == "category" else ()


def figures_of(statistics: SiteStatistics, features: Sequence[Feature]) -> dict[str, float]:
    """Return the figures by name, as the gate rounds and releases them; what is None is left out."""
    by_name = {one.feature: one for one in statistics.features}
    found: dict[str, float] = {}
    if statistics.prevalence is not None:
        found[PREVALENCE] = statistics.prevalence
    for feature in features:
        one = by_name[feature.name]
        for name, value, unit in (
            ("coverage", one.coverage, 1.0),
            ("centre", one.centre, unit_of(feature)),
            ("spread", one.spread, unit_of(feature)),
        ):
            if value is not None:
                found[f"{name}.{feature.name}"] = value / unit
        found |= {f"share.{feature.name}={level}": share for level, share in one.shares.items()}
        found |= {f"association.{feature.name}={level}": value for level, value in one.associations.items()}
    return found


def statistics_from(
    site: str, figures: Mapping[str, float], features: Sequence[Feature], *, persons_at_least: int, step: float = 0.01
) -> SiteStatistics | None:
    """Read what `figures_of` wrote; None where the site told no such figures, as with earlier versions."""
    if PREVALENCE not in figures:
        return None
    return SiteStatistics(
        site=site,
        persons_at_least=persons_at_least,
        step=step,
        prevalence_step=step,
        prevalence=_share(figures.get(PREVALENCE)),
        features=tuple(
            FeatureStatistics(
                feature=feature.name,
                coverage=_share(figures.get(f"coverage.{feature.name}")),
                centre=_times(figures.get(f"centre.{feature.name}"), unit_of(feature)),
                spread=_times(figures.get(f"spread.{feature.name}"), unit_of(feature)),
                shares={
                    level: share
                    for level in levels_of(feature)
                    if (share := _share(figures.get(f"share.{feature.name}={level}"))) is not None
                },
                associations={
                    level: value
                    for level in levels_of(feature) or ("value",)
                    if abs(value := figures.get(f"association.{feature.name}={level}", math.nan)) <= 1
                },
            )
            for feature in features
        ),
    )


def _share(value: float | None) -> float | None:
    return value if value is not None and 0 <= value <= 1 else None


def _times(value: float | None, unit: float) -> float | None:
    return None if value is None or not math.isfinite(value) else value * unit
