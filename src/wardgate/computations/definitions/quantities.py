"""What is compared between sites: each quantity on a scale on which honest sites scatter evenly, with its error."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wardgate.computations.definitions.statistics import FeatureStatistics, SiteStatistics, unit_of
from wardgate.measures.odd_one_out import Spread, Standing, standings
from wardgate.records.feature import Feature

MEAN_SPREAD = Spread(deviation=0.35)
"""Between honest sites, of a number's middle, in its standard deviations inside a site."""
SHARE_SPREAD = Spread(deviation=0.6)
"""Of the log odds of a level."""
STRENGTH_SPREAD = Spread(deviation=0.1, freedom=10.0)
"""Of an association, as the change in the log odds of the outcome for one standard deviation."""
PREVALENCE_SPREAD = Spread(deviation=0.6)
"""Of the log odds of the outcome."""
SLOPE_SPREAD = 0.25
"""Of all associations of a site as a multiple of the others', around 1."""
COVERAGE_SPREAD = Spread(deviation=0.9)
"""Of the log odds of a value being there: hospitals do differ in what they record."""


def of_feature(site: SiteStatistics, feature: Feature) -> FeatureStatistics:
    """Return what a site told of a feature."""
    return next(one for one in site.features if one.feature == feature.name)


def logit(share: float, step: float) -> float:
    """Return the log odds of a rounded share; 0 and 1 count as half a step."""
    kept = min(max(share, step / 2), 1 - step / 2)
    return math.log(kept / (1 - kept))


def logit_error(share: float, persons: float, step: float) -> float:
    """Return the standard error of the log odds: of chance and of rounding."""
    kept = min(max(share, step / 2), 1 - step / 2)
    spread = kept * (1 - kept)
    return math.sqrt(1 / (max(persons, 11) * spread) + (step / spread) ** 2 / 12)


def strength_of(site: SiteStatistics, one: FeatureStatistics, key: str, *, turned: bool) -> tuple[float, float]:
    """Return an association as log odds a standard deviation, and its standard error."""
    correlation, persons = one.associations[key], site.persons_at_least * (one.coverage or 0.5)
    prevalence = min(max(site.prevalence or 0.0, site.step / 2), 1 - site.step / 2)
    deviation = math.sqrt(prevalence * (1 - prevalence))
    error = math.sqrt(1 / max(persons, 11) + site.step**2 / 12) / deviation
    return (-correlation if turned else correlation) / deviation, error


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One quantity over the sites that told it: standing, standard error and value by place in `known`.

    Attributes:
        level: Chance below which a site stands out.
    """

    standing: Mapping[int, Standing]
    errors: Mapping[int, float]
    values: Mapping[int, float]
    level: float

    def others(self, place: int) -> tuple[int, ...]:
        """Return the sites beside `place` that do not stand out themselves: with whom it is compared in words."""
        rest = [at for at in self.values if at != place]
        return tuple(at for at in rest if at not in self.standing or self.standing[at].chance >= self.level) or (*rest,)

    def opposite(self, place: int) -> bool:
        """Whether a site's value and the others' lie on different sides of 0, both clearly."""
        one = self.standing[place]
        here = one.others + one.difference
        return here * one.others < 0 and abs(one.others) > 2 * one.others_error and abs(here) > 2 * self.errors[place]


NOTHING = Compared(standing={}, errors={}, values={}, level=0.0)


def prevalences_of(known: Sequence[SiteStatistics]) -> dict[int, tuple[float, float]]:
    """Return each site's log odds of the outcome, with its standard error."""
    told = [(place, site, site.prevalence) for place, site in enumerate(known)]
    return {
        place: (
            logit(share, site.prevalence_step),
            logit_error(share, site.persons_at_least, site.prevalence_step),
        )
        for place, site, share in told
        if share is not None
    }


