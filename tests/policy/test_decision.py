"""The policy: absent means no, the pessimistic end counts, and whoever decides again agrees."""

import math
import re
from pathlib import Path

import pytest

from wardgate.measures.intervals import two_sided
from wardgate.policy import RULES, decide, explain
from wardgate.policy.limits import LIMITS
from wardgate.privacy.accountant import dp_claim
from wardgate.records.claim import Claim, GaussianEvent
from wardgate.records.errors import Invalid, Refused
from wardgate.records.gate_policy import DifferentialPrivacy, GatePolicy, SmallCells
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence, Verdict

POLICY = GatePolicy(small_cells=SmallCells(max_numbers_per_person=0.33))
NONE = Claim(kind="none")
EXACT = Claim(kind="exact")
TOO_FEW = "fewer than 1000 members and non-members"


def noised(multiplier: float = 5.0, **changes: object) -> Claim:
    claim = dp_claim(
        gaussian=(GaussianEvent(noise_multiplier=multiplier, count=1, what="marginals"),),
        delta=1e-6,
        covers=(),
        excludes=(),
        noise_source="system",
    )
    return claim.model_copy(update=changes)


def value(name: str, middle: float, low: float | None = None, high: float | None = None, **more: object) -> Measured:
    ends = {"low": middle if low is None else low, "high": middle if high is None else high}
    return Measured.model_validate({"name": name, "value": middle, "level": 0.9, **ends, **more})


def safe_corpus() -> dict[str, Measured]:
    n = (2000, 2000)
    measures = (
        value("membership.battery", 0.4, n=n),
        value("membership.auc", 0.5, 0.49, 0.51, n=n),
        value("membership.tpr_at_1_percent", 0.01, 0.006, 0.015, n=n),
        value("membership.tpr_at_0_1_percent", 0.001, 0.0, 0.003, n=n),
        value("membership.rehearsal", 1.0, 0.94, 1.0, n=(50, *n)),
        value("control.overlap", 0.7, n=n),
        value("control.period", 0.4, n=n),
        value("copies.near", 0.5),
        value("copies.crowded", 1.0),
        value("copies.exact", 1.0),
        value("copies.reused_values", 0.3),
        value("copies.rare_combinations", 0.2),
        value("disclosure.attribute", 0.01, 0.0, 0.02, n=n),
        value("disclosure.linkability", 0.0, -0.01, 0.01, n=n),
        value("disclosure.singling_out", 0.01, -0.01, 0.02, n=n),
        value("disclosure.identity", 0.01, 0.0, 0.02, n=n),
        value("disclosure.k_map", 200.0, 150.0, 300.0, n=n),
        value("refresh.battery", 1.0, n=n),
        value("refresh.changed", 1.0, n=n),
        value("canaries.planted", 20.0),
        value("canaries.found", 0.0, n=(20, 100)),
        value("realism.outcomes", 1.0),
        value("realism.joint_error", 0.01, 0.0, 0.02),
        value("realism.missingness_error", 0.01, 0.0, 0.02),
        value("realism.relations", 1.0),
        value("realism.subgroup_error", 0.01, 0.0, 0.02),
        value("realism.rare_outcome_ratio", 1.0, 0.8, 1.2),
        value("realism.detection", 0.6, 0.55, 0.65),
        value("realism.trts_loss", 0.0, -0.02, 0.02),
        value("realism.slope", 1.0, 0.9, 1.1),
        value("realism.marginal_error", 0.03, 0.02, 0.04),
        value("realism.pairwise_error", 0.06, 0.05, 0.07),
        value("realism.clinical_rules", 1.0, 0.999, 1.0),
        value("realism.tstr_loss", 0.01, 0.0, 0.02),
    )
    return {measured.name: measured for measured in measures}


def corpus(
    *changed: Measured, without: tuple[str, ...] = (), absent: tuple[str, ...] = (), **fields: object
) -> Evidence:
    measures = safe_corpus() | {measured.name: measured for measured in changed}
    for name in (*without, *absent):
        del measures[name]
    plain = {
        "kind": "corpus",
        "persons_train": "5000-9999",
        "attempt": 1,
        "claim": NONE,
        "cumulative_epsilon": 0.0,
        "measured": tuple(measures.values()),
        "absent": tuple(Absent(name=name, reason=TOO_FEW) for name in absent),
    }
    return Evidence.model_validate(plain | fields)


