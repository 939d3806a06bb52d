"""This hospital's persons as sums of rows by class."""

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.class_moments import ClassMoments
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.contribution.distinct import weights
from wardgate.measures.encoding import design_columns
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Bounded


def answer(asked: ClassMoments, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend.

    Raises:
        Invalid: the question has no place for this site.
    """
    part, study = bench.part(split), bench.study
    shape = asked.shape(study)
    counted = person_weights(asked, part, study=study)
    vector = asked.vector(study, site=bench.site, x=part.x, y=part.y, weights=counted)
    return Bounded(vector=vector, shape=shape, persons=len(part.y)).checked()


def person_weights(asked: ClassMoments, part: Part, *, study: Study) -> NDArray[np.float64]:
    """Return what each record counts for, shape (n,): copies of one person share its weight."""
    if asked.within is None:
        return np.ones(len(part.y))
    kinds = {feature.name: feature.type for feature in study.features}
    numeric = np.array(
        [
            kinds.get(column.feature) in ("number", "integer") and column.category is None and not column.missing
            for column in design_columns(study.features)
        ]
    )
    words = np.column_stack([np.rint(2.0 * part.x[:, ~numeric]), part.y]).astype(np.int64)
    return weights(part.x[:, numeric], words, within=asked.within, how="cells" if asked.places else "near")
