"""UCUM units to the study's units. Linear, from a table; what is not in the table is not converted.

Mass becomes molar (or back) only where the analyte is known: by its LOINC code, or by its name in the study.
Reference: The Unified Code for Units of Measure, ucum.org.
"""

import re
from dataclasses import dataclass

from wardgate.records.feature import Feature


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """`value * factor + offset` is the value in the study's unit."""

    factor: float = 1.0
    offset: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether anything is converted at all."""
        return self.factor != 1.0 or self.offset != 0.0


# unit -> dimension, and what makes it the dimension's first unit
_UNITS: dict[str, tuple[str, Linear]] = {
    "Cel": ("temperature", Linear()),
    "K": ("temperature", Linear(offset=-273.15)),
    "[degF]": ("temperature", Linear(factor=5 / 9, offset=-160 / 9)),
    "mm[Hg]": ("pressure", Linear()),
    "kPa": ("pressure", Linear(factor=7.50061683)),
    "cm[H2O]": ("pressure", Linear(factor=0.73555912)),
    "kg": ("mass", Linear()),
    "g": ("mass", Linear(factor=1e-3)),
    "[lb_av]": ("mass", Linear(factor=0.45359237)),
    "cm": ("length", Linear()),
    "m": ("length", Linear(factor=100.0)),
    "mm": ("length", Linear(factor=0.1)),
    "[in_i]": ("length", Linear(factor=2.54)),
    "[ft_i]": ("length", Linear(factor=30.48)),
    "a": ("time", Linear()),
    "mo": ("time", Linear(factor=1 / 12)),
    "wk": ("time", Linear(factor=7 / 365.25)),
    "d": ("time", Linear(factor=1 / 365.25)),
    "h": ("time", Linear(factor=1 / 8766)),
    "min": ("time", Linear(factor=1 / 525960)),
    "s": ("time", Linear(factor=1 / 31557600)),
    "1": ("ratio", Linear()),
    "%": ("ratio", Linear(factor=0.01)),
    "/min": ("rate", Linear()),
    "/s": ("rate", Linear(factor=60.0)),
    "/h": ("rate", Linear(factor=1 / 60)),
    "10*9/L": ("cells", Linear()),
    "10*3/uL": ("cells", Linear()),
    "10*6/L": ("cells", Linear(factor=1e-3)),
    "/uL": ("cells", Linear(factor=1e-3)),
    "10*12/L": ("cells", Linear(factor=1e3)),
    "10*6/uL": ("cells", Linear(factor=1e3)),
    "g/L": ("mass concentration", Linear()),
    "g/dL": ("mass concentration", Linear(factor=10.0)),
    "mg/dL": ("mass concentration", Linear(factor=0.01)),
    "mg/L": ("mass concentration", Linear(factor=1e-3)),
    "ug/L": ("mass concentration", Linear(factor=1e-6)),
    "ug/mL": ("mass concentration", Linear(factor=1e-3)),
    "ug/dL": ("mass concentration", Linear(factor=1e-5)),
    "ng/mL": ("mass concentration", Linear(factor=1e-6)),
    "mol/L": ("molar concentration", Linear(factor=1e3)),
    "mmol/L": ("molar concentration", Linear()),
    "umol/L": ("molar concentration", Linear(factor=1e-3)),
    "nmol/L": ("molar concentration", Linear(factor=1e-6)),
    "U/L": ("activity", Linear()),
    "kat/L": ("activity", Linear(factor=6e7)),
    "ukat/L": ("activity", Linear(factor=60.0)),
}

# grams per mole; urea nitrogen counts its two nitrogen atoms
_MOLAR_MASS = {
    "creatinine": 113.12,
    "glucose": 180.156,
    "bilirubin": 584.66,
    "urea nitrogen": 28.014,
    "urea": 60.056,
    "cholesterol": 386.65,
    "lactate": 90.078,
}

_LOINC = {
    "2160-0": "creatinine",
    "14682-9": "creatinine",
    "2345-7": "glucose",
    "2339-0": "glucose",
    "14749-6": "glucose",
    "1975-2": "bilirubin",
    "14631-6": "bilirubin",
    "3094-0": "urea nitrogen",
    "22664-7": "urea",
    "2093-3": "cholesterol",
    "14647-2": "cholesterol",
    "2524-7": "lactate",
    "32693-4": "lactate",
}


def analyte(feature: Feature) -> str | None:
    """Return which analyte a feature is, by its LOINC code, else by a word of its name."""
    loinc = feature.codes.get("loinc")
    if loinc in _LOINC:
        return _LOINC[loinc]
    words = re.split(r"[^a-z]+", feature.name.lower())
    if "bun" in words or ("urea" in words and "nitrogen" in words):
        return "urea nitrogen"
    return next((name for name in _MOLAR_MASS if name in words), None)


def conversion(source_unit: str, feature: Feature) -> Linear | None:
    """Return what turns a value in `source_unit` into the feature's unit, or None where the table does not say.

    Args:
        source_unit: UCUM; annotations in braces are ignored.
        feature: A `number` or `integer` feature.
    """
    there, here = _bare(source_unit), _bare(feature.unit or "")
    if there == here:
        return Linear()
    if there not in _UNITS or here not in _UNITS:
        return None
    (from_dimension, up), (to_dimension, down) = _UNITS[there], _UNITS[here]
    between = 1.0
    if from_dimension != to_dimension:
        mass = _MOLAR_MASS.get(analyte(feature) or "")
        pair = (from_dimension, to_dimension)
        if mass is None or set(pair) != {"mass concentration", "molar concentration"}:
            return None
        between = 1000.0 / mass if pair[0] == "mass concentration" else mass / 1000.0
    factor = up.factor * between / down.factor
    return Linear(factor=factor, offset=(up.offset * between - down.offset) / down.factor)


def candidates(feature: Feature) -> list[tuple[str, Linear]]:
    """Return the units that a mislabelled source of this feature may really be in, and their conversions."""
    found: list[tuple[str, Linear]] = []
    for unit in _UNITS:
        linear = conversion(unit, feature)
        if linear is not None and linear.changes and all(abs(linear.factor / o.factor - 1) > 1e-6 for _, o in found):
            found.append((unit, linear))
    return found


def _bare(unit: str) -> str:
    """Drop annotations: `{beats}/min` is `/min`."""
    bare = re.sub(r"\{[^}]*\}", "", unit).strip()
    return bare or "1"
