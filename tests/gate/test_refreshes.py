"""Corpora that are safe one by one and not side by side: told by the difference, refused by the rule."""

from collections.abc import Sequence

import gate_corpora as corpora
import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.gate.battery import measure
from wardgate.hospital.ward.gate.battery.refreshes import NAMES, Earlier, Roles, Was, measures
from wardgate.hospital.ward.gate.battery.sample import draw
from wardgate.hospital.ward.gate.battery.tables import Tables, checked
from wardgate.measures.attacks.nearest import nearest
from wardgate.measures.attacks.refreshes import Stratum, difference, told
from wardgate.measures.attacks.space import spaces
from wardgate.policy import copies, decide, membership, refreshes
from wardgate.records.claim import Claim
from wardgate.records.errors import Invalid
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence

STUDY = corpora.study()
NUMBERS = ("age", "sbp", "dbp", "heart_rate", "creatinine", "sodium", "lactate")
TRAIN, TUNING, HOLDOUT = 2750, 250, 1000


def steady(train: pl.DataFrame, rows: int, *, share: float, pull: float) -> pl.DataFrame:
    """A generator with one seed: the same rows at every fit, but a few persons pull the row nearest to them closer."""
    base = corpora.persons(rows, np.random.default_rng(77))
    middle = base.select(pl.col(name).mean() for name in NUMBERS).row(0)
    spread = base.select(pl.col(name).std() for name in NUMBERS).row(0)

    def points(table: pl.DataFrame) -> np.ndarray:
        filled = table.select(pl.col(name).fill_null(value) for name, value in zip(NUMBERS, middle, strict=True))
        return ((filled.to_numpy() - middle) / spread).astype(np.float32)

    record = train.select(pl.concat_str(pl.all().cast(pl.String).fill_null("-")).alias("record"))
    pulling = (record["record"].hash(seed=5) % 1000 < round(1000 * share)).to_numpy()
    place = nearest(points(train.filter(pl.Series(pulling))), points(base), 1).index[:, 0]
    moved = base.to_dict(as_series=False)
    for who, row in zip(train.filter(pl.Series(pulling)).iter_rows(named=True), place, strict=True):
        for name in NUMBERS:
            now, hers = moved[name][row], who[name]
            if now is not None and hers is not None:
                moved[name][row] = round(now + pull * (hers - now), 3)
    return pl.DataFrame(moved, schema=base.schema)


@pytest.fixture(scope="module")
def site() -> corpora.Hospital:
    return corpora.hospital(np.random.default_rng(1), train=TRAIN, tuning=TUNING, holdout=HOLDOUT)


def roles(entered: int, *, left: pl.DataFrame | None = None, controls: int = 400) -> Roles:
    """The first `entered` training persons and the first `controls` holdout persons came since."""
    train, holdout = np.full(TRAIN, Was.USED, dtype=np.int8), np.full(HOLDOUT, Was.HELD, dtype=np.int8)
    train[:entered], holdout[:controls] = Was.AWAY, Was.AWAY
    return Roles(
        train=train, holdout=holdout, left=corpora.persons(0, np.random.default_rng(0)) if left is None else left
    )


def tables_of(site: corpora.Hospital, candidate: pl.DataFrame, *, seed: int = 3) -> Tables:
    return checked(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=candidate,
        dictionary=STUDY.dictionary,
        policy=STUDY.gate,
        attempt=1,
        rng=np.random.default_rng(seed),
    )


def found(
    site: corpora.Hospital, candidate: pl.DataFrame, earlier: Sequence[Earlier], *, seed: int = 3
) -> dict[str, Measured | Absent]:
    tables = tables_of(site, candidate, seed=seed)
    sample = draw(tables)
    assert sample is not None
    return {part.name: part for part in measures(tables, sample, earlier)}


def outcomes(parts: dict[str, Measured | Absent], *, policy: GatePolicy = STUDY.gate) -> dict[str, str]:
    evidence = Evidence(
        kind="corpus",
        persons_train="2000-4999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=tuple(part for part in parts.values() if isinstance(part, Measured)),
        absent=tuple(part for part in parts.values() if isinstance(part, Absent)),
    )
    return {
        ruling.rule: ruling.outcome
        for ruling in decide(evidence, policy, rules=refreshes.RULES).rulings
        if ruling.rule in NAMES
    }


