"""A gate of one hospital, and persons for its computations. Everything is made up."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardgate.entropy import Entropy, SystemEntropy
from wardgate.hospital.ward.gate.candidate import Summed
from wardgate.hospital.ward.gate.door import Door
from wardgate.hospital.ward.gate.ledger import PrivateLedger
from wardgate.records.envelope import Signer
from wardgate.records.log import MerkleLog
from wardgate.records.messages import Answer, Question, SumTerms, open_answer
from wardgate.records.parcel import Parcel
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.sums.shape import Bounded, counts_shape

STUDY = """\
schema: wardgate/study/1
id: gate
version: 1
title: A study to try the gate on
question: What may leave?
cohort: {entry: admitted}
index_date: admission
label: {name: worse, meaning: worse within a week, window_days: [0, 7]}
features:
  - {name: age, type: integer, unit: a, range: [18, 100]}
  - {name: marker, type: number, unit: mg/L, range: [0, 200]}
  - {name: sex, type: category, values: [female, male]}
  - {name: frail, type: boolean}
subgroups: [{feature: sex}, {feature: age, cuts: [65]}]
acceptance: {auroc_min: 0.5, worst_site_auroc_min: 0.3}
sites: [s0, s1, s2, s3, s4, s5, s6, s7, s8]
"""


def persons(n: int, seed: int = 1) -> pl.DataFrame:
    """A table in the study's form, with missing values."""
    rng = np.random.default_rng(seed)
    marker = rng.uniform(-20, 220, n)
    table = pl.DataFrame(
        {
            "age": rng.integers(10, 110, n).astype(float),
            "marker": marker,
            "sex": rng.choice(["female", "male"], n),
            "frail": rng.integers(0, 2, n).astype(float),
            "label": (rng.random(n) < 0.3).astype(np.int8),
        }
    )
    gaps = {name: pl.Series(rng.random(n) < 0.1) for name in ("marker", "frail")}
    return table.with_columns(pl.when(gap).then(None).otherwise(pl.col(name)).alias(name) for name, gap in gaps.items())


@pytest.fixture(scope="session")
def make_persons() -> Callable[..., pl.DataFrame]:
    """Makes tables of persons."""
    return persons


@pytest.fixture(scope="session")
def study() -> Study:
    """The locked study."""
    return parse(STUDY, name="study.yaml")


@dataclass(slots=True, kw_only=True)
class Desk:
    """One gate, asked by hand."""

    study: Study
    door: Door
    signer: Signer
    number: int = 0
    secrets: dict[str, bytes] = field(default_factory=lambda: {f"s{place}": bytes([place]) * 32 for place in range(9)})

    def question(self, **fields: Any) -> tuple[Question, str]:
        """A new question and its digest."""
        self.number += 1
        plain: dict[str, Any] = {"study_sha256": "ab" * 32, "number": self.number, "computation": "newton"}
        return Question.model_validate(plain | fields), f"{self.number:064x}"

    def terms(self, sites: str, **fields: Any) -> SumTerms:
        """Terms of a sum over the sites whose numbers are given, e.g. `012`."""
        plain: dict[str, Any] = {
            "roster": tuple(f"s{place}" for place in sites),
            "entries": 4,
            "persons": 10_000,
            "coin": "cd" * 32,
        }
        return SumTerms.model_validate(plain | fields)

    def ask(self, candidate: Any, **fields: Any) -> tuple[Answer, Parcel]:
        """Show a candidate to the gate and open what comes out."""
        question, digest = self.question(**fields)
        parcel = self.door.release(candidate, question=question, question_sha256=digest)
        return open_answer(parcel.envelope, site_key=self.signer.public_key), parcel

    def addend(self, **fields: Any) -> Summed:
        """An addend of four counts over 100 persons."""
        vector = fields.pop("vector", np.array([60.0, 40.0, 30.0, 70.0]))
        plain: dict[str, Any] = {
            "split": "train",
            "bounded": Bounded(vector=vector, shape=counts_shape(entries=len(vector), l2=1.5), persons=100),
            "pair_secrets": {site: secret for site, secret in self.secrets.items() if site != "s0"},
            "persons_of": dict.fromkeys(self.secrets, 200),
            "share": 0.5,
            "persons_at_least": 900,
        }
        return Summed(**(plain | fields))

    def sum_over(self, sites: str, candidate: Summed | None = None, **terms: Any) -> Answer:
        """Ask for a sum and return the answer."""
        split = "train" if candidate is None else candidate.split
        answer, _ = self.ask(candidate or self.addend(), sum=self.terms(sites, **terms), split=split)
        return answer


@pytest.fixture
def make_desk(study: Study) -> Callable[..., Desk]:
    """Makes gates: `gate` and `budget` replace fields of the study's policy and budget."""

    def make(
        *,
        gate: dict[str, Any] | None = None,
        budget: dict[str, Any] | None = None,
        entropy: Entropy | None = None,
        ledger: PrivateLedger | None = None,
    ) -> Desk:
        plain = study.plain()
        plain["gate"] |= gate or {}
        plain["budget"] |= budget or {}
        changed = Study.from_plain(plain)
        signer = Signer(bytes(32))
        door = Door(
            site="s0",
            study=changed,
            study_sha256="ab" * 32,
            signer=signer,
            ledger=ledger or PrivateLedger(budget=changed.budget, exact_ration=changed.gate.dp.exact_sum_ration),
            log=MerkleLog(origin="s0"),
            entropy=entropy or SystemEntropy(),
            issued_on="2026-01-02",
        )
        return Desk(study=changed, door=door, signer=signer)

    return make


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    """A gate under the study's own policy."""
    return make_desk()
