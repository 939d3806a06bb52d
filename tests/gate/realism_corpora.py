"""Unrealism planted in fresh patients, each kind with the rule that is made for it."""

from collections.abc import Callable

import gate_corpora as corpora
import numpy as np
import polars as pl

from wardgate.hospital.ward.gate.battery import realism
from wardgate.hospital.ward.gate.battery.tables import checked
from wardgate.policy import decide
from wardgate.policy.realism import RULES
from wardgate.records.claim import Claim
from wardgate.records.dictionary import Dictionary
from wardgate.records.feature import Feature, Relation, Subgroup
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence

Corpus = Callable[[int, np.random.Generator], pl.DataFrame]

NUMBERS = ("age", "sbp", "dbp", "heart_rate", "creatinine", "sodium", "lactate", "haemoglobin", "height")
LABS = ("haemoglobin", "height", "creatinine", "sodium", "lactate")


def dictionary() -> Dictionary:
    """The simulated study, with two columns that depend on sex, a rare disease, and what is known of them all."""
    plan = corpora.study().dictionary
    more = (
        Feature(name="haemoglobin", type="number", unit="g/dL", range=(2, 25)),
        Feature(name="height", type="number", unit="cm", range=(100, 230)),
        Feature(name="rare_disease", type="boolean"),
    )
    return plan.model_copy(
        update={
            "features": (*plan.features, *more),
            "subgroups": (Subgroup(feature="sex"), Subgroup(feature="age", cuts=(65, 80))),
            "relations": (
                Relation(name="pressures", between=("sbp", "dbp"), sign="+"),
                Relation(name="shock", between=("sbp", "heart_rate"), sign="-"),
                Relation(name="lactate-kills", between=("label", "lactate"), kind="difference", sign="+"),
                Relation(name="anaemia", between=("sex", "haemoglobin"), kind="difference", sign="+", size=(1, 3)),
            ),
            "joint": (
                ("sbp", "dbp", "heart_rate"),
                ("sex", "haemoglobin", "height"),
                ("lactate", "creatinine", "label"),
            ),
        }
    )


def persons(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Draw patients; lactate is measured more often in those who will die."""
    base = corpora.persons(count, rng)
    sex, label = base["sex"].to_numpy(), base["label"].to_numpy()
    lactate = base["lactate"].to_numpy().copy()
    lactate[(label == 0) & (rng.random(count) < 0.3)] = np.nan
    return base.with_columns(
        haemoglobin=np.round(12.8 + 1.8 * sex + 1.1 * rng.normal(size=count), 1),
        height=np.clip(np.round(163 + 13 * sex + 7 * rng.normal(size=count)), 120, 210),
        rare_disease=(rng.random(count) < 0.03).astype(float),
        lactate=pl.Series(lactate).fill_nan(None),
    )


def imputed(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """What is missing is filled in."""
    table = persons(count, rng)
    return table.with_columns(
        pl.col(name).fill_null(table[name].median() if table[name].dtype.is_numeric() else table[name].mode()[0])
        for name in table.columns
        if table[name].null_count()
    )


def uncorrelated(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Every column by itself."""
    table = persons(count, rng)
    return pl.DataFrame([table[name][rng.permutation(count)] for name in table.columns])


def relabelled(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """The outcome of somebody else."""
    table = persons(count, rng)
    return table.with_columns(table["label"][rng.permutation(count)])


def swapped(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Women with the laboratory values and the height of men; men as they are."""
    table, others = persons(count, rng), persons(4 * count, rng).filter(pl.col("sex") == 1)[:count]
    women = table["sex"] == 0
    return table.with_columns(pl.when(women).then(others[name]).otherwise(pl.col(name)).alias(name) for name in LABS)


def collapsed(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """Nobody has the rare disease."""
    return persons(2 * count, rng).filter(pl.col("rare_disease") == 0)[:count]


def eventless(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """One in five of those who die survives instead, and then four of five."""
    table = persons(count, rng)
    saved = pl.Series(rng.random(count) < 0.8)
    return table.with_columns(label=pl.when(saved).then(0).otherwise(pl.col("label")).cast(pl.Int8))


def turned(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """The higher the pressure, the faster the heart."""
    table = persons(count, rng)
    rate = table["heart_rate"]
    ordered = rate.sort()
    mirrored = ordered[(count - 1 - rate.rank("ordinal").cast(pl.Int64) + 1).to_numpy()]
    return table.with_columns(mirrored.alias("heart_rate"))


def mixed_units(count: int, rng: np.random.Generator) -> pl.DataFrame:
    """One row in ten has its numbers in a tenth of the unit."""
    table = persons(count, rng)
    wrong = pl.Series(rng.random(count) < 0.1)
    return table.with_columns(
        pl.when(wrong).then(pl.col(name) * 10).otherwise(pl.col(name)).alias(name) for name in NUMBERS
    )


PLANTED: dict[str, tuple[Corpus, set[str]]] = {
    "missing values filled in": (imputed, {"realism.missingness_error"}),
    "columns made independent": (uncorrelated, {"realism.joint_error", "realism.relations", "realism.tstr_loss"}),
    "the outcome shuffled": (relabelled, {"realism.tstr_loss"}),
    "one subgroup's values swapped with another's": (swapped, {"realism.subgroup_error", "realism.joint_error"}),
    "a rare disease dropped": (collapsed, {"realism.rare_outcome_ratio"}),
    "four of five events dropped": (eventless, {"realism.rare_outcome_ratio"}),
    "a relation turned round": (turned, {"realism.relations"}),
    "units mixed in one row of ten": (mixed_units, {"realism.clinical_rules"}),
}


def found(
    corpus: Corpus, seed: int, *, train: int, holdout: int, plan: Dictionary, attempt: int = 1
) -> list[Measured | Absent]:
    """Return every measure of realism of one corpus."""
    rng = np.random.default_rng(seed)
    tables = checked(
        train=persons(train, rng),
        tuning=persons(10, rng),
        holdout=persons(holdout, rng),
        candidate=corpus(train, rng),
        dictionary=plan,
        policy=GatePolicy(),
        attempt=attempt,
        rng=rng,
    )
    return list(realism.measures(tables))


def refusing(parts: list[Measured | Absent], *, policy: GatePolicy | None = None, attempt: int = 1) -> set[str]:
    """Return the rules of realism that a corpus does not pass."""
    evidence = Evidence(
        kind="corpus",
        persons_train="2000-4999",
        attempt=attempt,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=tuple(part for part in parts if isinstance(part, Measured)),
        absent=tuple(part for part in parts if isinstance(part, Absent)),
    )
    verdict = decide(evidence, policy or GatePolicy(), rules=RULES)
    return {ruling.rule for ruling in verdict.rulings if ruling.outcome != "pass"}