def passes_alone(site: corpora.Hospital, candidate: pl.DataFrame) -> bool:
    measured, absent = measure(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=candidate,
        dictionary=STUDY.dictionary,
        policy=STUDY.gate,
        attempt=1,
        rng=np.random.default_rng(4),
    )
    evidence = Evidence(
        kind="corpus",
        persons_train="2000-4999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=measured,
        absent=absent,
    )
    return all(
        ruling.outcome == "pass"
        for ruling in decide(evidence, STUDY.gate, rules=(*membership.RULES, *copies.RULES)).rulings
        if ruling.rule != "membership.rehearsal"
    )


def test_the_first_corpus_passes_and_says_why(site: corpora.Hospital) -> None:
    parts = found(site, corpora.fresh(site.train, np.random.default_rng(2)), ())
    assert set(parts) == set(NAMES)
    assert all(isinstance(part, Measured) and "No corpus" in part.note for part in parts.values())
    assert set(outcomes(parts).values()) == {"pass"}


def test_innocent_refreshes_pass(site: corpora.Hospital) -> None:
    rng = np.random.default_rng(5)
    earlier = [
        Earlier(corpus=corpora.copula(site.train[300:], rng), roles=roles(300, left=corpora.persons(120, rng)))
        for _ in range(2)
    ]
    parts = found(site, corpora.copula(site.train, rng), earlier)
    assert outcomes(parts) == {"refresh.battery": "pass", "refresh.changed": "pass"}


def test_corpora_safe_alone_are_caught_by_their_difference(site: corpora.Hospital) -> None:
    before = steady(site.train[300:], TRAIN, share=0.15, pull=0.3)
    after = steady(site.train, TRAIN, share=0.15, pull=0.3)
    assert passes_alone(site, after)
    parts = found(site, after, [Earlier(corpus=before, roles=roles(300))])
    assert outcomes(parts)["refresh.changed"] == "fail"


def test_who_withdrew_is_caught_as_well(site: corpora.Hospital) -> None:
    left = corpora.persons(300, np.random.default_rng(6))
    before = steady(pl.concat((site.train, left)), TRAIN, share=0.15, pull=0.3)
    after = steady(site.train, TRAIN, share=0.15, pull=0.3)
    parts = found(site, after, [Earlier(corpus=before, roles=roles(0, left=left))])
    assert outcomes(parts)["refresh.changed"] == "fail"


def test_a_single_person_who_entered_is_told_and_the_refresh_is_held(site: corpora.Hospital) -> None:
    before = steady(site.train[1:], TRAIN, share=1.0, pull=0.5)
    nearly = steady(site.train, TRAIN, share=1.0, pull=0.5)
    # Without the rule an attacker tells her among a thousand others ...
    people = pl.concat((site.train[:1], site.holdout))
    scores = {}
    for then, now in zip(
        spaces(STUDY.dictionary.columns, people, before), spaces(STUDY.dictionary.columns, people, nearly), strict=True
    ):
        moved = difference(nearest(then.real, then.synthetic, 5).distance, nearest(now.real, now.synthetic, 5).distance)
        scores |= {f"{then.name}.{k}": score for k, score in moved.items()}
    one = Stratum(changed=np.arange(1 + HOLDOUT) < 1, scores=scores)
    assert told([one], permutations=999, rng=np.random.default_rng(8)) < 0.01
    # ... and with it such a refresh does not leave.
    parts = found(site, nearly, [Earlier(corpus=before, roles=roles(1))])
    assert outcomes(parts)["refresh.changed"] == "fail"


def test_copies_spread_over_corpora_are_caught_together(site: corpora.Hospital) -> None:
    rng = np.random.default_rng(9)

    def leaking(part: int) -> pl.DataFrame:
        chosen = site.train[part * 60 : part * 60 + 60]
        return corpora.planted(corpora.fresh(site.train, rng), corpora.moved(chosen, site.train, rng, noise=0.05), rng)

    earlier = [Earlier(corpus=leaking(part), roles=roles(300)) for part in range(3)]
    assert outcomes(found(site, leaking(3), earlier))["refresh.battery"] == "fail"


