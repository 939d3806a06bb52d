"""Synthetic-data generators, one file each; none knows another."""

from collections.abc import Mapping
from dataclasses import fields, replace
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import polars as pl

from wardgate.entropy import Entropy
from wardgate.hospital.ward.generators.adaptive_marginals import AdaptiveMarginals
from wardgate.hospital.ward.generators.autoregressive import Autoregressive
from wardgate.hospital.ward.generators.marginal_tree import MarginalTree
from wardgate.hospital.ward.generators.private_gan import PrivateGan
from wardgate.hospital.ward.generators.recommendation import recommendation
from wardgate.hospital.ward.generators.sequential_cart import SequentialCart
from wardgate.hospital.ward.generators.spanning_tree import SpanningTree
from wardgate.hospital.ward.generators.tabular_gan import TabularGan
from wardgate.marginals.sampling import Where
from wardgate.records.claim import Claim, NoiseSource
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid


class Fitted(Protocol):
    """A fitted generator. It never leaves the ward."""

    @property
    def claim(self) -> Claim:
        """What was done to protect people; its cost is at most what was promised."""
        ...

    @property
    def persons(self) -> int:
        """How many rows a corpus should have; noisy where the claim is."""
        ...

    def sample(self, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw rows in the table form of `measures.encoding`, with the label where the dictionary names one.

        Raises:
            Invalid: a negative number of rows, or conditions that nobody meets.
        """
        ...


class Generator(Protocol):
    """Public settings of a generator, as a frozen dataclass, with two steps."""

    @property
    def name(self) -> str:
        """Its name in studies and certificates."""
        ...

    def promise(
        self,
        dictionary: Dictionary,
        *,
        epsilon: float,
        delta: float,
        noise_source: NoiseSource = "system",
    ) -> Claim:
        """Return what a fit costs at most, before anybody is looked at; a claim of `none` costs nothing.

        Raises:
            Invalid: the budget or the dictionary does not suit this generator.
        """
        ...

    def fit(
        self,
        table: pl.DataFrame,
        dictionary: Dictionary,
        *,
        tuning: pl.DataFrame | None = None,
        epsilon: float,
        delta: float,
        entropy: Entropy,
        rng: np.random.Generator,
    ) -> Fitted:
        """Fit training persons, one row each.

        Args:
            tuning: Other persons, to stop before the training persons are learnt by heart; never the gate's holdout.
            entropy: Of noise that protects people. Whatever else is random comes from `rng`.

        Raises:
            Invalid: the table does not fit the dictionary, or the budget is not positive.
            Refused: too few persons for this budget.
            Unsupported: the generator needs an extra that is not installed.
        """
        ...


GENERATORS: Mapping[str, Generator] = MappingProxyType(
    {
        one.name: one
        for one in (
            MarginalTree(),
            AdaptiveMarginals(),
            SpanningTree(),
            SequentialCart(),
            Autoregressive(),
            TabularGan(),
            PrivateGan(),
        )
    }
)


def choose(name: str, settings: Mapping[str, Any] | None = None, *, among: Mapping[str, Any] = GENERATORS) -> Generator:
    """Return a generator by its name in the study, with some of its public settings changed.

    Args:
        among: Generators of tables; or those of timelines, which are called alike.

    Raises:
        Invalid: there is no such generator or setting, or a setting has another type.
    """
    if name not in among:
        raise Invalid(f"there is no generator '{name}'; expected one of {', '.join(sorted(among))}")
    found: Any = among[name]
    known = [one.name for one in fields(found) if one.init and one.name != "name"]
    for setting in settings or {}:
        if setting not in known:
            raise Invalid(f"generator '{name}' has no setting '{setting}'; it has {', '.join(known) or 'none'}")
    try:
        changed: Generator = replace(found, **settings or {})
    except TypeError as error:
        raise Invalid(f"a setting of '{name}' has another type than expected") from error
    return changed


__all__ = [
    "GENERATORS",
    "AdaptiveMarginals",
    "Autoregressive",
    "Fitted",
    "Generator",
    "MarginalTree",
    "PrivateGan",
    "SequentialCart",
    "SpanningTree",
    "TabularGan",
    "choose",
    "recommendation",
]
