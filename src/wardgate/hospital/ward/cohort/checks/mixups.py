"""Silent mix-ups of units inside one source, and values that no patient can have."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from wardgate.hospital.ward.cohort.checks.errors import SHARES
from wardgate.hospital.ward.cohort.checks.numbers import Measured, Numbers
from wardgate.hospital.ward.cohort.checks.words import listed, say, surely_above, titled, unit_shown
from wardgate.hospital.ward.cohort.findings import FEW, MOSTLY, share
from wardgate.hospital.ward.cohort.units import Linear, candidates, ucum, usual
from wardgate.hospital.ward.cohort.units.analytes import known
from wardgate.measures.modes import BIN, NEAREST, Echo, echo, median
from wardgate.records.results import Requirement

ENOUGH = 100
"""Fewer values of a unit are not judged."""

LEAST_SHARE, WRONG_SHARE = 0.002, 0.01
"""A second hump below the first share is not said; from the second share on, a model would be wrong."""

TOLERATED = 0.01
"""Up to this share, values outside the plausible range are tails and slips that every hospital has."""

_ELSEWHERE = ("urine", "csf", "fluid", "ascites", "pleural", "stool", "sweat", "dialysate", "ratio", "clearance")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One other unit that values of a unit may be in: `factor` times as large there, `map` in full."""

    unit: str
    map: Linear


def judge_units(measured: Sequence[Measured]) -> Iterator[Requirement]:
    """Judge whether values of one unit are in another.

    Finds: a second hump where a known conversion puts the first; a unit whose values, converted, lie a known conversion
    from those of the commonest unit; a unit whose median no hospital's patients have, and would have in another unit.
    """
    enough = [(one, unit) for one in measured for unit in one.units if unit.linear is not None and _many(unit)]
    if not measured:
        yield say("units", "pass", "no feature reads numbers")
        return
    if not enough:
        yield say("units", "not evaluated", "no concept set has enough numbers in a known unit to tell")
        return
    tried = [(one, unit, others(one, unit)) for one, unit in enough]
    tests = max(1, sum(2 * len(ways) for _, _, ways in tried))
    found: dict[str, Requirement] = {}
    for one, unit, ways in tried:
        name = f"units of {titled(one.pick)}"
        reason = _humps(one, unit, ways, error=SHARES["units"] / tests)
        if reason is None:
            wrong = _against_the_commonest(one, unit) or _untypical(one, unit)
            reason = None if wrong is None else ("fail", wrong)
        if reason is not None and name not in found:
            found[name] = say(name, "fail" if reason[0] == "fail" else "pass with exceptions", reason[1])
    yield from found.values()
    clean = len({titled(one.pick) for one, _ in enough}) - len(found)
    yield say(
        "units", "pass", f"{clean} of {len(measured)} numeric concept sets with enough numbers are each in one unit"
    )


def _many(unit: Numbers) -> bool:
    return int(unit.counts[unit.signs > 0].sum()) >= ENOUGH


def others(one: Measured, unit: Numbers) -> list[Tried]:
    """The units that laboratories use for the analyte, as maps from a value in this unit to the same thing there."""
    own = unit.linear or Linear()
    back = {"": Linear()} | dict(usual(one.feature, loinc=one.loinc))
    wanted = ucum(one.feature.value_unit or one.feature.unit or "")
    found = []
    for name, linear in back.items():
        way = own.then(linear.back())
        if abs(way.factor - 1) > 1e-6 or abs(way.offset) > 1e-6:
            found.append(Tried(unit=name or wanted, map=way))
    return found


def _humps(one: Measured, unit: Numbers, ways: Sequence[Tried], *, error: float) -> tuple[str, str] | None:
    bins, counts = unit.positive()
    best: tuple[Echo, Tried, bool] | None = None
    for other in ways:
        for way, forward in ((other.map, True), (other.map.back(), False)):
            found = echo(bins, counts, lambda value, way=way: value * way.factor + way.offset)  # type: ignore[misc]
            if found is None or found.p_value > error or found.share < LEAST_SHARE:
                continue
            if best is None or found.share > best[0].share:
                best = (found, other, forward)
    if best is None:
        return None
    found, other, forward = best
    here, part = unit_shown(unit.unit, unit.total), share(round(found.share * unit.total), unit.total)
    where = (
        f"where '{other.unit}' puts them" if forward else f"where they belong, and the others where '{other.unit}' does"
    )
    reason = (
        f"{part} of the values said to be in {here} lie apart from the others, {where} ({_way(other.map)}): two units "
        "under one name; find from which device, laboratory or day on, and correct the unit there"
    )
    return ("fail" if found.share >= WRONG_SHARE else "exceptions"), reason


def _against_the_commonest(one: Measured, unit: Numbers) -> str | None:
    first = next((other for other in one.units if other.linear is not None and _many(other)), None)
    if first is None or first is unit:
        return None
    here, there = _middle(unit), _middle(first)
    if here is None or there is None or abs(math.log(here / there)) < NEAREST:
        return None
    gap = math.log(here / there)
    for other in others(one, unit):
        for way in gaps(unit, other, there):
            if abs(way) >= NEAREST and abs(gap - way) <= max(0.1, 0.12 * abs(way)):
                here_in, there_in = unit_shown(unit.unit, unit.total), unit_shown(first.unit, first.total)
                return (
                    f"values said to be in {here_in}, converted, lie {math.exp(abs(gap)):.3g} times from those in "
                    f"{there_in}, as a mix-up with '{other.unit}' would make them; correct one of them at the source"
                )
    return None


