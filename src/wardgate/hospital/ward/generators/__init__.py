"""Synthetic-data generators, one file each; none knows another."""

from collections.abc import Mapping
from types import MappingProxyType

from wardgate.hospital.ward.generators.marginal_tree import FittedTree, MarginalTree
from wardgate.hospital.ward.generators.recommendation import recommendation
from wardgate.hospital.ward.generators.sequential_cart import FittedCart, SequentialCart
from wardgate.records.errors import Invalid

Generator = MarginalTree | SequentialCart
Fitted = FittedTree | FittedCart

GENERATORS: Mapping[str, Generator] = MappingProxyType(
    {"marginal-tree": MarginalTree(), "sequential-cart": SequentialCart()}
)


def choose(name: str, *, min_leaf: int | None = None) -> Generator:
    """Return a generator by its name in the study.

    Args:
        min_leaf: Least persons in a leaf, for sequential-cart alone.

    Raises:
        Invalid: there is no such generator, or it has no leaves.
    """
    if name not in GENERATORS:
        raise Invalid(f"there is no generator '{name}'; expected one of {sorted(GENERATORS)}")
    if min_leaf is None:
        return GENERATORS[name]
    if name != "sequential-cart":
        raise Invalid(f"generator '{name}' has no leaves; 'min_leaf' belongs to sequential-cart")
    return SequentialCart(min_leaf=min_leaf)


__all__ = ["GENERATORS", "Fitted", "Generator", "MarginalTree", "SequentialCart", "choose", "recommendation"]
