"""A hospital asks its own gate about a candidate from anywhere, in one process without a network."""

from wardgate.hospital.ward.answering.trials.aggregate import judge_aggregate
from wardgate.hospital.ward.answering.trials.corpus import Columns, Tables, inferred, judge_corpus
from wardgate.hospital.ward.answering.trials.images import judge_images
from wardgate.hospital.ward.answering.trials.model import judge_model
from wardgate.hospital.ward.answering.trials.record import Asked, Judged
from wardgate.hospital.ward.gate.battery.suite import starter

__all__ = [
    "Asked",
    "Columns",
    "Judged",
    "Tables",
    "inferred",
    "judge_aggregate",
    "judge_corpus",
    "judge_images",
    "judge_model",
    "starter",
]
