"""Four small hospitals with made-up patients, and one finished run over them. Nothing in it stands for anybody."""

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from loose_gate import GATE
from wardgate.entropy import Entropy, SystemEntropy
from wardgate.federation.local import Finished, Settings, find_hospitals, run_study
from wardgate.hub.commons.directory import write_run
from wardgate.hub.telling import results_of
from wardgate.papers.report import render
from wardgate.records.envelope import Signer
from wardgate.records.results import Results
from wardgate.records.study_file import parse

SITES = {"northgate": 900, "eastgate": 320, "southgate": 300, "westgate": 280}

STUDY = """\
schema: wardgate/study/1
id: small
version: 1
title: A small study of made-up patients
question: Does the marker say who deteriorates?
cohort: {entry: admitted}
index_date: admission
label: {name: worse, meaning: deterioration within a week, window_days: [0, 7]}
features:
  - {name: age, type: integer, unit: a, range: [18, 100], quasi_identifier: true}
  - {name: marker, type: number, unit: mg/L, range: [0, 200]}
  - {name: sex, type: category, values: [female, male], quasi_identifier: true}
  - {name: frail, type: boolean}
subgroups: [{feature: sex}]
acceptance: {auroc_min: 0.55, worst_site_auroc_min: 0.3, oe: [0.2, 5], slope: [0.1, 5], subgroup_gap_max: 0.5}
GATE
budget: {delta: 1e-6}
sites: [northgate, eastgate, southgate, westgate]
sources: made up by the tests
""".replace("GATE\n", GATE)

MAPPING = """\
schema: wardgate/mapping/1
files: [patients.csv]
person: {column: person}
fields:
  age: {column: age, unit: a}
  marker: {column: marker, unit: mg/L}
  sex: {column: sex, recode: {f: female, m: male}}
  frail: {column: frail, recode: {"1": "true", "0": "false"}}
labels:
  worse: {column: worse, positive: ["1"], negative: ["0"]}
"""


class Overheard(SystemEntropy):
    """The operating system's generator, listened to: the first 32 bytes drawn are the seed of a party's key."""

    def __init__(self) -> None:
        self.first = b""

    def bytes(self, count: int) -> bytes:
        drawn = super().bytes(count)
        self.first = self.first or drawn
        return drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenKeys(Settings):
    """Settings of a run whose keys the tests hold afterwards, so that they can play an evil hub or site."""

    heard: dict[str, Overheard] = field(default_factory=dict)

    def entropy(self, whose: str) -> Entropy:
        return self.heard.setdefault(whose, Overheard())


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallRun:
    """A finished run in memory, with all that `write_run` asks for, and everybody's keys."""

    finished: Finished
    signers: dict[str, Signer]
    results: Results
    report_html: str
    study_text: str

    def write(self, out: Path, *, replace: bool = False, study_text: str | None = None) -> Path:
        """Write the run into `out` and return it."""
        write_run(
            out,
            exchange=self.finished.exchange,
            run=self.finished.run,
            results=self.results,
            report_html=self.report_html,
            study_text=self.study_text if study_text is None else study_text,
            replace=replace,
            issued_on="2026-01-02",
        )
        return out


def small_run(factory: pytest.TempPathFactory) -> SmallRun:
    """Return the run of this test session: four hospitals, the operating system's noise. Made once."""
    if _MADE:
        return _MADE[0]
    settings = OpenKeys(seed=3, issued_on="2026-01-02")
    made = _made(factory.mktemp("small"), settings)
    signers = {name: Signer(heard.first) for name, heard in settings.heard.items()}
    _MADE.append(SmallRun(**made, signers=signers))
    return _MADE[0]


_MADE: list[SmallRun] = []


def run_with_test_noise(folder: Path) -> SmallRun:
    """Return the same run with a repeatable stream instead of noise."""
    return SmallRun(**_made(folder, Settings(seed=3, issued_on="2026-01-02", unsafe_entropy_seed="museum")), signers={})


def run_with_noisy_answers(folder: Path) -> SmallRun:
    """Return a run whose fit and evaluation carry noise, with the centralised comparator beside them."""
    settings = Settings(seed=3, issued_on="2026-01-02", reference=True)
    study = STUDY.replace("budget: {delta: 1e-6}", "budget: {delta: 1e-6, fit: 0.8, evaluation: 0.8}")
    return SmallRun(**_made(folder, settings, study), signers={})


def _made(folder: Path, settings: Settings, text: str = STUDY) -> dict[str, Any]:
    hospitals, work = folder / "hospitals", folder / "private"
    hospitals.mkdir(parents=True)
    work.mkdir()
    for index, (site, persons) in enumerate(SITES.items()):
        _hospital(hospitals / site, persons, np.random.default_rng([7, index]))
    study = parse(text, name="study.yaml")
    finished = run_study(study=study, hospitals=find_hospitals(hospitals, study), settings=settings, work=work)
    results = results_of(finished.run, finished.exchange, simulated=True, isolated=False)
    return {"finished": finished, "results": results, "report_html": render(results), "study_text": text}


def _hospital(home: Path, persons: int, rng: np.random.Generator) -> None:
    home.mkdir()
    age = rng.integers(20, 95, persons)
    marker = np.round(np.clip(rng.gamma(2.0, 25.0, persons), 0, 200), 1)
    sex = rng.choice(["f", "m"], persons)
    frail = (rng.random(persons) < 0.3).astype(int)
    logit = -1.5 + 0.03 * (age - 60) + 0.02 * (marker - 50) + 0.6 * frail
    worse = (rng.random(persons) < 1 / (1 + np.exp(-logit))).astype(int)
    rows = ["person,age,marker,sex,frail,worse"]
    rows += [f"{home.name}-{i},{age[i]},{marker[i]},{sex[i]},{frail[i]},{worse[i]}" for i in range(persons)]
    (home / "patients.csv").write_text("\n".join(rows) + "\n")
    (home / "mapping.yaml").write_text(MAPPING)
    (home / "hospital.yaml").write_text(f"id: {home.name}\nnote: made up by the tests\n")