def test_the_same_persons_again_change_nothing(site: corpora.Hospital) -> None:
    rng = np.random.default_rng(10)
    parts = found(
        site, corpora.fresh(site.train, rng), [Earlier(corpus=corpora.fresh(site.train, rng), roles=roles(0))]
    )
    assert outcomes(parts)["refresh.changed"] == "pass"


@pytest.mark.parametrize("few", [1, 10, 49])
def test_a_few_changed_persons_are_never_a_pass_and_never_counted(site: corpora.Hospital, few: int) -> None:
    rng = np.random.default_rng(11)
    parts = found(
        site, corpora.fresh(site.train, rng), [Earlier(corpus=corpora.fresh(site.train, rng), roles=roles(few))]
    )
    changed = parts["refresh.changed"]
    said = changed.reason.replace("50", "") if isinstance(changed, Absent) else changed.note
    assert str(few) not in said
    assert outcomes(parts)["refresh.changed"] == ("fail" if few < 11 else "not_evaluable")


def test_too_few_controls_are_never_a_pass(site: corpora.Hospital) -> None:
    rng = np.random.default_rng(12)
    earlier = [Earlier(corpus=corpora.fresh(site.train, rng), roles=roles(300, controls=10))]
    assert outcomes(found(site, corpora.fresh(site.train, rng), earlier))["refresh.changed"] == "not_evaluable"


def test_not_knowing_who_was_used_is_never_a_pass(site: corpora.Hospital) -> None:
    rng = np.random.default_rng(13)
    parts = found(site, corpora.fresh(site.train, rng), [Earlier(corpus=corpora.fresh(site.train, rng), roles=None)])
    assert set(outcomes(parts).values()) == {"not_evaluable"}


def test_holdout_persons_used_before_are_no_controls(site: corpora.Hospital) -> None:
    rng = np.random.default_rng(14)
    was = roles(300)
    was.holdout[400:] = Was.USED
    parts = found(site, corpora.fresh(site.train, rng), [Earlier(corpus=corpora.fresh(site.train, rng), roles=was)])
    assert isinstance(parts["refresh.battery"], Absent)


@pytest.mark.parametrize("broken", ["column", "rows"])
def test_a_corpus_that_cannot_be_laid_beside_is_never_a_pass(site: corpora.Hospital, broken: str) -> None:
    rng = np.random.default_rng(15)
    corpus = corpora.fresh(site.train, rng)
    corpus = corpus.drop("sbp") if broken == "column" else corpus[:3]
    parts = found(site, corpora.fresh(site.train, rng), [Earlier(corpus=corpus, roles=roles(300))])
    assert set(outcomes(parts).values()) == {"not_evaluable"}


def test_roles_that_do_not_fit_are_refused(site: corpora.Hospital) -> None:
    rng = np.random.default_rng(16)
    corpus = corpora.fresh(site.train, rng)
    short = Roles(train=np.zeros(3, dtype=np.int8), holdout=roles(0).holdout, left=roles(0).left)
    odd = roles(0)
    odd.train[0] = 7
    for was in (short, odd):
        with pytest.raises(Invalid):
            found(site, corpus, [Earlier(corpus=corpus, roles=was)])


def test_silent_evidence_fails_and_an_older_policy_asks_nothing() -> None:
    assert set(outcomes({}).values()) == {"fail"}
    older = STUDY.gate.model_copy(update={"refreshes": None})
    assert outcomes({}, policy=older) == {}


@pytest.mark.slow
def test_chains_of_innocent_refreshes_seldom_fail() -> None:
    failed = 0
    for seed in range(60):
        rng = np.random.default_rng(1000 + seed)
        own = corpora.hospital(rng, train=TRAIN, tuning=TUNING, holdout=HOLDOUT)
        generator = list(corpora.SAFE.values())[seed % 3]
        earlier = [
            Earlier(corpus=generator(own.train[count:], rng), roles=roles(count, controls=count // 2))
            for count in (900, 600, 300)
        ]
        parts = found(own, generator(own.train, rng), earlier, seed=seed)
        failed += "fail" in outcomes(parts).values()
    # Two rules at 0.01: Binomial(60, 0.02) is above 10 with a chance below 1e-6.
    assert failed <= 10