def coverages_of(
    known: Sequence[SiteStatistics], feature: Feature
) -> tuple[dict[int, tuple[float, float]], dict[int, float]]:
    """Return each site's log odds of a value being there, with its standard error; and the shares themselves."""
    told = {place: of_feature(site, feature).coverage for place, site in enumerate(known)}
    shares = {place: share for place, share in told.items() if share is not None}
    odds = {
        place: (logit(share, known[place].step), logit_error(share, known[place].persons_at_least, known[place].step))
        for place, share in shares.items()
    }
    return odds, shares


def compared(told: Mapping[int, tuple[float, float]], spread: Spread, level: float) -> Compared:
    """Return every site against the others, at a level for one site."""
    places = sorted(told)
    values, errors = (np.array([told[place][part] for place in places]) for part in (0, 1))
    found = standings(values, errors, spread=spread, level=level)
    return Compared(
        standing={places[one.place]: one for one in found},
        errors={place: told[place][1] for place in places},
        values={place: told[place][0] for place in places},
        level=level,
    )


def shares_of(known: Sequence[SiteStatistics], feature: Feature, level: str, each: float) -> Compared:
    """Return how the share of a level stands at each site."""
    told = {}
    for place, site in enumerate(known):
        share = of_feature(site, feature).shares.get(level)
        if share is not None:
            persons = site.persons_at_least * (of_feature(site, feature).coverage or 0.5)
            told[place] = (logit(share, site.step), logit_error(share, persons, site.step))
    return compared(told, SHARE_SPREAD, each)


def centres_of(known: Sequence[SiteStatistics], feature: Feature, each: float) -> Compared:
    """Middles in standard deviations: of logarithms where nothing lies below 0, so that a unit is a plain shift."""
    one = [(place, site, of_feature(site, feature)) for place, site in enumerate(known)]
    told = [
        (place, site, f.centre, f.spread) for place, site, f in one if f.centre is not None and f.spread is not None
    ]
    if len(told) < 3:
        return NOTHING
    logs = in_logs(feature, [centre for _, _, centre, _ in told])
    low, high = feature.range or (0.0, 1.0)
    if logs:
        inside = float(np.median([spread / centre for _, _, centre, spread in told]))
        inside = max(inside, 0.01)
    else:
        inside = max(float(np.median([spread for *_, spread in told])), 0.005 * (high - low))
    found = {}
    for place, site, centre, _ in told:
        persons = max(site.persons_at_least * (of_feature(site, feature).coverage or 0.5), 11)
        rounding = site.step * unit_of(feature) / math.sqrt(12) / (centre if logs else 1.0) / inside
        value = (math.log(centre) if logs else centre) / inside
        found[place] = (value, math.hypot(1.25 / math.sqrt(persons), rounding))
    return compared(found, MEAN_SPREAD, each)


def in_logs(feature: Feature, centres: Sequence[float]) -> bool:
    """Whether a number is compared as a ratio: its range does not go below 0, and nobody's middle is 0."""
    return feature.range is not None and feature.range[0] >= 0 and min(centres) > 0


def case_mix(place: int, known: Sequence[SiteStatistics], features: Sequence[Feature]) -> float:
    """Return how much, in log odds, the site's patients explain at most: each feature's shift times its association.

    Features that say the same count double, so this is generous; a shift counts up to two standard deviations, so
    that a wrong unit explains nothing away.
    """
    total = 0.0
    for feature in features:
        if feature.type not in ("number", "integer"):
            continue
        others = [site for at, site in enumerate(known) if at != place]
        there = [of_feature(site, feature) for site in others]
        centres = [one.centre for one in there if one.centre is not None]
        spreads = [one.spread for one in there if one.spread]
        strengths = [
            strength_of(site, one, "value", turned=False)[0]
            for site, one in zip(others, there, strict=True)
            if "value" in one.associations
        ]
        here = of_feature(known[place], feature).centre
        if here is None or len(centres) < 2 or len(spreads) < 2 or len(strengths) < 2:
            continue
        shift = (here - float(np.median(centres))) / float(np.median(spreads))
        strength = float(np.median(strengths))
        if abs(strength) > STRENGTH_SPREAD.deviation:
            total += strength * min(max(shift, -2.0), 2.0)
    return total
