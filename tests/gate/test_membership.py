"""The membership part of the battery: refits where they are cheap, three tables alone, and holdouts that are none."""

from collections.abc import Callable

import gate_corpora as corpora
import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.gate.battery import membership, sample
from wardgate.hospital.ward.gate.battery.tables import Tables, checked
from wardgate.measures.attacks.membership import unusual
from wardgate.measures.attacks.shadows import Refit
from wardgate.policy import decide
from wardgate.policy.membership import RULES
from wardgate.records.claim import Claim
from wardgate.records.errors import Refused
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence, Verdict

STUDY = corpora.study()


def tables(
    site: corpora.Hospital, candidate: pl.DataFrame, *, policy: GatePolicy = STUDY.gate, seed: int = 0
) -> Tables:
    return checked(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=candidate,
        dictionary=STUDY.dictionary,
        policy=policy,
        attempt=1,
        rng=np.random.default_rng(seed),
    )


def found(given: Tables, refit: Refit | None = None) -> dict[str, Measured | Absent]:
    drawn = sample.draw(given)
    assert drawn is not None
    parts = list(membership.measures(given, drawn, refit))
    assert len({part.name for part in parts}) == len(parts)
    assert {part.name for part in parts} <= set(membership.NAMES)
    return {part.name: part for part in parts}


def verdict(parts: dict[str, Measured | Absent], policy: GatePolicy = STUDY.gate) -> Verdict:
    evidence = Evidence(
        kind="corpus",
        persons_train="2000-4999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=tuple(part for part in parts.values() if isinstance(part, Measured)),
        absent=tuple(part for part in parts.values() if isinstance(part, Absent)),
    )
    return decide(evidence, policy, rules=RULES)


def outcomes(given: Verdict) -> dict[str, str]:
    return {ruling.rule: ruling.outcome for ruling in given.rulings}


@pytest.fixture(scope="module")
def site() -> corpora.Hospital:
    return corpora.hospital(np.random.default_rng(1), train=2400, tuning=200, holdout=1000)


@pytest.fixture(scope="module")
def quick() -> GatePolicy:
    limits = STUDY.gate.membership.model_copy(update={"permutations": 299, "rehearsals": 10})
    return STUDY.gate.model_copy(update={"membership": limits})


def blurred(noise: float) -> Callable[[pl.DataFrame, np.random.Generator], pl.DataFrame]:
    """A generator that keeps its most unusual tenth, blurred, and draws the others afresh."""
    return corpora.outliers_copied(0.1, noise=noise)


