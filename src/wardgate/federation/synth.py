"""A hospital makes synthetic tables for itself, in one process without a network."""

from wardgate.hospital.ward.answering.synthesis.compare import SHOWN, Compared, compare
from wardgate.hospital.ward.answering.synthesis.draw import FORMS, Drawn, Form, draw
from wardgate.hospital.ward.answering.synthesis.fit import fit
from wardgate.hospital.ward.answering.synthesis.more import more, told
from wardgate.hospital.ward.answering.synthesis.wish import AUTO, Source, Wish
from wardgate.hospital.ward.answering.trials.corpus import Columns
from wardgate.hospital.ward.generators import GENERATORS, recommendation, timelines

__all__ = [
    "AUTO",
    "FORMS",
    "GENERATORS",
    "SHOWN",
    "Columns",
    "Compared",
    "Drawn",
    "Form",
    "Source",
    "Wish",
    "compare",
    "draw",
    "fit",
    "more",
    "recommendation",
    "timelines",
    "told",
]
