"""Votes: what honest hospitals see, what a minority of liars cannot turn, and what forged sums bring."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_robust import SITES, algorithm, fresh, plain_of, study_of, tables, trained

from wardgate.computations.network_votes import Harm, NetworkVotes
from wardgate.federation.plain import Plain
from wardgate.hospital.ward.learning import network_votes as ward
from wardgate.hub.pooling.ask import Ask
from wardgate.hub.pooling.networks.groups import groups_of
from wardgate.hub.pooling.networks.robust import Robust, RobustGather, robust_gather
from wardgate.hub.pooling.networks.rounds import train
from wardgate.hub.pooling.networks.trusted import Stopped, trusted
from wardgate.measures.logistic import fit
from wardgate.records.errors import Broken, Invalid, Unsupported
from wardgate.records.judgement import Judgement, decided
from wardgate.records.study import Study
from wardgate.sums.shape import Bounded

pytest.importorskip("torch")

STUDY = study_of()
GROUPS = groups_of(SITES, coin=STUDY.fingerprint())


def good() -> Any:
    """Weights that predict, in the network's order: weights, then bias."""
    x, y = fresh(STUDY)
    beta = fit(np.column_stack([np.ones(len(x)), x]), y, ridge=1.0)
    return np.append(beta[1:], beta[0])


def question(*candidates: Any, reference: Any = None, **harm: Any) -> NetworkVotes:
    return NetworkVotes(
        network="line",
        sha256=STUDY.networks["line"].sha256,
        anchor=np.zeros(5),
        reference=good() if reference is None else reference,
        candidates=np.array(candidates),
        harm=Harm(**harm),
    )


def shares(asked: NetworkVotes, altered: Any = None) -> Any:
    """Share of hospitals that call each candidate harmful, by kind of persons."""
    plain = plain_of(STUDY, tables())
    total = np.zeros(asked.shape(STUDY).entries)
    for site, bench in plain.sites.items():
        addend = ward.answer(asked, bench=bench, split="holdout").vector
        assert np.all((addend >= 0) & (addend <= 1))
        total += addend if altered is None else altered(site, addend)
    counted = asked.counted(total, study=STUDY, sites=len(SITES))
    assert counted.possible
    return counted.shares


def test_harm_is_seen_where_it_is_done() -> None:
    upside_down, shifted, door = -good(), good() + np.array([0, 0, 0, 0, 8.0]), good()
    names = [feature.name for feature in STUDY.features]
    door[names.index("frail")] -= 8.0
    found = shares(question(good(), upside_down, shifted, door))
    kinds = ["reference", "floor", "without", "with", "no frail", "frail", "female", "male"]
    assert np.max(found[0]) < 0.15
    assert found[1, 0] > 0.9 and found[1, 1] > 0.9
    assert found[2, kinds.index("without")] > 0.9
    assert found[3, kinds.index("frail")] > 0.6
    assert found[3, kinds.index("no frail")] < 0.2


def test_a_finished_model_no_better_than_a_hospitals_own_is_seen() -> None:
    constant = np.array([0, 0, 0, 0, 0.5])
    found = shares(question(good(), constant, reference=constant, own=0.02, errors=0.5))
    assert found[0, 2] < 0.15
    assert found[1, 2] > 0.6
    assert found[1, 0] == 0.0


def test_a_third_of_liars_can_neither_pass_a_harmful_group_nor_put_out_a_good_one() -> None:
    asked = question(good(), -good())
    kinds = asked.shape(STUDY).entries // 3

    def lying(site: str, addend: Any) -> Any:
        return np.repeat([1.0, 0.0, 1.0], kinds) if site in SITES[:5] else addend

    plain = plain_of(STUDY, tables())
    addends = [
        lying(site, ward.answer(asked, bench=bench, split="holdout").vector) for site, bench in plain.sites.items()
    ]
    counted = asked.counted(np.sum(addends, axis=0), study=STUDY, sites=len(SITES))
    out = decided(counted.harmful.tolist(), counted.able.tolist(), tolerated=0.4, least=0.34)
    assert out == (1,)


def test_liars_who_say_that_they_alone_have_some_persons_put_nobody_out() -> None:
    """The twin without `least` is put out."""
    harmful, able = [[0.0, 3.0]], [15.0, 3.0]
    assert decided(harmful, able, tolerated=0.4, least=0.34) == ()
    assert decided(harmful, able, tolerated=0.4, least=0.0) == (0,)


def test_a_hospital_without_persons_and_weights_out_of_range_are_answered() -> None:
    plain = plain_of(STUDY, tables())
    bench = plain.sites[SITES[0]]
    bench.parts = {**bench.parts, "holdout": replace_rows(bench.parts["holdout"])}
    found = ward.answer(question(good()), bench=bench, split="holdout")
    assert found.persons == 0 and not np.any(found.vector)
    huge = np.full(5, 1e4)
    assert shares(question(huge))[0, 0] > 0.9


def replace_rows(part: Any) -> Any:
    return replace(part, table=part.table.head(0), x=part.x[:0], y=part.y[:0])


