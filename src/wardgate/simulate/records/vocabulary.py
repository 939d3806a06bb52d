"""The small open vocabulary of the simulated records: codes that are facts, described in our own words.

Concept ids are those of the OMOP vocabularies where they are known to us; all others lie above 2,000,000,000, where
OMOP keeps room for local concepts. Nothing here is copied from a licensed vocabulary but codes and hierarchies.
"""

from dataclasses import dataclass
from itertools import pairwise

import polars as pl

LOCAL = 2_000_000_000
"""Concept ids above it belong to nobody's vocabulary."""

EHR = 32817
"""Type concept of what comes from a health record."""

INPATIENT, OUTPATIENT, EMERGENCY, INTENSIVE = 9201, 9202, 9203, 32037
MALE, FEMALE = 8507, 8532


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """The same analyte as other hospitals report it: its code, unit, and what the usual value is multiplied by."""

    loinc: str
    concept_id: int
    unit: str
    factor: float
    offset: float = 0.0
    decimals: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What is measured, and how its values fall.

    Attributes:
        centre: Usual value, in `unit`; of the logarithm's exponential where `log`.
        spread: Standard deviation between stays, of the logarithm where `log`.
        within: Standard deviation between two readings of one stay.
        severity, age: Shift per standard deviation of severity, and per 16 years of age.
        low, high: What a person can have; values are cut there.
        vital: Read at every round of vital signs; else with the laboratory's.
        often: Share of the rounds in which it is read.
        clinic: Share of the clinic visits in which it is read.
    """

    name: str
    loinc: str
    concept_id: int
    meaning: str
    unit: str
    centre: float
    spread: float
    within: float
    severity: float
    age: float
    low: float
    high: float
    decimals: int
    log: bool = False
    vital: bool = False
    often: float = 0.9
    clinic: float = 0.0
    other: Other | None = None


MEASURES = (
    Measure(
        name="heart_rate", loinc="8867-4", concept_id=3027018, meaning="Heart rate", unit="/min",
        centre=86, spread=13, within=7, severity=8, age=-2, low=32, high=210, decimals=0, vital=True, clinic=0.3,
    ),
    Measure(
        name="systolic", loinc="8480-6", concept_id=3004249, meaning="Systolic blood pressure", unit="mm[Hg]",
        centre=131, spread=16, within=9, severity=-8, age=4, low=55, high=240, decimals=0, vital=True, clinic=0.6,
    ),
    Measure(
        name="diastolic", loinc="8462-4", concept_id=3012888, meaning="Diastolic blood pressure", unit="mm[Hg]",
        centre=73, spread=9, within=6, severity=-4, age=-1, low=28, high=140, decimals=0, vital=True, clinic=0.6,
    ),
    Measure(
        name="respiratory_rate", loinc="9279-1", concept_id=3024171, meaning="Respiratory rate", unit="/min",
        centre=18.5, spread=2.6, within=1.8, severity=2.2, age=0.3, low=7, high=55, decimals=0, vital=True,
    ),
    Measure(
        name="temperature", loinc="8310-5", concept_id=3020891, meaning="Body temperature", unit="Cel",
        centre=37.0, spread=0.45, within=0.3, severity=0.15, age=-0.1, low=33.5, high=41.5, decimals=1, vital=True,
        other=Other(loinc="8310-5", concept_id=3020891, unit="[degF]", factor=1.8, offset=32.0, decimals=1),
    ),
    Measure(
        name="saturation", loinc="59408-5", concept_id=40762499, meaning="Oxygen saturation by oximetry", unit="%",
        centre=95.6, spread=1.5, within=0.9, severity=-1.1, age=-0.3, low=64, high=100, decimals=0, vital=True,
    ),
    Measure(
        name="creatinine", loinc="2160-0", concept_id=3016723, meaning="Creatinine in serum, mass", unit="mg/dL",
        centre=1.02, spread=0.28, within=0.07, severity=0.12, age=0.09, low=0.2, high=14, decimals=2, log=True,
        clinic=0.35,
        other=Other(loinc="14682-9", concept_id=LOCAL + 101, unit="umol/L", factor=88.40169731, decimals=0),
    ),
    Measure(
        name="urea_nitrogen", loinc="3094-0", concept_id=3013682, meaning="Urea nitrogen in serum, mass", unit="mg/dL",
        centre=19, spread=0.34, within=0.08, severity=0.14, age=0.12, low=3, high=180, decimals=0, log=True,
        other=Other(loinc="22664-7", concept_id=LOCAL + 102, unit="mmol/L", factor=0.35696437, decimals=1),
    ),
    Measure(
        name="lactate", loinc="2524-7", concept_id=LOCAL + 103, meaning="Lactate in serum, molar", unit="mmol/L",
        centre=1.5, spread=0.3, within=0.12, severity=0.28, age=0.02, low=0.3, high=22, decimals=1, log=True, often=0.6,
    ),
    Measure(
        name="glucose", loinc="2345-7", concept_id=3004501, meaning="Glucose in serum, mass", unit="mg/dL",
        centre=122, spread=0.24, within=0.14, severity=0.05, age=0.03, low=30, high=900, decimals=0, log=True,
        clinic=0.25,
        other=Other(loinc="14749-6", concept_id=LOCAL + 104, unit="mmol/L", factor=0.05550745, decimals=1),
    ),
    Measure(
        name="sodium", loinc="2951-2", concept_id=3019550, meaning="Sodium in serum", unit="mmol/L",
        centre=138.5, spread=3.2, within=1.2, severity=-0.6, age=-0.2, low=112, high=172, decimals=0, clinic=0.25,
    ),
    Measure(
        name="potassium", loinc="2823-3", concept_id=3023103, meaning="Potassium in serum", unit="mmol/L",
        centre=4.1, spread=0.36, within=0.22, severity=0.06, age=0.04, low=2, high=8.2, decimals=1, clinic=0.25,
    ),
    Measure(
        name="haemoglobin", loinc="718-7", concept_id=3000963, meaning="Haemoglobin in blood", unit="g/dL",
        centre=12.6, spread=1.6, within=0.35, severity=-0.4, age=-0.5, low=4, high=20, decimals=1, clinic=0.2,
        other=Other(loinc="718-7", concept_id=3000963, unit="g/L", factor=10.0, decimals=0),
    ),
    Measure(
        name="white_cells", loinc="6690-2", concept_id=3000905, meaning="White cells in blood", unit="10*9/L",
        centre=9.2, spread=0.3, within=0.1, severity=0.12, age=0.0, low=0.3, high=80, decimals=1, log=True, clinic=0.2,
    ),
    Measure(
        name="platelets", loinc="777-3", concept_id=3024929, meaning="Platelets in blood", unit="10*9/L",
        centre=228, spread=0.3, within=0.06, severity=-0.06, age=-0.03, low=8, high=1100, decimals=0, log=True,
    ),
    Measure(
        name="c_reactive_protein", loinc="1988-5", concept_id=3020460, meaning="C-reactive protein", unit="mg/L",
        centre=24, spread=0.9, within=0.2, severity=0.5, age=0.1, low=0.3, high=500, decimals=1, log=True, often=0.7,
    ),
    Measure(
        name="bilirubin", loinc="1975-2", concept_id=3024128, meaning="Bilirubin in serum, mass", unit="mg/dL",
        centre=0.7, spread=0.4, within=0.1, severity=0.1, age=0.02, low=0.1, high=30, decimals=1, log=True, often=0.5,
        other=Other(loinc="14631-6", concept_id=LOCAL + 105, unit="umol/L", factor=17.10395786, decimals=0),
    ),
    Measure(
        name="albumin", loinc="1751-7", concept_id=3024561, meaning="Albumin in serum", unit="g/dL",
        centre=3.6, spread=0.42, within=0.1, severity=-0.18, age=-0.12, low=1.2, high=5.6, decimals=1, often=0.5,
    ),
)  # fmt: skip

UNITS = {
    "/min": 8541, "mm[Hg]": 8876, "Cel": 586323, "[degF]": 9289, "%": 8554, "mg/dL": 8840, "umol/L": 8749,
    "mmol/L": 8753, "g/dL": 8713, "g/L": 8636, "10*9/L": 9444, "mg/L": 8751, "kg": 9529, "d": 8512,
}  # fmt: skip
"""Concept id of each UCUM unit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """A diagnosis, a drug, a procedure or an answer: standard concept, and the code as it was recorded."""

    name: str
    code: str
    concept_id: int
    meaning: str
    source_code: str = ""
    source_id: int = 0


