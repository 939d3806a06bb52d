"""What the results say of each way to build the model."""

import math
from collections.abc import Iterator

import numpy as np

from wardgate.hub.acceptance import worst_site
from wardgate.hub.chain import Run
from wardgate.hub.pooling.score_bins import Figures
from wardgate.hub.pooling.transfer import Transfer
from wardgate.hub.telling.words import finite
from wardgate.measures.encoding import design_columns
from wardgate.measures.subgroups import group_names
from wardgate.records import results as told
from wardgate.records.bands import at_least, band
from wardgate.records.canonical import number_of

MEANINGS: dict[told.ApproachName, str] = {
    "local": "Each hospital's own model, which never leaves it. Over all hospitals together it also gains from knowing "
    "each hospital's own rate of outcomes.",
    "commons": "One model trained on the admitted synthetic corpora alone.",
    "federated": "One model from secure sums over all hospitals; nobody's rows moved.",
    "hybrid": "Started from the commons model, with the ridge chosen there, then fitted by secure sums.",
    "pooled": "All hospitals' rows in one table: impossible in reality, for comparison only.",
}


def told_approaches(run: Run, transfer: Transfer) -> Iterator[told.Approach]:
    """Yield every approach that has figures, or a reason why it has none."""
    reasons = {"commons": run.commons_reason, "federated": run.federated_reason, "hybrid": run.hybrid_reason}
    fits = {"federated": run.federated, "hybrid": run.hybrid}
    for name, meaning in MEANINGS.items():
        figures = transfer.overall.get(name)
        reason = transfer.missing.get(name, "") or reasons.get(name, "")
        if figures is None and not reason:
            continue
        fit = fits.get(name)
        worst = worst_site(transfer, name)
        subgroups = tuple(_subgroups(run, transfer, name))
        gaps = [figures.auroc.value - one.auroc for one in subgroups] if figures else []
        show = figures is not None and min(figures.events, figures.non_events) >= run.study.gate.small_cells.min_count
        yield told.Approach(
            name=name,
            meaning=meaning,
            auroc=finite(figures.auroc.value) if figures and show else None,
            auroc_low=finite(figures.auroc.low) if figures and show else None,
            auroc_high=finite(figures.auroc.high) if figures and show else None,
            auroc_bin_error=finite(figures.auroc_bin_error) if figures and show else None,
            oe=finite(figures.oe.value) if figures and show else None,
            slope=finite(figures.slope.value) if figures and show else None,
            worst_site=worst[0] if worst else None,
            worst_site_auroc=worst[1] if worst else None,
            sites=tuple(_site_figures(transfer, name)),
            subgroups=subgroups,
            subgroup_gap=max(gaps) if gaps else None,
            curve=_curve(figures) if figures and show else None,
            rounds=fit.rounds if fit else 0,
            bytes_moved=_bytes(run, name),
            reason_absent=reason if figures is None else "",
        )


def _bytes(run: Run, name: str) -> int:
    commons = run.corpus_bytes + (run.joint.bytes_moved if run.joint else 0)
    if name == "commons":
        return commons
    if name == "federated":
        return run.federated.bytes_moved if run.federated else 0
    if name == "hybrid":
        return commons + (run.hybrid.bytes_moved if run.hybrid else 0)
    if name == "pooled":
        rows = sum(at_least(str(run.reviews[site].statement["persons_band"])) for site in run.sites)
        return int(rows * run.study.splits.train) * 8 * (len(run.study.features) + 1)
    return 0


def _site_figures(transfer: Transfer, name: str) -> Iterator[told.SiteFigure]:
    for site, answer in sorted(transfer.sites.items()):
        figures = answer.statement.get("figures", {}) if answer.outcome == "released" else {}
        if f"{name}.auroc" not in figures:
            continue
        read = {key: number_of(figures[f"{name}.{key}"]) for key in ("auroc", "auroc_low", "auroc_high", "oe")}
        slope = figures.get(f"{name}.slope")
        yield told.SiteFigure(
            id=site,
            n_band=str(answer.statement["n_band"]),
            slope=None if slope is None else number_of(slope),
            **read,
        )


def _subgroups(run: Run, transfer: Transfer, name: str) -> Iterator[told.SubgroupFigure]:
    minimum = run.study.gate.small_cells.min_count
    for group, figures in zip(group_names(run.study), transfer.subgroups.get(name, ()), strict=False):
        if min(figures.events, figures.non_events) < minimum or not math.isfinite(figures.oe.value):
            continue
        yield told.SubgroupFigure(
            subgroup=group,
            n_band=band(round(figures.events + figures.non_events)),
            auroc=figures.auroc.value,
            auroc_low=figures.auroc.low,
            auroc_high=figures.auroc.high,
            oe=figures.oe.value,
        )


def _curve(figures: Figures) -> told.Curve | None:
    if not figures.curve:
        return None
    return told.Curve(
        predicted=tuple(point.predicted for point in figures.curve),
        observed=tuple(point.observed for point in figures.curve),
        low=tuple(point.low for point in figures.curve),
        high=tuple(point.high for point in figures.curve),
        share=tuple(point.share for point in figures.curve),
    )


def told_coefficients(run: Run) -> Iterator[told.Coefficient]:
    """Yield the joint model, federated if there is one; intervals only where the fit was exact."""
    fit = run.federated or run.hybrid
    beta = fit.beta if fit else run.commons
    if beta is None:
        return
    covariance = None if fit is None else fit.covariance
    deviation = np.full(len(beta), np.nan) if covariance is None else np.sqrt(np.diag(covariance))
    for column, value, error in zip(design_columns(run.study.features), beta, deviation, strict=True):
        numeric = column.feature != "" and column.category is None and not column.missing
        scale = 2.0 if numeric and run.study.feature(column.feature).type != "boolean" else 1.0
        known = math.isfinite(float(error))
        yield told.Coefficient(
            name=column.name,
            coefficient=float(value),
            odds_ratio=float(np.exp(scale * value)),
            low=float(np.exp(scale * (value - 1.959964 * error))) if known else None,
            high=float(np.exp(scale * (value + 1.959964 * error))) if known else None,
        )