def summed(claim: Claim = EXACT, **counts: float) -> Evidence:
    figures = {"sites": 3, "persons": 3000, "numbers": 100, "isolated": 0, "exact_used": 1} | counts
    return Evidence(
        kind="summed",
        persons_train="2000-4999",
        attempt=1,
        claim=claim,
        cumulative_epsilon=claim.epsilon or 0.0,
        measured=tuple(value(f"sum.{name}", count) for name, count in figures.items()),
    )


def sited(claim: Claim = EXACT, *, smallest: float = 11, unrounded: float = 0) -> Evidence:
    return Evidence(
        kind="sited",
        persons_train="2000-4999",
        attempt=1,
        claim=claim,
        cumulative_epsilon=claim.epsilon or 0.0,
        measured=(value("sited.smallest_cell", smallest), value("sited.unrounded", unrounded)),
    )


def outcome_of(verdict: Verdict, rule: str) -> str:
    return next(ruling.outcome for ruling in verdict.rulings if ruling.rule == rule)


def failed(verdict: Verdict) -> set[str]:
    return {ruling.rule for ruling in verdict.rulings if ruling.outcome == "fail"}


def test_a_safe_corpus_passes_with_every_ruling_recorded() -> None:
    verdict = decide(corpus(), POLICY)
    assert verdict.outcome == "pass"
    assert {ruling.rule for ruling in verdict.rulings} >= set(safe_corpus())
    assert all(ruling.meaning and ruling.limit for ruling in verdict.rulings)
    assert verdict.evidence_sha256 == corpus().fingerprint()
    assert verdict.policy_sha256 == POLICY.fingerprint()


def test_the_receiver_who_reads_the_bytes_agrees() -> None:
    evidence = corpus(value("membership.auc", 0.54, 0.52, 0.56, n=(2000, 2000)))
    read = Evidence.from_plain(evidence.plain())
    assert decide(read, GatePolicy.from_plain(POLICY.plain())) == decide(evidence, POLICY)


def test_a_policy_without_rules_refuses() -> None:
    with pytest.raises(Refused, match="no rules"):
        decide(corpus(), POLICY, rules=())


def test_an_unknown_kind_of_release_fails() -> None:
    verdict = decide(corpus().model_copy(update={"kind": "weights"}), POLICY)
    assert verdict.outcome == "fail"
    assert "evidence.kind" in failed(verdict)


@pytest.mark.parametrize("name", sorted(safe_corpus()))
def test_a_measure_that_is_not_there_blocks(name: str) -> None:
    assert name in failed(decide(corpus(without=(name,)), POLICY))
    absent = decide(corpus(absent=(name,)), POLICY)
    expected = "fail" if name in ("canaries.planted", "realism.outcomes") else "not_evaluable"  # these are always known
    assert absent.outcome == expected
    assert outcome_of(absent, name) == expected


@pytest.mark.parametrize("name", sorted(safe_corpus()))
@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_measure_that_is_not_a_number_fails(name: str, broken: float) -> None:
    good = safe_corpus()[name]
    for part in ("value", "low", "high", "level"):
        verdict = decide(corpus(good.model_copy(update={part: broken})), POLICY)
        assert {name, "evidence.numbers"} <= failed(verdict)


def test_a_broken_measure_that_no_rule_reads_fails_too() -> None:
    assert failed(decide(corpus(value("extra", math.nan)), POLICY)) == {"evidence.numbers"}


def test_a_measure_told_twice_fails() -> None:
    evidence = corpus()
    twice = evidence.model_copy(update={"measured": (*evidence.measured, value("copies.near", 0.9))})
    assert {"copies.near", "evidence.numbers"} <= failed(decide(twice, POLICY))
    both = evidence.model_copy(update={"absent": (Absent(name="copies.near", reason="none"),)})
    assert {"copies.near", "evidence.numbers"} <= failed(decide(both, POLICY))


@pytest.mark.parametrize(
    "leaking",
    [
        value("membership.battery", 0.009, n=(2000, 2000)),
        value("membership.auc", 0.53, 0.50, 0.56, n=(2000, 2000)),
        value("membership.tpr_at_1_percent", 0.018, 0.01, 0.03, n=(2000, 2000)),
        value("membership.tpr_at_0_1_percent", 0.003, 0.0, 0.008, n=(2000, 2000)),
        value("copies.near", 0.001),
        value("copies.exact", 0.001),
        value("copies.reused_values", 0.001),
        value("copies.rare_combinations", 0.001),
        value("realism.marginal_error", 0.14, 0.12, 0.16),
        value("realism.pairwise_error", 0.24, 0.2, 0.26),
        value("realism.clinical_rules", 0.995, 0.98, 1.0),
        value("realism.tstr_loss", 0.05, 0.01, 0.09),
    ],
    ids=lambda measured: measured.name,
)
def test_the_pessimistic_end_of_the_interval_decides(leaking: Measured) -> None:
    assert failed(decide(corpus(leaking), POLICY)) == {leaking.name}


