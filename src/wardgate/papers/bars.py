"""Pictures of counts: bars over a number, and bars over the calendar."""

from collections.abc import Sequence

from markupsafe import Markup

from wardgate.measures.profile import Histogram, even_step
from wardgate.papers.svg import picture, tag
from wardgate.papers.words import measure

_WIDTH, _HEIGHT = 420.0, 160.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 410.0, 12.0, 122.0


def number_bars(
    name: str, of: Histogram, *, title: str, unit: str = "", limits: tuple[float, float] | None = None
) -> Markup:
    """Return a histogram; `limits` shows a range as a band with its ends, where they lie inside the picture."""
    low, high = of.edges[0], of.edges[-1]
    scale = (_RIGHT - _LEFT) / (high - low)
    parts = []
    if limits is not None:
        first, last = max(limits[0], low), min(limits[1], high)
        if first < last:
            left, width = _LEFT + (first - low) * scale, (last - first) * scale
            parts.append(tag("rect", x=left, y=_TOP, width=width, height=_BOTTOM - _TOP, class_="b-zone"))
        for end in limits:
            if low <= end <= high:
                at = _LEFT + (end - low) * scale
                parts.append(tag("line", x1=at, x2=at, y1=_TOP, y2=_BOTTOM, class_="b-limit"))
    top = max(max(of.counts), 1)
    parts += _counts(top, _WIDTH)
    for start, end, count in zip(of.edges, of.edges[1:], of.counts, strict=False):
        left, right = _LEFT + (start - low) * scale, _LEFT + (end - low) * scale
        words = f"{measure(start)} to {measure(end)}: {count:,}"
        parts.append(_bar(left + 0.5, right - 0.5, count / top, words))
    step = even_step(high - low, most=6)
    at = -(-low // step) * step
    while at <= high + step * 1e-9:
        parts.append(tag("text", _short(at, step), x=_LEFT + (at - low) * scale, y=_BOTTOM + 15, class_="tick mid"))
        at += step
    parts.append(tag("line", x1=_LEFT, x2=_RIGHT, y1=_BOTTOM, y2=_BOTTOM, class_="axis"))
    if unit:
        parts.append(tag("text", unit, x=_RIGHT, y=_BOTTOM + 32, class_="tick end"))
    told = f"{sum(of.counts):,} values from {measure(low)} to {measure(high)} {unit}"
    told += f", {of.below:,} below, {of.above:,} above"
    return picture(name, *parts, title=title, description=told, width=_WIDTH, height=_HEIGHT, class_="bars-chart")


def calendar_bars(name: str, points: Sequence[tuple[int, int]], *, each: int, title: str, wide: bool = True) -> Markup:
    """Return bars over the calendar.

    Args:
        points: (months since year 0, events), every `each` months.
        wide: Over the whole page, else as wide as a picture of numbers.
    """
    width = 760.0 if wide else _WIDTH
    right = width - 10.0
    step = (right - _LEFT) / len(points)
    top = max(max(count for _, count in points), 1)
    parts = _counts(top, width)
    gap = 0.5 if step > 2.5 else 0.0
    for at, (month, count) in enumerate(points):
        words = f"{_month(month) if each < 12 else month // 12}: {count:,}"
        parts.append(_bar(_LEFT + at * step + gap, _LEFT + (at + 1) * step - gap, count / top, words))
    first, last = points[0][0], points[-1][0] + each
    years = max(1, round(even_step((last - first) / 12, most=10 if wide else 5)))
    for year in range(-(-first // 12), last // 12 + 1):
        if year % years == 0 and 12 * year < last:
            x = _LEFT + (12 * year - first) / each * step + (step / 2 if each == 12 else 0)
            parts.append(tag("line", x1=x, x2=x, y1=_BOTTOM, y2=_BOTTOM + 4, class_="axis"))
            parts.append(tag("text", str(year), x=x, y=_BOTTOM + 16, class_="tick mid"))
    parts.append(tag("line", x1=_LEFT, x2=right, y1=_BOTTOM, y2=_BOTTOM, class_="axis"))
    told = (
        f"{sum(count for _, count in points):,} events from {_month(first)} to {_month(last - 1)}, at most {top:,} each"
    )
    return picture(
        name,
        *parts,
        title=title,
        description=told,
        width=width,
        height=_BOTTOM + 22,
        class_="calendar-chart" if wide else "bars-chart",
    )


def _counts(top: int, width: float) -> list[Markup]:
    """The axis of counts: its lines, from 0 to the highest bar."""
    step = max(1.0, even_step(top, most=4))
    parts = []
    for k in range(int(top / step + 1e-9) + 1):
        y = _BOTTOM - (_BOTTOM - _TOP) * k * step / top
        parts.append(tag("line", x1=_LEFT, x2=width - 10, y1=y, y2=y, class_="grid"))
        parts.append(tag("text", _large(k * step), x=_LEFT - 5, y=y + 3.5, class_="tick end"))
    return parts


def _bar(left: float, right: float, height: float, words: str) -> Markup:
    tall = (_BOTTOM - _TOP) * height
    if 0 < tall < 0.8:
        tall = 0.8
    mark = tag("rect", x=left, y=_BOTTOM - tall, width=max(right - left, 0.6), height=tall, class_="b")
    return tag("g", tag("title", words), mark) if height else Markup("")


def _month(month: int) -> str:
    return f"{month // 12:04d}-{month % 12 + 1:02d}"


def _short(value: float, step: float) -> str:
    text = f"{round(value / step) * step + 0.0:.10g}"
    return text.replace("-", "−")


def _large(count: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:g}{letter}"
    return f"{count:g}"
