"""What was found of a study's features in a hospital's events, by its older name; see `cohort/found.py`."""

from wardgate.hospital.ward.cohort.found import EntryStep, FeatureFound, UnitFound

__all__ = ["EntryStep", "FeatureFound", "UnitFound"]
