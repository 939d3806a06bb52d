"""What one hospital's records hold, as one page with pictures, for that hospital's eyes only: it shows true counts."""

from collections.abc import Iterator

from markupsafe import Markup

from wardgate.measures.profile import LEVELS, Profile, SetProfile, UnitProfile, by_calendar, span_of
from wardgate.papers.bars import calendar_bars, number_bars
from wardgate.papers.page import page
from wardgate.papers.words import measure, number

FIRST_LINE = "<!-- FOR THIS HOSPITAL'S EYES ONLY: true counts of real patients, small ones included -->"
"""The first line of the file, for whoever finds it and does not open it in a browser."""

_OPEN = 3
"""So many sets with numbers are shown unfolded."""

_UNIT_PICTURES = 2
"""So many units of one set have a picture: where there are two, they should be seen side by side."""


def profile_page(profile: Profile, *, on: str = "") -> str:
    """Return the profile as one self-contained HTML page. Equal arguments give equal bytes.

    Args:
        profile: True counts; the page says on its first line and on its head that it may not leave.
        on: Today, as an ISO date.
    """
    first, last, before, after = span_of(profile.months)
    each = 1 if last - first < 120 else 3 if last - first < 360 else 12
    middle = profile.observed_years[LEVELS.index(0.5)] if profile.observed_years else None
    written = page(
        "profile.html",
        helpers={"whole": _whole, "percent": percent, "unit": _unit, "others": _others},
        p=profile,
        on=on,
        opened=[one.name for one in profile.sets if one.numbers][:_OPEN],
        levels=[f"{100 * level:g} %" for level in LEVELS],
        sets_are="Concept sets" if profile.study else "Most frequent numbers",
        found=sum(one.events > 0 for one in profile.sets),
        middle="nobody" if middle is None else f"{measure(middle)} years",
        ages=number_bars("ages", profile.ages, title="Ages at the first event", unit="years"),
        each={1: "a month", 3: "a quarter", 12: "a year"}[each],
        before=before,
        after=after,
        first=_month(first),
        last=_month(last),
        calendars=[
            (
                one.table,
                sum(one.counts.values()),
                calendar_bars(
                    f"calendar-{at}",
                    by_calendar(one.counts, first=first, last=last, each=each),
                    each=each,
                    title=f"Events of {one.table or 'no table'} over time",
                ),
            )
            for at, one in enumerate(profile.months)
        ],
        sets=[
            (one, list(_values(f"set-{at}", one)), _years(f"years-{at}", one), list(_unmatched(one)))
            for at, one in enumerate(profile.sets, start=1)
        ],
    )
    return f"{FIRST_LINE}\n{written}"


def percent(part: int, whole: int) -> str:
    """Return a true share; what is not all or nothing does not look so.

    >>> percent(0, 10), percent(1, 100_000), percent(99_999, 100_000), percent(10, 10), percent(1, 3), percent(0, 0)
    ('0 %', 'under 0.1 %', 'over 99.9 %', '100 %', '33.3 %', '')
    """
    if not whole:
        return ""
    if part in (0, whole):
        return "0 %" if part == 0 else "100 %"
    share = 100 * part / whole
    return "under 0.1 %" if share < 0.1 else "over 99.9 %" if share > 99.9 else f"{share:.1f} %"


def _values(name: str, of: SetProfile) -> Iterator[tuple[str, Markup]]:
    """The pictures of the values, by unit, and what each is called."""
    for at, one in enumerate(of.units[:_UNIT_PICTURES]):
        words = _unit_words(one)
        limits = next(((wanted.low, wanted.high) for wanted in of.expected if wanted.unit == one.unit), None)
        outside = [
            f"{count:,} {side}"
            for count, side in ((one.histogram.below, "below"), (one.histogram.above, "above"))
            if count
        ]
        tail = f"; {' and '.join(outside)} the picture" if outside else ""
        drawn = number_bars(
            f"{name}-{at}", one.histogram, title=f"Values of {of.name} {words}", unit=one.unit or "", limits=limits
        )
        yield f"{number(one.values, 'value')} {words}{tail}", drawn


def _years(name: str, of: SetProfile) -> Markup | None:
    """The events of each calendar year."""
    if not of.by_year:
        return None
    months = {12 * year: count for year, count in of.by_year}
    points = by_calendar(months, first=min(months), last=max(months), each=12)
    return calendar_bars(name, points, each=12, title=f"Events of {of.name} by year", wide=False)


def _unmatched(of: SetProfile) -> Iterator[str]:
    """Say where the study expects a unit that no value has."""
    for one in of.expected:
        if of.numbers and all(unit.unit != one.unit for unit in of.units):
            yield (
                f"The feature {one.feature} expects {one.unit}, from {measure(one.low)} to {measure(one.high)}; "
                "no value here is in that unit, so it has to be converted, or named in source.yaml."
            )


def _unit(of: UnitProfile) -> Markup:
    if of.unit is None:
        return Markup('<span class="nothing">no unit</span>')
    return Markup("<code>{}</code>").format(of.unit)


def _others(of: SetProfile) -> int:
    """How many units there are beside the most frequent; none is no unit."""
    return sum(one.unit is not None for one in of.units[1:]) + of.other_units


def _unit_words(of: UnitProfile) -> str:
    return "without a unit" if of.unit is None else f"in {of.unit}"


def _whole(count: int) -> str:
    return f"{count:,}"


def _month(month: int) -> str:
    return f"{month // 12:04d}-{month % 12 + 1:02d}"
