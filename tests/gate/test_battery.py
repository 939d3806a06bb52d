"""The ward's measuring of a candidate: safe corpora pass, each leak is caught, and nothing of one person comes back."""

import json
from collections.abc import Iterator

import gate_corpora as corpora
import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.gate.battery import NAMES, copying, measure, membership
from wardgate.hospital.ward.gate.battery.copying import NAMES as COPIES
from wardgate.hospital.ward.gate.battery.membership import CONTROL
from wardgate.hospital.ward.gate.battery.membership import NAMES as MEMBERSHIP
from wardgate.hospital.ward.gate.battery.sample import draw
from wardgate.hospital.ward.gate.battery.tables import checked
from wardgate.policy import RULES, decide
from wardgate.records.claim import Claim
from wardgate.records.errors import Invalid
from wardgate.records.gate_policy import GatePolicy, Proximity
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence, Verdict

STUDY = corpora.study()
Found = tuple[tuple[Measured, ...], tuple[Absent, ...]]


def measured_on(
    site: corpora.Hospital,
    candidate: pl.DataFrame,
    *,
    seed: int = 0,
    attempt: int = 1,
    policy: GatePolicy = STUDY.gate,
) -> Found:
    return measure(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=candidate,
        dictionary=STUDY.dictionary,
        policy=policy,
        attempt=attempt,
        rng=np.random.default_rng(seed),
    )


def attacked_on(
    site: corpora.Hospital, candidate: pl.DataFrame, *, seed: int = 0, policy: GatePolicy = STUDY.gate
) -> Found:
    """Membership and copies alone, which is all that most tests here look at."""
    given = checked(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=candidate,
        dictionary=STUDY.dictionary,
        policy=policy,
        attempt=1,
        rng=np.random.default_rng(seed),
    )
    drawn = draw(given)
    assert drawn is not None
    parts = [*copying.measures(given, drawn), *membership.measures(given, drawn)]
    return (
        tuple(part for part in parts if isinstance(part, Measured)),
        tuple(part for part in parts if isinstance(part, Absent)),
    )


def verdict_on(found: Found, *, attempt: int = 1, policy: GatePolicy = STUDY.gate) -> Verdict:
    measured, absent = found
    evidence = Evidence(
        kind="corpus",
        persons_train="2000-4999",
        attempt=attempt,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=measured,
        absent=absent,
    )
    return decide(evidence, policy)


def refusing(verdict: Verdict, prefixes: tuple[str, ...] = ("membership.", "control.", "copies.")) -> set[str]:
    return {ruling.rule for ruling in verdict.rulings if ruling.outcome != "pass" and ruling.rule.startswith(prefixes)}


def judged(generator: corpora.Generator, *, seed: int = 0, holdout: int = 1000) -> set[str]:
    rng = np.random.default_rng(seed)
    site = corpora.hospital(rng, train=2750, tuning=250, holdout=holdout)
    return refusing(verdict_on(attacked_on(site, generator(site.train, rng), seed=seed)))


@pytest.fixture(scope="module")
def site() -> corpora.Hospital:
    return corpora.hospital(np.random.default_rng(1), train=2750, tuning=250, holdout=1000)


@pytest.fixture(scope="module")
def safe(site: corpora.Hospital) -> pl.DataFrame:
    return corpora.fresh(site.train, np.random.default_rng(3))


@pytest.fixture(scope="module")
def found(site: corpora.Hospital, safe: pl.DataFrame) -> Found:
    return measured_on(site, safe)


def test_other_patients_of_the_same_hospital_pass_everything(found: Found) -> None:
    measured, absent = found
    assert {part.name for part in (*measured, *absent)} == set(NAMES)
    assert {part.name for part in measured} >= {*MEMBERSHIP, *COPIES}
    assert {ruling.rule for ruling in verdict_on(found).rulings if ruling.outcome == "fail"} == set()


def test_every_rule_of_membership_and_copies_has_its_measure() -> None:
    rooms = ("membership", "control", "copies")
    read = {rule.name for rule in RULES if "corpus" in rule.kinds and rule.name.split(".")[0] in rooms}
    assert {*MEMBERSHIP, *COPIES} == read


LEAKS = {
    "a memorising generator": (
        corpora.replayed,
        {"membership.battery", "membership.auc", "copies.near", "copies.exact", "copies.reused_values"},
    ),
    "2 % whole copies": (corpora.copied(0.02), {"membership.battery", "copies.near", "copies.exact"}),
    "2 % copies with noise": (corpora.jittered(0.02), {"membership.battery"}),
    "copies of the most unusual, with noise": (corpora.outliers_copied(0.02), {"membership.battery"}),
    "a constant added to every training row": (
        corpora.shifted,
        {"membership.battery", "membership.auc", "copies.near"},
    ),
    "lone laboratory values in invented rows": (corpora.columns_resampled, {"copies.reused_values"}),
}