def test_refits_are_told_of_and_cost_nothing_where_there_are_none(site: corpora.Hospital, quick: GatePolicy) -> None:
    candidate = corpora.fresh(site.train, np.random.default_rng(2))
    given = []

    def refit(persons: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        given.append(persons)
        return corpora.fresh(persons, rng)

    with_refits = found(tables(site, candidate, policy=quick), refit)
    assert len(given) == 4
    assert all(abs(persons.height - site.train.height) <= 1 for persons in given)
    assert "4 refits" in with_refits["membership.battery"].note  # type: ignore[union-attr]
    assert outcomes(verdict(with_refits))["membership.battery"] == "pass"
    without = found(tables(site, candidate, policy=quick))
    assert "No shadow attack" in without["membership.battery"].note  # type: ignore[union-attr]
    limits = quick.membership.model_copy(update={"shadows": 0})
    none = found(tables(site, candidate, policy=quick.model_copy(update={"membership": limits})), refit)
    assert len(given) == 4
    assert "No shadow attack" in none["membership.battery"].note  # type: ignore[union-attr]


def test_a_generator_that_will_not_refit_leaves_the_other_attacks(site: corpora.Hospital, quick: GatePolicy) -> None:
    def unwilling(persons: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        raise Refused("the budget is spent")

    for refit in (unwilling, lambda persons, rng: persons[:0]):
        parts = found(tables(site, site.train, policy=quick), refit)
        assert "No shadow attack" in parts["membership.battery"].note  # type: ignore[union-attr]
        assert outcomes(verdict(parts))["membership.battery"] == "fail"


def test_a_shadow_attack_sees_blurred_outliers_better_than_the_corpus_alone(site: corpora.Hospital) -> None:
    """With 10 % of rows made of outliers with much noise: the refits' score against the nearest record's."""
    generator = blurred(0.6)
    given = tables(site, generator(site.train, np.random.default_rng(3)))
    drawn = sample.draw(given)
    assert drawn is not None
    targets = vulnerable(drawn)
    member = drawn.member[targets]
    refitted = membership._shadow(given, drawn, targets, generator, 8)
    assert refitted is not None
    score = refitted[targets]
    alone = membership._closeness(given, drawn, given.candidate, targets)
    assert _auc(score, member) > _auc(alone, member) + 0.03
    assert _auc(score, member) > 0.65
    safe = tables(site, corpora.fresh(site.train, np.random.default_rng(4)))
    drawn = sample.draw(safe)
    assert drawn is not None
    targets = vulnerable(drawn)
    refitted = membership._shadow(safe, drawn, targets, corpora.fresh, 4)
    assert refitted is not None
    assert abs(_auc(refitted[targets], drawn.member[targets]) - 0.5) < 0.2


def vulnerable(drawn: sample.Sample) -> np.ndarray:
    return unusual(next(iter(drawn.spaces.values())).pool_to_reference.distance)


def _auc(score: np.ndarray, member: np.ndarray) -> float:
    inside, outside = score[member], score[~member]
    return float(np.mean((inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)))


def test_three_tables_alone_can_be_judged(quick: GatePolicy) -> None:
    """No tuning table and no more training than holdout persons: a fifth of both sides is the reference."""
    rng = np.random.default_rng(5)
    three = corpora.hospital(rng, train=1300, tuning=0, holdout=1300)
    safe = found(tables(three, corpora.fresh(three.train, rng), policy=quick))
    assert not [part for part in safe.values() if isinstance(part, Absent) and "0_1" not in part.name]
    assert "A fifth of the training and of the holdout" in safe["membership.battery"].note  # type: ignore[union-attr]
    assert outcomes(verdict(safe))["membership.battery"] == "pass"
    leaking = found(tables(three, corpora.jittered(0.3)(three.train, rng), policy=quick))
    assert outcomes(verdict(leaking))["membership.battery"] == "fail"


def test_a_holdout_with_training_persons_in_it_is_no_control(site: corpora.Hospital, quick: GatePolicy) -> None:
    mixed = corpora.Hospital(
        train=site.train, tuning=site.tuning, holdout=pl.concat((site.holdout[:950], site.train[:50]))
    )
    parts = found(tables(mixed, corpora.fresh(site.train, np.random.default_rng(6)), policy=quick))
    assert outcomes(verdict(parts))["control.overlap"] == "not_evaluable"
    assert "control.overlap" in parts["membership.battery"].note  # type: ignore[union-attr]
    old = quick.model_copy(update={"membership": quick.membership.model_copy(update={"shadows": None})})
    assert "control.overlap" not in outcomes(verdict(parts, old))


def test_a_holdout_of_another_year_is_no_control(site: corpora.Hospital, quick: GatePolicy) -> None:
    later = site.holdout.with_columns(pl.col("sodium") + 2.0)
    other = corpora.Hospital(train=site.train, tuning=site.tuning, holdout=later)
    parts = found(tables(other, corpora.fresh(site.train, np.random.default_rng(7)), policy=quick))
    assert outcomes(verdict(parts))["control.period"] == "not_evaluable"
    assert "no control" in parts["membership.battery"].note  # type: ignore[union-attr]


def test_a_policy_of_today_asks_for_the_controls(site: corpora.Hospital, quick: GatePolicy) -> None:
    parts = found(tables(site, corpora.fresh(site.train, np.random.default_rng(8)), policy=quick))
    assert set(outcomes(verdict(parts)).values()) <= {"pass", "not_evaluable"}
    without = {name: part for name, part in parts.items() if not name.startswith("control.")}
    assert outcomes(verdict(without))["control.period"] == "fail"


def test_persons_who_are_all_alike_are_judged_and_never_pass(site: corpora.Hospital, quick: GatePolicy) -> None:
    def alike(table: pl.DataFrame) -> pl.DataFrame:
        first = site.train[:1].with_columns(pl.lit(0, dtype=pl.Int8).alias("label"))
        return pl.concat([first] * table.height)

    same = corpora.Hospital(train=alike(site.train), tuning=alike(site.tuning), holdout=alike(site.holdout))
    parts = found(tables(same, same.train, policy=quick))
    words = parts["membership.battery"].note  # type: ignore[union-attr]
    assert "12 of 12 columns have one value" in words
    assert outcomes(verdict(parts))["membership.battery"] == "pass"
    assert outcomes(verdict(parts))["membership.rehearsal"] == "not_evaluable"
    some = corpora.Hospital(
        **{
            name: getattr(site, name).with_columns(sodium=pl.lit(140.0), region=pl.lit("north"))
            for name in ("train", "tuning", "holdout")
        }
    )
    parts = found(tables(some, some.train, policy=quick))
    assert "2 of 12 columns" in parts["membership.battery"].note  # type: ignore[union-attr]
    assert outcomes(verdict(parts))["membership.battery"] == "fail"


def test_of_very_many_rows_a_part_is_compared_and_the_note_says_so(
    site: corpora.Hospital, quick: GatePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MOST_ROWS", 1500)
    rng = np.random.default_rng(9)
    parts = found(tables(site, corpora.copied(0.3)(site.train, rng), policy=quick))
    assert "1,500 synthetic rows" in parts["membership.battery"].note  # type: ignore[union-attr]
    assert outcomes(verdict(parts))["membership.battery"] == "fail"
