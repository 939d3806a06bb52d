"""Which other unit would make a feature's values so many times what they should be.

The hub sees no source and converts nothing: it only puts a name to a ratio between sites. The factors are those of the
ward's own table of units; a test holds the two together.
"""

import math
import re

from wardgate.records.feature import Feature

TOLERANCE = 0.22
"""In logarithms: the case mix of two hospitals moves the middle of a feature by no more than a fifth or so."""

_SCALES: tuple[dict[str, float], ...] = (
    {"mol/L": 1e3, "mmol/L": 1.0, "umol/L": 1e-3, "nmol/L": 1e-6},
    {"g/dL": 10.0, "g/L": 1.0, "mg/dL": 1e-2, "mg/L": 1e-3, "ug/dL": 1e-5, "ug/L": 1e-6, "ng/mL": 1e-6},
    {"mm[Hg]": 1.0, "kPa": 7.50061683, "cm[H2O]": 0.73555912},
    {"kg": 1.0, "g": 1e-3, "[lb_av]": 0.45359237},
    {"m": 100.0, "cm": 1.0, "mm": 0.1, "[in_i]": 2.54, "[ft_i]": 30.48},
    {"a": 1.0, "mo": 1 / 12, "d": 1 / 365.25},
    {"1": 1.0, "%": 0.01},
    {"/s": 60.0, "/min": 1.0, "/h": 1 / 60},
    {"10*12/L": 1e3, "10*9/L": 1.0, "10*3/uL": 1.0, "10*6/L": 1e-3, "/uL": 1e-3},
    {"kat/L": 6e7, "ukat/L": 60.0, "U/L": 1.0},
)
"""Units of one kind, each in the kind's own first unit: mmol/L, g/L, mm[Hg] ..."""

_MOLAR, _MASS = _SCALES[0], _SCALES[1]

_GRAMS_PER_MOLE = {
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


def other_units(feature: Feature) -> dict[str, float]:
    """Return the units in which the feature's numbers would be this many times larger than in the study's unit.

    >>> other_units(Feature(name="creatinine", type="number", unit="umol/L", range=(20, 2000)))["mg/dL"]
    0.011312
    """
    here = re.sub(r"\{[^}]*\}", "", feature.unit or "").strip() or "1"
    found: dict[str, float] = {}
    for scale in _SCALES:
        if here in scale:
            found |= {unit: scale[here] / size for unit, size in scale.items()}
    grams = _GRAMS_PER_MOLE.get(_analyte(feature))
    if grams is not None and here in _MOLAR:
        found |= {unit: _MOLAR[here] * grams / 1000.0 / size for unit, size in _MASS.items()}
    elif grams is not None and here in _MASS:
        found |= {unit: _MASS[here] * 1000.0 / grams / size for unit, size in _MOLAR.items()}
    return {unit: round(factor, 12) for unit, factor in found.items() if abs(factor - 1.0) > 1e-6}


def unit_for(feature: Feature, ratio: float) -> tuple[str, float] | None:
    """Return the unit whose factor is nearest to a ratio, and the factor; None where none is near.

    Degrees Celsius, Fahrenheit and Kelvin differ by more than a factor; they are told by where body heat then lies.
    """
    if not (math.isfinite(ratio) and ratio > 0):
        return None
    ways = other_units(feature) | _warmth(feature)
    near = [(abs(math.log(ratio / factor)), unit, factor) for unit, factor in ways.items()]
    best = min(near, default=(math.inf, "", 1.0))
    return (best[1], best[2]) if best[0] <= TOLERANCE and abs(math.log(best[2])) > 2 * TOLERANCE else None


def _warmth(feature: Feature) -> dict[str, float]:
    at_37 = {"Cel": 37.0, "[degF]": 98.6, "K": 310.15}
    here = at_37.get(feature.unit or "")
    return {} if here is None else {unit: there / here for unit, there in at_37.items() if unit != feature.unit}


def _analyte(feature: Feature) -> str:
    known = _LOINC.get(feature.codes.get("loinc", ""))
    if known is not None:
        return known
    words = re.split(r"[^a-z]+", feature.name.lower())
    if "bun" in words or ("urea" in words and "nitrogen" in words):
        return "urea nitrogen"
    return next((name for name in _GRAMS_PER_MOLE if name in words), "")
