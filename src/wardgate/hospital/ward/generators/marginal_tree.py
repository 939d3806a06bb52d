"""The default generator: noisy marginals of one hospital, fitted as a label-rooted forest."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.entropy import Entropy
from wardgate.marginals.domain import CELLS, Codes, domain_of, encode
from wardgate.marginals.growth import Ask, grow
from wardgate.marginals.links import Links
from wardgate.marginals.model import TreeModel
from wardgate.marginals.plan import Weights, plan
from wardgate.marginals.sampling import Where, sample
from wardgate.marginals.structure import Edges, choose_edges, dependence
from wardgate.marginals.workload import Groups, count_codes
from wardgate.privacy.accountant import dp_claim
from wardgate.privacy.noise import gaussian_release
from wardgate.records.claim import Claim
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

COVERS = (
    "bins of numbers",
    "merging of rare categories",
    "missingness",
    "choice of pairs of features",
    "number of persons",
)
EXCLUDES = (
    "ranges and categories, which the study fixes in public",
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

    def fit(
        self,
        table: pl.DataFrame,
        study: Study,
        *,
        epsilon: float,
        delta: float,
        entropy: Entropy,
        rng: np.random.Generator,
    ) -> "FittedTree":
        """Fit a table of training persons, one row a person.

        Guarantee: adding or removing one person is hidden by (`epsilon`, `delta`); the claim lists the events.
        Reserve the budget first: it is spent from the first round on, also where the fit is refused.

        Raises:
            Invalid: the budget is not positive, or the table does not fit the study.
            Refused: too few persons for this budget, or a label of one class.
        """
        del rng  # nothing in this fit is random but the protecting noise
        domain = domain_of(study.features, cells=self.cells)
        budget = plan(domain, epsilon=epsilon, delta=delta, structure="chosen", weights=self.weights)
        codes = encode(domain, table)
        if entropy.name not in ("system", "unsafe-test"):
            raise Invalid(f"unknown source of noise '{entropy.name}'")

        def choose(links: Links, groups: Groups, sigma: float) -> Edges:
            scores = dependence(codes, links, groups, sigma=sigma)
            return choose_edges(scores, epsilon=budget.choice, choices=budget.choices, entropy=entropy)

        road = grow(domain, budget, rules=study.rules, choose=choose)
        ask = next(road)
        while True:
            try:
                ask = road.send(noisy_counts(ask, codes, entropy=entropy))
            except StopIteration as end:
                model = end.value
                break
        claim = dp_claim(
            gaussian=budget.gaussian,
            exponential=budget.exponential,
            delta=delta,
            covers=COVERS,
            excludes=EXCLUDES,
            noise_source="system" if entropy.name == "system" else "unsafe-test",
        )
        return FittedTree(model=model, claim=claim)


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
