"""The realism of a candidate: patients pass, unrealism is caught by the rule made for it, what is absent is said."""

from typing import get_args

import gate_corpora
import numpy as np
import polars as pl
import pytest
import realism_corpora as corpora

from wardgate.hospital.ward.gate.battery import realism
from wardgate.hospital.ward.gate.battery.realism import MODELS, NAMES, OUTCOMES
from wardgate.hospital.ward.gate.battery.tables import Tables, checked
from wardgate.policy.realism import RULES
from wardgate.records.dictionary import Dictionary
from wardgate.records.feature import Feature, Subgroup
from wardgate.records.gate_policy import GatePolicy, Realism
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

PLAN = corpora.dictionary()
Parts = dict[str, Measured | Absent]


def tables(plan: Dictionary, train: pl.DataFrame, holdout: pl.DataFrame, candidate: pl.DataFrame) -> Tables:
    return checked(
        train=train,
        tuning=train[:5],
        holdout=holdout,
        candidate=candidate,
        dictionary=plan,
        policy=GatePolicy(),
        attempt=1,
        rng=np.random.default_rng(0),
    )


def parts(plan: Dictionary, *given: pl.DataFrame) -> Parts:
    found = list(realism.measures(tables(plan, *given)))
    assert sorted(part.name for part in found) == sorted(NAMES)
    return {part.name: part for part in found}


def reason(part: Measured | Absent) -> str:
    assert isinstance(part, Absent)
    return part.reason


@pytest.fixture(scope="module")
def three() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    rng = np.random.default_rng(1)
    return corpora.persons(1000, rng), corpora.persons(360, rng), corpora.persons(1000, rng)


def test_every_rule_has_its_measure() -> None:
    assert sorted(rule.name for rule in RULES) == sorted(NAMES)


@pytest.mark.parametrize("seed", range(2))
def test_other_patients_of_the_same_hospital_pass_every_rule(seed: int) -> None:
    assert corpora.refusing(corpora.found(corpora.persons, seed, train=1000, holdout=360, plan=PLAN)) == set()


@pytest.mark.parametrize(("corpus", "expected"), corpora.PLANTED.values(), ids=corpora.PLANTED)
def test_unrealism_is_caught_by_the_rule_made_for_it(corpus: corpora.Corpus, expected: set[str]) -> None:
    found = corpora.found(corpus, 0, train=1500, holdout=500, plan=PLAN)
    assert corpora.refusing(found) >= expected


def test_without_the_rule_what_it_is_made_for_passes() -> None:
    """The broken twin: each rule switched off, as in a policy from before it existed."""
    found = corpora.found(corpora.collapsed, 0, train=1500, holdout=500, plan=PLAN)
    assert corpora.refusing(found) == {"realism.rare_outcome_ratio"}
    earlier = GatePolicy(realism=Realism().model_copy(update={"rare_outcome_ratio": None}))
    assert corpora.refusing(found, policy=earlier) == set()
    turned = corpora.found(corpora.turned, 0, train=1500, holdout=500, plan=PLAN)
    assert "realism.relations" in corpora.refusing(turned)
    silent = PLAN.model_copy(update={"relations": ()})
    assert "realism.relations" not in corpora.refusing(
        corpora.found(corpora.turned, 0, train=1500, holdout=500, plan=silent)
    )


def test_an_earlier_policy_sets_no_later_limit() -> None:
    later = [name for name, field in Realism.model_fields.items() if type(None) in get_args(field.annotation)]
    assert len(later) == 8
    earlier = GatePolicy(realism=Realism().model_copy(update=dict.fromkeys(later)))
    nothing = [Absent(name=name, reason="not looked at") for name in NAMES]
    assert len(corpora.refusing(nothing)) == 13
    assert len(corpora.refusing(nothing, policy=earlier)) == 4


def test_a_further_attempt_needs_a_wider_interval() -> None:
    found = corpora.found(corpora.persons, 3, train=1000, holdout=360, plan=PLAN)
    assert {"realism.slope", "realism.rare_outcome_ratio", "realism.joint_error"} <= corpora.refusing(found, attempt=2)
    again = corpora.found(corpora.persons, 3, train=1000, holdout=360, plan=PLAN, attempt=2)
    assert corpora.refusing(again, attempt=2) == set()


