"""A joint model that knows its hospitals: one forest for each, all of one shape, and how many persons each has."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.estimate import Table
from wardgate.marginals.sampling import Where, chance, sample
from wardgate.marginals.tree.model import TreeModel
from wardgate.measures.encoding import LABEL
from wardgate.records.errors import Invalid

SITE = "site"
"""Name of the column that says which hospital a row stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteModel:
    """Everything that sampling by site needs; made from noisy counts alone.

    Attributes:
        whole: The model of all hospitals together.
        sites: All sites of the study.
        persons: Noisy persons of each site, shape (sites,); 0 for those that no sum holds, and for those whose
            persons drowned in the noise.
        trees: The model of each site.
    """

    whole: TreeModel
    sites: tuple[str, ...]
    persons: Table
    trees: tuple[TreeModel, ...]

    def tree(self, site: str) -> TreeModel:
        """Return the model of one site; one that drowned in the noise has that of all.

        Raises:
            Invalid: no such site in the study.
        """
        if site not in self.sites:
            raise Invalid("a condition on 'site' names none of the study's sites")
        return self.trees[self.sites.index(site)]


def sample_sites(
    model: SiteModel, rows: int, *, rng: np.random.Generator, where: Where | None = None, column: bool = True
) -> pl.DataFrame:
    """Draw rows; hospitals get their shares of them, rounded up or down at random, in random order.

    Args:
        where: Conditions as in `sampling.sample`; {"site": name} draws from one hospital, however small.
        column: Whether to say in the column `site`, the last before the label, which hospital a row stands for.

    Raises:
        Invalid: as `sample`, or `where` names an unknown site.
    """
    conditions = dict(where or {})
    if SITE in conditions:
        site = conditions.pop(SITE)
        if not isinstance(site, str):
            raise Invalid("a condition on 'site' needs the name of a site")
        return _named(sample(model.tree(site), rows, rng=rng, where=conditions), site, column=column)
    shares = model.persons.copy()
    if conditions:
        shares = shares * np.array([chance(tree, conditions) for tree in model.trees])
    if not shares.sum() > 0:
        raise Invalid("nobody in the model meets these conditions")
    parts = [
        _named(sample(tree, int(count), rng=rng, where=conditions), site, column=column)
        for site, tree, count in zip(model.sites, model.trees, _allotted(shares, rows, rng), strict=True)
        if count
    ]
    if not parts:
        return _named(sample(model.whole, 0, rng=rng), model.sites[0], column=column)
    return pl.concat(parts)[rng.permutation(rows)]


def _named(table: pl.DataFrame, site: str, *, column: bool) -> pl.DataFrame:
    if not column:
        return table
    return table.select(pl.exclude(LABEL), pl.lit(site).alias(SITE), pl.col(LABEL))


def _allotted(shares: Table, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Share rows out by one systematic sample: each gets its expected number, rounded up or down."""
    steps = np.floor(np.cumsum(shares) / shares.sum() * rows + rng.random() * (1 - 1e-9)).astype(np.int64)
    steps[-1] = rows
    return np.asarray(np.diff(np.minimum(steps, rows), prepend=0))
