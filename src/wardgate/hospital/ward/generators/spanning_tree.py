"""Noisy pairs along a spanning tree: every column an equal, the outcome included, after MST."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from wardgate.entropy import Entropy
from wardgate.marginals.domain import CELLS, Domain, domain_of, encode
from wardgate.marginals.equals.joint import FittedJoint
from wardgate.marginals.equals.plan import EqualPlan, Shares, equal_plan
from wardgate.marginals.equals.rounds import answered, private_choice, spanning_tree
from wardgate.privacy.accountant import dp_claim, noise_source
from wardgate.records.claim import Claim, NoiseSource
from wardgate.records.dictionary import Dictionary

COVERS = (
    "bins of numbers",
    "merging of rare categories",
    "missingness",
    "choice of pairs of columns",
    "number of persons",
)
EXCLUDES = (
    "ranges and categories, which the dictionary fixes in public",
    "whether the generator refused to fit",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanningTree:
    """Differentially private; all columns are equals, and none has to be the outcome.

    Histograms of every column, then the pairs of a spanning tree chosen under privacy, then a graphical model of both.
    Simple and cheap; where an outcome is to be predicted, `marginal-tree` and `adaptive-marginals` keep more of it.

    Reference: McKenna, Miklau, Sheldon 2021, arXiv:2108.04978.

    Attributes:
        cells: Fine cells over the range of a number.
        shares: How the budget is split.
    """

    cells: int = CELLS
    shares: Shares = field(default_factory=lambda: Shares(alone=0.3, links=0.1, tables=0.55, choice=0.15))
    name: str = "spanning-tree"

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
            Invalid: the budget is not positive, or the dictionary has a column that a marginal cannot carry.
        """
        return self._claim(self._plan(self._domain(dictionary), epsilon=epsilon, delta=delta), noise_source)

    def _domain(self, dictionary: Dictionary) -> Domain:
        return domain_of(dictionary.features, cells=self.cells, label=dictionary.label is not None)

    def _plan(self, domain: Domain, *, epsilon: float, delta: float) -> EqualPlan:
        edges = len(domain.columns) - 1
        return equal_plan(
            epsilon=epsilon, delta=delta, shares=self.shares, rounds=min(edges, 1), choices=edges, linked=False
        )

    @staticmethod
    def _claim(budget: EqualPlan, noise_source: NoiseSource) -> Claim:
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
    ) -> FittedJoint:
        """Fit a table of training persons, one row a person.

        Guarantee: adding or removing one person is hidden by (`epsilon`, `delta`); the claim lists the events, also
        those of rounds that were paid for and not needed. Reserve the budget first: it is spent from the first round
        on, also where the fit is refused.

        Raises:
            Invalid: the budget is not positive, or the table does not fit the dictionary.
            Refused: too few persons for this budget.
        """
        del rng, tuning  # nothing here is tuned, or random but the protecting noise
        domain = self._domain(dictionary)
        budget = self._plan(domain, epsilon=epsilon, delta=delta)
        source = noise_source(entropy.name)
        codes = encode(domain, table)
        choose = private_choice(budget, entropy=entropy)
        road = spanning_tree(domain, budget, codes, rules=dictionary.rules, choose=choose)
        return FittedJoint(
            model=answered(road, codes, entropy=entropy),
            claim=self._claim(budget, source),
        )