def test_a_table_without_an_outcome_says_that_no_model_was_compared(
    three: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    kept = tuple(relation for relation in PLAN.relations if "label" not in relation.between)
    plan = PLAN.model_copy(update={"label": None, "joint": (), "relations": kept})
    found = parts(plan, *(table.drop("label") for table in three))
    assert {part.name for part in found.values() if isinstance(part, Absent)} == set(MODELS)
    assert all("no outcome" in reason(found[name]) for name in MODELS)
    assert not corpora.refusing(list(found.values())) & {OUTCOMES, *MODELS}
    lying = [part for name, part in found.items() if name != OUTCOMES]
    assert corpora.refusing(lying) >= {OUTCOMES, *MODELS}


def test_one_outcome_only_is_said(three: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]) -> None:
    train, holdout, _ = three
    nobody = [table.with_columns(label=pl.lit(0, dtype=pl.Int8)) for table in three]
    found = parts(PLAN, *nobody)
    assert all("one outcome only" in reason(found[name]) for name in MODELS)
    spared = parts(PLAN, train, holdout, nobody[2])
    assert {"realism.tstr_loss", "realism.slope", "realism.rare_outcome_ratio"} <= corpora.refusing(
        list(spared.values())
    )


def test_too_few_persons_leave_the_clinical_rules_alone(
    three: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    train, holdout, candidate = three
    found = parts(PLAN, train, holdout[:40], candidate)
    assert {part.name for part in found.values() if isinstance(part, Measured)} == {"realism.clinical_rules", OUTCOMES}
    small = parts(PLAN, train, holdout[:60], candidate[:20])
    assert "fewer than 50 synthetic rows" in reason(small["realism.detection"])


def test_groups_too_small_to_be_compared_are_said(three: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]) -> None:
    plan = PLAN.model_copy(update={"subgroups": (Subgroup(feature="rare_disease"),)})
    note = parts(plan, *three)["realism.subgroup_error"]
    assert isinstance(note, Measured)
    assert "1 of 2 subgroups" in note.note


def test_odd_columns_are_compared_like_others() -> None:
    """Constant, all missing, a thousand categories, and a column that only the corpus has values in."""
    rng = np.random.default_rng(2)
    plan = Dictionary(
        features=(
            Feature(name="constant", type="number", unit="1", range=(0, 2)),
            Feature(name="missing", type="number", unit="1", range=(0, 2)),
            Feature(name="filled", type="boolean"),
            Feature(name="code", type="category", values=tuple(f"c{place}" for place in range(1000))),
        ),
        label="label",
        subgroups=(Subgroup(feature="constant", cuts=(1.5,)),),
    )

    def table(count: int, *, filled: bool) -> pl.DataFrame:
        code = rng.integers(1000, size=count)
        return pl.DataFrame(
            {
                "constant": np.ones(count),
                "missing": pl.Series([None] * count, dtype=pl.Float64),
                "filled": pl.Series([1.0 if filled else None] * count, dtype=pl.Float64),
                "code": [f"c{place}" for place in code],
                "label": (rng.random(count) < 0.2 + 0.5 * (code < 10)).astype(np.int8),
            }
        )

    real = (table(2000, filled=False), table(800, filled=False))
    same = parts(plan, *real, table(2000, filled=False))
    wrong = parts(plan, *real, table(2000, filled=True))
    for name in ("realism.missingness_error", "realism.joint_error"):
        good, bad = same[name], wrong[name]
        assert isinstance(good, Measured)
        assert isinstance(bad, Measured)
        assert good.high < 0.15 < bad.low or name == "realism.joint_error"
    assert "rarer categories" in str(same["realism.pairwise_error"])
    assert "rarer categories" in str(same["realism.tstr_loss"])


def test_many_rows_are_sampled_and_it_is_said(
    three: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(realism, "MOST_ROWS", 500)
    found = parts(PLAN, *three)
    for name, part in found.items():
        assert isinstance(part, Measured)
        assert ("500 of the synthetic rows" in part.note) == (name not in ("realism.clinical_rules", OUTCOMES))
    rows = found["realism.joint_error"]
    assert isinstance(rows, Measured)
    assert rows.n == (500, 350)


def test_the_same_seed_gives_the_same_measures(three: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]) -> None:
    assert parts(PLAN, *three) == parts(PLAN, *three)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fresh", "copula"])
def test_safe_generators_pass_every_new_rule(name: str) -> None:
    """Thirty corpora of 2,750 persons; at a true share of 0.98, four refusals of one rule have a chance of 3 in 1,000
    for one rule, and the seeds are fixed."""
    plan = gate_corpora.study().dictionary
    refused: dict[str, int] = {}
    for seed in range(30):
        rng = np.random.default_rng(700 + seed)
        site = gate_corpora.hospital(rng, train=2750, tuning=10, holdout=1000)
        candidate = gate_corpora.SAFE[name](site.train, rng)
        found = list(realism.measures(tables(plan, site.train, site.holdout, candidate)))
        for rule in corpora.refusing(found) - {"realism.tstr_loss"}:
            refused[rule] = refused.get(rule, 0) + 1
    assert max(refused.values(), default=0) < 4
