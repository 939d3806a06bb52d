"""The consortium's page: what every hospital's data deliver, side by side, and who stands out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from wardgate.computations.definitions.checks import compare_checks
from wardgate.papers.charts import Mark, Row, dot_plot
from wardgate.papers.data_check_page import LOOKS, percent
from wardgate.papers.page import page
from wardgate.papers.svg import even_axis
from wardgate.papers.words import listed, number
from wardgate.records.data_check import OTHER_UNITS, DataCheck, UnitSeen
from wardgate.records.errors import Invalid
from wardgate.records.named import Named

KINDS = {
    "outcome": "The outcome runs backwards",
    "prevalence": "The outcome is unusually frequent or rare",
    "unit": "Another unit",
    "contradiction": "A feature is probably coded otherwise",
    "centre": "A feature lies elsewhere",
    "strength": "A feature goes with the outcome otherwise",
    "coverage": "A feature is unusually often, or seldom, there",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _States:
    """One requirement, with its state at each hospital; empty where it was not asked."""

    name: str
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shares:
    name: str
    shares: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Unit:
    unit: str
    sites: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Units:
    name: str
    unit: str
    found: tuple[_Unit, ...]


def side_by_side(checks: Sequence[DataCheck], *, named: Sequence[Named] = ()) -> str:
    """Return the checks of one study as one self-contained HTML page, hospitals in the order of their names.

    Pure: equal arguments give equal bytes.

    Args:
        checks: Each hospital once.
        named: Findings of the comparison between sites; what the checks alone say is added to them.

    Raises:
        Invalid: no check at all, two of one hospital, or checks of two studies.
    """
    if not checks:
        raise Invalid("there is no check to show; give at least one")
    if len({check.study_sha256 for check in checks}) != 1 or len({check.site for check in checks}) != len(checks):
        raise Invalid("expected checks of one study, each hospital once")
    ordered = sorted(checks, key=lambda check: check.site)
    known = {(one.site, one.kind, one.subject) for one in named}
    found = [*named, *(one for one in compare_checks(ordered) if (one.site, one.kind, one.subject) not in known)]
    found.sort(key=lambda one: (not one.excludes, one.chance, one.site))
    rows = tuple(_requirements(ordered))
    return page(
        "side_by_side.html",
        helpers={"percent": percent},
        checks=ordered,
        first=ordered[0],
        looks=LOOKS,
        kinds=KINDS,
        named=found,
        short=[row for row in rows if not _whole(row)],
        whole=[row for row in rows if _whole(row)],
        coverage=tuple(_coverage(ordered)),
        units=tuple(_units(ordered)),
        odd_units=tuple(_odd_units(ordered)),
        picture=_prevalence(ordered, found),
        hidden=tuple(check.site for check in ordered if check.prevalence is None),
    )


def _whole(row: _States) -> bool:
    return all(state in ("", "pass") for state in row.states)


def _requirements(checks: Sequence[DataCheck]) -> Iterator[_States]:
    tables = [{one.name: one.state for one in check.requirements} for check in checks]
    for name in dict.fromkeys(one.name for check in checks for one in check.requirements):
        yield _States(name=name, states=tuple(table.get(name, "") for table in tables))


def _names(checks: Sequence[DataCheck]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.feature for check in checks for one in check.features))


def _coverage(checks: Sequence[DataCheck]) -> Iterator[_Shares]:
    tables = [{one.feature: one.coverage for one in check.features} for check in checks]
    for name in _names(checks):
        yield _Shares(name=name, shares=tuple(table.get(name) for table in tables))


def _units(checks: Sequence[DataCheck]) -> Iterator[_Units]:
    for name in _names(checks):
        here = [(check.site, one) for check in checks for one in check.features if one.feature == name and one.units]
        if not here:
            continue
        seen: dict[tuple[str, str], list[str]] = {}
        for site, one in here:
            for unit in one.units:
                share = "" if unit.share in (None, 1.0) else f" ({percent(unit.share)})"
                seen.setdefault((unit.unit or "no unit", _state(unit)), []).append(f"{site}{share}")
        yield _Units(
            name=name,
            unit=here[0][1].unit or "",
            found=tuple(
                _Unit(unit=unit, state=state, sites=_where(sites, state, len(checks)))
                for (unit, state), sites in sorted(seen.items(), key=lambda item: (-len(item[1]), item[0]))
            ),
        )


def _where(sites: list[str], state: str, hospitals: int) -> str:
    if len(sites) == hospitals and not any(site.endswith(")") for site in sites):
        return "everywhere"
    return number(len(sites), "hospital") if state == "as asked" and len(sites) > 8 else listed(tuple(sites), 8)


def _state(unit: UnitSeen) -> str:
    return "not converted" if unit.converted is None else "converted" if unit.converted else "as asked"


def _odd_units(checks: Sequence[DataCheck]) -> Iterator[str]:
    seen: dict[tuple[str, str, str], list[str]] = {}
    for check in checks:
        for one in check.features:
            for unit in one.units:
                if unit.converted is None:
                    share = "" if unit.share is None else f" ({percent(unit.share)} of the values)"
                    what = "no unit" if unit.unit is None else "other, rare units"
                    what = f"'{unit.unit}'" if unit.unit not in (None, OTHER_UNITS) else what
                    seen.setdefault((one.feature, what, one.unit or ""), []).append(f"{check.site}{share}")
    for (feature, what, asked), sites in seen.items():
        yield f"{feature} in {what} at {listed(tuple(sites), 8)}; the study asks for '{asked}'"


def _prevalence(checks: Sequence[DataCheck], named: Sequence[Named]) -> Markup | None:
    odd = {one.site for one in named if one.subject == "outcome"}
    rows = []
    for check in checks:
        if check.prevalence is None:
            continue
        share, half = check.prevalence.share, check.prevalence.step / 2
        low, high = max(0.0, share - half), min(1.0, share + half)
        words = f"{check.site}: {percent(share)}, rounded to {percent(check.prevalence.step)}"
        kind = "named" if check.site in odd else "plain"
        mark = Mark(kind=kind, value=share, low=low, high=high, words=words)
        rows.append((share, Row(label=check.site, marks=(mark,), strong=check.site in odd)))
    if not rows:
        return None
    rows.sort(key=lambda row: (-row[0], row[1].label))
    axis = even_axis([share for share, _ in rows], floor=0.0, ceiling=1.0, must=[0.0])
    told = "; ".join(row.marks[0].words for _, row in rows)
    title = "Prevalence by hospital, the highest first"
    return dot_plot("prevalence", [row for _, row in rows], axis, title=title, description=told)
