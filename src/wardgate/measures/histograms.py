"""Public bins of features, and what persons add to them: the one thing histogram boosting asks of data.

Bins are public: edges come from the study's ranges or from an earlier sum. A feature with bins 0 to b - 1 in order has
b - 1 inner edges, and a value v falls into the bin of as many edges as lie below v. A category has one bin for each
of its values. A feature that may be missing has one more bin, its last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.feature import Feature

Vector = NDArray[np.float64]
Codes = NDArray[np.int32]

MOST_BINS = 256
MOST_LEVELS = 51
"""Values of a category; with the missing bin they fit into one integer of a double, one bit each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """The bins of the features a model may use.

    Attributes:
        features: Those with at least two bins, in the study's order.
        edges: Inner edges of each, rising, in the study's units; empty for a category.
        sizes: Bins of each feature, the missing one included, shape (f,).
        starts: Where each feature's bins begin when all are laid side by side, shape (f,).
    """

    features: tuple[Feature, ...]
    edges: tuple[Vector, ...]
    sizes: NDArray[np.int64] = field(init=False)
    starts: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        sizes = [len(f.values or ()) if f.type == "category" else len(e) + 1 for f, e in self._pairs()]
        for feature, edges in self._pairs():
            if feature.type == "category" and len(edges):
                raise Invalid(f"'{feature.name}' is a category; its bins are its values and have no edges")
            if not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0) or len(edges) >= MOST_BINS:
                raise Invalid(f"expected rising, finite edges of at most {MOST_BINS} bins for '{feature.name}'")
            if feature.type == "category" and len(feature.values or ()) > MOST_LEVELS:
                raise Unsupported(f"'{feature.name}' has more than {MOST_LEVELS} values; group rare ones in the study")
        if not self.features:
            raise Invalid("no feature has two bins; there is nothing to split on")
        missing = [feature.missing == "allowed" for feature in self.features]
        found = np.asarray(sizes, dtype=np.int64) + np.asarray(missing, dtype=np.int64)
        if np.any(found < 2):
            raise Invalid(f"'{self.features[int(np.argmin(found))].name}' has one bin only; leave it out")
        object.__setattr__(self, "sizes", found)
        object.__setattr__(self, "starts", np.concatenate([[0], np.cumsum(found)[:-1]]).astype(np.int64))

    def _pairs(self) -> list[tuple[Feature, Vector]]:
        return list(zip(self.features, self.edges, strict=True))

    @property
    def total(self) -> int:
        """Bins of all features together."""
        return int(self.sizes.sum())

    @property
    def width(self) -> int:
        """Numbers of one node and one statistic on the wire: its total, then each feature's bins but the first."""
        return 1 + self.total - len(self.features)

    @property
    def ordered(self) -> NDArray[np.bool_]:
        """Whether each feature's bins have an order, shape (f,)."""
        return np.asarray([feature.type != "category" for feature in self.features])

    @property
    def optional(self) -> NDArray[np.bool_]:
        """Whether each feature has a missing bin, shape (f,)."""
        return np.asarray([feature.missing == "allowed" for feature in self.features])

    def place_of(self, name: str) -> int:
        """Return the position of a feature.

        Raises:
            Invalid: it is unknown, or left out because it has one bin only.
        """
        names = [feature.name for feature in self.features]
        if name not in names:
            raise Invalid(f"'{name}' is not among the features with bins: {', '.join(names)}")
        return names.index(name)

    def flat(self, features: Sequence[Feature]) -> tuple[tuple[int, ...], Vector]:
        """Return the number of edges of every feature of the study, -1 where it is left out, and all edges in a row."""
        own = dict(zip((feature.name for feature in self.features), self.edges, strict=True))
        counts = tuple(len(own[feature.name]) if feature.name in own else -1 for feature in features)
        return counts, np.concatenate([*self.edges, np.zeros(0)])

    @classmethod
    def from_flat(cls, features: Sequence[Feature], counts: Sequence[int], edges: Vector) -> Self:
        """Read what `flat` wrote.

        Raises:
            Invalid: counts and edges do not fit the features.
        """
        if len(counts) != len(features) or any(count < -1 for count in counts):
            raise Invalid(f"expected a number of edges (or -1) for each of {len(features)} features")
        if edges.shape != (sum(max(count, 0) for count in counts),):
            raise Invalid("the edges beside the question are not as many as it says")
        parts = np.split(edges, np.cumsum([max(count, 0) for count in counts])[:-1]) if len(counts) else []
        kept = [place for place, count in enumerate(counts) if count >= 0]
        return cls(features=tuple(features[p] for p in kept), edges=tuple(np.asarray(parts[p]) for p in kept))

    def codes(self, table: pl.DataFrame) -> Codes:
        """Return each person's bin in each feature, shape (n, f).

        Raises:
            Invalid: a column is absent or unreadable, a category is not the study's, or a value is missing in a
                feature that may not miss one.
        """
        found = np.empty((table.height, len(self.features)), dtype=np.int32)
        for place, (feature, edges) in enumerate(self._pairs()):
            if feature.name not in table.columns:
                raise Invalid(f"column '{feature.name}' is missing; the model asks for it")
            found[:, place] = _codes(feature, edges, table[feature.name], missing=int(self.sizes[place]) - 1)
        return found


