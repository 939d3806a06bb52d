"""The pictures of the report. Every mark has a shape of its own, so that colour is never the only difference."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from wardgate.papers.svg import Axis, even_axis, picture, tag
from wardgate.papers.words import figure
from wardgate.records.results import Curve

MARKS = {
    "local": "diamond",
    "commons": "square",
    "federated": "circle",
    "hybrid": "triangle",
    "pooled": "cross",
    "plain": "circle",
    "named": "star",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One value with its interval; `kind` picks shape and colour (a key of `MARKS`)."""

    kind: str
    value: float
    low: float | None
    high: float | None
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a dot plot: a label and its marks, one below the other."""

    label: str
    marks: tuple[Mark, ...]
    strong: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """One hospital's calibration-in-the-large before and after recalibration, in log-odds."""

    label: str
    before: float
    after: float
    low: float
    high: float
    floor: float


WIDTH = 640.0
LEFT = 168.0
RIGHT = WIDTH - 14.0
TOP = 24.0


def dot_plot(
    name: str,
    rows: Sequence[Row],
    axis: Axis,
    *,
    title: str,
    description: str,
    lines: Sequence[tuple[float, str]] = (),
) -> Markup:
    """Return rows of dots with intervals over one axis; `lines` are vertical references with their words."""
    place = axis.onto(LEFT, RIGHT)
    inner = [max(1, len(row.marks)) * 9.0 + 11.0 for row in rows]
    bottom = TOP + sum(inner)
    parts = _frame(axis, bottom)
    for value, words in lines:
        parts.append(tag("line", x1=place(value), x2=place(value), y1=TOP, y2=bottom, class_="ref"))
        parts.append(tag("text", words, x=place(value), y=bottom + 14, class_="tick mid"))
    top = TOP
    for index, (row, height) in enumerate(zip(rows, inner, strict=True)):
        if index:
            parts.append(tag("line", x1=0, x2=RIGHT, y1=top, y2=top, class_="hair"))
        parts.append(_label(row.label, top + height / 2, strong=row.strong))
        start = top + height / 2 - (len(row.marks) - 1) * 4.5
        parts.extend(_mark(mark, start + 9.0 * k, axis) for k, mark in enumerate(row.marks))
        top += height
    return picture(
        name,
        *parts,
        title=title,
        description=description,
        width=WIDTH,
        height=bottom + (20 if lines else 6),
        class_="wide-chart",
    )


def strip(value: float, low: float | None, high: float | None, kind: str, axis: Axis) -> Markup:
    """Return the small forest line of a table cell. The cell says the same in figures, so it is hidden from readers."""
    place = axis.onto(4, 124)
    parts = [tag("line", x1=4, x2=124, y1=6, y2=6, class_="hair")]
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        parts.append(tag("line", x1=place(low), x2=place(high), y1=6, y2=6, class_=f"bar k-{kind}"))
    parts.append(tag("use", href=f"#m-{MARKS[kind]}", x=place(value), y=6, class_=f"k-{kind}"))
    return tag("svg", *parts, aria_hidden="true", viewBox="0 0 128 12", class_="strip")


