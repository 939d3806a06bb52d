"""A hospital's unit -> the study's unit. Linear, from the tables; what is not in them is not converted.

Mass becomes molar (or back), and equivalents become moles, only where the analyte is known. HbA1c goes between % (NGSP)
and mmol/mol (IFCC) by the master equation NGSP = 0.09148 IFCC + 2.152 (Weykamp et al. 2008,
doi:10.1373/clinchem.2007.098566).
"""

from collections.abc import Sequence

from wardgate.hospital.ward.cohort.units.analytes import Analyte, known, weighed_as
from wardgate.hospital.ward.cohort.units.linear import Linear
from wardgate.hospital.ward.cohort.units.spellings import ucum
from wardgate.hospital.ward.cohort.units.table import (
    ACTIVITY,
    EQUIVALENTS,
    INTERNATIONAL,
    MASS,
    MOLAR,
    PER_MOLE,
    RATIO,
    UNITS,
)
from wardgate.records.concepts import ConceptSet
from wardgate.records.feature import Feature

_NGSP = Linear(factor=0.09148 / 100, offset=2.152 / 100)
"""mmol/mol of HbA1c (IFCC) to the share of haemoglobin (NGSP)."""


def loinc_of(concepts: ConceptSet | None) -> tuple[str, ...]:
    """Return the LOINC codes of a concept set."""
    if concepts is None:
        return ()
    return tuple(
        one.code
        for one in concepts.concepts
        if one.vocabulary is not None and one.code is not None and one.vocabulary.upper() == "LOINC" and not one.exclude
    )


def conversion(source_unit: str, feature: Feature, *, loinc: Sequence[str] = ()) -> Linear | None:
    """Return what turns a value in `source_unit` into the feature's unit, or None where the tables do not say.

    A slope's single values are converted to its `value_unit`. Where the concept set has codes that weigh one analyte, a
    mass is of that analyte: mg/dL in a set of urea and urea nitrogen is nitrogen if only nitrogen is weighed in it.
    Where it has codes that weigh several, a mass is not converted.

    Args:
        source_unit: UCUM or a common spelling of it; annotations in braces are ignored. An empty text says nothing: it
            is right for scores and other bare numbers alone.
        feature: A `number` or `integer` feature.
        loinc: LOINC codes of the feature's concept set; they tell the analyte where the feature's own do not.
    """
    there, here = ucum(source_unit), ucum(feature.value_unit or feature.unit or "")
    if there == here:
        return Linear()
    if not source_unit.strip():
        return None
    if there not in UNITS or here not in UNITS:
        return None
    (from_dimension, up), (to_dimension, down) = UNITS[there], UNITS[here]
    between: Linear | None = Linear()
    if from_dimension != to_dimension:
        weighed = weighed_as(loinc) if MASS in (from_dimension, to_dimension) else ()
        if len(weighed) > 1:
            return None
        between = _between(from_dimension, to_dimension, weighed[0] if weighed else known(feature, loinc=loinc))
    return None if between is None else up.then(between).then(down.back())


def _between(there: str, here: str, analyte: Analyte | None) -> Linear | None:
    """From the first unit of one dimension to the first unit of another, for one analyte."""
    if analyte is None:
        return None
    if {there, here} == {RATIO, PER_MOLE} and analyte.name == "hba1c":
        return _NGSP if there == PER_MOLE else _NGSP.back()
    if {there, here} == {ACTIVITY, INTERNATIONAL} and analyte.enzyme:
        return Linear()
    up, down = _moles(there, analyte), _moles(here, analyte)
    return None if up is None or down is None else up.then(down.back())


def _moles(dimension: str, analyte: Analyte) -> Linear | None:
    """From the first unit of a dimension to mmol/L."""
    if dimension == MOLAR:
        return Linear()
    if dimension == MASS and analyte.grams_per_mole is not None:
        return Linear(factor=1000.0 / analyte.grams_per_mole)
    if dimension == EQUIVALENTS and analyte.charge:
        return Linear(factor=1.0 / analyte.charge)
    return None


def candidates(feature: Feature, *, loinc: Sequence[str] = ()) -> list[tuple[str, Linear]]:
    """Return the units that a mislabelled source of this feature may really be in, and their conversions.

    Those that laboratories use come first. Units that convert alike stand there once.
    """
    analyte = known(feature, loinc=loinc)
    first = () if analyte is None else analyte.units
    found: list[tuple[str, Linear]] = []
    for unit in dict.fromkeys((*first, *UNITS)):
        linear = conversion(unit, feature, loinc=loinc)
        if linear is not None and not any(_alike(linear, other) for other in (Linear(), *(o for _, o in found))):
            found.append((unit, linear))
    return found


def usual(feature: Feature, *, loinc: Sequence[str] = ()) -> list[tuple[str, Linear]]:
    """Return the candidates that laboratories use for the feature's analyte; all candidates where it is unknown."""
    analyte = known(feature, loinc=loinc)
    tried = candidates(feature, loinc=loinc)
    if analyte is None:
        return tried
    return [(unit, linear) for unit, linear in tried if unit in analyte.units]


def _alike(one: Linear, other: Linear) -> bool:
    return abs(one.factor / other.factor - 1) < 1e-6 and abs(one.offset - other.offset) < 1e-6
