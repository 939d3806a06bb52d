"""One step of a generalised linear model: this site's addend."""

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.glm import Glm
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.glm import curve, firth_score, profiled, statistics
from wardgate.measures.outcomes import outcome_bound, outcome_values
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Bounded

Vector = NDArray[np.float64]


def answer(asked: Glm, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend."""
    part, study = bench.part(split), bench.study
    y, known = outcome_values(asked.family, asked.outcome, study.features, part.table)
    x = asked.design(study).from_study(part.x, part.table)
    return step(asked, x if known.all() else x[known], y if known.all() else y[known], study=study)


def step(asked: Glm, x: Vector, y: Vector, *, study: Study) -> Bounded:
    """Return the sums that `asked` describes.

    Args:
        x: Columns of the terms, shape (n, p).
        y: Outcome, shape (n,), within its public bound.

    Raises:
        Invalid: the terms or coefficients do not fit the study.
    """
    shape = asked.shape(study)
    if asked.view is not None:
        vector = _cut(asked, x, y, outcome=outcome_bound(asked.family, asked.outcome, study.features))
    elif asked.inverse is not None:
        vector = firth_score(x, asked.beta, asked.inverse)
    else:
        if asked.site_ridge is None:
            sums = statistics(asked.family, x, y, asked.beta, largest_mean=asked.largest_mean)
        else:
            sums = profiled(
                asked.family, x, y, asked.beta, largest_mean=asked.largest_mean, site_ridge=asked.site_ridge
            )
        triangle = sums.hessian[np.triu_indices(len(asked.beta))]
        vector = np.concatenate([sums.gradient, triangle, [sums.log_likelihood]])
    return Bounded(vector=vector, shape=shape, persons=len(y)).checked()


def _cut(asked: Glm, x: Vector, y: Vector, *, outcome: float) -> Vector:
    """Sums in which a person's row and gradient are cut to public lengths."""
    view = asked.view
    if view is None:
        raise RuntimeError("only a noisy step is cut")
    seen = x @ view.lens
    norms = np.linalg.norm(seen, axis=1)
    seen = seen * np.minimum(1.0, view.row / np.maximum(norms, 1e-300))[:, None]
    found = curve(asked.family, y, seen @ asked.beta, largest_mean=asked.largest_mean)
    longest = asked.longest_gradient(outcome)
    lengths = np.abs(found.slope) * np.minimum(norms, view.row)
    slope = found.slope * np.minimum(1.0, longest / np.maximum(lengths, 1e-300))
    gradient = seen.T @ slope
    if not view.hessian_share:
        return np.asarray(gradient)
    hessian = seen.T @ (seen * found.curvature[:, None])
    rows, columns = np.triu_indices(len(asked.beta))
    triangle = hessian[rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2.0))
    return np.concatenate([gradient, asked.hessian_weight(outcome) * triangle])