def forged(site: str, ask: Ask, addend: Bounded) -> Bounded:
    """One hospital's software votes out of the range of votes."""
    if site != SITES[3] or ask.computation != "network_votes":
        return addend
    return replace(addend, vector=addend.vector - 20.0)


def run(altered: Any, settings: Robust | None = None, study: Study = STUDY) -> tuple[Any, RobustGather]:
    gather = robust_gather(study, settings)
    plain: Plain = plain_of(study, tables())
    plain.altered = altered
    steps = train(
        study=study, sites=SITES, network="line", algorithm=algorithm(), rounds=3, gather=gather, tune_every=None
    )
    return plain.drive(trusted(steps, gather)), gather


def test_a_sum_of_votes_that_cannot_be_stops_training() -> None:
    with pytest.raises(Stopped, match="votes-impossible"):
        run(forged)


def test_a_change_longer_than_any_honest_one_puts_its_group_out_and_names_it() -> None:
    def long(site: str, ask: Ask, addend: Bounded) -> Bounded:
        evil = site == GROUPS[2][1] and ask.computation == "network_update"
        return replace(addend, vector=addend.vector * np.append(np.full(5, 1e6), [1, 1, 1])) if evil else addend

    found, gather = run(long)
    named = [one for one in found.alarms if one.kind == "group-impossible"]
    assert [one.sites for one in named] == [GROUPS[2]]
    assert list(gather.out) == [GROUPS[2]]


def test_a_group_that_stays_closed_is_left_out_of_its_round_and_named() -> None:
    gather = robust_gather(STUDY, Robust())
    plain = plain_of(STUDY, tables())
    steps = train(
        study=STUDY, sites=SITES, network="line", algorithm=algorithm(), rounds=2, gather=gather, tune_every=None
    )
    ask = next(steps)
    told = plain.ask(ask)
    assert len(ask.all) == 5 and sorted(site for one in ask.all for site in one.sites) == list(SITES)
    ask = steps.send(replace(told, total=None, failed="'h00' refused"))
    assert ask.computation == "network_votes"
    assert ask.sites == SITES
    found = plain.drive(_rest(steps, ask, plain))
    closed = [one for one in found.alarms if one.kind == "group-closed"]
    assert [one.sites for one in closed] == [GROUPS[0]]
    assert not gather.out


def _rest(steps: Any, ask: Ask, plain: Plain) -> Any:
    while True:
        told = yield ask
        try:
            ask = steps.send(told)
        except StopIteration as end:
            return end.value


def test_a_group_of_which_fewer_than_three_trained_is_asked_no_more() -> None:
    def sits_out(site: str, ask: Ask, addend: Bounded) -> Bounded:
        if site != GROUPS[1][0] or ask.computation != "network_update":
            return addend
        return replace(addend, vector=np.zeros_like(addend.vector), said={"training": "diverged"})

    found, gather = run(sits_out)
    assert [one.sites for one in found.alarms if one.kind == "group-few-trained"] == [GROUPS[1]]
    assert list(gather.out) == [GROUPS[1]]


def test_a_judgement_is_decided_again_by_anybody() -> None:
    def upside_down(site: str, ask: Ask, addend: Bounded) -> Bounded:
        evil = site in GROUPS[1] and ask.computation == "network_update"
        return replace(addend, vector=addend.vector * np.append(np.full(5, -5.0), [1, 1, 1])) if evil else addend

    found, gather = run(upside_down)
    named = next(one for one in found.alarms if one.kind == "group-voted-out")
    record = gather.judgements[0]
    assert named.sites == GROUPS[1] and record.sha256[:16] in named.words
    assert record.groups[record.out[0]] == GROUPS[1]
    record.check()
    assert Judgement.from_plain(record.plain()) == record
    with pytest.raises(Broken):
        record.model_copy(update={"out": ()}).check()
    with pytest.raises(Broken):
        record.model_copy(update={"votes": {"h00": "0" * 64}}).check({"h00": b"another"})


def test_what_cannot_be_judged_is_said_before_anybody_trains() -> None:
    few = robust_gather(STUDY)
    with pytest.raises(Invalid, match="nine hospitals"):
        next(train(study=STUDY, sites=SITES[:8], network="line", algorithm=algorithm(), rounds=1, gather=few))
    unlisted = study_of(analyses="network_update")
    with pytest.raises(Invalid, match="network_votes"):
        next(
            train(
                study=unlisted,
                sites=SITES,
                network="line",
                algorithm=algorithm(),
                rounds=1,
                gather=robust_gather(unlisted),
                tune_every=None,
            )
        )
    local = algorithm(stays=("head",))
    with pytest.raises(Unsupported, match="judge=False"):
        next(train(study=STUDY, sites=SITES, network="norms", algorithm=local, rounds=1, gather=robust_gather(STUDY)))


@pytest.mark.parametrize(
    "settings",
    [{"rule": "best"}, {"corrupt": 0.5}, {"tolerated": 1.0}, {"every": 0}, {"standing": 1.0}, {"split": "train"}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Robust(**settings)


def test_a_protected_training_says_what_it_asked() -> None:
    found = trained(STUDY, settings=Robust(every=2), rounds=3)
    assert len(found.history) == 3
    assert found.sites == SITES