def test_weak_attacks_are_not_a_pass() -> None:
    verdict = decide(corpus(value("membership.rehearsal", 0.92, 0.85, 0.96, n=(50, 2000, 2000))), POLICY)
    assert verdict.outcome == "not_evaluable"
    assert outcome_of(verdict, "membership.rehearsal") == "not_evaluable"


def test_limits_follow_the_number_of_persons() -> None:
    """A rate that ten thousand persons refute and a thousand allow."""
    name = "membership.tpr_at_1_percent"
    for persons, outcome in ((1000, "pass"), (2000, "fail"), (10_000, "fail"), (900, "not_evaluable")):
        n = (persons, persons)
        changed = [
            measured.model_copy(update={"n": n})
            for measured in safe_corpus().values()
            if measured.name.startswith("membership.") and "rehearsal" not in measured.name
        ]
        changed.append(value(name, 0.018, 0.012, 0.028, n=n))
        verdict = decide(corpus(*changed), POLICY)
        assert outcome_of(verdict, name) == outcome
        low_tier = [ruling for ruling in verdict.rulings if ruling.rule == "membership.tpr_at_0_1_percent"]
        assert bool(low_tier) == (persons != 1000)


def test_an_attack_without_sample_sizes_is_not_evaluable() -> None:
    assert decide(corpus(value("membership.auc", 0.5, 0.49, 0.51)), POLICY).outcome == "not_evaluable"


ATTACKS = tuple(name for name in safe_corpus() if name.startswith(("membership.", "copies.")))


def test_too_few_persons_need_a_claim() -> None:
    small = {"absent": ATTACKS, "persons_train": "50-99"}
    assert decide(corpus(**small), POLICY).outcome == "not_evaluable"
    claim = noised()
    covered = decide(corpus(**small, claim=claim, cumulative_epsilon=claim.epsilon), POLICY)
    assert covered.outcome == "pass"
    assert {outcome_of(covered, name) for name in ATTACKS} == {"covered_by_dp"}
    assert decide(corpus(**small, claim=claim, cumulative_epsilon=1.01), POLICY).outcome == "not_evaluable"


def test_a_claim_does_not_cover_missing_realism() -> None:
    claim = noised()
    verdict = decide(corpus(absent=("realism.tstr_loss",), claim=claim, cumulative_epsilon=claim.epsilon), POLICY)
    assert verdict.outcome == "not_evaluable"


def test_a_claim_does_not_excuse_an_attack_that_succeeds() -> None:
    claim = noised()
    leaking = value("membership.battery", 0.001, n=(2000, 2000))
    assert decide(corpus(leaking, claim=claim, cumulative_epsilon=claim.epsilon), POLICY).outcome == "fail"


def test_a_claim_does_not_cover_attacks_left_out_in_silence() -> None:
    claim = noised()
    evidence = corpus(without=ATTACKS, claim=claim, cumulative_epsilon=claim.epsilon)
    assert decide(evidence, POLICY).outcome == "fail"


@pytest.mark.parametrize(
    ("claim", "word"),
    [
        (noised(epsilon=0.5), "cost"),
        (noised(epsilon=None), "needs epsilon"),
        (noised(delta=None), "needs epsilon"),
        (noised(epsilon=math.nan), "positive"),
        (noised(delta=0.0), "between"),
        (noised(gaussian=()), "at least one event"),
        (noised(gaussian=(GaussianEvent(noise_multiplier=0.0, count=1, what="none"),)), "positive noise"),
        (noised(gaussian=(GaussianEvent(noise_multiplier=5.0, count=-1, what="less"),)), "positive noise"),
        (noised(noise_source="unsafe-test"), "operating system"),
        (noised(noise_source="seed"), "operating system"),
        (Claim(kind="none", epsilon=1.0), "neither epsilon"),
        (NONE.model_copy(update={"kind": "magic"}), "unknown"),
    ],
)
def test_a_claim_that_does_not_hold_together_fails(claim: Claim, word: str) -> None:
    evidence = corpus().model_copy(update={"claim": claim, "cumulative_epsilon": 1.0})
    verdict = decide(evidence, POLICY)
    assert "claim.sound" in failed(verdict)
    ruling = next(ruling for ruling in verdict.rulings if ruling.rule == "claim.sound")
    assert word in ruling.reason


