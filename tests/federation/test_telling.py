"""What the results say: no small count anywhere, and every item that left is a parcel of the conversation."""

import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from wardgate.hub.telling import results_of
from wardgate.records.canonical import sha256
from wardgate.records.messages import open_answer
from wardgate.records.results import Results

NO_PERSONS = {
    "attempt",
    "pass_number",
    "number",
    "rounds",
    "locked_test_opens",
    "exact_answers",
    "exact_ration",
    "study_version",
    "bytes",
    "bytes_out",
    "bytes_in",
}
"""Whole numbers of the results that count no persons."""


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every number and text of plain data but counts of sites, with the names on the way to it."""
    if isinstance(value, dict):
        if value.get("name") == "sum.sites":
            return
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item, path)
    else:
        yield path, value


def small_counts(plain: Any) -> list[tuple[str, Any]]:
    """Every place where a count of 1 to 10 persons is told, as a number or in words."""
    found = []
    for path, value in leaves(plain):
        if path and (path[-1] in NO_PERSONS or path[0] == "bytes_moved"):
            continue
        small = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10
        if isinstance(value, str):
            small = bool(
                re.fullmatch(r"([1-9]|10)", value)
                or re.search(r"(?<![\w.<-])([1-9]|10) (persons?|patients?|events?|records|rows)\b", value)
            )
        if small:
            found.append((".".join(path), value))
    return found


@pytest.fixture(scope="module")
def told(make_consortium: Callable[..., Any]) -> tuple[Any, Any, Any, Results]:
    """A finished run over five hospitals and a tiny one: consortium, run, desk and results."""
    made = make_consortium({f"h{place}": 230 for place in range(5)} | {"tiny": 24}, enrolled=False)
    run, exchange = made.run()
    return made, run, exchange, results_of(run, exchange, simulated=True, isolated=False)


def test_the_results_are_told(told: Any) -> None:
    results = told[3]
    assert {site.state for site in results.sites} == {"took part"}
    assert {approach.name for approach in results.approaches} >= {"local", "federated"}
    assert Results.model_validate_json(results.model_dump_json()) == results


def test_no_count_of_one_to_ten_persons_stands_anywhere(told: Any) -> None:
    assert small_counts(json.loads(told[3].model_dump_json())) == []


@pytest.mark.parametrize(
    "leak",
    [
        {"sites": [{"flow": [{"step": "admitted", "persons": "7"}]}]},
        {"sites": [{"reason": "only 3 events in training"}]},
        {"sites": [{"n": [412, 9]}]},
        {"approaches": [{"events": 10}]},
        {"warnings": ["1 patient was left out"]},
    ],
)
def test_the_scan_finds_a_small_count(leak: Any) -> None:
    assert len(small_counts(leak)) == 1


def test_differences_of_shown_counts_are_no_small_counts(told: Any) -> None:
    for site in told[3].sites:
        shown = [int(step.persons) for step in site.flow if step.persons.isdigit()]
        for one, other in pairwise(shown):
            assert one - other == 0 or one - other >= 11


def test_the_tiny_hospital_has_no_figures_of_its_own(told: Any) -> None:
    results = told[3]
    for approach in results.approaches:
        assert "tiny" not in {site.id for site in approach.sites}
    assert next(site for site in results.sites if site.id == "tiny").recalibration is None


def test_every_item_that_left_is_a_parcel_of_the_conversation_and_the_bytes_add_up(told: Any) -> None:
    made, _, exchange, results = told
    for site in results.sites:
        sent = [kept.parcel for kept in exchange.store if kept.party == site.id]
        assert [(item.sha256, item.bytes) for item in site.left] == [
            (sha256(parcel.envelope), parcel.size) for parcel in sent
        ]
        assert site.bytes_out == sum(item.bytes for item in site.left)
        for item, parcel in zip(site.left, sent, strict=True):
            answer = open_answer(parcel.envelope, site_key=made.keys[site.id])
            assert (item.kind == "refusal") == (answer.outcome == "refused")
            assert (item.kind == "summed") == any(ref.name == "masked" for ref in answer.vectors)
            if item.kind == "refusal":
                assert answer.statement == {} or answer.computation == "corpus"
    assert results.bytes_moved["out of all hospitals"] == sum(site.bytes_out for site in results.sites)
    assert results.bytes_moved["into all hospitals"] == sum(site.bytes_in for site in results.sites)


def test_every_question_that_came_in_is_counted(told: Any) -> None:
    _, _, exchange, results = told
    questions = {sha256(kept.parcel.envelope): kept.parcel.size for kept in exchange.store if kept.party == "hub"}
    for site in results.sites:
        came = [questions[item.answer.question_sha256] for item in exchange.received if item.site == site.id]
        assert site.bytes_in == sum(came)


def test_bytes_of_an_approach_are_those_of_its_own_asks(told: Any) -> None:
    _, run, exchange, results = told
    federated = next(approach for approach in results.approaches if approach.name == "federated")
    steps = [item for item in exchange.received if item.answer.computation == "newton"]
    assert (
        0
        < federated.bytes_moved
        <= 2 * sum(item.bytes for item in steps)
        + sum(kept.parcel.size for kept in exchange.store if kept.party == "hub") * len(run.sites)
    )
    assert federated.rounds == run.federated.rounds
    assert next(approach for approach in results.approaches if approach.name == "local").bytes_moved == 0


def test_the_budget_that_is_told_is_the_wards_own(told: Any) -> None:
    made, _, _, results = told
    for site in results.sites:
        ledger = made.wards[site.id]._bench.door.ledger
        for line in site.budget:
            assert line.epsilon == pytest.approx(ledger.epsilon(line.split))
            assert line.exact_answers == ledger.exact_answers(line.split)
        assert site.locked_test_opens == ledger.openings == 1


def test_every_locked_question_names_the_one_opening(told: Any) -> None:
    _, _, exchange, _ = told
    openings = [item.answer.opening for item in exchange.received if item.answer.opening is not None]
    assert openings and set(openings) == {1}


def test_figures_in_the_results_are_those_that_the_sites_signed(told: Any) -> None:
    _, run, _, results = told
    for approach in results.approaches:
        for figure in approach.sites:
            signed = run.test.sites[figure.id].statement["figures"]
            assert f"{figure.auroc:g}" == f"{float(signed[f'{approach.name}.auroc']):g}"
            assert figure.auroc * 100 == pytest.approx(round(figure.auroc * 100))
