"""The page of a training: what the network is worth on holdout persons, how it got there, and what it cost."""

import math
from collections.abc import Sequence

from markupsafe import Markup

from wardgate.papers.page import page
from wardgate.papers.svg import even_axis, picture, tag
from wardgate.papers.words import figure, size
from wardgate.records.measured import Measured
from wardgate.records.training import Training, TrainingRound

NAMES = {"auroc": "AUROC", "oe": "O/E", "slope": "Calibration slope", "brier": "Brier score"}

_WIDTH, _HEIGHT = 640.0, 190.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 626.0, 14.0, 148.0


def training_page(found: Training) -> str:
    """Return a training as one self-contained HTML page.

    Pure: equal arguments give equal bytes.
    """
    return page(
        "training.html",
        helpers={
            "figure": figure,
            "size": size,
            "interval": _interval,
            "name": lambda one: NAMES.get(one.name, one.name),
        },
        found=found,
        auroc=next((one for one in found.held_out if one.name == "auroc"), None),
        picture=_curves(found.rounds),
        sat_out=_sat_out(found.rounds),
    )


def _interval(one: Measured) -> str:
    if not (math.isfinite(one.low) and math.isfinite(one.high)):
        return ""
    return f"{figure(one.low, 3)} to {figure(one.high, 3)}"


def _sat_out(rounds: Sequence[TrainingRound]) -> list[tuple[str, str, int]]:
    """Return (hospital, word, rounds) of every round that did not end in training as usual."""
    found: dict[tuple[str, str], int] = {}
    for one in rounds:
        for site, word in sorted(one.said.items()):
            if word != "trained":
                found[site, word] = found.get((site, word), 0) + 1
    return [(site, word, count) for (site, word), count in sorted(found.items())]


def _curves(rounds: Sequence[TrainingRound]) -> Markup | None:
    """Mean training loss after each round, and AUROC on tuning persons where they judged; None without any figure."""
    losses = [(one.number + 1, one.after) for one in rounds if math.isfinite(one.after)]
    judged = [(one.number + 1, one.auroc) for one in rounds if math.isfinite(one.auroc)]
    parts: list[Markup] = []
    told = []
    last = max((one.number + 1 for one in rounds), default=1)
    for points, kind, words, side in (
        (losses, "plain", "training loss", "left"),
        (judged, "federated", "AUROC on tuning persons", "right"),
    ):
        if not points:
            continue
        axis = even_axis([value for _, value in points], floor=0.0, ceiling=20.0)
        y = axis.onto(_BOTTOM, _TOP)
        at, end = (_LEFT - 6, "tick end") if side == "left" else (_RIGHT + 6, "tick")
        for value, text in axis.ticks:
            if side == "left":
                parts.append(tag("line", x1=_LEFT, x2=_RIGHT, y1=y(value), y2=y(value), class_="grid"))
            parts.append(tag("text", text, x=at, y=y(value) + 3.5, class_=end))
        line = " ".join(f"{_across(number, last):.1f},{y(value):.1f}" for number, value in points)
        parts.append(tag("polyline", points=line, class_=f"trace k-{kind}"))
        mark = "circle" if kind == "plain" else "square"
        parts += [
            tag(
                "g",
                tag("title", f"round {number}: {words} {figure(value, 3)}"),
                tag("use", href=f"#m-{mark}", x=_across(number, last), y=y(value)),
                class_=f"k-{kind}",
            )
            for number, value in points
        ]
        told.append(f"{words} from {figure(points[0][1], 3)} to {figure(points[-1][1], 3)}")
    if not told:
        return None
    step = max(1, math.ceil(last / 10))
    parts += [
        tag("text", str(number), x=_across(number, last), y=_BOTTOM + 16, class_="tick mid")
        for number in range(step, last + 1, step)
    ]
    parts.append(tag("line", x1=_LEFT, x2=_RIGHT, y1=_BOTTOM, y2=_BOTTOM, class_="axis"))
    parts.append(tag("text", "round", x=(_LEFT + _RIGHT) / 2, y=_BOTTOM + 34, class_="tick mid"))
    title = "Round by round"
    description = f"{last} rounds: {'; '.join(told)}"
    return picture(
        "rounds", *parts, title=title, description=description, width=_WIDTH + 40, height=_HEIGHT, class_="wide-chart"
    )


def _across(number: int, last: int) -> float:
    return _LEFT + 8 + (_RIGHT - _LEFT - 16) * (number - 1) / max(last - 1, 1)
