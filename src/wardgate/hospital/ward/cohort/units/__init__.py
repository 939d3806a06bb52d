"""Units of a hospital to the units of a study: UCUM, its common spellings, and analytes between mass and amount."""

from wardgate.hospital.ward.cohort.units.analytes import Analyte, analyte
from wardgate.hospital.ward.cohort.units.conversion import candidates, conversion, loinc_of, usual
from wardgate.hospital.ward.cohort.units.linear import Linear
from wardgate.hospital.ward.cohort.units.spellings import ucum

__all__ = ["Analyte", "Linear", "analyte", "candidates", "conversion", "loinc_of", "ucum", "usual"]
