"""Features as one query: what every entry has in every slot, in whole steps, so that each engine finds the same.

In one second, the larger value is the later and the earlier one: `last` and `first` take it where several tie. Times
more than 126 years before the index date count as 126 years before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import ibis

from wardgate.hospital.ward.cohort.from_events import sight
from wardgate.hospital.ward.cohort.from_events.asked import KEY, Asked, lookup
from wardgate.hospital.ward.cohort.from_events.decimals import in_steps, measured
from wardgate.hospital.ward.cohort.from_events.picks import distinct
from wardgate.hospital.ward.cohort.from_events.slots import Slots
from wardgate.hospital.ward.cohort.from_events.survey import Survey
from wardgate.hospital.ward.source.events import Expression

SPAN = 2**31
"""More steps than any plausible range has: a time in seconds times this, plus a value, sorts by time, then by value."""

LONGEST_SECONDS = 4_000_000_000
"""The longest time before the index date that still fits a 64-bit number together with a value."""

LONGEST_SLOPE_SECONDS = 2_000_000_000
"""A slope sees 63 years back, so that the square of a time fits."""

NO_READING = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitRead:
    """One unit as one slot reads it.

    Attributes:
        slot: Number of the slot.
        unit: As recorded; None where there is none.
        known: Whether it can be converted; else its numbers count as missing.
        changes: Whether converting changes the number.
    """

    slot: int
    unit: str | None
    known: bool
    changes: bool
    factor: float
    offset: float


def units_read(slots: Slots, units: Survey) -> tuple[UnitRead, ...]:
    """Return every unit of every slot that reads numbers; its place is its number in what `gathered` returns."""
    found = []
    for number, slot in enumerate(slots.every):
        if slot.reading is None:
            continue
        for used in units.get(slot.picks[0], ()):
            linear = slot.reading.conversion(used.unit)
            found.append(
                UnitRead(
                    slot=number,
                    unit=used.unit,
                    known=linear is not None,
                    changes=linear is not None and linear.changes,
                    factor=1.0 if linear is None else linear.factor,
                    offset=0.0 if linear is None else linear.offset,
                )
            )
    return tuple(found)


def gathered(chosen: Expression, asked: Asked, slots: Slots, read: Sequence[UnitRead]) -> Expression:
    """Return one row for each entry, slot and unit that has any event in the slot's window.

    Columns: `subject_id`, `start`, `slot`, `unit` (place in `read`, or NO_READING); `events`; of slots that read
    numbers or categories `numbers` (with a finite number), `usable` (inside the plausible range), `outside`
    (in a known unit, outside the range), and over the usable `total`, `low`, `high` (whole steps) and `first`, `last`
    (time and value in one, see `SPAN`); for slopes `values`, `seconds`, `squares` and `products` as texts of whole
    numbers, and `timed`, how many they are of.

    Args:
        chosen: Entries with `subject_id`, `start` and `index`.
        read: What `units_read` gave.
    """
    picks = distinct([pick for slot in slots.every for pick in slot.picks])
    rows = [
        (picks.index(pick), number, *slot.window_hours, len(slot.picks) - 1 - order if slot.categories else -1)
        for number, slot in enumerate(slots.every)
        for order, pick in enumerate(slot.picks)
    ]
    kinds = {"asked": "int16", "slot": "int16", "from_hours": "int32", "to_hours": "int32", "category": "int16"}
    events = asked.events(picks).select("pick", "subject_id", "time", "value", unit_found="unit")
    joined = sight.seen(chosen.select(*KEY, "index").inner_join(events, "subject_id"))
    places = lookup(rows, kinds)
    joined = joined.inner_join(places, joined.pick == places.asked)
    hours = {name: joined[name].as_interval("h") for name in ("from_hours", "to_hours")}
    joined = joined.filter(
        joined.time.isnull()
        | (
            (joined.time >= joined["index"] + hours["from_hours"])
            & (joined.time <= joined["index"] + hours["to_hours"])
        )
    )
    return _summed(_in_steps(joined, slots, read), slopes=slots.slopes)


def _in_steps(joined: Expression, slots: Slots, read: Sequence[UnitRead]) -> Expression:
    """Events with their value in whole steps, whether it is usable, and seconds after the index date."""
    age = joined.time.truncate("s").delta(joined["index"].truncate("s"), unit="second")
    never = ibis.literal(-LONGEST_SECONDS, type="int64")
    seconds = ibis.greatest(ibis.coalesce(age, never), never).cast("int64")
    joined = joined.mutate(seconds=seconds, unit_found=ibis.coalesce(joined.unit_found, ""))
    if not read:
        steps = joined.category.cast("int64")
        none = ibis.literal(NO_READING, type="int32")
        return joined.mutate(unit=none, steps=steps, number=steps >= 0, usable=steps >= 0, outside=ibis.literal(False))
    table = lookup(*_units(slots, read))
    same = (joined.slot == table.slot_of) & (joined.unit_found == table.unit_of)
    joined = joined.left_join(table, same)
    value = measured(joined.value)
    exact = in_steps(value, factor=joined.factor, offset=joined.offset, up=joined.up, down=joined.down)
    is_category = joined.category >= 0
    number = value.notnull() & ~is_category
    known = number & (joined.known == 1).fill_null(False)
    inside = known & exact.between(joined.least, joined.most).fill_null(False)
    steps = ibis.ifelse(is_category, joined.category.cast("int64"), exact)
    return joined.mutate(
        unit=ibis.coalesce(joined.place, ibis.literal(NO_READING, type="int32")),
        steps=steps,
        number=number | is_category,
        usable=inside | is_category,
        outside=known & ~inside,
    )


def _units(slots: Slots, read: Sequence[UnitRead]) -> tuple[list[tuple[object, ...]], Mapping[str, str]]:
    """The table of units: by slot and unit as recorded, how a number becomes whole steps."""
    rows: list[tuple[object, ...]] = []
    for place, one in enumerate(read):
        reading = slots.every[one.slot].reading
        if reading is None:
            continue
        steps = reading.steps
        scale = (one.factor, one.offset, steps.up, steps.down, steps.low, steps.high)
        rows.append((one.slot, one.unit or "", place, int(one.known), *scale))
    scales = dict.fromkeys(("factor", "offset", "up", "down"), "float64") | dict.fromkeys(("least", "most"), "int64")
    return rows, {"slot_of": "int16", "unit_of": "string", "place": "int32", "known": "int16"} | scales


def _summed(joined: Expression, *, slopes: bool) -> Expression:
    usable = joined.usable
    sums = {
        "events": joined.count(),
        "numbers": joined.count(where=joined.number),
        "usable": joined.count(where=usable),
        "outside": joined.count(where=joined.outside),
        "total": joined.steps.sum(where=usable).cast("float64"),
        "low": joined.steps.min(where=usable),
        "high": joined.steps.max(where=usable),
        "first": (joined.seconds * SPAN - joined.steps).min(where=usable),
        "last": (joined.seconds * SPAN + joined.steps).max(where=usable),
    }
    if slopes:
        timed = usable & joined.time.notnull() & (joined.seconds > -LONGEST_SLOPE_SECONDS)
        seconds = ibis.ifelse(timed, joined.seconds, 0)
        sums |= {
            "timed": joined.count(where=timed),
            "values": joined.steps.sum(where=timed).cast("string"),
            "seconds": seconds.sum(where=timed).cast("string"),
            "squares": (seconds * seconds).sum(where=timed).cast("string"),
            "products": (seconds * joined.steps).sum(where=timed).cast("string"),
        }
    return joined.group_by([*KEY, "slot", "unit"]).aggregate(**sums)
