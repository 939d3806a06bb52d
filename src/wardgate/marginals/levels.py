"""How coarse to look: cells are grouped so that no group drowns in the noise. Only noisy counts decide."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardgate.marginals.domain import Column, Domain
from wardgate.marginals.workload import Groups


def even_groups(weights: NDArray[np.float64], bins: int, *, floor: float) -> tuple[int, ...]:
    """Cut ordered cells into at most `bins` neighbouring groups of about equal weight, none below `floor`."""
    total = float(weights.sum())
    bins = max(1, min(bins, len(weights), int(total / floor) if floor > 0 else bins))
    groups, group, held = [], 0, 0.0
    left = total
    for cell, weight in enumerate(weights):
        goal = left / (bins - group)
        room = len(weights) - cell
        if group < bins - 1 and held > 0 and room > 0 and held + weight / 2 > goal and held >= floor:
            left -= held
            group, held = group + 1, 0.0
        groups.append(group)
        held += float(weight)
    if group > 0 and held < floor:
        groups = [min(number, group - 1) for number in groups]
    return tuple(groups)


def heavy_groups(weights: NDArray[np.float64], bins: int, *, floor: float) -> tuple[int, ...]:
    """Keep the heaviest cells as groups of their own and put the rest together, rest below `floor` included."""
    order = np.argsort(-weights, kind="stable")
    keep = [int(cell) for cell in order[: max(1, bins)] if weights[cell] >= floor] or [int(order[0])]
    if len(keep) < len(weights) and len(keep) == max(1, bins) and len(keep) > 1:
        keep = keep[:-1]
    rest = [cell for cell in range(len(weights)) if cell not in keep]
    if len(rest) == 1:
        keep, rest = sorted(keep + rest), []
    number = {cell: position for position, cell in enumerate(sorted(keep))}
    return tuple(number.get(cell, len(keep)) for cell in range(len(weights)))


def grouped(column: Column, weights: NDArray[np.float64], bins: int, *, floor: float) -> tuple[int, ...]:
    """Group the cells of one column; cells of a number stay neighbours, and missing stays apart if it is heavy enough.

    Args:
        weights: Estimated persons in each cell, none negative, shape (column.size,).
        bins: At most so many groups of present values.
        floor: A group of fewer estimated persons is merged.
    """
    if column.kind == "nominal":
        return heavy_groups(weights, bins + int(column.missing), floor=floor)
    present = even_groups(weights[: column.present], bins, floor=floor)
    if not column.missing:
        return present
    apart = weights[-1] >= floor or max(present) == 0
    return (*present, max(present) + 1 if apart else max(present))


def whole(domain: Domain) -> Groups:
    """Every cell is a group of its own."""
    return tuple(tuple(range(column.size)) for column in domain.columns)


def all_sides(domain: Domain, groups: Groups, cells: Sequence[NDArray[np.float64]] | None = None) -> Groups:
    """Return sides for every column: its two groups where there are two, else two halves of about equal weight.

    Args:
        cells: Estimated persons in each cell of each feature; without them every cell weighs the same.
    """
    found = []
    for position, column in enumerate(domain.columns):
        if max(groups[position]) == 1:
            found.append(tuple(2 * group - 1 for group in groups[position]))
        else:
            known = cells is not None and position < len(cells)
            found.append(side_of(column, cells[position] if cells is not None and known else np.ones(column.size)))
    return tuple(found)


def side_of(column: Column, weights: NDArray[np.float64]) -> tuple[int, ...]:
    """Split the cells of a column into two sides of about equal weight: low and high, or the commonest and the rest."""
    if column.kind == "nominal":
        order, half, taken = np.argsort(-weights, kind="stable"), float(weights.sum()) / 2, 0.0
        sides = np.full(column.size, -1)
        for cell in order[:-1]:
            if taken > 0 and taken + weights[cell] / 2 > half:
                break
            sides[cell], taken = 1, taken + float(weights[cell])
        return tuple(int(side) for side in sides)
    middle = np.searchsorted(np.cumsum(weights[: column.present]), weights[: column.present].sum() / 2)
    low = np.arange(column.size) <= min(int(middle), column.present - 2)
    return tuple(int(side) for side in np.where(low, -1, 1))
