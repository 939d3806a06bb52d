"""SVG by hand: escaped tags, short numbers, one scale. Colours come from the page's style sheet, by class."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Scale = Callable[[float], float]


def tag(name: str, /, *inside: str | Markup, **attributes: str | float | None) -> Markup:
    """Return one element. Attributes of None are left out; `class_` is `class`, other underscores become hyphens."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), short(value))
        for key, value in attributes.items()
        if value is not None
    )
    body = Markup("").join(escape(part) for part in inside)
    return (
        Markup("<{0}{1}>{2}</{0}>").format(name, written, body) if body else Markup("<{0}{1}/>").format(name, written)
    )


def short(value: str | float) -> str:
    """Return a coordinate with at most one decimal, and text as it is."""
    if isinstance(value, str):
        return value
    return f"{round(value, 1) + 0.0:g}"


def picture(
    name: str, *inside: Markup, title: str, description: str, width: float, height: float, class_: str
) -> Markup:
    """Return a labelled picture; `name` must be unique in the page."""
    return tag(
        "svg",
        tag("title", title, id=f"{name}-t"),
        tag("desc", description, id=f"{name}-d"),
        *inside,
        role="img",
        aria_labelledby=f"{name}-t",
        aria_describedby=f"{name}-d",
        viewBox=f"0 0 {short(width)} {short(height)}",
        class_=class_,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """A horizontal or vertical axis: `low` to `high`, with its ticks and their words."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    transform: Scale = float

    def onto(self, start: float, end: float) -> Scale:
        """Return the map from values to coordinates between `start` and `end`; values outside stop at the edge."""
        low, high = self.transform(self.low), self.transform(self.high)

        def place(value: float) -> float:
            where = (self.transform(value) - low) / (high - low)
            return start + (end - start) * min(max(where, 0.0), 1.0)

        return place


def even_axis(values: Sequence[float], *, floor: float, ceiling: float, must: Sequence[float] = ()) -> Axis:
    """Return an axis over `values` and `must`, cut to [floor, ceiling], with three to seven even ticks."""
    finite = [min(max(value, floor), ceiling) for value in (*values, *must) if math.isfinite(value)]
    low, high = (min(finite), max(finite)) if finite else (floor, ceiling)
    if high - low < 1e-9:
        low, high = low - 0.05, high + 0.05
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(scale * power for scale in (1, 2, 2.5, 5, 10) if scale * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    digits += not math.isclose(step, round(step, digits))
    ticks = tuple((k * step, f"{k * step + 0.0:.{digits}f}".replace("-", "−")) for k in range(first, last + 1))
    return Axis(low=first * step, high=last * step, ticks=ticks)


def ratio_axis(values: Sequence[float]) -> Axis:
    """Return a logarithmic axis around 1 over positive `values`, cut to [1/64, 64], ticks at powers of two."""
    finite = [abs(math.log2(value)) for value in values if value > 0 and math.isfinite(value)]
    reach = min(max(math.ceil(max(finite, default=1.0) - 1e-9), 1), 6)
    step = 1 if reach <= 3 else 2
    ticks = [(2.0**k, f"{2**k}" if k >= 0 else f"1/{2**-k}") for k in range(-reach, reach + 1) if k % step == 0]
    return Axis(low=2.0**-reach, high=2.0**reach, ticks=tuple(ticks), transform=math.log2)
