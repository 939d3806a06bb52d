"""The gate's report before there is a certificate: verdict, what to do, every rule."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import made_certificates as made
from wardgate.papers.gate_report import gate_report_html
from wardgate.policy.decision import decide


def report(found, **more) -> str:
    rules = made.policy()
    return gate_report_html(found, decide(found, rules), policy=rules, **more)


@pytest.fixture(scope="module")
def leak():
    return made.evidence(
        replace={"membership.auc": made.measured("membership.auc", value=0.58, low=0.56, high=0.6)},
        missing={"membership.rehearsal": "too few persons for any tier of the policy"},
    )


def test_every_rule_against_it_has_its_reason_and_its_remedies(leak) -> None:
    ways = [("membership.auc", "fit anew with noise"), ("membership.rehearsal", "two persons may accept it")]
    text = report(leak, remedies=ways).replace("<wbr>", "")
    todo = text[text.index('id="todo"') : text.index('id="attacker"')]
    for rule, words in ways:
        assert f"<code>{rule}</code>" in todo and words in todo
    assert "copies.near" not in todo
    assert "Nothing helps but another candidate" in report(leak)


def test_a_pass_tells_the_next_step_and_claims_no_more() -> None:
    text = report(made.evidence())
    assert "A certificate is the next step" in text and "Not a legal finding of anonymity." in text
    assert "signed by nobody" in text


def test_equal_evidence_gives_equal_bytes_and_no_request(leak) -> None:
    text = report(leak, title="a.csv", held_back=("postcode dropped",), on="2026-11-21")
    assert text == report(leak, title="a.csv", held_back=("postcode dropped",), on="2026-11-21")
    assert "default-src 'none'" in text and "<script" not in text and "http://" not in text and "https://" not in text
    assert "postcode dropped" in text and "2026-11-21" in text


def test_names_of_files_and_columns_are_escaped(leak) -> None:
    evil = "<img src=x onerror=alert(1)>"
    text = report(leak, title=evil, held_back=(evil,), remedies=[("membership.auc", evil)])
    assert "<img" not in text and text.count("&lt;img") >= 3


def test_small_counts_are_never_shown() -> None:
    few = made.measured("copies.exact", n=(7, 2050))
    text = report(made.evidence(replace={"copies.exact": few}))
    assert "&lt;11 / 2,050" in text and "7 / 2,050" not in text
