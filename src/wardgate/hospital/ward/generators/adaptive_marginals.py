"""Noisy tables chosen one after the other by where the model is most wrong, after AIM; for any dictionary."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from wardgate.entropy import Entropy
from wardgate.marginals.domain import CELLS, Domain, domain_of, encode
from wardgate.marginals.equals.joint import FittedJoint
from wardgate.marginals.equals.plan import EqualPlan, Shares, equal_plan
from wardgate.marginals.equals.rounds import answered, closest_tables, private_choice
from wardgate.privacy.accountant import dp_claim, noise_source
from wardgate.records.claim import Claim, NoiseSource
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid

COVERS = (
    "bins of numbers",
    "merging of rare categories",
    "missingness",
    "choice of tables of two and three columns",
    "number of persons",
)
EXCLUDES = (
    "ranges and categories, which the dictionary fixes in public",
    "whether the generator refused to fit",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveMarginals:
    """Differentially private; looks again and again where its model is most wrong, and measures that.

    With an outcome every column is measured beside it first, and pairs may be chosen together with it: what is to be
    predicted comes before what is not. Without one, pairs of columns are all it measures.

    Reference: McKenna, Mullins, Sheldon, Miklau 2022, arXiv:2201.12677.

    Attributes:
        cells: Fine cells over the range of a number.
        rounds: Tables to choose at most; absent, one fewer than there are features.
        shares: How the budget is split.
    """

    cells: int = CELLS
    rounds: int | None = None
    shares: Shares = field(default_factory=Shares)
    name: str = "adaptive-marginals"

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
        possible = domain.features * (domain.features - 1) // 2
        wanted = domain.features - 1 if self.rounds is None else self.rounds
        if wanted < 0:
            raise Invalid(f"expected a number of tables from 0 up, found {wanted}")
        rounds = min(wanted, 2 * possible)
        return equal_plan(
            epsilon=epsilon, delta=delta, shares=self.shares, rounds=rounds, choices=rounds, linked=domain.labelled
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
            Refused: too few persons for this budget, or a label of one class.
        """
        del tuning  # nothing in this fit is tuned
        domain = self._domain(dictionary)
        budget = self._plan(domain, epsilon=epsilon, delta=delta)
        source = noise_source(entropy.name)
        codes = encode(domain, table)
        choose = private_choice(budget, entropy=entropy)
        road = closest_tables(domain, budget, codes, rules=dictionary.rules, choose=choose, rng=rng)
        return FittedJoint(
            model=answered(road, codes, entropy=entropy),
            claim=self._claim(budget, source),
        )