def _condition(name: str, code: str, concept_id: int, meaning: str, icd: str, number: int) -> Coded:
    return Coded(
        name=name, code=code, concept_id=concept_id, meaning=meaning, source_code=icd, source_id=LOCAL + 200 + number
    )


CONDITIONS = (
    _condition("type_2_diabetes", "44054006", 201826, "Type 2 diabetes", "E11.9", 0),
    _condition("type_1_diabetes", "46635009", 201254, "Type 1 diabetes", "E10.9", 1),
    _condition("hypertension", "59621000", 320128, "Essential hypertension", "I10", 2),
    _condition("heart_failure", "84114007", 316139, "Heart failure", "I50.9", 3),
    _condition("kidney_disease", "433144002", 443597, "Chronic kidney disease, stage 3", "N18.30", 4),
    _condition("fibrillation", "49436004", 313217, "Atrial fibrillation", "I48.91", 5),
    _condition("copd", "13645005", 255573, "Chronic obstructive lung disease", "J44.9", 6),
    _condition("breast_cancer", "254837009", 4112853, "Breast cancer", "C50.919", 7),
    _condition("colon_cancer", "363406005", 4180790, "Colon cancer", "C18.9", 8),
    _condition("pneumonia", "233604007", 255848, "Pneumonia", "J18.9", 9),
    _condition("sepsis", "91302008", 132797, "Sepsis", "A41.9", 10),
    _condition("infarction", "22298006", 4329847, "Myocardial infarction", "I21.9", 11),
)
CHRONIC = CONDITIONS[:9]
"""Those that a person keeps; the rest are reasons for a stay."""

