"""FHIR dates and instants -> local time of the hospital, as microseconds since 1970 without a zone.

| written | becomes |
|---|---|
| instant with an offset | the local time of the hospital's zone at that instant |
| 2020-05-17 | 2020-05-17 23:59:59: it cannot be known earlier |
| 2020-05, 2020 | the last second of the month or year, for the same reason |
| instant without an offset | nothing: FHIR requires one |

In the hour that autumn repeats, two instants an hour apart become one local time. As in every source of local times,
what lies on both sides of a change of clocks seems an hour nearer or further than it was.
"""

import calendar
import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from wardgate.records.errors import Invalid

_DATE_TIME = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(T\d\d:\d\d(?::\d\d)?(?:\.\d+)?(Z|[+-]\d\d:\d\d)?)?)?)?", flags=re.ASCII
)
_EPOCH = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)

NO_TIME = "times that are no FHIR dates"
NO_ZONE = "times without an offset from UTC"
PARTIAL = "dates without a day, taken as the last of their month or year"

Moment = tuple[int | None, str | None]
"""Microseconds, and what is doubtful about them; None where there is nothing to say."""


def zone_of(name: str | None) -> ZoneInfo | None:
    """Return the hospital's time zone.

    Raises:
        Invalid: this machine knows no such zone.
    """
    zone: ZoneInfo | None = None
    if name is not None:
        try:
            zone = ZoneInfo(name)
        except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
            zone = None
        if zone is None:
            raise Invalid(f"timezone: found '{name}', expected an IANA name that this machine knows, as Europe/Vienna")
    return zone


def moment(written: object, zone: ZoneInfo | None) -> Moment:
    """Read a date, a part of a date or an instant.

    Raises:
        Invalid: it has an offset, and no zone was given.
    """
    found = _DATE_TIME.fullmatch(written) if isinstance(written, str) else None
    if found is None or not isinstance(written, str):
        return None, NO_TIME
    if found[4] is None:
        return _day_end(int(found[1]), found[2], found[3])
    if found[5] is None:
        return None, NO_ZONE
    if zone is None:
        raise Invalid("found times with an offset from UTC; set 'timezone' in source.yaml to the hospital's own zone")
    try:
        local = datetime.fromisoformat(written).astimezone(zone).replace(tzinfo=None)
    except (ValueError, OverflowError):
        return None, NO_TIME
    return (local - _EPOCH) // _MICROSECOND, None


def birth(written: object, zone: ZoneInfo | None) -> Moment:
    """Read a date of birth: the first moment of the day, so that age changes on the birthday.

    Where day or month are missing it is the end of the month or year: nobody is made older than known.
    """
    at, doubt = moment(written, zone)
    if at is not None and isinstance(written, str) and "T" not in written:
        at -= (24 * 3600 - 1) * 1_000_000
    return at, doubt


def _day_end(year: int, month: str | None, day: str | None) -> Moment:
    try:
        months = 12 if month is None else int(month)
        days = calendar.monthrange(year, months)[1] if day is None else int(day)
        local = datetime(year, months, days, 23, 59, 59)
    except (ValueError, IndexError):  # calendar.IllegalMonthError is both, by version
        return None, NO_TIME
    return (local - _EPOCH) // _MICROSECOND, PARTIAL if day is None else None
