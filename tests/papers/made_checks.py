"""Data checks of made-up hospitals, for the pages."""

import numpy as np

from wardgate.records.data_check import OTHER_UNITS, DataCheck, FeatureCheck, Prevalence, UnitSeen
from wardgate.records.results import FlowStep, Requirement

FEATURES = {
    "age": "a", "creatinine": "umol/L", "glucose": "mg/dL", "lactate": "mmol/L", "systolic_pressure": "mm[Hg]",
    "heart_rate": "/min", "temperature": "Cel", "oxygen_saturation": "%", "white_cells": "10*9/L", "sex": None,
    "care_home": None, "diabetes": None,
}  # fmt: skip


def check(site: str, *, seed: int, prevalence: float | None = None, broken: bool = False) -> DataCheck:
    """One hospital's check; `broken` lets creatinine fail."""
    rng = np.random.default_rng(seed)
    persons = int(rng.integers(400, 9000))
    features, requirements = [], [Requirement(name="persons", state="pass", reason="every row names a person")]
    for name, unit in FEATURES.items():
        coverage = round(float(rng.uniform(0.7, 1.0)), 2) if rng.random() > 0.08 else None
        units = ()
        if unit is not None:
            units = (UnitSeen(unit=unit, share=1.0, converted=False),)
        if name == "glucose" and seed % 3 == 0:
            units = (
                UnitSeen(unit="mmol/L", share=0.86, converted=True),
                UnitSeen(unit="mg/dL", share=0.14, converted=False),
            )
        if name == "lactate" and seed % 7 == 1:
            units = (*units[:1], UnitSeen(unit=OTHER_UNITS))
        state, reason = "pass", "as the study asks"
        if name == "temperature" and seed % 4 == 0:
            state, reason = "pass with exceptions", "2 % outside the plausible range; they count as missing"
        if name == "creatinine" and broken:
            state = "fail"
            reason = (
                "94 % of the values lie outside [20, 2000] umol/L, probably another unit than 'umol/L' (mg/dL would"
                " fit); correct 'unit' in the mapping"
            )
            units = (UnitSeen(unit="see comment", share=0.94), UnitSeen(unit=None, share=0.06))
        if name == "care_home" and seed % 9 == 2:
            state, reason = "not evaluated", "nobody is eligible"
        requirements.append(Requirement(name=f"feature {name}", state=state, reason=reason))
        features.append(
            FeatureCheck(
                feature=name,
                unit=unit,
                coverage=coverage,
                out_of_range=round(float(rng.uniform(0, 0.04)), 2) if unit else None,
                without_unit=0.06 if broken and name == "creatinine" else 0.0 if unit else None,
                units=units,
            )
        )
    failed = tuple(f"{one.name}: {one.reason}" for one in requirements if one.state in ("fail", "not evaluated"))
    share = float(rng.uniform(0.06, 0.14)) if prevalence is None else prevalence
    return DataCheck(
        study_id="sepsis-mortality",
        study_version=1,
        study_sha256="ab" * 32,
        site=site,
        source="OMOP CDM 5.4 in DuckDB" if seed % 2 else "one table, mapping.yaml",
        label="died_30d",
        persons_band="500-999" if persons < 1000 else "1000-1999" if persons < 2000 else "5000-9999",
        satisfies=not failed,
        reasons=failed,
        flow=(
            FlowStep(step="rows in the files", persons=str(persons + 900)),
            FlowStep(step="aged 18 or older", persons=str(persons + 210)),
            FlowStep(step="admitted as an emergency", persons=f"{persons + 210} less fewer than 11"),
            FlowStep(step="outcome known", persons=str(persons)),
        ),
        features=tuple(features),
        requirements=(*requirements, Requirement(name="label died_30d", state="pass", reason="both classes")),
        prevalence=None if seed % 11 == 5 else Prevalence(share=round(share, 2), step=0.01),
    )


def checks(count: int) -> list[DataCheck]:
    """Checks of so many hospitals: the third has a failed feature, the fourth an outcome that is far too frequent."""
    found = [check(f"hospital-{place:02}", seed=place, broken=place == 3) for place in range(1, count + 1)]
    if count > 3:
        found[3] = check("hospital-04", seed=4, prevalence=0.93)
    return found
