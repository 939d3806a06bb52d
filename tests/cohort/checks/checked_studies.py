"""A small study of events, to judge made-up records by."""

from typing import Any

from wardgate.records.concepts import Concept, ConceptSet
from wardgate.records.entry import Entry, Outcome
from wardgate.records.feature import Feature
from wardgate.records.study import Acceptance, Cohort, Label, Study

CREATININE = Feature(
    name="creatinine", type="number", unit="umol/L", range=(9.0, 2000.0), concepts="creatinine", aggregation="last"
)
DIABETES = Feature(name="diabetes", type="boolean", concepts="diabetes", aggregation="any")
AGE = Feature(name="age", type="integer", unit="a", range=(0, 120), built_in="age")

SETS = {
    "stay": (("Visit", "IP"),),
    "creatinine": (("LOINC", "2160-0"), ("LOINC", "14682-9")),
    "potassium": (("LOINC", "2823-3"),),
    "heart_rate": (("LOINC", "8867-4"),),
    "diabetes": (("ICD10", "E11"), ("ICD10", "E10")),
}


def study(*features: Feature, **more: Any) -> Study:
    """A study with these features."""
    return Study(
        schema="wardgate/study/1",
        id="made",
        version=1,
        title="made",
        question="made",
        cohort=Cohort(entry="stay", entries="first", events=Entry(concepts=("stay",), index_hours=24)),
        index_date="24 h after the start",
        label=Label(name="died", meaning="died", window_days=(0, 30), events=Outcome(concepts=("death",))),
        features=features,
        acceptance=Acceptance(auroc_min=0.6, worst_site_auroc_min=0.5),
        concept_sets={
            name: ConceptSet(concepts=tuple(Concept(vocabulary=vocabulary, code=code) for vocabulary, code in codes))
            for name, codes in SETS.items()
        },
        sites=("one", "two", "three"),
        **more,
    )
