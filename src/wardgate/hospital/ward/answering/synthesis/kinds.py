"""Every class that a saved fit may hold, by generator. What is not listed is neither written nor read.

Networks are named only where their generator is, so that nobody loads torch for a fit of marginals.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from wardgate.records.claim import Claim
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature

Kinds = tuple[type, ...]
RECORDS: Kinds = (Claim, ClinicalRule, Dictionary, Feature)


def kinds(generator: str) -> Kinds:
    """Return the classes of one generator's fits, the fit itself first.

    Raises:
        Invalid: no fit of this generator can be kept.
    """
    if generator not in BY_GENERATOR:
        raise Invalid(f"a fit of '{generator}' cannot be kept; expected one of {', '.join(BY_GENERATOR)}")
    return (*BY_GENERATOR[generator](), *RECORDS)


def _tree() -> Kinds:
    from wardgate.hospital.ward.generators.marginal_tree import FittedTree
    from wardgate.marginals.domain import Column, Domain
    from wardgate.marginals.model import Node, TreeModel

    return FittedTree, Column, Domain, Node, TreeModel


def _equals(fitted: type) -> Kinds:
    from wardgate.marginals.domain import Column, Domain
    from wardgate.marginals.graphical import Graph, Junction
    from wardgate.marginals.joint import JointModel

    return fitted, Column, Domain, Graph, JointModel, Junction


def _adaptive() -> Kinds:
    from wardgate.hospital.ward.generators.adaptive_marginals import FittedAdaptive

    return _equals(FittedAdaptive)


def _spanning_tree() -> Kinds:
    from wardgate.hospital.ward.generators.spanning_tree import FittedSpanningTree

    return _equals(FittedSpanningTree)


def _cart() -> Kinds:
    from wardgate.hospital.ward.generators.sequential_cart import FittedCart, Step

    return FittedCart, Step


BY_GENERATOR: Mapping[str, Callable[[], Kinds]] = MappingProxyType(
    {
        "marginal-tree": _tree,
        "adaptive-marginals": _adaptive,
        "spanning-tree": _spanning_tree,
        "sequential-cart": _cart,
    }
)