DRUGS = (
    ("metformin", "6809", 1503297, "A10BA02"),
    ("insulin glargine", "274783", 1502905, "A10AE04"),
    ("furosemide", "4603", 956874, "C03CA01"),
    ("lisinopril", "29046", 1308216, "C09AA03"),
    ("metoprolol", "6918", 1307046, "C07AB02"),
    ("atorvastatin", "83367", 1545958, "C10AA05"),
    ("aspirin", "1191", 1112807, "B01AC06"),
    ("heparin", "5224", 1367571, "B01AB01"),
    ("ceftriaxone", "2193", 1777806, "J01DD04"),
    ("amoxicillin", "723", 1713332, "J01CA04"),
    ("vancomycin", "11124", 1707687, "J01XA01"),
    ("norepinephrine", "7512", 1321341, "C01CA03"),
)
"""Ingredient, its RxNorm code and concept id, and its ATC code."""

PROCEDURES = (
    Coded(name="chest_x_ray", code="399208008", concept_id=4163872, meaning="Plain X-ray of the chest"),
    Coded(name="ventilation", code="40617009", concept_id=4230167, meaning="Mechanical ventilation"),
    Coded(name="dialysis", code="302497006", concept_id=4120120, meaning="Haemodialysis"),
)

AWAKE = (
    Coded(name="alert", code="248234008", concept_id=LOCAL + 301, meaning="Alert"),
    Coded(name="voice", code="300202002", concept_id=LOCAL + 302, meaning="Responds to voice"),
    Coded(name="pain", code="450847001", concept_id=LOCAL + 303, meaning="Responds to pain"),
    Coded(name="unresponsive", code="422768004", concept_id=LOCAL + 304, meaning="Unresponsive"),
)
SMOKING = (
    Coded(name="never", code="266919005", concept_id=LOCAL + 305, meaning="Never smoked"),
    Coded(name="former", code="8517006", concept_id=LOCAL + 306, meaning="Smoked in the past"),
    Coded(name="current", code="77176002", concept_id=LOCAL + 307, meaning="Smokes"),
)
RESPONSIVENESS = Coded(name="responsiveness", code="67775-7", concept_id=LOCAL + 308, meaning="Level of responsiveness")
TOBACCO = Coded(name="tobacco", code="72166-2", concept_id=LOCAL + 309, meaning="Tobacco smoking status")

_ABOVE = {
    "73211009": (201820, "Diabetes", ("44054006", "46635009")),
    "38341003": (316866, "High blood pressure", ("59621000",)),
    "709044004": (46271022, "Chronic kidney disease", ("433144002",)),
    "363346000": (443392, "Cancer", ("254837009", "363406005")),
}
"""SNOMED concepts above those that are recorded."""

_ATC_LENGTHS = (1, 3, 4, 5, 7)


