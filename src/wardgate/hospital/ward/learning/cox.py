"""One step of a Cox model on shared time bins: this site's addend."""

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.cox import Cox
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.survival import Observed, bins_of, discrete_cut, discrete_statistics, leaving
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Bounded

Vector = NDArray[np.float64]


def answer(asked: Cox, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend."""
    part, study = bench.part(split), bench.study
    design = asked.design(study)
    seen = Observed(
        x=design.from_study(part.x, part.table)[:, 1:],
        event=part.y == 1,
        last=bins_of(part.table[asked.time].to_numpy().astype(np.float64), asked.edges),
    )
    return step(asked, seen, study=study)


def step(asked: Cox, seen: Observed, *, study: Study) -> Bounded:
    """Return the sums that `asked` describes.

    Raises:
        Invalid: terms, time or coefficients do not fit the study.
    """
    shape = asked.shape(study)
    if asked.view is not None:
        vector = _cut(asked, seen)
    elif asked.form == "counts":
        vector = np.bincount(seen.last, minlength=asked.bins).astype(np.float64)
    elif asked.form == "breslow":
        found = leaving(seen, asked.beta, bins=asked.bins)
        upper = np.triu_indices(seen.x.shape[1])
        blocks = np.column_stack([found.risk, found.first, found.second[:, upper[0], upper[1]]])
        vector = np.concatenate([found.events, found.rows, blocks.ravel()])
    else:
        sums = discrete_statistics(seen, asked.beta, bins=asked.bins, form=asked.form, largest_rate=asked.largest_rate)
        vector = np.concatenate([sums.gradient, sums.hessian[np.triu_indices(len(asked.beta))], [sums.log_likelihood]])
    return Bounded(vector=vector, shape=shape, persons=len(seen.last)).checked()


def _cut(asked: Cox, seen: Observed) -> Vector:
    """Sums in which a person's rows, gradient and Hessian are cut to public lengths."""
    view = asked.view
    if view is None:
        raise RuntimeError("only a noisy step is cut")
    gradient, hessian = discrete_cut(
        seen,
        view.lens,
        asked.beta,
        bins=asked.bins,
        row=view.row,
        longest=asked.longest_gradient(),
        longest_hessian=asked.longest_hessian(),
    )
    if not view.hessian_share:
        return gradient
    rows, columns = np.triu_indices(len(asked.beta))
    triangle = hessian[rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2.0))
    return np.concatenate([gradient, asked.hessian_weight(1.0) * triangle])
