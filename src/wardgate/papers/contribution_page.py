"""The page of who contributed: a table a kind of worth, with errors, and what it may be used for."""

from markupsafe import Markup

from wardgate.papers.contribution_text import (
    DEFINITIONS,
    GOOD_FOR,
    NOT_FOR,
    copies_say,
    credit_lines,
    errors_say,
    heading,
    share_of,
)
from wardgate.papers.page import page
from wardgate.papers.svg import even_axis, picture, tag
from wardgate.papers.words import figure, interval, size
from wardgate.records.contribution import Contribution

_WIDTH, _LEFT, _RIGHT, _ROW, _TOP = 640.0, 150.0, 620.0, 22.0, 10.0


def contribution_page(found: Contribution) -> str:
    """Return a record of contributions as one self-contained HTML page.

    Pure: equal arguments give equal bytes.
    """
    return page(
        "contribution.html",
        helpers={"figure": figure, "size": size, "interval": interval, "share_of": share_of},
        found=found,
        heading=heading(found),
        pictures={worth.name: shares_picture(found, worth.name) for worth in found.worth},
        definitions=DEFINITIONS,
        errors=errors_say(found),
        copies=copies_say(found),
        good_for=GOOD_FOR,
        not_for=NOT_FOR,
        credits=credit_lines(found),
    )


def shares_picture(found: Contribution, worth: str) -> Markup:
    """Return shares by persons as points with their intervals, one row a player."""
    shares = [(player.name, share_of(player, worth)) for player in found.players]
    axis = even_axis([0.0, *(end for _, one in shares for end in (one.low, one.high))], floor=-10.0, ceiling=10.0)
    x = axis.onto(_LEFT, _RIGHT)
    bottom = _TOP + _ROW * len(shares)
    parts = []
    for value, text in axis.ticks:
        parts.append(tag("line", x1=x(value), x2=x(value), y1=_TOP, y2=bottom, class_="grid"))
        parts.append(tag("text", text, x=x(value), y=bottom + 16, class_="tick mid"))
    parts.append(tag("line", x1=x(0.0), x2=x(0.0), y1=_TOP, y2=bottom, class_="axis"))
    for place, (name, one) in enumerate(shares):
        y = _TOP + _ROW * (place + 0.5)
        words = f"{name}: {figure(one.by_persons, 4)}, {interval(one.low, one.high, 4)}"
        parts += [
            tag("text", name, x=_LEFT - 8, y=y + 4, class_="tick end"),
            tag("line", x1=x(one.low), x2=x(one.high), y1=y, y2=y, class_="trace k-federated"),
            tag(
                "g",
                tag("title", words),
                tag("use", href="#m-circle", x=x(one.by_persons), y=y),
                class_="k-federated",
            ),
        ]
    return picture(
        f"shares-{worth.replace('@', '-').replace('.', '-')}",
        *parts,
        title=f"Shares in {worth}",
        description="; ".join(f"{name} {figure(one.by_persons, 4)}" for name, one in shares),
        width=_WIDTH,
        height=bottom + 28,
        class_="wide-chart",
    )