def vocabulary() -> dict[str, pl.DataFrame]:
    """Return the tables `concept`, `concept_ancestor` and `concept_relationship`.

    Every standard and classification concept is its own ancestor at level 0, as OMOP has it.
    """
    concepts: dict[tuple[str, str], tuple[int, str, str, str, str | None]] = {
        ("Gender", "M"): (MALE, "Male", "Gender", "Gender", "S"),
        ("Gender", "F"): (FEMALE, "Female", "Gender", "Gender", "S"),
        ("Visit", "IP"): (INPATIENT, "Inpatient stay", "Visit", "Visit", "S"),
        ("Visit", "OP"): (OUTPATIENT, "Outpatient visit", "Visit", "Visit", "S"),
        ("Visit", "ER"): (EMERGENCY, "Emergency room visit", "Visit", "Visit", "S"),
        ("Visit", "OMOP4822460"): (INTENSIVE, "Intensive care", "Visit", "Visit", "S"),
        ("Type Concept", "OMOP4976890"): (EHR, "Health record", "Type Concept", "Type Concept", "S"),
    }
    for unit, number in UNITS.items():
        concepts["UCUM", unit] = (number, unit, "Unit", "Unit", "S")
    for measure in MEASURES:
        concepts["LOINC", measure.loinc] = (measure.concept_id, measure.meaning, "Measurement", "Lab Test", "S")
        if measure.other is not None and measure.other.loinc != measure.loinc:
            meaning = f"{measure.meaning.removesuffix(', mass')}, molar"
            concepts["LOINC", measure.other.loinc] = (measure.other.concept_id, meaning, "Measurement", "Lab Test", "S")
    parents: dict[tuple[str, str], list[tuple[str, str]]] = {}
    maps: list[tuple[int, int]] = []
    for one in CONDITIONS:
        concepts["SNOMED", one.code] = (one.concept_id, one.meaning, "Condition", "Disorder", "S")
        concepts["ICD10CM", one.source_code] = (one.source_id, one.meaning, "Condition", "ICD10 code", None)
        maps.append((one.source_id, one.concept_id))
    for code, (number, meaning, below) in _ABOVE.items():
        concepts["SNOMED", code] = (number, meaning, "Condition", "Disorder", "S")
        for lower in below:
            parents["SNOMED", lower] = [("SNOMED", code)]
    for one in PROCEDURES:
        concepts["SNOMED", one.code] = (one.concept_id, one.meaning, "Procedure", "Procedure", "S")
    for one in (*AWAKE, *SMOKING):
        concepts["SNOMED", one.code] = (one.concept_id, one.meaning, "Observation", "Clinical Finding", "S")
    for one in (RESPONSIVENESS, TOBACCO):
        concepts["LOINC", one.code] = (one.concept_id, one.meaning, "Observation", "Survey", "S")
    for name, rxnorm, number, atc in DRUGS:
        concepts["RxNorm", rxnorm] = (number, name, "Drug", "Ingredient", "S")
        levels = [atc[:length] for length in _ATC_LENGTHS]
        parents["RxNorm", rxnorm] = [("ATC", atc)]
        for upper, lower in pairwise(levels):
            parents["ATC", lower] = [("ATC", upper)]
        for level in levels:
            class_id = LOCAL + 1_000 + len([key for key in concepts if key[0] == "ATC"])
            concepts.setdefault(("ATC", level), (class_id, f"ATC class {level}", "Drug", f"ATC {len(level)}", "C"))
    return {
        "concept": _concepts(concepts),
        "concept_ancestor": _ancestors({key: row[0] for key, row in concepts.items() if row[4]}, parents),
        "concept_relationship": pl.DataFrame(
            {
                "concept_id_1": [pair[0] for pair in maps],
                "concept_id_2": [pair[1] for pair in maps],
                "relationship_id": ["Maps to"] * len(maps),
                "valid_start_date": pl.Series([0] * len(maps), dtype=pl.Int32).cast(pl.Date),
                "valid_end_date": pl.Series([47_481] * len(maps), dtype=pl.Int32).cast(pl.Date),
                "invalid_reason": pl.Series([None] * len(maps), dtype=pl.String),
            }
        ),
    }


def _concepts(concepts: dict[tuple[str, str], tuple[int, str, str, str, str | None]]) -> pl.DataFrame:
    keys, rows = list(concepts), list(concepts.values())
    return pl.DataFrame(
        {
            "concept_id": pl.Series([row[0] for row in rows], dtype=pl.Int64),
            "concept_name": [row[1] for row in rows],
            "domain_id": [row[2] for row in rows],
            "vocabulary_id": [key[0] for key in keys],
            "concept_class_id": [row[3] for row in rows],
            "standard_concept": pl.Series([row[4] for row in rows], dtype=pl.String),
            "concept_code": [key[1] for key in keys],
            "valid_start_date": pl.Series([0] * len(rows), dtype=pl.Int32).cast(pl.Date),
            "valid_end_date": pl.Series([47_481] * len(rows), dtype=pl.Int32).cast(pl.Date),
            "invalid_reason": pl.Series([None] * len(rows), dtype=pl.String),
        }
    ).sort("concept_id")


def _ancestors(ids: dict[tuple[str, str], int], parents: dict[tuple[str, str], list[tuple[str, str]]]) -> pl.DataFrame:
    found: list[tuple[int, int, int]] = []
    for key, number in ids.items():
        level, above = 0, [key]
        while above:
            found += [(ids[one], number, level) for one in above]
            above = [upper for one in above for upper in parents.get(one, [])]
            level += 1
    columns = ("ancestor_concept_id", "descendant_concept_id", "min_levels_of_separation")
    frame = pl.DataFrame(sorted(found), schema=dict.fromkeys(columns, pl.Int64), orient="row")
    return frame.with_columns(pl.col("min_levels_of_separation").alias("max_levels_of_separation"))