def test_test_noise_is_accepted_only_by_name() -> None:
    evidence = corpus(claim=noised(noise_source="unsafe-test"), cumulative_epsilon=1.0)
    assert decide(evidence, POLICY).outcome == "fail"
    assert decide(evidence, POLICY, unsafe_accept_test_noise=True).outcome == "pass"


def test_an_overstated_epsilon_is_no_lie() -> None:
    claim = noised()
    assert claim.epsilon is not None
    high = noised(epsilon=claim.epsilon + 0.1)
    assert decide(corpus(claim=high, cumulative_epsilon=1.0), POLICY).outcome == "pass"


def test_a_total_below_its_part_fails() -> None:
    assert "claim.cumulative" in failed(decide(corpus(claim=noised(), cumulative_epsilon=0.1), POLICY))
    assert "evidence.numbers" in failed(decide(corpus().model_copy(update={"cumulative_epsilon": math.nan}), POLICY))


def test_delta_is_held_against_the_number_of_persons() -> None:
    claim = noised()
    many = corpus(claim=claim, cumulative_epsilon=1.0, persons_train="1000000+")
    assert "claim.delta" in failed(decide(many, POLICY))
    unread = corpus(claim=claim, cumulative_epsilon=1.0, persons_train="a lot")
    assert "claim.delta" in failed(decide(unread, POLICY))


def test_a_corpus_is_never_exact_and_an_answer_never_without_a_claim() -> None:
    assert "claim.kind" in failed(decide(corpus(claim=EXACT), POLICY))
    assert "claim.kind" in failed(decide(summed(NONE), POLICY))
    assert "claim.kind" in failed(decide(sited(NONE), POLICY))


def test_public_releases_carry_noise() -> None:
    public = GatePolicy(profile="public-open", dp=DifferentialPrivacy(exact_sums="deny"))
    assert "claim.kind" in failed(decide(corpus(), public))
    claim = noised()
    assert decide(corpus(claim=claim, cumulative_epsilon=claim.epsilon), public).outcome == "pass"
    assert decide(sited(), public).outcome == "fail"
    assert decide(sited(claim), public).outcome == "pass"
    assert decide(summed(), public).outcome == "fail"
    assert decide(summed(claim), public).outcome == "pass"
    weak = noised(0.5)
    assert decide(summed(weak), public).outcome == "fail"


@pytest.mark.parametrize("attempt", [0, 4])
def test_attempts_are_rationed(attempt: int) -> None:
    assert "attempts" in failed(decide(corpus(attempt=attempt), POLICY))


def test_a_later_attempt_needs_wider_intervals_and_higher_chances() -> None:
    narrow = decide(corpus(attempt=2), POLICY)
    assert {"membership.auc", "realism.tstr_loss", "membership.rehearsal"} <= failed(narrow)
    wide = [measured.model_copy(update={"level": two_sided(0.95, 2)}) for measured in safe_corpus().values()]
    assert decide(corpus(*wide, attempt=2), POLICY).outcome == "pass"
    lucky = value("copies.near", 0.015, n=())
    assert decide(corpus(lucky), POLICY).outcome == "pass"
    retried = decide(corpus(*[part for part in wide if part.name != "copies.near"], lucky, attempt=2), POLICY)
    assert failed(retried) == {"copies.near"}


def joint(claim: Claim, *extra: Measured, sites: float = 3, epsilon: float | None = None) -> Evidence:
    return Evidence(
        kind="joint-corpus",
        persons_train="10000-19999",
        attempt=1,
        claim=claim,
        cumulative_epsilon=epsilon if epsilon is not None else claim.epsilon or 0.0,
        measured=(value("sum.sites", sites), *extra),
    )


def test_a_joint_corpus_takes_the_road_of_noise() -> None:
    verdict = decide(joint(noised()), POLICY)
    assert verdict.outcome == "pass"
    assert outcome_of(verdict, "membership.battery") == "covered_by_dp"
    assert decide(joint(NONE), POLICY).outcome == "fail"
    assert decide(joint(noised(), epsilon=1.2), POLICY).outcome == "not_evaluable"
    assert failed(decide(joint(noised(), sites=2), POLICY)) == {"sum.sites"}