@pytest.mark.parametrize(("generator", "expected"), LEAKS.values(), ids=LEAKS)
def test_a_leak_is_caught_by_the_measure_made_for_it(generator: corpora.Generator, expected: set[str]) -> None:
    assert judged(generator) >= expected


def test_without_rank_space_a_shifted_copy_of_everybody_is_missed(site: corpora.Hospital) -> None:
    from wardgate.measures.attacks import membership
    from wardgate.measures.attacks.rehearsal import surroundings
    from wardgate.measures.attacks.space import spaces

    rng = np.random.default_rng(0)
    real = pl.concat((site.train, site.tuning, site.holdout))
    pool = np.concatenate((np.arange(1000), 3000 + np.arange(1000)))
    member = np.arange(2000) < 1000
    found = {}
    for space in spaces(STUDY.features, real, corpora.shifted(site.train, rng)):
        around = surroundings(
            pool=space.real[pool],
            train=space.real[:2750],
            others=space.real[3000:],
            reference=space.real[1000:3000],
            synthetic=space.synthetic,
        )
        scores = membership.attacks(
            {space.name: around.pool_to_synthetic.distance}, {space.name: around.pool_to_reference.distance}
        )
        drawn = membership.battery(member, [], permutations=399, rng=rng)
        found[space.name] = membership.null(scores, drawn)[0]
    assert found["scaled"] > 0.01
    assert found["ranked"] < 0.01


def test_without_the_reuse_rule_lone_values_are_missed(site: corpora.Hospital) -> None:
    candidate = corpora.columns_resampled(site.train, np.random.default_rng(3))
    blind = GatePolicy(proximity=Proximity(reused_values_level=0.0))
    assert refusing(verdict_on(attacked_on(site, candidate), policy=blind)) == set()
    assert refusing(verdict_on(attacked_on(site, candidate))) == {"copies.reused_values"}


def test_the_average_is_blind_to_copies_that_the_battery_sees(site: corpora.Hospital) -> None:
    """Why AUROC over everybody does not decide alone."""
    measured, _ = attacked_on(site, corpora.copied(0.02)(site.train, np.random.default_rng(4)))
    values = {part.name: part for part in measured}
    assert values["membership.auc"].high <= 0.55
    assert values["membership.battery"].value < 0.01


def test_the_rehearsal_says_what_would_be_caught(site: corpora.Hospital, safe: pl.DataFrame, found: Found) -> None:
    certain = next(part for part in found[0] if part.name == "membership.rehearsal")
    assert certain.value >= 0.98
    limits = STUDY.gate.membership.model_copy(update={"planted_copy_fraction": 0.0005})
    faint = STUDY.gate.model_copy(update={"membership": limits})
    measured, absent = attacked_on(site, safe, policy=faint)
    assert next(part for part in measured if part.name == "membership.rehearsal").value < 0.5
    rulings = {ruling.rule: ruling.outcome for ruling in verdict_on((measured, absent), policy=faint).rulings}
    assert rulings["membership.rehearsal"] == "not_evaluable"


@pytest.mark.slow
@pytest.mark.parametrize(("share", "least", "most"), [(0.003, 0.0, 0.4), (0.012, 0.8, 1.0)])
def test_a_rehearsal_agrees_with_really_planting_the_copies(
    site: corpora.Hospital, safe: pl.DataFrame, share: float, least: float, most: float
) -> None:
    """Shortcut distances and full searches agree below and above the share at which the veto begins to see."""
    limits = STUDY.gate.membership.model_copy(update={"planted_copy_fraction": share, "rehearsals": 60})
    policy = STUDY.gate.model_copy(update={"membership": limits})
    measured, _ = attacked_on(site, safe, policy=policy)
    rehearsed = next(part for part in measured if part.name == "membership.rehearsal").value
    assert least <= rehearsed <= most
    quick = policy.model_copy(update={"membership": limits.model_copy(update={"rehearsals": 10})})
    rng, caught, draws = np.random.default_rng(8), 0, 10
    for _ in range(draws):
        chosen = rng.choice(site.train.height, size=round(share * site.train.height), replace=False)
        leaking = corpora.planted(safe, site.train[chosen], rng)
        refused = refusing(verdict_on(attacked_on(site, leaking, policy=quick), policy=quick))
        caught += bool(refused & {"membership.battery", "copies.near"})
    assert abs(caught / draws - rehearsed) <= 0.4


