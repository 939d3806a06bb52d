"""What stands out between hospitals from their data checks alone, before any of them computes anything."""

from collections.abc import Sequence

from wardgate.computations.definitions.compare import compare_sites
from wardgate.computations.definitions.statistics import FeatureStatistics, SiteStatistics
from wardgate.records.bands import at_least
from wardgate.records.data_check import DataCheck
from wardgate.records.feature import Feature
from wardgate.records.named import Named


def compare_checks(checks: Sequence[DataCheck]) -> tuple[Named, ...]:
    """Name hospitals whose prevalence or coverage stands out; what a check does not tell is not compared.

    These findings only warn. Units, levels and associations need what hospitals answer in the comparison itself.

    Args:
        checks: Of one study, each hospital once.
    """
    names = list(dict.fromkeys(feature.feature for check in checks for feature in check.features))
    features = [Feature(name=name, type="boolean") for name in names]
    return compare_sites([_statistics(check, names) for check in checks], features)


def _statistics(check: DataCheck, names: Sequence[str]) -> SiteStatistics:
    told = {feature.feature: feature.coverage for feature in check.features}
    return SiteStatistics(
        site=check.site,
        persons_at_least=at_least(check.persons_band),
        step=0.01,
        prevalence_step=check.prevalence.step if check.prevalence is not None else 0.01,
        prevalence=None if check.prevalence is None else check.prevalence.share,
        features=tuple(
            FeatureStatistics(feature=name, coverage=told.get(name), shares={}, associations={}) for name in names
        ),
    )
