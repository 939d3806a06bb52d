"""The page of a comparison: which way to learn simulated hospitals recommend, why, and what they cannot tell."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from wardgate.papers.charts import Mark, Row, dot_plot
from wardgate.papers.page import page
from wardgate.papers.svg import even_axis
from wardgate.papers.words import figure, size
from wardgate.records.comparison import Candidate, Comparison

WAYS = {
    "natural": "as the corpora came, one a hospital",
    "sizes": "few large hospitals and many small ones",
    "features": "each hospital has its own part of the patients' mix",
}

DARKEST = 48.0
"""Per cent of the accent behind the best figure of a column; the worst has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cell:
    words: str
    shade: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _ByWay:
    label: str
    recommended: bool
    cells: tuple[_Cell, ...]


def compare_page(found: Comparison) -> str:
    """Return a comparison as one self-contained HTML page.

    Pure: equal arguments give equal bytes.
    """
    chosen = found.of(found.recommended)
    return page(
        "compare.html",
        helpers={"figure": figure, "size": lambda moved: size(round(moved)), "way": way_in_words, "gap": _gap},
        found=found,
        chosen=chosen,
        algorithm=found.of(found.algorithm),
        picture=_picture(found),
        by_way=_by_way(found),
        failed=[one for one in found.tried if one.failed],
        divisions=len({(one.way, one.seed) for one in found.tried}),
    )


def way_in_words(name: str) -> str:
    """Return how rows were divided, for people."""
    alpha = name.partition(":")[2]
    return f"another share of events at each (Dirichlet {alpha})" if alpha else WAYS.get(name, name)


def _gap(one: Candidate) -> str:
    if not math.isfinite(one.behind):
        return "could not be compared"
    words = "level with the leader" if abs(one.behind) < 5e-5 else f"{figure(abs(one.behind), 4)}"
    if abs(one.behind) >= 5e-5:
        words += " behind" if one.behind > 0 else " ahead"
    return words + (f" ± {figure(one.error, 4)}" if one.error else "")


def _picture(found: Comparison) -> Markup:
    """Every candidate's distance from the leader, with twice its standard error over the divisions."""
    rows, reach = [], [0.0]
    for one in found.candidates:
        if not math.isfinite(one.behind):
            continue
        low, high = -one.behind - 2 * one.error, -one.behind + 2 * one.error
        reach += [max(low, -0.2), min(high, 0.2)]
        kind = "named" if one.name == found.recommended else "pooled" if one.kind == "bound" else "plain"
        words = f"{one.label}: AUROC {figure(one.auroc, 3)}, {_gap(one)}"
        mark = Mark(kind=kind, value=-one.behind, low=low, high=high, words=words)
        rows.append(Row(label=one.label, marks=(mark,), strong=one.name == found.recommended))
    axis = even_axis(reach, floor=-0.2, ceiling=0.2)
    title = "AUROC against the leader, with two standard errors over the divisions"
    told = "; ".join(row.marks[0].words for row in rows)
    return dot_plot("gaps", rows, axis, title=title, description=told, lines=[(0.0, "leader")])


def _by_way(found: Comparison) -> tuple[_ByWay, ...]:
    means = {
        (one.name, way): _mean([t.auroc for t in found.tried if t.candidate == one.name and t.way == way])
        for one in found.candidates
        for way in found.ways
    }
    ends = {way: _ends([means[one.name, way] for one in found.candidates]) for way in found.ways}
    return tuple(
        _ByWay(
            label=one.label,
            recommended=one.name == found.recommended,
            cells=tuple(_cell(means[one.name, way], *ends[way]) for way in found.ways),
        )
        for one in found.candidates
    )


def _cell(value: float, low: float, high: float) -> _Cell:
    if not math.isfinite(value):
        return _Cell(words="failed", shade=0.0)
    share = (value - low) / (high - low) if high > low else 0.0
    return _Cell(words=figure(value, 3), shade=round(DARKEST * share**2))


def _ends(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)]
    return (min(finite), max(finite)) if finite else (0.0, 0.0)


def _mean(values: Sequence[float | None]) -> float:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    return sum(finite) / len(finite) if finite else math.nan
