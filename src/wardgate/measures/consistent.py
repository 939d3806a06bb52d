"""Noisy tables made to agree: one total, and equal margins wherever two tables share columns."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wardgate.records.errors import Invalid

Table = NDArray[np.float64]
Columns = tuple[str, ...]


def agreeing(tables: Mapping[Columns, Table]) -> dict[Columns, Table]:
    """Return tables whose common margins are equal, so that all add up to one total.

    For every set of columns that two tables share, smallest first, the margins are averaged, each weighted by one over
    its noise variance, and every table is shifted evenly to the average. Free of privacy cost; with equal noise in
    every cell it only lowers the error. Exact tables of the same persons agree already and stay as they are.

    Args:
        tables: Counts by columns, all with the same noise in every entry; an axis means the same cells everywhere.

    Raises:
        Invalid: two tables differ in the number of cells of a column.

    Reference: Qardaji, Yang, Li 2014, PriView, doi:10.1145/2588555.2588575, section 4.4.
    """
    sizes: dict[str, int] = {}
    for columns, table in tables.items():
        if table.ndim != len(columns):
            raise Invalid(f"expected a table with {len(columns)} axes, found {table.ndim}")
        for column, size in zip(columns, table.shape, strict=True):
            if sizes.setdefault(column, size) != size:
                raise Invalid(f"two tables differ in the cells of '{column}'")
    found = {columns: table.astype(np.float64) for columns, table in tables.items()}
    for shared in _shared(tuple(found)):
        holders = [columns for columns in found if shared <= set(columns)]
        order = sorted(shared)
        margins = [margin(found[columns], columns, order) for columns in holders]
        folded = [found[columns].size / part.size for columns, part in zip(holders, margins, strict=True)]
        weight = np.array([1.0 / fold for fold in folded])
        mean = np.tensordot(weight / weight.sum(), np.stack(margins), axes=1)
        for columns, part, fold in zip(holders, margins, folded, strict=True):
            found[columns] = found[columns] + spread((mean - part) / fold, columns, order)
    return found


def margin(table: Table, columns: Columns, kept: list[str]) -> Table:
    """Return the margin over `kept`, its axes in that order."""
    summed = table.sum(axis=tuple(axis for axis, column in enumerate(columns) if column not in kept))
    left = [column for column in columns if column in kept]
    return np.asarray(np.transpose(summed, [left.index(column) for column in kept]))


def spread(part: Table, columns: Columns, kept: list[str]) -> Table:
    """Return a margin over `kept` in a form that adds to a table over `columns`."""
    left = [column for column in columns if column in kept]
    turned = np.transpose(part, [kept.index(column) for column in left])
    return np.expand_dims(turned, tuple(axis for axis, column in enumerate(columns) if column not in kept))


def _shared(tables: tuple[Columns, ...]) -> list[frozenset[str]]:
    """Return every set of columns that is common to two or more tables, closed under intersection, smallest first."""
    sets = [frozenset(columns) for columns in tables]
    found = {left & right for place, left in enumerate(sets) for right in sets[:place]}
    if len(sets) < 400:
        while True:
            more = {left & right for left in found for right in found} - found
            if not more:
                break
            found |= more
    if len(sets) > 1:
        found.add(frozenset())
    return sorted(found, key=lambda one: (len(one), sorted(one)))
