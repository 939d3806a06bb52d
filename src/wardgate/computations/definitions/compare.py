"""Which site means something else by its outcome or by a feature, from figures that the gates let out.

Pure: statistics in, findings out, no chain needed. Every test is of one site against the others, with the spread that
honest sites have anyhow; all tests together name anybody of a clean study with a chance of at most `FAMILY_ERROR`.
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy import stats

from wardgate.computations.definitions import words
from wardgate.computations.definitions.quantities import (
    COVERAGE_SPREAD,
    PREVALENCE_SPREAD,
    SLOPE_SPREAD,
    STRENGTH_SPREAD,
    Compared,
    case_mix,
    centres_of,
    compared,
    coverages_of,
    of_feature,
    prevalences_of,
    shares_of,
    strength_of,
)
from wardgate.computations.definitions.statistics import SiteStatistics, levels_of
from wardgate.records.feature import Feature
from wardgate.records.named import Kind, Named

FAMILY_ERROR = 0.01
"""At most this chance of naming any site of a clean study, over all sites, features and kinds of test together."""

PARTS = {"outcome": 0.1, "prevalence": 0.15, "feature": 0.6, "coverage": 0.15}
"""How that chance is divided; within each part over its sites and features (Bonferroni)."""

WORTH = {"prevalence": 1.0, "centre": 1.5, "share": 1.0, "strength": 0.35, "coverage": 0.3}
"""Smaller differences than these are not worth a name, however certain: log odds, standard deviations, log odds,
log odds a standard deviation, share of persons."""


def compare_sites(
    sites: Sequence[SiteStatistics], features: Sequence[Feature], *, family_error: float = FAMILY_ERROR
) -> tuple[Named, ...]:
    """Name what stands out at which site; nobody with fewer than three sites. What excludes comes first.

    An outcome that runs backwards is found first, and the site's associations are turned before its features are
    compared: one cause is named once.

    Args:
        sites: Of one study; the order does not matter.
        features: The study's.

    Does not find: what most sites have wrong together, or a difference that is small beside what honest sites show.
    """
    known = sorted((one for one in sites if one.prevalence is not None), key=lambda one: one.site)
    if len(known) < 3:
        return ()
    found = list(_backwards(known, level=family_error * PARTS["outcome"] / len(known)))
    turned = {one.site for one in found}
    found += [
        one
        for one in _prevalence(known, features, level=family_error * PARTS["prevalence"] / len(known))
        if one.site not in turned
    ]
    tests = sum(max(1, len(levels_of(feature))) for feature in features) * len(known)
    for feature in features:
        for level in levels_of(feature) or ("",):
            found += _feature(known, feature, level, turned, level_each=family_error * PARTS["feature"] / tests / 3)
        found += _coverage(known, feature, level=family_error * PARTS["coverage"] / len(features) / len(known))
    return tuple(sorted(found, key=lambda one: (not one.excludes, one.chance, one.site, one.subject)))


def _backwards(known: Sequence[SiteStatistics], *, level: float) -> Iterator[Named]:
    """A site whose associations, all together, are the others' with the sign turned.

    Together they are one multiple of the others', by least squares: near 1 at an honest site, near -1 at a turned one.
    Features that go together make its error larger than independent ones would; by at most two, which holds while no
    direction has more than four times the variance of one feature. Prevalence, which turns with the outcome, is
    weighed beside it.
    """
    table = [
        {
            (one.feature, key): strength_of(site, one, key, turned=False)
            for one in site.features
            for key in one.associations
        }
        for site in known
    ]
    shares = compared(prevalences_of(known), PREVALENCE_SPREAD, level)
    for place, site in enumerate(known):
        pairs = []
        for column, (here, wide) in table[place].items():
            rest = [other[column][0] for at, other in enumerate(table) if at != place and column in other]
            if len(rest) >= 2:
                pairs.append((float(np.median(rest)), here, wide))
        weight = sum(other**2 for other, _, _ in pairs)
        if weight < WORTH["strength"] ** 2:
            continue
        slope = sum(other * here for other, here, _ in pairs) / weight
        error = 2 * max(wide for _, _, wide in pairs) / math.sqrt(weight)
        chance = float(stats.norm.sf((1 - slope) / math.hypot(error, SLOPE_SPREAD)))
        both = _together(chance, shares.standing[place].chance)
        if (slope < -0.3 and chance < level / 2) or (slope < -0.5 and both < level / 2):
            agree = sum(other * here > 0 for other, here, _ in pairs)
            yield Named(
                site=site.site,
                subject="outcome",
                kind="outcome",
                evidence=(
                    f"{len(pairs) - agree} of {len(pairs)} features go with the outcome the other way round than"
                    f" elsewhere; {words.prevalence(known, shares, place)}; it is probably coded backwards"
                ),
                chance=min(chance, both),
            )


def _together(one: float, other: float) -> float:
    """Return the chance of two independent findings both so odd (Fisher)."""
    return float(stats.chi2.sf(-2 * (math.log(max(one, 1e-300)) + math.log(max(other, 1e-300))), df=4))


def _prevalence(known: Sequence[SiteStatistics], features: Sequence[Feature], *, level: float) -> Iterator[Named]:
    """A site whose prevalence stands out also after all that its case mix could explain is taken away."""
    told = prevalences_of(known)
    shares = compared(told, PREVALENCE_SPREAD, level)
    for place, one in shares.standing.items():
        if one.chance >= level or abs(one.difference) < WORTH["prevalence"]:
            continue
        value, error = told[place]
        way = math.copysign(1.0, one.difference)
        explained = min(max(way * case_mix(place, known, features), 0.0), abs(one.difference))
        rest = compared({**told, place: (value - way * explained, error)}, PREVALENCE_SPREAD, level).standing[place]
        if rest.chance < level and abs(rest.difference) >= WORTH["prevalence"]:
            evidence = words.prevalence(known, shares, place)
            site = known[place].site
            yield Named(site=site, subject="outcome", kind="prevalence", evidence=evidence, chance=rest.chance)


def _feature(
    known: Sequence[SiteStatistics], feature: Feature, level: str, turned: set[str], *, level_each: float
) -> Iterator[Named]:
    """Three tests of one feature (or level) at each site: where it lies, how it goes with the outcome, and both."""
    key = level or "value"
    told = {place: of_feature(site, feature) for place, site in enumerate(known)}
    strength = compared(
        {
            place: strength_of(known[place], one, key, turned=known[place].site in turned)
            for place, one in told.items()
            if key in one.associations
        },
        STRENGTH_SPREAD,
        level_each,
    )
    where = shares_of(known, feature, level, level_each) if level else centres_of(known, feature, level_each)
    for place in sorted({*strength.standing, *where.standing}):
        finding = _judged(known, feature, level, place, where, strength, level_each)
        if finding is not None:
            yield finding


def _judged(
    known: Sequence[SiteStatistics],
    feature: Feature,
    level: str,
    place: int,
    where: Compared,
    strength: Compared,
    each: float,
) -> Named | None:
    """What the three tests say of one site, as one finding: the one that explains most."""
    lies, goes = where.standing.get(place), strength.standing.get(place)
    both = _together(lies.chance, goes.chance) if lies is not None and goes is not None else 1.0
    far = (
        lies is not None
        and abs(lies.difference) >= WORTH["share" if level else "centre"]
        and min(lies.chance, both) < each
    )
    differs = goes is not None and abs(goes.difference) >= WORTH["strength"]
    clearly = goes is not None and min(goes.chance, both if far else 1.0) < each
    kind: Kind
    unit = None
    if far and not level:
        found = words.elsewhere(known, feature, where, place)
        certain = lies is not None and lies.chance < each
        kind, evidence, unit = ("unit" if found.unit and certain else "centre"), found.words, found.unit
    elif differs and clearly and strength.opposite(place):
        kind, evidence = "contradiction", words.contradiction(feature, level, strength, place)
        if far:
            evidence += f"; {words.share(known, feature, level, where, place)}"
        evidence += "; it is probably coded otherwise"
    elif far:
        kind, evidence = "centre", words.share(known, feature, level, where, place)
    elif differs and goes is not None and goes.chance < each:
        kind, evidence = "strength", words.strength(feature, level, strength, place)
    else:
        return None
    chance = min(both, *(one.chance for one in (lies, goes) if one is not None), 1.0)
    subject = words.subject(feature, level)
    return Named(site=known[place].site, subject=subject, kind=kind, evidence=evidence, chance=chance, unit=unit)


def _coverage(known: Sequence[SiteStatistics], feature: Feature, *, level: float) -> Iterator[Named]:
    told, shares = coverages_of(known, feature)
    found = compared(told, COVERAGE_SPREAD, level)
    for place, one in found.standing.items():
        rest = [shares[at] for at in found.others(place)]
        if one.chance < level and abs(shares[place] - float(np.median(rest))) >= WORTH["coverage"]:
            evidence = words.coverage(feature, shares, found, place)
            site = known[place].site
            yield Named(site=site, subject=feature.name, kind="coverage", evidence=evidence, chance=one.chance)
