"""What a condition on a column means for its codes, and for the values drawn from them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from wardgate.marginals.sampling import Value, Where
from wardgate.networks.tables.bins import Column, named, restricted
from wardgate.networks.tables.pieces import Vector
from wardgate.records.errors import Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """Conditions in codes.

    Attributes:
        columns: To draw values from; those with conditions are cut to what is allowed.
        given: By column, the only code that is allowed.
        limits: By column where several are, how much of each is allowed, shape (codes,).
    """

    columns: tuple[Column, ...]
    given: Mapping[int, int]
    limits: Mapping[int, Vector]


def conditions(columns: Sequence[Column], where: Where) -> Conditions:
    """Return what conditions on columns allow.

    Raises:
        Invalid: a condition names an unknown column or value, or one that too few training persons had.
    """
    place_of = {column.feature.name: place for place, column in enumerate(columns)}
    cut, given, limits = list(columns), {}, {}
    for name, value in where.items():
        if name not in place_of:
            raise Invalid(f"there is no column '{name}'; expected one of {', '.join(place_of)}")
        place = place_of[name]
        cut[place], allowed = _allowed(columns[place], value)
        codes = np.flatnonzero(allowed)
        if not len(codes):
            raise Invalid(f"too few training persons meet the condition on '{name}'; the model never draws it")
        if len(codes) == 1:
            given[place] = int(codes[0])
        else:
            limits[place] = allowed
    return Conditions(columns=tuple(cut), given=given, limits=limits)


def _allowed(column: Column, value: Value) -> tuple[Column, Vector]:
    name = column.feature.name
    if value is None:
        if column.feature.missing == "refused":
            raise Invalid(f"'{name}' is never missing by the dictionary")
        return column, (np.arange(column.codes) >= column.present).astype(np.float64)
    if column.pieces is not None:
        low, high = value if isinstance(value, tuple) else (value, value)
        if isinstance(low, str) or isinstance(high, str) or not -math.inf < low <= high < math.inf:
            raise Invalid(f"a condition on '{name}' needs a number or (low, high) with low <= high")
        return restricted(column, float(low), float(high))
    wanted = float(value) if isinstance(value, int | float) else value
    if isinstance(wanted, tuple) or wanted not in named(column.feature):
        raise Invalid(f"a condition on '{name}' asks for a value that the dictionary does not name")
    allowed = np.zeros(column.codes)
    values = list(column.values)
    for code, held in enumerate(column.values):
        if wanted in held:
            allowed[code], values[code] = 1.0, (wanted,)
    return replace(column, values=tuple(values)), allowed
