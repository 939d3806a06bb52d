"""`report.html`: the whole run on one page, for a clinician and a privacy officer alike."""

import math
import re
from dataclasses import dataclass

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from wardgate.papers import words
from wardgate.papers.charts import MARKS
from wardgate.papers.overview import joint, overview
from wardgate.papers.pictures import MANY_ROWS, matrix, pictures
from wardgate.records.results import Left, Results, Site

MANY_ITEMS = 3_000
"""Above this many items in all, like items of one hospital (step, kind, protection) share a line, with exact totals."""

FEW_HOSPITALS = 12
"""Above this many hospitals, those without figures, candidates or anything unusual stand in a list of their own."""


def render(results: Results) -> str:
    """Return the report as one self-contained HTML page.

    Pure: equal results give equal bytes. The page asks nothing of any network (its content security policy forbids
    it), needs no script, and escapes every text of `results`. A figure that is absent or not finite is said in words.
    """
    environment = Environment(
        loader=PackageLoader("wardgate.papers"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": words.figure,
        "measure": words.measure,
        "share": words.share,
        "ratio": words.ratio,
        "breakable": _breakable,
        "chance": words.chance,
        "persons": words.persons,
        "size": words.size,
        "number": words.number,
        "listed": words.listed,
        "approach": words.APPROACHES.__getitem__,
    }
    environment.globals |= {
        "interval": words.interval,
        "with_interval": words.with_interval,
        "belief": words.belief,
        "advantage": words.advantage,
        "power": words.power,
        "exp": math.exp,
        "kinds": words.KINDS,
        "kind_meanings": words.KIND_MEANINGS,
        "outcomes": words.OUTCOMES,
        "marks": MARKS,
        "joint": joint,
    }
    page = environment.get_template("report.html").render(
        results=results,
        overview=overview(results),
        matrix=matrix(results),
        pictures=pictures(results),
        hospitals=_hospitals(results),
        many_items=sum(len(site.left) for site in results.sites) > MANY_ITEMS,
        many_rows=MANY_ROWS,
    )
    return "\n".join(line for line in page.splitlines() if line.strip()) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """Like items that left one hospital; `left` is the first of them."""

    left: Left
    items: int
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hospital:
    site: Site
    anchor: str
    open: bool
    aside: bool
    quality_shown: bool
    flow_shares: tuple[float | None, ...]
    lines: tuple[_Line, ...]


def _hospitals(results: Results) -> tuple[_Hospital, ...]:
    merge = sum(len(site.left) for site in results.sites) > MANY_ITEMS
    few = len(results.sites) <= FEW_HOSPITALS
    shown = {figure.id for approach in results.approaches for figure in approach.sites}
    return tuple(
        _Hospital(
            site=site,
            anchor=f"hospital-{index + 1}",
            open=index == 0 or (few and site.state != "took part"),
            aside=not (few or site.state != "took part" or site.attempts or site.id in shown),
            quality_shown=any(
                value is not None for part in site.quality for value in (part.present, part.out_of_range)
            ),
            flow_shares=_flow_shares(site),
            lines=_lines(site, merge=merge),
        )
        for index, site in enumerate(results.sites)
    )


def _breakable(name: str) -> Markup:
    """Return a dotted name that may break after its dots and underscores."""
    return Markup("<wbr>").join(part for part in re.split(r"(?<=[._])", name))


def _flow_shares(site: Site) -> tuple[float | None, ...]:
    counts = [int(step.persons) if step.persons.isdecimal() else None for step in site.flow]
    first = counts[0] if counts else None
    return tuple(None if count is None or not first else min(1.0, count / first) for count in counts)


def _lines(site: Site, *, merge: bool) -> tuple[_Line, ...]:
    if not merge:
        return tuple(_Line(left=left, items=1, bytes=left.bytes) for left in site.left)
    groups: dict[tuple[str, str, str], list[Left]] = {}
    for left in site.left:
        groups.setdefault((left.step, left.kind, left.protection), []).append(left)
    return tuple(
        _Line(left=items[0], items=len(items), bytes=sum(item.bytes for item in items)) for items in groups.values()
    )
