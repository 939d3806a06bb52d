"""Sums of single features, as a sum over persons."""

import numpy as np

from wardgate.computations.summaries import Summaries
from wardgate.hospital.ward.cohort.part import Part
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.measures.encoding import scaled
from wardgate.measures.summaries import available_sums, span_of_features
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Bounded


def answer(asked: Summaries, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's sums."""
    return summaries(asked, bench.part(split), study=bench.study)


def summaries(asked: Summaries, part: Part, *, study: Study) -> Bounded:
    """Return the sums of one part's persons; what is missing adds nothing."""
    shape, features = asked.shape(study), asked.chosen(study)
    reach = span_of_features(features).reach(asked.centre)
    values = np.column_stack([scaled(feature, part.table[feature.name]) for feature in features])
    groups = [part.y == 0, part.y == 1] if asked.by_label else [np.ones(len(part.y), dtype=bool)]
    vector = np.concatenate([available_sums(values[group], asked.centre, reach) for group in groups])
    return Bounded(vector=vector, shape=shape, persons=len(part.y)).checked()