def _codes(feature: Feature, edges: Vector, series: pl.Series, *, missing: int) -> Codes:
    if feature.type == "category":
        levels = {value: code for code, value in enumerate(feature.values or ())}
        text = _cast(series, pl.String())
        known = text.is_null() | text.is_in(list(levels))
        if not bool(known.all()):
            raise Invalid(f"column '{feature.name}' holds a category that the study does not name")
        code = text.replace_strict(levels, default=-1, return_dtype=pl.Int32).to_numpy().astype(np.int32)
        absent = text.is_null().to_numpy()
    else:
        numbers = _cast(series, pl.Float64()).to_numpy().astype(np.float64)
        absent = ~np.isfinite(numbers)
        code = np.searchsorted(edges, np.where(absent, 0.0, numbers), side="left").astype(np.int32)
    if feature.missing == "refused" and bool(absent.any()):
        raise Invalid(f"column '{feature.name}' misses a value, and the study refuses persons without it")
    return np.where(absent, np.int32(missing), code).astype(np.int32)


def _cast(series: pl.Series, kind: pl.DataType) -> pl.Series:
    """Return the column as numbers or text; a message never quotes what could not be read."""
    if not series.dtype.is_nested():
        try:
            return series.cast(kind)
        except pl.exceptions.PolarsError:
            pass
    raise Invalid(f"column '{series.name}' holds {series.dtype.base_type()}, which cannot be read as {kind}")


def histogram(bins: Bins, codes: Codes, slots: NDArray[np.int64], nodes: int, statistics: Sequence[Vector]) -> Vector:
    """Sum statistics of persons by node and bin.

    Args:
        codes: Shape (n, f), from `Bins.codes`.
        slots: Which of the asked nodes each person is in, shape (n,); -1 for none of them.
        nodes: How many nodes are asked.
        statistics: Numbers of each person, k arrays of shape (n,).

    Returns:
        Shape (k x nodes x width,): each node's total, then each feature's bins but the first. A person adds to one node
        and there to the total and to at most one bin of each feature.
    """
    inside = np.flatnonzero(slots >= 0)
    flat = codes[inside] + bins.starts + (slots[inside] * bins.total)[:, None]
    later = np.ones(bins.total, dtype=bool)
    later[bins.starts] = False
    parts = []
    for statistic in statistics:
        weights = statistic[inside]
        total = np.bincount(slots[inside], weights=weights, minlength=nodes)
        spread = np.repeat(weights, codes.shape[1])
        by_bin = np.bincount(flat.ravel(), weights=spread, minlength=nodes * bins.total).reshape(nodes, bins.total)
        parts.append(np.column_stack([total, by_bin[:, later]]).ravel())
    return np.concatenate(parts)


