"""A model for each hospital from one joint corpus that tells them apart: shared slopes, an intercept of its own.

Patients of different hospitals differ by what nobody recorded. Without a column for the hospital that difference leaks
into the slopes of what was recorded and happens to differ too. With it the slopes compare persons of one hospital with
each other, and every hospital gets the level of its own persons. Slopes of its own were tried and left out: a hospital
that is small enough to need a joint corpus has nothing to show for them through the noise.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.marginals.sites.model import SITE
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.logistic import fit
from wardgate.records.errors import Invalid
from wardgate.records.study import Study

Vector = NDArray[np.float64]

SPREAD = 1.0
"""Standard deviation between hospitals, in log-odds, that the penalty on their intercepts stands for."""


def train_by_site(study: Study, corpus: pl.DataFrame, *, ridge: float, spread: float = SPREAD) -> dict[str, Vector]:
    """Return coefficients of the study's model for every site of the study, from a joint corpus with its column.

    All differ in the first coefficient alone. A site without rows has the intercept of the average one.

    Args:
        ridge: L2 penalty on the slopes, as in the study.
        spread: Prior standard deviation of the intercepts; small values pull hospitals together.

    Raises:
        Invalid: the corpus has no column for the site, one class only, or no spread.
    """
    if SITE not in corpus.columns:
        raise Invalid(f"the corpus has no column '{SITE}'; let the study set 'joint_site: keep'")
    if not spread > 0 or not ridge > 0:
        raise Invalid(f"expected a ridge and a spread above 0, found {ridge} and {spread}")
    x, sites = design_matrix(study.features, corpus), np.asarray(corpus[SITE].to_list())
    scale = spread * np.sqrt(ridge)  # one ridge for all columns: that of a scaled column is divided by its square
    own = (sites[:, None] == np.asarray(study.sites)[None, :]) * scale
    beta = fit(np.concatenate([x, own], axis=1), labels(corpus), ridge=ridge)
    slopes, level = beta[: x.shape[1]], beta[x.shape[1] :] * scale
    found = {}
    for place, site in enumerate(study.sites):
        found[site] = slopes.copy()
        found[site][0] += level[place]
    return found
