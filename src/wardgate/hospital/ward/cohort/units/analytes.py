"""What is measured, where a unit alone does not tell how to convert: molar masses, charges, LOINC codes, usual units.

Molar masses: IUPAC standard atomic weights (2021) and the molecular formula; phosphate is reported as phosphorus, urea
nitrogen as the two nitrogen atoms of urea, haemoglobin by its monomer with one iron (16,114.5 g/mol, as ICSH reports
amounts), albumin by 66.5 kDa, triglycerides as triolein. LOINC: `[Mass/volume]` and `[Moles/volume]` terms, loinc.org.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from wardgate.records.feature import Feature

Typical = tuple[str, float, float]
"""Unit, and where the median of any cohort lies in it, also of newborns, of dialysis or of shock: no normal range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Analyte:
    """One analyte.

    Attributes:
        words: Word combinations of a name, any of which means it; the first is what it is called.
        grams_per_mole: None where mass never becomes molar.
        charge: Equivalents per mole; 0 where unknown or none.
        mass: LOINC codes that report a mass concentration.
        molar: LOINC codes that report an amount concentration.
        other: LOINC codes of other scales.
        units: What laboratories report it in.
        typical: Where medians lie in serum, plasma or whole blood; left out where sick cohorts overlap another unit.
        enzyme: Whether an international unit is the enzyme unit U (1 umol/min).
    """

    words: tuple[str, ...]
    grams_per_mole: float | None = None
    charge: int = 0
    mass: tuple[str, ...] = ()
    molar: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    typical: Typical | None = None
    enzyme: bool = False

    @property
    def name(self) -> str:
        return self.words[0]


