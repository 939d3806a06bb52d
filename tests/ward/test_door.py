"""The one way out: each rule with the attack that it stops."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.gate.candidate import Sited, Statement
from wardgate.policy.decision import decide
from wardgate.records.canonical import number_of
from wardgate.records.errors import Invalid

Make = Callable[..., Any]


def figures(**changes: Any) -> Sited:
    plain: dict[str, Any] = {"split": "holdout", "figures": {"a.auroc": 0.81234}, "smallest_cell": 40}
    return Sited(**(plain | changes))


def refusal(answer: Any) -> str:
    assert answer.outcome == "refused"
    assert answer.verdict == "not_judged"
    assert (answer.vectors, answer.statement, answer.evidence) == ((), {}, None)
    return str(answer.refusal)


def test_a_sum_leaves_masked_counted_and_logged(desk: Any) -> None:
    answer, parcel = desk.ask(desk.addend(), sum=desk.terms("012"), split="train")
    assert (answer.outcome, answer.verdict) == ("released", "pass")
    assert decide(answer.evidence, desk.study.gate).outcome == "pass"
    assert [ref.name for ref in answer.vectors] == ["masked"]
    assert len(parcel.blobs[0]) == 4 * 8
    assert np.all(np.frombuffer(parcel.blobs[0], "<u8") > 1000), "counts below 100 would lie open"
    assert desk.door.ledger.exact_answers("train") == 1
    assert len(desk.door.log.leaves) == 1


def test_a_summed_answer_without_terms_or_without_this_site_stays(desk: Any) -> None:
    answer, _ = desk.ask(desk.addend(), split="train")
    assert "without terms" in refusal(answer)
    assert "without this site" in refusal(desk.sum_over("123"))
    assert desk.door.ledger.exact_answers("train") == 0


@pytest.mark.parametrize("roster", [("s0", "s1"), ("s0",), ("s0", "s0", "s1"), ("s2", "s1", "s0")], ids=str)
def test_two_sites_a_doubled_one_or_another_order_are_no_roster(desk: Any, roster: tuple[str, ...]) -> None:
    with pytest.raises(Invalid, match="roster"):
        desk.ask(desk.addend(), sum=desk.terms("012").model_copy(update={"roster": roster}), split="train")
    assert desk.door.ledger.exact_answers("train") == 0


def test_more_sites_may_be_asked_for_by_the_policy(make_desk: Make) -> None:
    desk = make_desk(gate={"min_sites_in_sum": 5})
    assert "rule sum.sites" in refusal(desk.sum_over("0123"))
    assert desk.sum_over("01234").outcome == "released"


def test_too_few_persons_in_the_whole_sum_stay(desk: Any) -> None:
    assert "rule sum.persons" in refusal(desk.sum_over("012", desk.addend(persons_at_least=10)))


def test_more_numbers_than_the_persons_can_hide_stay(desk: Any) -> None:
    vector = np.zeros(300)
    many = desk.addend(vector=vector, persons_at_least=900)
    assert "rule sum.numbers" in refusal(desk.sum_over("012", many, entries=300))
    assert desk.sum_over("012", desk.addend(vector=vector, persons_at_least=910), entries=300).outcome == "released"


@pytest.mark.parametrize("entries", [3, 5, 1000])
def test_another_number_of_entries_than_the_computation_has_stays(desk: Any, entries: int) -> None:
    assert "this computation gives 4" in refusal(desk.sum_over("012", entries=entries))


def test_the_ration_of_exact_sums_ends(make_desk: Make) -> None:
    desk = make_desk(gate={"dp": {"exact_sum_ration": 2}})
    assert [desk.sum_over("012").outcome for _ in range(2)] == ["released", "released"]
    assert "sum.exact_used" in refusal(desk.sum_over("012"))
    assert desk.sum_over("012", desk.addend(split="holdout")).outcome == "released"


NO_EXACT = {"fit": "0.5", "evaluation": "0.5", "definitions": "0.5"}


def test_exact_answers_stay_where_the_policy_denies_them(make_desk: Make) -> None:
    desk = make_desk(gate={"dp": {"exact_sums": "deny"}}, budget=NO_EXACT)
    assert "rule sum.protection" in refusal(desk.sum_over("012"))
    answer, _ = desk.ask(figures(), computation="evaluate", split="holdout")
    assert "denies answers without noise" in refusal(answer)
    assert desk.sum_over("012", noise_multiplier="20", tolerated=1).outcome == "released"


def test_a_public_profile_lets_no_exact_answer_out(make_desk: Make) -> None:
    desk = make_desk(gate={"profile": "public-open"})
    assert "claim.kind" in refusal(desk.sum_over("012"))
    answer, _ = desk.ask(figures(), computation="evaluate", split="holdout")
    assert "claim.kind" in refusal(answer)


def test_leaving_one_site_out_after_a_full_sum_stays(desk: Any) -> None:
    """The attack: total over nine less total over eight is the ninth hospital's own vector."""
    assert desk.sum_over("012345678").outcome == "released"
    for out in "12345678":
        rest = "012345678".replace(out, "")
        assert "sum.isolated" in refusal(desk.sum_over(rest))
    assert "sum.isolated" in refusal(desk.sum_over("0123456")), "two sites left out"
    assert desk.sum_over("012345").outcome == "released", "three may be"


