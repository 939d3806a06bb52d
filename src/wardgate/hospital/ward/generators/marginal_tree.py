"""The default generator: noisy marginals of one hospital, fitted as a label-rooted forest."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.entropy import Entropy
from wardgate.marginals.domain import CELLS, Codes, Domain, domain_of, encode
from wardgate.marginals.sampling import Where, sample
from wardgate.marginals.tree.growth import Ask, grow
from wardgate.marginals.tree.links import Links
from wardgate.marginals.tree.model import TreeModel
from wardgate.marginals.tree.plan import Plan, Weights, plan
from wardgate.marginals.tree.structure import Edges, choose_edges, dependence
from wardgate.marginals.workload import Groups, count_codes
from wardgate.privacy.accountant import dp_claim, noise_source
from wardgate.privacy.noise import gaussian_release
from wardgate.records.claim import Claim, NoiseSource
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid

COVERS = (
    "bins of numbers",
    "merging of rare categories",
    "missingness",
    "choice of pairs of features",
    "number of persons",
)
EXCLUDES = (
    "ranges and categories, which the dictionary fixes in public",
    "whether the generator refused to fit",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginalTree:
    """Differentially private; preparation included. The fitted model never leaves the ward.

    Attributes:
        cells: Fine cells over the range of a number.
        weights: How the budget is split.
    """

    cells: int = CELLS
    weights: Weights = field(default_factory=Weights)
    name: str = "marginal-tree"

    def promise(
        self,
        dictionary: Dictionary,
        *,
        epsilon: float,
        delta: float,
        noise_source: NoiseSource = "system",
    ) -> Claim:
        """Return what a fit will cost, before anybody is looked at.

        Raises:
            Invalid: the budget is not positive, or the dictionary has no outcome.
        """
        return self._claim(self._plan(self._domain(dictionary), epsilon=epsilon, delta=delta), noise_source)

    def _domain(self, dictionary: Dictionary) -> Domain:
        if dictionary.label is None:
            raise Invalid(
                "marginal-tree hangs every column on the outcome, and this dictionary names none; name one, or use "
                "adaptive-marginals, which needs none"
            )
        return domain_of(dictionary.features, cells=self.cells)

    def _plan(self, domain: Domain, *, epsilon: float, delta: float) -> Plan:
        return plan(domain, epsilon=epsilon, delta=delta, structure="chosen", weights=self.weights)

    @staticmethod
    def _claim(budget: Plan, noise_source: NoiseSource) -> Claim:
        return dp_claim(
            gaussian=budget.gaussian,
            exponential=budget.exponential,
            delta=budget.delta,
            covers=COVERS,
            excludes=EXCLUDES,
            noise_source=noise_source,
        )

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
    ) -> "FittedTree":
        """Fit a table of training persons, one row a person.

        Guarantee: adding or removing one person is hidden by (`epsilon`, `delta`); the claim lists the events.
        Reserve the budget first: it is spent from the first round on, also where the fit is refused.

        Raises:
            Invalid: the budget is not positive, or the table does not fit the dictionary.
            Refused: too few persons for this budget, or a label of one class.
        """
        del rng, tuning  # nothing in this fit is random but the protecting noise, and nothing is tuned
        domain = self._domain(dictionary)
        budget = self._plan(domain, epsilon=epsilon, delta=delta)
        codes = encode(domain, table)
        source = noise_source(entropy.name)

        def choose(links: Links, groups: Groups, sigma: float) -> Edges:
            scores = dependence(codes, links, groups, sigma=sigma)
            return choose_edges(scores, epsilon=budget.choice, choices=budget.choices, entropy=entropy)

        road = grow(domain, budget, rules=dictionary.rules, choose=choose)
        ask = next(road)
        while True:
            try:
                ask = road.send(noisy_counts(ask, codes, entropy=entropy))
            except StopIteration as end:
                model = end.value
                break
        return FittedTree(model=model, claim=self._claim(budget, source))


def noisy_counts(ask: Ask, codes: Codes, *, entropy: Entropy) -> NDArray[np.float64]:
    """Count what a round asks of encoded persons and add its whole noise, shape (ask.workload.size,)."""
    return gaussian_release(
        count_codes(ask.workload, codes),
        l2=ask.workload.l2,
        noise_multiplier=ask.noise_multiplier,
        entropy=entropy,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedTree:
    """A fitted model and what it cost."""

    model: TreeModel
    claim: Claim

    @property
    def persons(self) -> int:
        """The noisy number of persons: how many rows a corpus should have."""
        return self.model.persons

    def sample(self, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw rows; see `marginals.sampling.sample`."""
        return sample(self.model, rows, rng=rng, where=where)
