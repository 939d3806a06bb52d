"""Six simulated hospitals with known truth: thirty-day death after emergency admission for suspected infection.

They differ in size, case mix, baseline risk, missingness, units, codes and file types, as real ones do. One is tiny,
one codes its outcome the other way round, and one uses a generator that memorises. All randomness is from the seed.
"""

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from wardgate.records.errors import Invalid
from wardgate.records.study_file import parse
from wardgate.simulate.sepsis import COEFFICIENTS, STUDY, admissions

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How one simulated hospital differs from the others.

    Attributes:
        persons: Number of patients.
        intercept: Log odds of death for a patient at the centre of every feature.
        older, sicker: Shifts of the case mix, in standard deviations.
        missing: How much is missing; 1 is the usual share.
        file: Name of its table; the ending says which kind.
        columns: Its own names of the study's fields, where they differ.
        units: Its own units, where they differ: field to (UCUM, factor and offset from the study's unit, decimals).
        sexes: Its codes of female and male.
        missing_code: What it writes where a value is missing.
        dead, alive: Its codes of the outcome; `inverted` swaps their meaning in its mapping.
        slips: Study field to a wrong entry and the share of rows that hold it, as typing errors do.
        generator: What its `hospital.yaml` chooses.
    """

    id: str
    note: str
    persons: int
    intercept: float
    older: float = 0.0
    sicker: float = 0.0
    missing: float = 1.0
    file: str = "admissions.csv"
    columns: dict[str, str] = field(default_factory=dict)
    units: dict[str, tuple[str, float, float, int]] = field(default_factory=dict)
    sexes: tuple[str, str] = ("female", "male")
    yes_no: tuple[str, str] = ("1", "0")
    missing_code: str = ""
    dead: str = "1"
    alive: str = "0"
    inverted: bool = False
    slips: dict[str, tuple[str, float]] = field(default_factory=dict)
    generator: dict[str, str | int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """A marked patient, planted to see whether anything of it ever leaves.

    Attributes:
        site: Hospital that holds it.
        person: A distinctive identifier.
        values: Study field to the text written in the source, in the source's unit and coding.
    """

    site: str
    person: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What was written, and the truth behind it.

    Attributes:
        study: The study's file.
        hospitals: Folder of each hospital, by site.
        coefficients: Log odds by study field (per unit) or `field=category`, the same at every site.
        intercepts: By site.
        inverted: Sites whose outcome is coded the other way round.
        memorising: Sites whose generator copies.
    """

    study: Path
    hospitals: dict[str, Path]
    coefficients: dict[str, float]
    intercepts: dict[str, float]
    inverted: tuple[str, ...]
    memorising: tuple[str, ...]


_MG_DL = ("mg/dL", 1 / 88.4017, 0.0, 2)
_DEG_F = ("[degF]", 1.8, 32.0, 1)
_KPA = ("kPa", 1 / 7.50061683, 0.0, 2)

PLANS = (
    Plan(
        id="northport",
        note="Simulated. University hospital; the study's own units",
        persons=6_800,
        intercept=-2.1,
        columns={"age": "age_years", "systolic_pressure": "sbp", "diastolic_pressure": "dbp", "heart_rate": "pulse"},
        sexes=("F", "M"),
        slips={"age": ("15", 0.006)},
    ),
    Plan(
        id="eastmoor",
        note="Simulated. Large city hospital; Parquet, creatinine in mg/dL, sex as 1 and 2, -9 for missing",
        persons=6_400,
        intercept=-2.4,
        older=-0.25,
        sicker=0.15,
        missing=1.4,
        file="emergency.parquet",
        columns={"age": "AGE", "sex": "SEX", "creatinine": "CREA", "lactate": "LACT", "died_30d": "DEATH30"},
        units={"creatinine": _MG_DL},
        sexes=("2", "1"),
        missing_code="-9",
        slips={"creatinine": ("0", 0.006), "died_30d": ("-9", 0.008)},
    ),
    Plan(
        id="hillcrest",
        note="Simulated. Teaching hospital; planted: its own generator memorises its patients",
        persons=6_200,
        intercept=-2.0,
        older=0.15,
        missing=0.8,
        columns={"white_cells": "wbc", "oxygen_saturation": "spo2", "temperature": "temp_f"},
        units={"temperature": _DEG_F},
        generator={"name": "sequential-cart", "min_leaf": 1},
    ),
    Plan(
        id="westfield",
        note="Simulated. District hospital; planted: its outcome is coded the other way round",
        persons=1_800,
        intercept=-2.2,
        sicker=-0.1,
        columns={"died_30d": "outcome", "respiratory_rate": "resp"},
        missing_code="999",
        dead="0",
        alive="1",
        inverted=True,
    ),
    Plan(
        id="lakeside",
        note="Simulated. Small hospital; pressures in kPa, temperature in degrees Fahrenheit, compressed CSV, NA",
        persons=900,
        intercept=-1.8,
        older=0.4,
        missing=1.8,
        file="admissions.csv.gz",
        columns={"care_home": "nursing_home", "comorbidity": "charlson"},
        units={"temperature": _DEG_F, "systolic_pressure": _KPA, "diastolic_pressure": _KPA},
        yes_no=("yes", "no"),
        missing_code="NA",
        dead="dead",
        alive="alive",
        slips={"lactate": ("haemolysed", 0.03)},
    ),
    Plan(
        id="glenbay",
        note="Simulated. Island hospital with 40 patients",
        persons=40,
        intercept=-2.0,
        older=0.5,
        sexes=("F", "M"),
    ),
)


def build(folder: Path, *, seed: int, canaries: Sequence[Canary] = ()) -> Simulated:
    """Write the study and six hospitals.

    Args:
        folder: Gets `study.yaml` and `<site>/` with `hospital.yaml`, `mapping.yaml` and one table.
        seed: The same seed writes the same bytes.
        canaries: Marked patients to plant.

    Raises:
        Invalid: a canary names a hospital or a field that does not exist.
    """
    known = {plan.id for plan in PLANS}
    if any(canary.site not in known for canary in canaries):
        raise Invalid(f"a canary names a hospital that is not simulated, expected one of {', '.join(sorted(known))}")
    study = parse(STUDY, name="study.yaml")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "study.yaml"
    path.write_text(STUDY, encoding="utf-8")
    hospitals: dict[str, Path] = {}
    streams = np.random.SeedSequence(seed).spawn(len(PLANS))
    for plan, stream in zip(PLANS, streams, strict=True):
        hospitals[plan.id] = home = folder / plan.id
        home.mkdir(parents=True, exist_ok=True)
        table = _source_table(plan, rng=np.random.default_rng(stream))
        _write(_planted(table, plan, canaries), home / plan.file)
        _yaml(home / "mapping.yaml", _mapping(plan, units={f.name: f.unit for f in study.features}))
        hospital = {"id": plan.id, "note": plan.note}
        _yaml(home / "hospital.yaml", hospital | ({"generator": plan.generator} if plan.generator else {}))
    return Simulated(
        study=path,
        hospitals=hospitals,
        coefficients=dict(COEFFICIENTS),
        intercepts={plan.id: plan.intercept for plan in PLANS},
        inverted=tuple(plan.id for plan in PLANS if plan.inverted),
        memorising=tuple(plan.id for plan in PLANS if plan.generator),
    )


def _source_table(plan: Plan, *, rng: np.random.Generator) -> pl.DataFrame:
    """The hospital's table, all text, in its own names, units and codes."""
    truth = admissions(
        plan.persons,
        intercept=plan.intercept,
        older=plan.older,
        sicker=plan.sicker,
        missing=plan.missing,
        rng=rng,
    )
    columns = {"patient": [f"{plan.id[:2].upper()}{100_000 + number}" for number in rng.permutation(plan.persons)]}
    for name, values in truth.numbers.items():
        _, factor, offset, decimals = plan.units.get(name, ("", 1.0, 0.0, truth.decimals[name]))
        texts = [f"{value * factor + offset:.{decimals}f}" for value in values]
        columns[_column(plan, name)] = _with_missing(texts, truth.absent.get(name), plan)
    for name, codes in truth.codes.items():
        columns[_column(plan, name)] = _with_missing([_code(plan, name, code) for code in codes], None, plan)
    columns[_column(plan, "died_30d")] = [plan.dead if died else plan.alive for died in truth.died]
    for name, (text, share) in plan.slips.items():
        slipped = rng.random(plan.persons) < share
        column = _column(plan, name)
        columns[column] = [text if slip else there for there, slip in zip(columns[column], slipped, strict=True)]
    return pl.DataFrame(columns)


def _column(plan: Plan, name: str) -> str:
    return plan.columns.get(name, name)


def _code(plan: Plan, name: str, code: str) -> str:
    if name == "sex":
        return plan.sexes[0] if code == "female" else plan.sexes[1]
    return {"true": plan.yes_no[0], "false": plan.yes_no[1]}.get(code, code)


def _with_missing(texts: list[str], absent: NDArray[np.bool_] | None, plan: Plan) -> list[str]:
    if absent is None:
        return texts
    return [plan.missing_code if gone else text for text, gone in zip(texts, absent, strict=True)]


def _planted(table: pl.DataFrame, plan: Plan, canaries: Sequence[Canary]) -> pl.DataFrame:
    """Plant marked patients in the middle of the table; what they do not say is taken from its first row."""
    for number, canary in enumerate(one for one in canaries if one.site == plan.id):
        row = dict(table.row(0, named=True))
        for name, text in ({"patient": canary.person} | canary.values).items():
            column = _column(plan, name)
            if column not in row:
                raise Invalid(f"a canary names the field '{name}', which the simulated study does not have")
            row[column] = text
        at = min(table.height, table.height // 2 + number)
        table = pl.concat([table[:at], pl.DataFrame([row], schema=table.schema), table[at:]])
    return table


def _write(table: pl.DataFrame, path: Path) -> None:
    if path.suffix == ".parquet":
        numbers = [name for name in table.columns if table[name].cast(pl.Float64, strict=False).null_count() == 0]
        table.with_columns(pl.col(name).cast(pl.Float64) for name in numbers).write_parquet(path)
        return
    text = io.BytesIO()
    table.write_csv(text)
    if path.suffix == ".gz":
        with path.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as stream:
            stream.write(text.getvalue())
    else:
        path.write_bytes(text.getvalue())


def _mapping(plan: Plan, *, units: dict[str, str | None]) -> dict[str, object]:
    yes, no = plan.yes_no
    fields: dict[str, dict[str, object]] = {}
    for name, unit in units.items():
        fields[name] = {"column": _column(plan, name)}
        if unit is not None:
            fields[name]["unit"] = plan.units[name][0] if name in plan.units else unit
    fields["sex"] |= {"recode": {plan.sexes[0]: "female", plan.sexes[1]: "male"}}
    for name in ("care_home", "active_cancer"):
        fields[name] |= {"recode": {yes: "true", no: "false"}}
    died, survived = (plan.alive, plan.dead) if plan.inverted else (plan.dead, plan.alive)
    return {
        "schema": "wardgate/mapping/1",
        "files": [plan.file],
        "person": {"column": "patient"},
        "missing": [plan.missing_code] if plan.missing_code else [],
        "fields": fields,
        "labels": {"died_30d": {"column": _column(plan, "died_30d"), "positive": [died], "negative": [survived]}},
    }


def _yaml(path: Path, value: object) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False, width=120), encoding="utf-8")
