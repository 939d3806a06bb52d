"""OHDSI Circe cohort definitions, as ATLAS exports them -> entry and concept sets of a study."""

from wardgate.records.circe.imported import Imported, read_circe
from wardgate.records.circe.written import to_yaml

__all__ = ["Imported", "read_circe", "to_yaml"]