def gaps(unit: Numbers, other: Tried, value: float) -> tuple[float, ...]:
    """Return by what log ratio a value in the feature's unit moves if it is taken for one in another unit, and back."""
    own = unit.linear or Linear()
    recorded = (value - own.offset) / own.factor
    found = []
    for way in (other.map, other.map.back()):
        moved = _typed(_typed(recorded, way), own)
        if moved > 0 and value > 0:
            found.append(math.log(moved / value))
    return tuple(found)


def _untypical(one: Measured, unit: Numbers) -> str | None:
    """A median that hospitals' patients never have, and would have in another unit that laboratories use."""
    analyte = known(one.feature, loinc=one.loinc)
    names = f"{one.feature.name} {one.pick.name}".lower()
    if analyte is None or analyte.typical is None or any(word in names for word in _ELSEWHERE):
        return None
    wanted = ucum(one.feature.value_unit or one.feature.unit or "")
    linears = dict(candidates(one.feature, loinc=one.loinc)) | {wanted: Linear()}
    scale, low, high = analyte.typical
    middle, to_scale = _middle(unit), linears.get(scale)
    own = unit.linear
    if middle is None or to_scale is None or own is None:
        return None
    if low <= _typed(middle, to_scale.back()) <= high:
        return None
    for other in others(one, unit):
        really = linears.get(other.unit)
        recorded = (middle - own.offset) / own.factor
        if really is not None and low <= _typed(recorded, really.then(to_scale.back())) <= high:
            return (
                f"the median of the values said to be in {unit_shown(unit.unit, unit.total)} is one that patients do "
                f"not have; read as '{other.unit}' it would be usual. Correct the unit at the source, or in 'units' or "
                "'unit_names' of source.yaml"
            )
    return None


def _typed(value: float, linear: Linear) -> float:
    return value * linear.factor + linear.offset


def _middle(unit: Numbers) -> float | None:
    """The median of the positive values, in the feature's unit."""
    bins, counts = unit.positive()
    if unit.linear is None or not counts.sum():
        return None
    middle = _typed(median(np.exp((bins + 0.5) * BIN), counts), unit.linear)
    return middle if middle > 0 else None


def _way(linear: Linear) -> str:
    plus = f" plus {linear.offset:.4g}" if linear.offset else ""
    return f"times {linear.factor:.4g}{plus}"


def judge_values(measured: Sequence[Measured]) -> Iterator[Requirement]:
    """Judge how many values no patient can have: those outside the study's plausible range, over the whole source.

    A value within a bin (2 %) of the range's ends counts as inside.
    """
    with_numbers = [one for one in measured if _convertible(one)]
    if not measured:
        yield say("values", "pass", "no feature reads numbers")
        return
    if not with_numbers:
        yield say("values", "not evaluated", "no concept set has numbers in a known unit")
        return
    wrong = 0
    for one in with_numbers:
        total, outside = _convertible(one), sum(_outside(one, unit) for unit in one.units)
        low, high = one.range
        wanted = one.feature.value_unit or one.feature.unit
        where = f"outside [{low:g}, {high:g}] {wanted}"
        if outside >= FEW and outside > MOSTLY * total:
            yield say(
                f"values of {titled(one.pick)}",
                "fail",
                f"{share(outside, total)} of the values lie {where}{_fitting(one)}; correct the unit or the code at "
                "the source",
            )
        elif outside >= FEW and surely_above(outside, total, TOLERATED, error=SHARES["values"] / len(with_numbers)):
            yield say(
                f"values of {titled(one.pick)}",
                "pass with exceptions",
                f"{share(outside, total)} of the values lie {where}, and count as missing; look for test orders, "
                "typing errors and codes for 'not done' among them",
            )
        else:
            continue
        wrong += 1
    yield say(
        "values", "pass", f"{len(with_numbers) - wrong} of {len(with_numbers)} numeric concept sets are plausible"
    )


def _convertible(one: Measured) -> int:
    return sum(unit.total for unit in one.units if unit.linear is not None)


def _outside(one: Measured, unit: Numbers, linear: Linear | None = None) -> int:
    """How many values are outside the plausible range, whatever the bins' middles hide."""
    way = linear or unit.linear
    if way is None:
        return 0
    low, high = one.range
    if one.feature.type == "integer":
        low, high = low - 0.5, high + 0.5
    edges = np.stack(
        [np.where(unit.signs == 0, 0.0, unit.signs * np.exp((unit.bins + end) * BIN)) for end in (0.0, 1.0)]
    )
    values = edges * way.factor + way.offset
    beyond = (values.max(axis=0) < low) | (values.min(axis=0) > high)
    return int(unit.counts[beyond].sum())


def _fitting(one: Measured) -> str:
    """The unit in which nearly all values of the commonest unit would be plausible."""
    unit = next((unit for unit in one.units if unit.linear is not None), None)
    if unit is None:
        return ""
    fits = [
        other.unit
        for other in others(one, unit)
        if _outside(one, unit, dict(candidates(one.feature, loinc=one.loinc)).get(other.unit, Linear()))
        <= 0.05 * unit.total
    ]
    return f"; read as {listed(f'{name!r}' for name in fits[:1])} nearly all would fit" if fits else ""