def test_blocks_of_three_may_be_left_out_and_regrouping_them_may_not(desk: Any) -> None:
    for sites in ("012345678", "012345", "012678", "012"):
        assert desk.sum_over(sites).outcome == "released"
    for regrouped in ("013", "0124", "034", "01234567", "0123456"):
        assert "sum.isolated" in refusal(desk.sum_over(regrouped))


def test_a_difference_of_three_hospitals_with_few_persons_stays(desk: Any) -> None:
    """The attack: nine hospitals less six are three, and with three patients each in this split they are nine."""
    few = {f"s{place}": 6 if place > 5 else 200 for place in range(9)}
    assert desk.sum_over("012345678", desk.addend(persons_of=few)).outcome == "released"
    assert "sum.isolated" in refusal(desk.sum_over("012345", desk.addend(persons_of=few)))
    assert "sum.isolated" in refusal(desk.sum_over("012345", desk.addend(persons_of={}))), "unknown counts as none"
    enough = few | {"s8": 10}
    assert desk.sum_over("012345", desk.addend(persons_of=enough)).outcome == "released"


def test_a_refused_roster_is_not_remembered_and_splits_are_apart(desk: Any) -> None:
    assert desk.sum_over("012345678").outcome == "released"
    assert desk.sum_over("01234567").outcome == "refused"
    assert desk.sum_over("012345678").outcome == "released", "the refused one blocks nothing"
    assert desk.sum_over("01234567", desk.addend(split="holdout")).outcome == "released"


def test_noisy_sums_may_overlap_but_cost_epsilon(desk: Any) -> None:
    for sites in ("012345678", "01234567"):
        answer = desk.sum_over(sites, noise_multiplier="20", tolerated=3)
        assert answer.outcome == "released"
        assert answer.evidence.claim.kind == "dp"
        assert answer.evidence.cumulative_epsilon >= answer.evidence.claim.epsilon
    spent = desk.door.ledger.epsilon("train")
    assert spent > answer.evidence.claim.epsilon
    assert desk.door.ledger.exact_answers("train") == 0


def test_the_budget_ends_and_too_little_noise_is_refused_at_once(desk: Any) -> None:
    assert "budget" in refusal(desk.sum_over("012", noise_multiplier="0.5", tolerated=1))
    outcomes = [desk.sum_over("012", noise_multiplier="4", tolerated=1).outcome for _ in range(12)]
    assert outcomes[0] == "released" and outcomes[-1] == "refused"
    assert desk.door.ledger.epsilon("train") <= desk.study.budget.epsilon_total


@pytest.mark.parametrize(("sites", "least"), [("012", 1), ("012345", 2), ("012345678", 3)])
def test_noise_that_a_third_of_colluding_sites_would_undo_stays(desk: Any, sites: str, least: int) -> None:
    """An evil hub that asks for thinner shares could take a friendly site's share off and be below the promise."""
    assert f"at least {least}" in refusal(desk.sum_over(sites, noise_multiplier="20", tolerated=least - 1))
    assert desk.door.ledger.epsilon("train") == 0
    assert desk.sum_over(sites, noise_multiplier="20", tolerated=least).outcome == "released"


