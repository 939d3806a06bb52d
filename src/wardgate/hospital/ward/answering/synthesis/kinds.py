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
    from wardgate.marginals.tree.model import Node, TreeModel

    return FittedTree, Column, Domain, Node, TreeModel


def _equals() -> Kinds:
    from wardgate.marginals.domain import Column, Domain
    from wardgate.marginals.equals.graphical import Graph, Junction
    from wardgate.marginals.equals.joint import FittedJoint, JointModel

    return FittedJoint, Column, Domain, Graph, JointModel, Junction


def _cart() -> Kinds:
    from wardgate.hospital.ward.generators.sequential_cart import FittedCart, Step

    return FittedCart, Step


def _gan(fitted: type) -> Kinds:
    from wardgate.marginals.domain import Column, Domain
    from wardgate.networks.gan.conditions import Frequencies
    from wardgate.networks.gan.drawing import Binned, Model, Placed
    from wardgate.networks.gan.layout import Layout
    from wardgate.networks.gan.networks import Networks, Sizes

    return fitted, Binned, Column, Domain, Frequencies, Layout, Model, Networks, Placed, Sizes


def _tabular_gan() -> Kinds:
    from wardgate.hospital.ward.generators.tabular_gan import FittedGan

    return _gan(FittedGan)


def _private_gan() -> Kinds:
    from wardgate.hospital.ward.generators.private_gan import FittedPrivateGan

    return _gan(FittedPrivateGan)


def _autoregressive() -> Kinds:
    from wardgate.hospital.ward.generators.autoregressive import FittedNetwork
    from wardgate.networks.tables.autoregressive import Trained, Training
    from wardgate.networks.tables.bins import Column
    from wardgate.networks.tables.pieces import Pieces

    return FittedNetwork, Column, Pieces, Trained, Training


def _autoregressive_timelines() -> Kinds:
    from wardgate.hospital.ward.generators.timelines.autoregressive import FittedNetwork
    from wardgate.networks.timelines.bins import Bins
    from wardgate.networks.timelines.coding import Coding

    return FittedNetwork, Bins, Coding


def _private_timelines() -> Kinds:
    from wardgate.hospital.ward.generators.timelines.private import FittedPrivateTimelines
    from wardgate.marginals.timelines.counts import Bands
    from wardgate.marginals.timelines.course import Course, Order
    from wardgate.marginals.timelines.levels import Ruler
    from wardgate.marginals.timelines.people import Shape
    from wardgate.marginals.timelines.scale import Scale

    return FittedPrivateTimelines, *_tree()[1:], Bands, Course, Order, Ruler, Scale, Shape


BY_GENERATOR: Mapping[str, Callable[[], Kinds]] = MappingProxyType(
    {
        "marginal-tree": _tree,
        "adaptive-marginals": _equals,
        "spanning-tree": _equals,
        "sequential-cart": _cart,
        "autoregressive": _autoregressive,
        "tabular-gan": _tabular_gan,
        "private-gan": _private_gan,
        "private-timelines": _private_timelines,
        "autoregressive-timelines": _autoregressive_timelines,
    }
)