def test_realism_of_a_joint_corpus_is_judged_where_it_is_measured() -> None:
    bad = value("realism.tstr_loss", 0.2, 0.1, 0.3)
    assert failed(decide(joint(noised(), bad), POLICY)) == {"realism.tstr_loss"}


@pytest.mark.parametrize(
    ("counts", "rule"),
    [
        ({"sites": 2}, "sum.sites"),
        ({"persons": 10, "numbers": 1}, "sum.persons"),
        ({"numbers": 991}, "sum.numbers"),
        ({"isolated": 1}, "sum.isolated"),
        ({"exact_used": 201}, "sum.exact_used"),
        ({"sites": -1}, "sum.sites"),
    ],
)
def test_an_exact_sum_that_would_give_somebody_away_fails(counts: dict[str, float], rule: str) -> None:
    assert decide(summed(), POLICY).outcome == "pass"
    assert failed(decide(summed(**counts), POLICY)) == {rule}


@pytest.mark.parametrize("name", ["sum.sites", "sum.persons", "sum.numbers", "sum.isolated", "sum.exact_used"])
def test_a_sum_that_hides_a_count_fails(name: str) -> None:
    evidence = summed()
    less = tuple(measured for measured in evidence.measured if measured.name != name)
    assert decide(evidence.model_copy(update={"measured": less}), POLICY).outcome == "fail"


def test_exact_sums_may_be_denied() -> None:
    denied = GatePolicy(dp=DifferentialPrivacy(exact_sums="deny"))
    assert failed(decide(summed(), denied)) == {"sum.protection"}
    assert decide(summed(noised()), denied).outcome == "pass"


def test_noise_that_is_no_protection_is_judged_like_none() -> None:
    weak = noised(0.3)
    assert weak.epsilon is not None
    assert weak.epsilon > 1
    assert "sum.numbers" in failed(decide(summed(weak, numbers=991), POLICY))
    assert "sum.numbers" not in failed(decide(summed(noised(), numbers=991), POLICY))


def test_one_sites_own_figures_are_checked_for_small_cells_and_digits() -> None:
    assert decide(sited(), POLICY).outcome == "pass"
    assert failed(decide(sited(smallest=10), POLICY)) == {"sited.smallest_cell"}
    assert failed(decide(sited(unrounded=1), POLICY)) == {"sited.unrounded"}


def test_every_rule_explains_itself() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        words = explain(rule.name)
        assert rule.source in words
        assert rule.meaning in words
    with pytest.raises(Invalid, match="no rule"):
        explain("membership.luck")


def test_every_rule_and_setting_is_documented(root: Path) -> None:
    pages = (root / "docs/gate.md", *sorted((root / "docs/gate").glob("*.md")))
    page = "\n".join(path.read_text() for path in pages)
    assert [rule.name for rule in RULES if f"`{rule.name}`" not in page] == []
    settings = {name.split(".")[-1] for name in re.findall(r"`([\w.*]+)`", page)}
    assert {name.split(".")[-1] for name in LIMITS} - settings == set()
    for tier in POLICY.membership.tiers:
        row = next(line for line in page.splitlines() if line.startswith(f"| {tier.members:,} / {tier.non_members:,}"))
        assert f"| {tier.tpr_at_1_percent:g} | {tier.tpr_at_0_1_percent or 'none'} |" in row


def test_two_persons_may_waive_what_could_not_be_evaluated_and_it_stays_visible() -> None:
    evidence = corpus(absent=("membership.rehearsal",))
    assert decide(evidence, POLICY).outcome == "not_evaluable"
    verdict = decide(evidence, POLICY, waived={"membership.rehearsal"})
    assert verdict.outcome == "pass_with_exceptions"
    assert outcome_of(verdict, "membership.rehearsal") == "waived"


def test_use_may_be_waived_but_never_a_failed_rule_of_privacy() -> None:
    useless = corpus(value("realism.tstr_loss", 0.2, 0.1, 0.3))
    assert decide(useless, POLICY, waived={"realism.tstr_loss"}).outcome == "pass_with_exceptions"
    leaking = corpus(value("copies.near", 1e-9))
    with pytest.raises(Refused, match=r"copies\.near failed"):
        decide(leaking, POLICY, waived={"copies.near"})


def test_a_waiver_of_nothing_is_refused_and_one_of_a_pass_changes_nothing() -> None:
    with pytest.raises(Refused, match="no such rule spoke"):
        decide(corpus(), POLICY, waived={"membership.luck"})
    assert decide(corpus(), POLICY, waived={"copies.near"}) == decide(corpus(), POLICY)