ANALYTES: tuple[Analyte, ...] = (
    Analyte(
        words=("creatinine", "crea", "kreatinin"),
        grams_per_mole=113.12,
        mass=("2160-0", "38483-4"),
        molar=("14682-9",),
        units=("mg/dL", "umol/L", "mmol/L", "mg/L"),
        typical=("umol/L", 20.0, 900.0),
    ),
    Analyte(
        words=("glucose", "glukose"),
        grams_per_mole=180.156,
        mass=("2345-7", "2339-0", "1558-6", "41653-7"),
        molar=("14749-6", "15074-8", "14771-0"),
        units=("mg/dL", "mmol/L", "g/L"),
        typical=("mmol/L", 3.9, 12.0),
    ),
    Analyte(
        words=("bilirubin",),
        grams_per_mole=584.66,
        mass=("1975-2", "1968-7", "42719-5"),
        molar=("14631-6", "14629-0"),
        units=("mg/dL", "umol/L"),
        typical=("umol/L", 3.0, 250.0),
    ),
    Analyte(
        words=("urea nitrogen", "bun"),
        grams_per_mole=28.014,
        mass=("3094-0", "6299-2"),
        molar=("14937-7",),
        units=("mg/dL", "mmol/L"),
        typical=("mmol/L", 3.0, 30.0),
    ),
    Analyte(
        words=("urea", "harnstoff"),
        grams_per_mole=60.056,
        mass=("3091-6", "20977-5"),
        molar=("22664-7", "72903-8"),
        units=("mg/dL", "mmol/L", "g/L"),
        typical=("mmol/L", 3.0, 30.0),
    ),
    Analyte(
        words=("lactate", "laktat"),
        grams_per_mole=90.078,
        mass=("14118-4",),
        molar=("2524-7", "32693-4", "2518-9", "2519-7"),
        units=("mmol/L", "mg/dL"),
        typical=("mmol/L", 0.6, 9.0),
    ),
    Analyte(
        words=("hdl", "hdl cholesterol"),
        grams_per_mole=386.65,
        mass=("2085-9",),
        molar=("14646-4",),
        units=("mg/dL", "mmol/L", "g/L"),
        typical=("mmol/L", 0.7, 2.2),
    ),
    Analyte(
        words=("ldl", "ldl cholesterol"),
        grams_per_mole=386.65,
        mass=("2089-1", "13457-7", "18262-6"),
        molar=("22748-8", "39469-2"),
        units=("mg/dL", "mmol/L", "g/L"),
        typical=("mmol/L", 1.3, 5.0),
    ),
    Analyte(
        words=("cholesterol",),
        grams_per_mole=386.65,
        mass=("2093-3",),
        molar=("14647-2",),
        units=("mg/dL", "mmol/L", "g/L"),
        typical=("mmol/L", 2.5, 7.5),
    ),
    Analyte(
        words=("triglycerides", "triglyceride"),
        grams_per_mole=885.43,
        mass=("2571-8", "3043-7"),
        molar=("14927-8", "70218-3"),
        units=("mg/dL", "mmol/L", "g/L"),
        typical=("mmol/L", 0.6, 3.5),
    ),
    Analyte(
        words=("calcium",),
        grams_per_mole=40.078,
        charge=2,
        mass=("17861-6",),
        molar=("2000-8", "1994-3"),
        units=("mg/dL", "mmol/L", "meq/L"),
    ),
    Analyte(
        words=("magnesium",),
        grams_per_mole=24.305,
        charge=2,
        mass=("19123-9",),
        molar=("2601-3",),
        units=("mg/dL", "mmol/L", "meq/L"),
    ),
    Analyte(
        words=("phosphate", "phosphorus"),
        grams_per_mole=30.974,
        mass=("2777-1",),
        molar=("14879-1",),
        units=("mg/dL", "mmol/L"),
        typical=("mmol/L", 0.7, 2.6),
    ),
    Analyte(
        words=("uric acid", "urate"),
        grams_per_mole=168.11,
        mass=("3084-1",),
        molar=("14933-6",),
        units=("mg/dL", "umol/L", "mmol/L"),
        typical=("umol/L", 180.0, 600.0),
    ),
    Analyte(
        words=("hba1c", "a1c", "haemoglobin a1c", "hemoglobin a1c", "glycated haemoglobin", "glycated hemoglobin"),
        other=("4548-4", "17856-6", "59261-8"),
        units=("%", "mmol/mol"),
        typical=("%", 4.5, 10.0),
    ),
    Analyte(
        words=("haemoglobin", "hemoglobin", "hgb", "hb"),
        grams_per_mole=16_114.5,
        mass=("718-7", "20509-6"),
        molar=("59260-0",),
        units=("g/dL", "g/L", "mmol/L"),
        typical=("g/L", 60.0, 200.0),
    ),
    Analyte(
        words=("albumin",),
        grams_per_mole=66_500.0,
        mass=("1751-7",),
        molar=("54347-0",),
        units=("g/dL", "g/L", "umol/L"),
        typical=("g/L", 18.0, 52.0),
    ),
    Analyte(
        words=("iron",),
        grams_per_mole=55.845,
        mass=("2498-4",),
        molar=("14798-3",),
        units=("ug/dL", "umol/L"),
        typical=("umol/L", 4.0, 60.0),
    ),
    Analyte(
        words=("potassium",),
        grams_per_mole=39.098,
        charge=1,
        molar=("2823-3", "6298-4"),
        units=("mmol/L", "meq/L"),
        typical=("mmol/L", 3.2, 5.5),
    ),
    Analyte(
        words=("sodium",),
        grams_per_mole=22.990,
        charge=1,
        molar=("2951-2", "2947-0"),
        units=("mmol/L", "meq/L"),
        typical=("mmol/L", 125.0, 155.0),
    ),
    Analyte(
        words=("chloride",),
        grams_per_mole=35.45,
        charge=1,
        molar=("2075-0", "2069-3"),
        units=("mmol/L", "meq/L"),
        typical=("mmol/L", 88.0, 118.0),
    ),
    Analyte(
        words=("bicarbonate", "hco3"),
        charge=1,
        molar=("1963-8", "2028-9", "1959-6", "1960-4"),
        units=("mmol/L", "meq/L"),
        typical=("mmol/L", 14.0, 38.0),
    ),
    Analyte(
        words=("troponin",),
        mass=("6598-7", "10839-9", "67151-1", "89579-7"),
        units=("ng/mL", "ng/L", "ug/L", "pg/mL"),
    ),
    Analyte(words=("crp", "c reactive protein"), mass=("1988-5",), units=("mg/L", "mg/dL")),
    Analyte(
        words=("pco2", "paco2", "carbon dioxide pressure"),
        other=("2019-8", "2021-4", "11557-6"),
        units=("mm[Hg]", "kPa"),
        typical=("mm[Hg]", 28.0, 65.0),
    ),
    Analyte(
        words=("po2", "pao2", "oxygen pressure"),
        other=("2703-7", "11556-8"),
        units=("mm[Hg]", "kPa"),
    ),
    Analyte(words=("fio2", "inspired oxygen"), other=("3150-0",), units=("%", "1")),
    Analyte(
        words=("temperature", "temp"),
        other=("8310-5",),
        units=("Cel", "[degF]"),
        typical=("Cel", 35.0, 39.0),
    ),
    Analyte(words=("weight",), other=("29463-7",), units=("kg", "[lb_av]", "g")),
    Analyte(words=("height",), other=("8302-2",), units=("cm", "[in_i]", "m")),
    Analyte(words=("alt", "alat", "alanine aminotransferase"), other=("1742-6",), units=("U/L", "ukat/L"), enzyme=True),
    Analyte(
        words=("ast", "asat", "aspartate aminotransferase"), other=("1920-8",), units=("U/L", "ukat/L"), enzyme=True
    ),
    Analyte(words=("alkaline phosphatase", "alp"), other=("6768-6",), units=("U/L", "ukat/L"), enzyme=True),
    Analyte(words=("ggt", "gamma glutamyl transferase"), other=("2324-2",), units=("U/L", "ukat/L"), enzyme=True),
    Analyte(words=("ldh", "lactate dehydrogenase"), other=("2532-0",), units=("U/L", "ukat/L"), enzyme=True),
    Analyte(words=("creatine kinase", "ck"), other=("2157-6",), units=("U/L", "ukat/L"), enzyme=True),
    Analyte(words=("lipase",), other=("3040-3",), units=("U/L", "ukat/L"), enzyme=True),
    Analyte(words=("amylase",), other=("1798-8",), units=("U/L", "ukat/L"), enzyme=True),
)

