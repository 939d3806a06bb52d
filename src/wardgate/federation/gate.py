"""A hospital asks its own gate about a candidate from anywhere, in one process without a network."""

from wardgate.hospital.ward.answering.trial import Columns, Judged, Trial, inferred, judge

__all__ = ["Columns", "Judged", "Trial", "inferred", "judge"]