def unpacked(bins: Bins, vector: Vector, nodes: int) -> Vector:
    """Return all bins of each node again, shape (k, nodes, total bins): a first bin is the total less the others."""
    rows = vector.reshape(-1, nodes, bins.width)
    found = np.zeros((rows.shape[0], nodes, bins.total))
    later = np.ones(bins.total, dtype=bool)
    later[bins.starts] = False
    found[:, :, later] = rows[:, :, 1:]
    found[:, :, bins.starts] = rows[:, :, :1] - np.add.reduceat(found, bins.starts, axis=2)
    return found


def fine_edges(features: Sequence[Feature], *, most: int) -> tuple[Vector, ...]:
    """Return public inner edges over each feature's range: between integers where they are few, else of equal width.

    Raises:
        Invalid: `most` bins are fewer than two.
    """
    if not 2 <= most <= MOST_BINS:
        raise Invalid(f"expected 2 to {MOST_BINS} bins, found {most}")
    found: list[Vector] = []
    for feature in features:
        if feature.type == "category":
            found.append(np.zeros(0))
        elif feature.type == "boolean":
            found.append(np.array([0.5]))
        else:
            low, high = feature.range or (0.0, 1.0)
            if feature.type == "integer" and high - low + 1 <= most:
                found.append(np.asarray(np.arange(np.floor(low), np.ceil(high)) + 0.5, dtype=np.float64))
            else:
                found.append(np.linspace(low, high, most + 1)[1:-1])
    return tuple(found)


def every_feature(features: Sequence[Feature], edges: Sequence[Vector]) -> Bins:
    """Return bins of all features that have two or more."""
    kept = [
        (feature, edge)
        for feature, edge in zip(features, edges, strict=True)
        if feature.type == "category" or len(edge) or feature.missing == "allowed"
    ]
    return Bins(features=tuple(feature for feature, _ in kept), edges=tuple(edge for _, edge in kept))


def merged(bins: Bins, mass: Vector, *, most: Mapping[str, int] | int, least: float) -> Bins:
    """Return coarser bins of about equal mass, made by leaving out edges.

    Args:
        mass: Persons (or Hessian) of each fine bin, shape (total,); noisy masses below zero count as nothing.
        most: Ordered bins of a feature, the missing one not counted.
        least: Mass below which a feature's part outside one bin counts as nothing; such a feature is left out.

    Raises:
        Invalid: every feature is constant.
    """
    kept: list[tuple[Feature, Vector]] = []
    for place, (feature, edges) in enumerate(zip(bins.features, bins.edges, strict=True)):
        start = int(bins.starts[place])
        part = np.maximum(mass[start : start + int(bins.sizes[place])], 0.0)
        if float(part.sum() - part.max()) < least:
            continue
        if feature.type != "category":
            limit = most if isinstance(most, int) else most[feature.name]
            edges = edges[_kept_edges(part[: len(edges) + 1], limit)]
        if feature.type == "category" or len(edges) or feature.missing == "allowed":
            kept.append((feature, edges))
    if not kept:
        raise Invalid("every feature is constant over all sites; there is nothing to split on")
    return Bins(features=tuple(feature for feature, _ in kept), edges=tuple(edge for _, edge in kept))


def _kept_edges(mass: Vector, most: int) -> NDArray[np.int64]:
    """Choose the edges after which about equal masses have passed; empty bins are merged into the bin before them."""
    filled = np.flatnonzero(mass > 0)
    if len(filled) < 2:
        return np.zeros(0, dtype=np.int64)
    ends = filled[:-1]  # an edge after each filled bin but the last
    if len(filled) <= most:
        return ends.astype(np.int64)
    passed = np.cumsum(mass)[ends]
    wanted = mass.sum() * np.arange(1, most) / most
    nearest = np.searchsorted(passed, wanted - 1e-9 * mass.sum(), side="left")
    return np.unique(ends[np.minimum(nearest, len(ends) - 1)]).astype(np.int64)
