"""The centralised comparator: all hospitals' training persons in one table.

IMPOSSIBLE IN REALITY. It exists so that simulated and public data can show what federation loses, runs only when asked
for, and has no way into a deployment: it opens the hospitals' folders directly.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.split import tables
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.logistic import fit
from wardgate.records.study import Study


def pooled_fit(
    *, study: Study, hospitals: Mapping[str, Path], salts: Mapping[str, bytes], ridge: float
) -> NDArray[np.float64]:
    """Return the coefficients of one fit on every hospital's training persons, shape (p,)."""
    designs, outcomes = [], []
    for site, folder in hospitals.items():
        train = tables(load(folder, study), study.splits, salt=salts[site])["train"]
        designs.append(design_matrix(study.features, train))
        outcomes.append(labels(train))
    return fit(np.concatenate(designs), np.concatenate(outcomes), ridge=ridge)