def calibration_plot(name: str, curve: Curve, kind: str, *, title: str) -> Markup | None:
    """Return observed against predicted risk with intervals, and below it where the persons are.

    None where no bin has a finite figure.
    """
    columns = zip(curve.predicted, curve.observed, curve.low, curve.high, curve.share, strict=True)
    bins = [values for values in columns if all(math.isfinite(value) for value in values)]
    if not bins:
        return None
    top = max(max(predicted, high) for predicted, _, _, high, _ in bins)
    axis = even_axis([top], floor=0.0, ceiling=1.0, must=[0.0])
    x, y = axis.onto(40, 252), axis.onto(222, 10)
    parts = []
    for value, words in axis.ticks:
        parts.append(tag("line", x1=x(value), x2=x(value), y1=10, y2=222, class_="grid"))
        parts.append(tag("line", x1=40, x2=252, y1=y(value), y2=y(value), class_="grid"))
        parts.append(tag("text", words, x=x(value), y=275, class_="tick mid"))
        parts.append(tag("text", words, x=34, y=y(value) + 3.5, class_="tick end"))
    parts.append(tag("line", x1=40, y1=222, x2=252, y2=10, class_="ref"))
    points = " ".join(f"{x(predicted):.1f},{y(observed):.1f}" for predicted, observed, *_ in bins)
    parts.append(tag("polyline", points=points, class_=f"trace k-{kind}"))
    fullest = max(weight for *_, weight in bins) or 1.0
    for predicted, observed, low, high, weight in bins:
        parts.append(
            tag("line", x1=x(predicted), x2=x(predicted), y1=y(low), y2=y(high), class_=f"bar k-{kind}"),
        )
        parts.append(
            tag("use", href=f"#m-{MARKS[kind]}", x=x(predicted), y=y(observed), class_=f"k-{kind}"),
        )
        height = 32 * weight / fullest
        parts.append(tag("rect", x=x(predicted) - 3, y=261 - height, width=6, height=height, class_="rug"))
    parts.append(tag("line", x1=40, x2=252, y1=261, y2=261, class_="axis"))
    parts.append(tag("text", "predicted risk", x=146, y=292, class_="tick mid"))
    parts.append(tag("text", "observed", x=0, y=0, class_="tick mid", transform="translate(9 116) rotate(-90)"))
    told = "; ".join(
        f"predicted {figure(predicted)}, observed {figure(observed)} ({figure(low)} to {figure(high)}), "
        f"{100 * weight:.0f} % of persons"
        for predicted, observed, low, high, weight in bins
    )
    return picture(name, *parts, title=title, description=told, width=262, height=298, class_="square-chart")


def shift_plot(name: str, shifts: Sequence[Shift], *, title: str, description: str) -> Markup:
    """Return calibration-in-the-large before (ring) and after (dot) recalibration, beside the floor of chance."""
    reach = [value for s in shifts for value in (s.before, s.after, s.low, s.high, s.floor, -s.floor)]
    axis = even_axis(reach, floor=-4.0, ceiling=4.0, must=[0.0])
    place = axis.onto(LEFT, RIGHT)
    bottom = TOP + 26.0 * len(shifts)
    parts = _frame(axis, bottom)
    for k, s in enumerate(shifts):
        middle = TOP + 26.0 * k + 13
        left, right = place(-s.floor), place(s.floor)
        parts.append(tag("rect", x=left, y=middle - 10, width=right - left, height=20, class_="floor"))
        parts.append(_label(s.label, middle))
        parts.append(tag("line", x1=place(s.before), x2=place(s.after), y1=middle - 4, y2=middle + 4, class_="travel"))
        if math.isfinite(s.low) and math.isfinite(s.high):
            bar = tag("line", x1=place(s.low), x2=place(s.high), y1=middle + 4, y2=middle + 4, class_="bar k-plain")
            parts.append(bar)
        parts.append(tag("circle", cx=place(s.before), cy=middle - 4, r=4, class_="ring"))
        parts.append(tag("use", href="#m-circle", x=place(s.after), y=middle + 4, class_="k-plain"))
    parts.append(tag("line", x1=place(0), x2=place(0), y1=TOP, y2=bottom, class_="ref"))
    return picture(
        name, *parts, title=title, description=description, width=WIDTH, height=bottom + 6, class_="wide-chart"
    )


def _frame(axis: Axis, bottom: float) -> list[Markup]:
    place = axis.onto(LEFT, RIGHT)
    parts = []
    for value, words in axis.ticks:
        parts.append(tag("line", x1=place(value), x2=place(value), y1=TOP, y2=bottom, class_="grid"))
        parts.append(tag("text", words, x=place(value), y=15, class_="tick mid"))
    return parts


def _label(words: str, middle: float, *, strong: bool = False) -> Markup:
    cut = words if len(words) <= 26 else f"{words[:25]}…"
    return tag("text", cut, x=LEFT - 10, y=middle + 4, class_="label strong end" if strong else "label end")


def _mark(mark: Mark, y: float, axis: Axis) -> Markup:
    place = axis.onto(LEFT, RIGHT)
    parts = [tag("title", mark.words)]
    if mark.low is not None and mark.high is not None and math.isfinite(mark.low) and math.isfinite(mark.high):
        parts.append(tag("line", x1=place(mark.low), x2=place(mark.high), y1=y, y2=y, class_="bar"))
    parts.append(tag("use", href=f"#m-{MARKS[mark.kind]}", x=place(mark.value), y=y))
    return tag("g", *parts, class_=f"k-{mark.kind}")
