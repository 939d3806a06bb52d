"""Generators of timelines, one file each; none knows another. They fit and draw several rows a person."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Protocol

import numpy as np
import polars as pl

from wardgate.entropy import Entropy
from wardgate.hospital.ward.generators.timelines.autoregressive import AutoregressiveTimelines
from wardgate.hospital.ward.generators.timelines.private import PrivateTimelines
from wardgate.marginals.sampling import Where
from wardgate.records.claim import Claim, NoiseSource
from wardgate.records.dictionary import Dictionary


class FittedTimelines(Protocol):
    """A fitted generator of timelines. It never leaves the ward."""

    @property
    def claim(self) -> Claim:
        """What was done to protect people; its cost is at most what was promised."""
        ...

    @property
    def persons(self) -> int:
        """How many persons a corpus should have; noisy where the claim is."""
        ...

    def sample(self, persons: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw the rows of so many persons, in the form of `measures.lines`, numbered from 0, ordered by time.

        Args:
            where: Conditions on static columns and the label.

        Raises:
            Invalid: a negative number of persons, a condition on a column that changes, or one that nobody meets.
        """
        ...


class TimelineGenerator(Protocol):
    """Public settings of a generator of timelines, as a frozen dataclass, with two steps."""

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
        lines: pl.DataFrame,
        dictionary: Dictionary,
        *,
        tuning: pl.DataFrame | None = None,
        epsilon: float,
        delta: float,
        entropy: Entropy,
        rng: np.random.Generator,
    ) -> FittedTimelines:
        """Fit the rows of training persons; the unit that is protected is the person with all their rows.

        Args:
            tuning: Rows of other persons; never the gate's holdout.
            entropy: Of noise that protects people. Whatever else is random comes from `rng`.

        Raises:
            Invalid: the rows do not fit the dictionary, or the budget is not positive.
            Refused: too few persons for this budget.
            Unsupported: the generator needs an extra that is not installed.
        """
        ...


GENERATORS: Mapping[str, TimelineGenerator] = MappingProxyType(
    {one.name: one for one in (PrivateTimelines(), AutoregressiveTimelines())}
)

__all__ = ["GENERATORS", "AutoregressiveTimelines", "FittedTimelines", "PrivateTimelines", "TimelineGenerator"]
