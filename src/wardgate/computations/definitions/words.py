"""The evidence of a comparison between sites, in words: this site's figure, and the range of the others'."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wardgate.computations.definitions.quantities import Compared, in_logs, of_feature
from wardgate.computations.definitions.statistics import SiteStatistics
from wardgate.measures.unit_names import unit_for
from wardgate.records.feature import Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Where a site's numbers lie beside the others', and the unit that would explain it."""

    words: str
    unit: str | None


def subject(feature: Feature, level: str) -> str:
    """Return the feature, or one of its categories as `feature=category`."""
    return f"{feature.name}={level}" if feature.type == "category" else feature.name


def prevalence(known: Sequence[SiteStatistics], compared: Compared, place: int) -> str:
    """Return a site's prevalence against the others'."""
    shares = [site.prevalence or 0.0 for site in known]
    rest = [shares[at] for at in compared.others(place)]
    return f"outcome prevalence {shares[place]:.2f} against {_range(rest)} elsewhere"


def elsewhere(known: Sequence[SiteStatistics], feature: Feature, compared: Compared, place: int) -> Elsewhere:
    """Return a site's typical value against the others', as a multiple where the feature has a true zero."""
    centres = {at: centre for at, site in enumerate(known) if (centre := of_feature(site, feature).centre) is not None}
    here, rest = centres[place], [centres[at] for at in compared.others(place)]
    against = f"{_short(here)} against {_short(min(rest))} to {_short(max(rest))} {feature.unit or ''} elsewhere"
    if not in_logs(feature, list(centres.values())):
        return Elsewhere(words=f"{feature.name} typically {against}", unit=None)
    ratio = here / float(np.median(rest))
    times = f"{_short(ratio)} times the others'" if ratio >= 1 else f"1/{_short(1 / ratio)} of the others'"
    told = f"{feature.name} typically {times} ({against})"
    way = unit_for(feature, ratio)
    return Elsewhere(words=told if way is None else f"{told}; it is probably in {way[0]}", unit=way and way[0])


def share(known: Sequence[SiteStatistics], feature: Feature, level: str, compared: Compared, place: int) -> str:
    """Return the share of a level against the others'."""
    told = [of_feature(site, feature).shares.get(level) for site in known]
    rest = [told[at] or 0.0 for at in compared.others(place)]
    return f"{subject(feature, level)} is the share {told[place] or 0.0:.2f} against {_range(rest)} elsewhere"


def strength(feature: Feature, level: str, compared: Compared, place: int) -> str:
    """Return how a feature goes with the outcome against how it does elsewhere."""
    rest = [compared.values[at] for at in compared.others(place)]
    here = compared.values[place]
    return (
        f"{subject(feature, level)} goes with the outcome otherwise: {here:+.2f} (standard error"
        f" {compared.errors[place]:.2f}) against {min(rest):+.2f} to {max(rest):+.2f} elsewhere, in log odds a standard"
        " deviation"
    )


def contradiction(feature: Feature, level: str, compared: Compared, place: int) -> str:
    """Return how a feature goes with the outcome the other way round."""
    return strength(feature, level, compared, place).replace("otherwise", "the other way round", 1)


def coverage(feature: Feature, shares: Mapping[int, float], compared: Compared, place: int) -> str:
    """Return for how many persons a feature is there, against elsewhere."""
    here, rest = shares[place], [shares[at] for at in compared.others(place)]
    return f"{feature.name} is there for the share {here:.2f} of persons against {_range(rest)} elsewhere"


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
