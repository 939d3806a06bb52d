"""A model for each hospital, between the common one and its own: asked of hospitals, or of tables in the open."""

from collections.abc import Mapping

from wardgate.computations.likeness import Likeness, Seen
from wardgate.computations.personal import Kept, Personal
from wardgate.federation.plain import Plain, PlainSite
from wardgate.federation.session import Federation
from wardgate.hospital.ward.learning.personal import made, scored
from wardgate.hospital.ward.transfer.figures import smallest_class
from wardgate.hospital.ward.transfer.personal import enough
from wardgate.hospital.ward.transfer.personal import personal_figures as figures_here
from wardgate.hub.pooling.networks.personal import HEAD_RIDGE, asked_of, common_model, personalised
from wardgate.hub.pooling.networks.side_by_side import Common, Personalised, SiteFigures
from wardgate.records.errors import Invalid, Refused
from wardgate.records.messages import SplitName
from wardgate.records.study import Study


def personalise(
    federation: Federation,
    study: Study,
    *,
    ridge: float | None = None,
    split: SplitName = "holdout",
    networks: Mapping[str, Seen] | None = None,
    kept: Mapping[str, Kept] | None = None,
    alone: str = "",
    level: float = 0.95,
    noise_multiplier: float | None = None,
) -> Personalised:
    """Let every hospital make a model of its own between the common one and its own persons, and judge it.

    The models stay at the hospitals, each in its own folder; what comes back are rounded figures by hospital.

    Args:
        ridge: Of the logistic models; the study's by default.
        split: `holdout`, or `locked_test`, which opens a counted number of times.
        networks: Trained networks whose last layer is drawn to each hospital, by the name under which they are shown.
        kept: Models of which something stayed at the hospitals in training (local heads, local norms, Ditto).
        alone: The name in `kept` of the network that each hospital trained by itself.
        level: Of intervals.
        noise_multiplier: Of the sums by which hospitals say how alike they are; None for exact ones.

    Raises:
        Invalid: another study's federation, a study that does not list `likeness`, or models that do not fit it.
        CheckFailed: a sum stayed closed.
    """
    federation.check(study)
    if Likeness.name not in study.analyses:
        raise Invalid(
            f"the locked study lists no '{Likeness.name}' under 'analyses', so no hospital would answer; lock a new"
            f" version of the study with analyses: [{Likeness.name}]"
        )
    found: Personalised = federation.drive(
        personalised(
            study=study,
            sites=tuple(federation.sites),
            ridge=study.model.ridge if ridge is None else ridge,
            split=split,
            networks=networks,
            kept=kept,
            alone=alone,
            level=level,
            noise_multiplier=noise_multiplier,
        )
    )
    return found


def personalise_plain(
    plain: Plain,
    *,
    ridge: float | None = None,
    split: SplitName = "holdout",
    networks: Mapping[str, Seen] | None = None,
    kept: Mapping[str, Kept] | None = None,
    alone: str = "",
    level: float = 0.95,
) -> Personalised:
    """Do as `personalise` over tables in the open. Figures are not rounded, and few events hide none of them.

    Raises:
        Invalid: models that do not fit the study.
    """
    study, sites = plain.study, tuple(plain.sites)
    own = study.model.ridge if ridge is None else ridge
    commons: dict[str, Common] = {"": plain.drive(common_model(study=study, sites=sites, ridge=own))}
    for name, seen in (networks or {}).items():
        driver = common_model(study=study, sites=sites, ridge=HEAD_RIDGE, seen=seen)
        commons[f"{name}."] = plain.drive(driver)
    asked = asked_of(commons, kept=kept, alone=alone, level=level)
    figures = {site: figures_at(bench, asked, split=split) for site, bench in plain.sites.items()}
    return Personalised(commons=commons, asked=asked, split=split, sites=figures)


def figures_at(bench: PlainSite, asked: Personal, *, split: SplitName) -> SiteFigures:
    """Return one simulated hospital's figures, or why there are none."""
    part = bench.part(split)
    if smallest_class(part.y) < 2:
        return SiteFigures(refusal="fewer than two events or non-events")
    try:
        found = made(asked, bench=bench)
    except Refused as refusal:
        return SiteFigures(refusal=str(refusal))
    logits = scored(found, bench=bench, split=split)
    figures = figures_here(logits, part.y, against=asked.against, level=asked.level)
    return SiteFigures(figures=figures, enough=enough(part.y), took=found.took)


def said(found: Personalised) -> str:
    """Return the figures as text: a line a hospital, and what follows from them."""
    models = found.asked.models
    lines = ["hospital".ljust(20) + "".join(f"{name:>22}" for name in models) + "  least loss"]
    for site, one in sorted(found.sites.items()):
        if one.refusal:
            lines.append(f"{site:<20}{one.refusal}")
            continue
        cells = "".join(f"{_cell(one.figures, name):>22}" for name in models)
        lines.append(f"{site:<20}{cells}  {found.best(site)}")
    for prefix, common in found.commons.items():
        what = f"network '{prefix[:-1]}'" if prefix else "logistic model"
        lines.append(
            f"{what}: {common.alike:.0%} of hospitals are well served by the common one as it is; variance of slopes"
            f" between hospitals {common.variance:.2g} (0 is alike)"
        )
    for model in found.asked.against:
        worse = found.worse(model)
        names = f" ({', '.join(worse)})" if worse else ""
        lines.append(
            f"'{model}' is worse than the better of {' and '.join(found.asked.against[model])} for certain, by AUROC,"
            f" at {len(worse)} of {len(found.judged)} hospitals with 20 events or more{names}"
        )
    return "\n".join(lines)


def _cell(figures: Mapping[str, float], name: str) -> str:
    found = [figures.get(f"{name}.{key}") for key in ("auroc", "auroc_low", "auroc_high", "oe")]
    if None in found:
        return "-"
    value, low, high, oe = found
    return f"{value:.2f} ({low:.2f}-{high:.2f}) {oe:.2f}"