_BY_NAME = {one.name: one for one in ANALYTES}
_BY_LOINC = {code: one for one in ANALYTES for code in (*one.mass, *one.molar, *one.other)}
_BY_WORDS = sorted(
    ((frozenset(words.split()), one) for one in ANALYTES for words in one.words), key=lambda pair: -len(pair[0])
)


def analyte(feature: Feature, *, loinc: Sequence[str] = ()) -> str | None:
    """Return which analyte a feature is: by its LOINC code, by the codes of its concept set, else by words of its name.

    Args:
        loinc: LOINC codes of the feature's concept set, where the study has one.
    """
    found = known(feature, loinc=loinc)
    return None if found is None else found.name


def known(feature: Feature, *, loinc: Sequence[str] = ()) -> Analyte | None:
    """Return all that is known of a feature's analyte. Codes that mean several analytes mean none."""
    own = feature.codes.get("loinc")
    if own in _BY_LOINC:
        return _BY_LOINC[own]
    meant = {_BY_LOINC[code].name for code in loinc if code in _BY_LOINC}
    if len(meant) == 1:
        return _BY_NAME[meant.pop()]
    return _named(feature.name) or _named(feature.concepts or "")


def weighed_as(loinc: Sequence[str]) -> tuple[Analyte, ...]:
    """Return the analytes whose mass concentration the codes report."""
    return tuple(one for one in ANALYTES if any(code in one.mass for code in loinc))


def _named(name: str) -> Analyte | None:
    """The analyte with the most words among those of a name; `lactate dehydrogenase` is no lactate."""
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    words |= {word.strip("0123456789") for word in words}
    return next((one for wanted, one in _BY_WORDS if wanted <= words), None)
