"""Every question has plain words, whatever its parameters, and none of them is a word of the code."""

import ast
import inspect
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.computations.menu import MENU
from wardgate.hospital.ward.answering import ward as ward_module
from wardgate.hospital.ward.porter.phrases import STEPS, SUMMED
from wardgate.hospital.ward.porter.words import answer_words, may_ask, words_of
from wardgate.records.messages import Answer, Question, SumTerms

TERMS = SumTerms(roster=("h1", "h2", "h3", "h4", "h5", "h6"), entries=65, persons=6000, coin="0" * 64)

PLAIN = {
    "glm": {"family": "poisson", "outcome": "label", "terms": [{"feature": "age", "segments": 0}]},
    "cox": {"form": "breslow", "time": "days", "terms": [{"feature": "age"}, {"feature": "sex"}]},
    "tables": {"tables": [["sex", "age"], []], "cuts": {}},
    "summaries": {"features": ["age", "marker"], "by_label": True},
    "moments": {"columns": ["age", "marker"], "order": 2, "rows": "all"},
    "score_bins": {"model": "federated", "subgroups": 2},
    "model_scores": {"models": ["mine"]},
    "boosting_histograms": {"level": 2, "nodes": [0, 1], "counts": True},
    "evaluate": {"models": ["federated", "local"]},
    "marginals": {"workload": {"queries": [{"cells": ["age"], "signs": []}]}},
}

CODE = re.compile(r"[_{}<>\[\]]|None|\b(newton|glm|platt|score.bins|marginals|boosting|k-way|dict|str|blob)\b", re.I)


def steps() -> set[str]:
    """The words that `Ward._candidate` matches."""
    tree = ast.parse(inspect.getsource(ward_module))
    return {
        pattern.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "_candidate"
        for case in ast.walk(node)
        if isinstance(case, ast.match_case) and isinstance(pattern := case.pattern, ast.MatchValue)
        if isinstance(pattern.value, ast.Constant)
    }


EVERY = sorted({*MENU, *steps()})


def asked(computation: str, **fields: object) -> Question:
    """A question of one kind."""
    plain = {"study_sha256": "a" * 64, "number": 1, "computation": computation, "split": "train"}
    return Question.model_validate(plain | {"parameters": PLAIN.get(computation, {})} | fields)


def test_the_wards_steps_are_found() -> None:
    assert {"review", "roster", "corpus", "reveal", "close"} <= steps()


def test_every_computation_and_every_step_has_words() -> None:
    assert set(SUMMED) == set(MENU)
    assert set(STEPS) == steps()


@pytest.mark.parametrize("computation", EVERY)
def test_no_words_are_words_of_the_code(computation: str) -> None:
    said = words_of(asked(computation, sum=TERMS if computation in MENU else None))
    assert not CODE.search(said), said
    assert said[0].isupper() and said.endswith(".")


def test_a_step_of_the_fit_reads_as_the_example() -> None:
    assert words_of(asked("newton", sum=TERMS)) == (
        "One step of fitting the study's logistic regression on the training persons: a sum over 6 hospitals of a"
        " gradient, a curvature matrix and a log-likelihood (65 numbers), masked; exact."
    )


def test_noise_and_the_locked_test_are_said() -> None:
    terms = TERMS.model_copy(update={"noise_multiplier": 2.5})
    said = words_of(asked("score_bins", sum=terms, split="locked_test"))
    assert "with noise of 2.5 times what one person can change" in said
    assert said.endswith("It needs an opening of the locked test.")


def test_a_sum_without_terms_is_said_to_hide_nothing() -> None:
    assert "no sum to hide it in" in words_of(asked("newton"))


def test_an_unknown_computation_has_words_too() -> None:
    assert "does not know" in words_of(asked("exfiltrate"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
NAMES = ["models", "model", "features", "columns", "tables", "terms", "workload", "nodes", "sites", "survivors", "time"]


@given(st.sampled_from(EVERY), st.dictionaries(st.sampled_from(NAMES), JSON, max_size=4))
def test_no_parameters_break_the_words_or_reach_a_terminal(computation: str, parameters: dict[str, object]) -> None:
    said = words_of(asked(computation, parameters=parameters, sum=TERMS))
    assert said.isprintable()
    assert len(said) < 2_000


def test_a_hub_cannot_write_lines_of_its_own_into_the_book() -> None:
    evil = {"features": ["age\n2026-01-01 answer: nothing left", "\x1b[2Jx" * 50], "by_label": False}
    said = words_of(asked("summaries", parameters=evil, sum=TERMS))
    assert "\n" not in said and "\x1b" not in said and len(said) < 500


@pytest.mark.parametrize("computation", EVERY)
def test_every_refusal_is_said_with_its_reason(computation: str) -> None:
    answer = Answer.model_validate(
        {
            "study_sha256": "a" * 64,
            "question_sha256": "b" * 64,
            "site": "h1",
            "computation": computation,
            "outcome": "refused",
            "verdict": "not_judged",
            "refusal": "the ration is used up",
        }
    )
    assert "no figure of patients left: the ration is used up" in answer_words(answer, asked(computation), size=9)


def test_what_a_study_may_ask_is_said_without_the_numbers_of_a_question(town) -> None:
    study = town.study(lambda plain: plain.update(analyses=sorted(set(MENU) - {"newton"}), drop_out="0.2"))
    lines = may_ask(study)
    assert len(lines) == len(EVERY)
    for line in lines:
        assert not re.search(r"[_{}<>\[\]]|None|without a name|does not name", line), line
