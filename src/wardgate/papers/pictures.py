"""Results -> the pictures of the report and the rows of its transfer matrix."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from wardgate.papers import words
from wardgate.papers.charts import Mark, Row, Shift, calibration_plot, dot_plot, shift_plot, strip
from wardgate.papers.overview import joint
from wardgate.papers.svg import Axis, even_axis, ratio_axis
from wardgate.records.results import Approach, Mismatch, Results, Site, SiteFigure, SubgroupFigure

MANY_ROWS = 40
"""Pictures show at most this many rows; the table beside them always has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    figure: SiteFigure
    strip: Markup


@dataclass(frozen=True, slots=True, kw_only=True)
class _MatrixRow:
    site: str
    n_band: str
    cells: tuple[_Cell | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The transfer matrix. A cell is None where the hospital is too small to be shown."""

    approaches: tuple[Approach, ...]
    rows: tuple[_MatrixRow, ...]


def _worst_first(results: Results) -> tuple[str, ...]:
    """Return hospitals with a figure, by the joint model's AUROC; those without that one come last."""
    chosen = joint(results.approaches)
    known = {figure.id: figure.auroc for figure in chosen.sites} if chosen else {}
    shown = {figure.id: None for approach in results.approaches for figure in approach.sites}
    return tuple(sorted(shown, key=lambda site: (site not in known, known.get(site, 0.0), site)))


def _auroc_axis(figures: Sequence[SiteFigure | SubgroupFigure]) -> Axis:
    ends = [end for figure in figures for end in (figure.auroc_low, figure.auroc_high, figure.auroc)]
    return even_axis(ends, floor=0.0, ceiling=1.0, must=[0.5])


def matrix(results: Results) -> Matrix:
    """Return hospitals x approaches, worst hospital first, with a small picture in each cell."""
    approaches = tuple(approach for approach in results.approaches if approach.sites)
    axis = _auroc_axis([figure for approach in approaches for figure in approach.sites])
    by_site = [{figure.id: figure for figure in approach.sites} for approach in approaches]
    rows = []
    for site in _worst_first(results):
        cells = []
        for approach, figures in zip(approaches, by_site, strict=True):
            figure = figures.get(site)
            drawn = figure is not None and math.isfinite(figure.auroc)
            picture = Markup("")
            if figure is not None and drawn:
                picture = strip(figure.auroc, figure.auroc_low, figure.auroc_high, approach.name, axis)
            cells.append(None if figure is None else _Cell(figure=figure, strip=picture))
        band = next(figures[site].n_band for figures in by_site if site in figures)
        rows.append(_MatrixRow(site=site, n_band=band, cells=tuple(cells)))
    return Matrix(approaches=approaches, rows=tuple(rows))


def pictures(results: Results) -> dict[str, Markup | None]:
    """Return every picture by name; None where it would have nothing to show."""
    drawn = {
        "hospitals": _hospital_plot(results),
        "subgroups": _subgroup_plot(results),
        "shifts": _shifts(results.sites),
        "mismatch": _mismatch_plot(results.mismatch),
        "leave_out": _leave_out_plot(results),
        "model": _model_plot(results),
    }
    for approach in results.approaches:
        title = f"Calibration of the approach '{words.APPROACHES[approach.name]}'"
        drawn[f"curve-{approach.name}"] = (
            calibration_plot(f"curve-{approach.name}", approach.curve, approach.name, title=title)
            if approach.curve is not None
            else None
        )
    return drawn


def _marks(results: Results, figures: Sequence[dict[str, SiteFigure] | dict[str, SubgroupFigure]], key: str) -> Row:
    marks = []
    for approach, known in zip(results.approaches, figures, strict=True):
        found = known.get(key)
        if found is not None and math.isfinite(found.auroc):
            told = words.with_interval(found.auroc, found.auroc_low, found.auroc_high)
            marks.append(
                Mark(
                    kind=approach.name,
                    value=found.auroc,
                    low=found.auroc_low,
                    high=found.auroc_high,
                    words=f"{words.APPROACHES[approach.name]}: {told}",
                )
            )
    return Row(label=key, marks=tuple(marks))


def _hospital_plot(results: Results) -> Markup | None:
    sites = _worst_first(results)
    figures = [{figure.id: figure for figure in approach.sites} for approach in results.approaches]
    rows = [_marks(results, figures, site) for site in sites[:MANY_ROWS]]
    shown = [figure for known in figures for figure in known.values() if figure.id in sites[:MANY_ROWS]]
    if not any(row.marks for row in rows):
        return None
    return dot_plot(
        "hospital-plot",
        rows,
        _auroc_axis(shown),
        title="AUROC of every approach at every hospital",
        description="One line per hospital, worst first; one mark with its 95 % interval per approach. "
        "The table below holds the same figures.",
        lines=[(0.5, "0.5 = chance")],
    )


def _subgroup_plot(results: Results) -> Markup | None:
    figures = [{figure.subgroup: figure for figure in approach.subgroups} for approach in results.approaches]
    names = tuple({name: None for known in figures for name in known})
    rows = [row for row in (_marks(results, figures, name) for name in names) if row.marks]
    if not rows:
        return None
    return dot_plot(
        "subgroup-plot",
        rows,
        _auroc_axis([figure for known in figures for figure in known.values()]),
        title="AUROC of every approach in every subgroup",
        description="One line per subgroup over all hospitals; one mark with its 95 % interval per approach. "
        "The table below holds the same figures.",
    )


def _shifts(sites: Sequence[Site]) -> Markup | None:
    shifts = [
        Shift(label=site.id, before=c.before, after=c.after, low=c.low, high=c.high, floor=abs(c.floor))
        for site in sites
        if (c := site.recalibration) is not None and all(map(math.isfinite, (c.before, c.after, c.floor)))
    ]
    if not shifts:
        return None
    shifts = sorted(shifts, key=lambda shift: -abs(shift.before))[:MANY_ROWS]
    return shift_plot(
        "shift-plot",
        shifts,
        title="Calibration-in-the-large before and after local recalibration",
        description="One line per hospital, the largest first: a ring before, a dot with its interval after, and a "
        "grey band for the floor of chance. The table below holds the same figures.",
    )


def _mismatch_plot(mismatch: Sequence[Mismatch]) -> Markup | None:
    known = [m for m in mismatch if m.concordance is not None and math.isfinite(m.concordance)]
    known = sorted(known, key=lambda m: (not m.named, m.concordance))[:MANY_ROWS]
    rows = [
        Row(
            label=m.site,
            strong=m.named,
            marks=(
                Mark(
                    kind="named" if m.named else "plain",
                    value=float(m.concordance or 0.0),
                    low=m.low,
                    high=m.high,
                    words=words.with_interval(m.concordance, m.low, m.high) + (", named" if m.named else ""),
                ),
            ),
        )
        for m in known
    ]
    if not rows:
        return None
    ends = [end for m in known for end in (m.low, m.high, m.concordance) if end is not None]
    return dot_plot(
        "mismatch-plot",
        rows,
        even_axis(ends, floor=0.0, ceiling=1.0, must=[0.5]),
        title="Concordance of each hospital's outcome with what the other hospitals say",
        description="One line per hospital, named ones first. Below 0.5 the outcome runs the other way round.",
        lines=[(0.5, "0.5 = no relation")],
    )


def _leave_out_plot(results: Results) -> Markup | None:
    known = [run for run in results.leave_out if run.auroc is not None and math.isfinite(run.auroc)]
    rows = [
        Row(
            label=words.listed(run.left_out, 2),
            marks=(
                Mark(
                    kind="plain",
                    value=float(run.auroc or 0.0),
                    low=run.auroc_low,
                    high=run.auroc_high,
                    words=words.with_interval(run.auroc, run.auroc_low, run.auroc_high),
                ),
            ),
        )
        for run in known[:MANY_ROWS]
    ]
    if not rows:
        return None
    chosen = joint(results.approaches)
    overall = chosen.auroc if chosen and chosen.auroc is not None and math.isfinite(chosen.auroc) else None
    ends = [end for run in known for end in (run.auroc, run.auroc_low, run.auroc_high) if end is not None]
    return dot_plot(
        "leave-out-plot",
        rows,
        even_axis(ends, floor=0.0, ceiling=1.0, must=[0.5] if overall is None else [0.5, overall]),
        title="AUROC at hospitals that the model never saw",
        description="One line per run: the hospitals left out, and the AUROC there with its interval.",
        lines=[] if overall is None else [(overall, f"{words.figure(overall)} with all hospitals in")],
    )


def _model_plot(results: Results) -> Markup | None:
    known = [c for c in results.model if math.isfinite(c.odds_ratio) and c.odds_ratio > 0 and not _intercept(c.name)]
    if not known:
        return None
    rows = [
        Row(
            label=c.name,
            marks=(
                Mark(
                    kind="plain",
                    value=c.odds_ratio,
                    low=c.low,
                    high=c.high,
                    words=words.with_interval(c.odds_ratio, c.low, c.high),
                ),
            ),
        )
        for c in sorted(known, key=lambda c: -c.odds_ratio)
    ]
    ends = [end for c in known for end in (c.odds_ratio, c.low, c.high) if end is not None]
    return dot_plot(
        "model-plot",
        rows,
        ratio_axis(ends),
        title="Odds ratios of the joint model",
        description="One line per term on a logarithmic scale, largest first. The table below holds the same figures.",
        lines=[(1.0, "1 = no effect")],
    )


def _intercept(name: str) -> bool:
    return name.strip("()").casefold() == "intercept"
