"""Sums of the design's rows by class, and of their products: enough for any coalition's model and any model's worth.

Without places the sum is one block's, exact or with noise. With places every hospital fills a place of its own in one
vector and leaves the others zero: the masks then hide whose noise is whose and nothing more, the noise covers every
person, and the hub reads one noised statistic a hospital. So with places it is noise or no answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.computation import Vector
from wardgate.measures.encoding import design_columns
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid, Refused
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

Products = Literal["none", "together", "apart"]
"""Sums of products of columns: none, over all persons, or apart by class."""

WIDEST = 0.5
"""Copies of a record are looked for within at most this part of a number's range."""

MOST_PLACES = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What the sum says.

    Attributes:
        sums: Sum of x by place and class, shape (places, 2, p); one place where none are named.
        products: Sum of x x' by class, shape (2, p, p), over both, shape (1, p, p), or none, shape (0, p, p).
        noise: Standard deviation of the noise in each entry of `sums`.
    """

    sums: Vector
    products: Vector
    noise: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassMoments:
    """Persons and sums of their rows by class, and products of rows.

    Attributes:
        products: Whether products are summed, and how.
        places: Hospitals in the order of their places; none for one common sum.
        within: Copies of a record within this part of a number's range share the weight of one person; None weighs
            every record alike.
    """

    name: ClassVar[str] = "class_moments"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train", "tuning", "holdout")

    products: Products = "none"
    places: tuple[str, ...] = ()
    within: float | None = None

    def __post_init__(self) -> None:
        if self.products not in get_args(Products):
            raise Invalid("'products' are 'none', 'together' or 'apart'")
        if len(set(self.places)) != len(self.places) or len(self.places) > MOST_PLACES:
            raise Invalid(f"expected at most {MOST_PLACES} different places")
        if self.within is not None and not 0 < self.within <= WIDEST:
            raise Invalid(f"copies are looked for within more than 0 and at most {WIDEST} of a range")

    def parameters(self) -> dict[str, Any]:
        found: dict[str, Any] = {"products": self.products, "places": list(self.places)}
        return found if self.within is None else found | {"within": text_of(self.within)}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        return ()

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        strange = sorted(set(parameters) - {"products", "places", "within"}) + sorted(arrays)
        if strange or not {"products", "places"} <= set(parameters):
            raise Invalid("sums by class name 'products', 'places' and perhaps 'within', and bring no vector")
        places, within = parameters["places"], parameters.get("within")
        if not isinstance(places, list | tuple) or not all(isinstance(one, str) for one in places):
            raise Invalid("'places' must be a list of hospitals")
        if within is not None and not isinstance(within, str):
            raise Invalid("'within' must be a number as text")
        return cls(
            products=parameters["products"],
            places=tuple(places),
            within=None if within is None else number_of(within),
        )

    def check_noise(self, noise_multiplier: float | None) -> None:
        """Check that places come with noise; a hospital asks before it answers.

        Raises:
            Refused: they come without; the sum would show each hospital's own true figures.
        """
        if self.places and noise_multiplier is None:
            raise Refused("with a place for each hospital the sum shows each one's own figures: with noise or not")

    def place_of(self, site: str) -> int:
        """Return where a hospital writes.

        Raises:
            Invalid: there is no place for it.
        """
        if not self.places:
            return 0
        if site not in self.places:
            raise Invalid(f"the question has no place for '{site}'")
        return self.places.index(site)

    def row(self, study: Study) -> float:
        """Return the longest a row can be: 1 for the intercept and at most 1 for each feature."""
        return float(np.sqrt(1.0 + len(study.features)))

    def shape(self, study: Study) -> Shape:
        """With places a row is told in parts of the longest and a product in parts of its square.

        A person is of one class, so it adds at most 1 to the sums and, off-diagonal products counting twice, at most 1
        to the products; each in L2 norm.
        """
        unknown = set(self.places) - set(study.sites)
        if unknown:
            raise Invalid(f"'{min(unknown)[:80]}' has a place and is no site of the study")
        columns = len(design_columns(study.features))
        slots, blocks = max(len(self.places), 1), self._blocks()
        if not self.places:
            bound = np.ones(slots * 2 * columns + blocks * columns * (columns - 1) // 2)
            return Shape(bound=bound, l2=float(np.sqrt(2.0 * columns + bound.size)))
        row = self.row(study)
        sums, triangle = np.full(slots * 2 * columns, 1.0 / row), _scales(columns) / row**2
        return Shape(bound=np.concatenate([sums, *([triangle] * blocks)]), l2=float(np.sqrt(1.0 + (blocks > 0))))

    def vector(self, study: Study, *, site: str, x: Vector, y: NDArray[np.int8], weights: Vector) -> Vector:
        """Return what persons add, shape (entries,).

        Args:
            x: Design, shape (n, p).
            y: Outcome, shape (n,).
            weights: In (0, 1], shape (n,).
        """
        columns = x.shape[1]
        row = self.row(study) if self.places else 1.0
        if self.places:
            x = x * np.minimum(1.0, row / np.maximum(np.linalg.norm(x, axis=1), 1e-300))[:, None]
        sides = [x * (weights * (y == side))[:, None] for side in (0, 1)]
        sums = np.zeros((max(len(self.places), 1), 2, columns))
        sums[self.place_of(site)] = np.stack([side.sum(axis=0) for side in sides]) / row
        scale = (_scales(columns) if self.places else np.ones(columns * (columns - 1) // 2)) / row**2
        inner = [(side.T @ x)[1:, 1:][np.triu_indices(columns - 1)] * scale for side in sides]
        told = {"none": [], "together": [inner[0] + inner[1]], "apart": inner}[self.products]
        return np.concatenate([sums.ravel(), *told])

    def heard(self, total: Vector, *, study: Study, noise: float = 0.0) -> Heard:
        """Return what an opened sum says, in units of the design.

        Args:
            noise: Standard deviation in each entry of `total`.
        """
        columns, slots, blocks = len(design_columns(study.features)), max(len(self.places), 1), self._blocks()
        row = self.row(study) if self.places else 1.0
        sums = (total[: slots * 2 * columns] * row).reshape(slots, 2, columns)
        scale = (_scales(columns) if self.places else np.ones(columns * (columns - 1) // 2)) / row**2
        triangles = total[slots * 2 * columns :].reshape(blocks, -1) / scale if blocks else np.zeros((0, 0))
        products = np.zeros((blocks, columns, columns))
        of_class = sums.sum(axis=0)
        firsts = of_class if blocks == 2 else of_class.sum(axis=0, keepdims=True)
        for block in range(blocks):
            inner = np.zeros((columns - 1, columns - 1))
            inner[np.triu_indices(columns - 1)] = triangles[block]
            products[block, 1:, 1:] = inner + np.triu(inner, 1).T
            products[block, 0] = products[block, :, 0] = firsts[block]
        return Heard(sums=sums, products=products, noise=noise * row)

    def _blocks(self) -> int:
        return {"none": 0, "together": 1, "apart": 2}[self.products]


def _scales(columns: int) -> Vector:
    """Off-diagonal entries of a triangle stand for two of the matrix."""
    rows, places = np.triu_indices(columns - 1)
    return np.where(rows == places, 1.0, np.sqrt(2.0))