def test_too_few_persons_are_said_to_be_too_few() -> None:
    rng = np.random.default_rng(5)
    small = corpora.hospital(rng, train=500, tuning=50, holdout=200)
    measured, absent = measured_on(small, corpora.fresh(small.train, rng))
    assert {part.name for part in absent} >= set(MEMBERSHIP) - set(CONTROL)
    assert {part.name for part in measured} >= {*COPIES, *CONTROL}
    tiny = corpora.hospital(rng, train=24, tuning=4, holdout=10)
    measured, absent = measured_on(tiny, corpora.fresh(tiny.train, rng))
    assert {part.name for part in absent} >= {*MEMBERSHIP, *COPIES}
    assert verdict_on((measured, absent)).outcome != "pass"


def test_a_further_attempt_widens_every_interval(site: corpora.Hospital, safe: pl.DataFrame, found: Found) -> None:
    again = measured_on(site, safe, attempt=2)
    first = {part.name: part for part in found[0]}
    second = {part.name: part for part in again[0]}
    for name in ("membership.auc", "realism.tstr_loss"):
        assert second[name].level > first[name].level
        assert second[name].high - second[name].low > first[name].high - first[name].low
    assert "fail" not in {ruling.outcome for ruling in verdict_on(again, attempt=2).rulings if "level" in ruling.reason}


def test_no_value_of_a_person_is_in_the_evidence(site: corpora.Hospital) -> None:
    """Canary values planted in every person of the training data do not come back, in numbers or in words."""
    canary = 137.123457
    marked = site.train.with_columns(
        sodium=pl.when(pl.int_range(site.train.height) < 30).then(canary).otherwise(pl.col("sodium"))
    )
    planted = corpora.Hospital(train=marked, tuning=site.tuning, holdout=site.holdout)
    measured, absent = measured_on(planted, marked)
    text = json.dumps([part.plain() for part in (*measured, *absent)])
    assert "137.12" not in text
    for part in measured:
        assert len(part.n) <= 3
        assert all(size % 50 == 0 for size in part.n)
        for number in (part.value, part.low, part.high):
            assert len(f"{abs(number):.10e}".split("e")[0].rstrip("0").replace(".", "")) <= 3 or number in (0, 1)


def test_the_same_seed_gives_the_same_evidence(site: corpora.Hospital, safe: pl.DataFrame, found: Found) -> None:
    assert measured_on(site, safe) == found


def _broken(safe: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    yield "no rows", safe[:0]
    yield "no column", safe.drop("sodium")
    yield "no label", safe.drop("label")
    yield "an unknown category", safe.with_columns(region=pl.lit("moon"))
    yield "a label of 2", safe.with_columns(label=pl.lit(2, dtype=pl.Int8))
    yield "a missing label", safe.with_columns(label=pl.lit(None, dtype=pl.Int8))
    yield "an infinite number", safe.with_columns(sodium=pl.lit(float("inf")))
    yield "a boolean of 0.5", safe.with_columns(sex=pl.lit(0.5))


def test_a_candidate_that_cannot_be_measured_refuses(site: corpora.Hospital, safe: pl.DataFrame) -> None:
    for name, candidate in _broken(safe):
        with pytest.raises(Invalid) as caught:
            measured_on(site, candidate)
        assert "moon" not in str(caught.value), name


def test_a_candidate_of_missing_values_or_one_row_is_judged_not_crashed(
    site: corpora.Hospital, safe: pl.DataFrame
) -> None:
    empty = safe.with_columns(sodium=pl.lit(None, dtype=pl.Float64), region=pl.lit(None, dtype=pl.String))
    assert verdict_on(measured_on(site, empty)).outcome == "fail"
    assert verdict_on(measured_on(site, safe[:1])).outcome != "pass"


@pytest.mark.slow
def test_thirty_safe_corpora_pass_and_fifteen_leaking_ones_do_not() -> None:
    safe = list(corpora.SAFE.values())
    passed = sum(not judged(safe[seed % 3], seed=100 + seed, holdout=2000) for seed in range(30))
    assert passed >= 24
    leaking = (corpora.copied(0.02), corpora.jittered(0.02), corpora.outliers_copied(0.02))
    caught = sum(bool(judged(leaking[seed % 3], seed=200 + seed, holdout=2000)) for seed in range(15))
    assert caught >= 14