def test_a_missing_secret_spends_but_sends_nothing(desk: Any) -> None:
    with pytest.raises(Invalid, match="has no secret"):
        desk.sum_over("012", desk.addend(pair_secrets={"s1": bytes(32)}))
    assert desk.door.log.leaves == []
    assert desk.door.ledger.exact_answers("train") == 1


@pytest.mark.parametrize("smallest", [0, 1, 10])
def test_figures_over_fewer_than_eleven_persons_stay(desk: Any, smallest: int) -> None:
    answer, _ = desk.ask(figures(smallest_cell=smallest), computation="evaluate", split="holdout")
    assert "rule sited.smallest_cell" in refusal(answer)
    assert desk.door.ledger.exact_answers("holdout") == 0
    assert desk.ask(figures(smallest_cell=11), computation="evaluate", split="holdout")[0].outcome == "released"


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_figure_that_is_no_number_keeps_all_of_them_inside(desk: Any, bad: float) -> None:
    answer, _ = desk.ask(figures(figures={"good": 0.5, "bad": bad}), computation="evaluate", split="holdout")
    assert answer.outcome == "refused"
    assert desk.door.ledger.exact_answers("holdout") == 0


def test_figures_leave_rounded(desk: Any) -> None:
    answer, _ = desk.ask(
        figures(figures={"x": 0.123456, "y": -7.0049, "z": 1234.5678, "n": -0.001}),
        computation="evaluate",
        split="holdout",
    )
    told = answer.statement["figures"]
    assert told == {"x": "0.12", "y": "-7", "z": "1234.57", "n": "0"}
    for text in told.values():
        assert round(number_of(text) * 100, 6) == round(number_of(text) * 100)


def test_one_person_more_shows_in_exact_figures_and_seldom_in_rounded_ones(desk: Any) -> None:
    values = [k / 5000 for k in range(2500, 2600)]
    told = []
    for value in values[:20]:
        answer, _ = desk.ask(figures(figures={"rate": value}), computation="evaluate", split="holdout")
        told.append(answer.statement["figures"]["rate"])
    assert len(set(values[:20])) == 20
    assert sum(a != b for a, b in pairwise(told)) <= 1


def test_each_model_in_one_answer_counts_as_an_answer(make_desk: Make) -> None:
    """Otherwise one question with a thousand models would be one exact answer."""
    desk = make_desk(gate={"dp": {"exact_sum_ration": 10}})
    assert desk.ask(figures(models=6), computation="evaluate", split="holdout")[0].outcome == "released"
    assert desk.door.ledger.exact_answers("holdout") == 6
    answer, _ = desk.ask(figures(models=6), computation="evaluate", split="holdout")
    assert "ration of split 'holdout' exhausted" in refusal(answer)


def test_figures_without_a_split_stay(desk: Any) -> None:
    answer, _ = desk.ask(figures(), computation="evaluate")
    assert "names no split" in refusal(answer)


def test_a_statement_over_a_small_cell_stays(desk: Any) -> None:
    assert desk.ask(Statement(said={"agreed": True}, smallest_cell=11), computation="review")[0].outcome == "released"
    answer, _ = desk.ask(Statement(said={"agreed": True}, smallest_cell=3), computation="review")
    assert "agreed" not in str(answer.statement)
    assert answer.outcome == "refused"


def test_noise_of_a_test_passes_only_at_a_door_that_is_a_test_itself(make_desk: Make) -> None:
    desk = make_desk(entropy=UnsafeEntropy("door"))
    answer = desk.sum_over("012", noise_multiplier="20", tolerated=1)
    assert answer.evidence.claim.noise_source == "unsafe-test"
    assert decide(answer.evidence, desk.study.gate).outcome == "fail", "no receiver accepts it"
    assert decide(answer.evidence, desk.study.gate, unsafe_accept_test_noise=True).outcome == "pass"

    class Strange(UnsafeEntropy):
        name = "dice"

    other = make_desk(entropy=Strange("x"))
    with pytest.raises(Invalid, match="unknown source"):
        other.sum_over("012", noise_multiplier="20", tolerated=1)


def test_every_release_and_refusal_is_a_leaf_of_the_log(desk: Any) -> None:
    desk.sum_over("012")
    desk.sum_over("123")
    desk.ask(figures(smallest_cell=2), computation="evaluate", split="holdout")
    events = [leaf.decode() for leaf in desk.door.log.leaves]
    assert ["released" in event for event in events] == [True, False, False]
