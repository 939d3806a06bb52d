"""Any private table generator can be a study's own: its cost is spent before the fit, and its corpus is admitted."""

from collections.abc import Callable
from typing import Any

import pytest

from wardgate.records.messages import open_answer


@pytest.mark.parametrize("name", ["adaptive-marginals", "spanning-tree"])
def test_another_private_generator_spends_what_it_promised_and_releases_its_corpus(
    make_consortium: Callable[..., Any], name: str
) -> None:
    def change(plain: dict[str, Any]) -> None:
        plain["generator"] = {"name": name}

    made = make_consortium({"a": 900, "b": 60, "c": 60}, change=change)
    parcel = made.carry("a", made.question(computation="corpus", split="train", parameters={"pass": 1})[1])
    answer = open_answer(parcel.envelope, site_key=made.keys["a"])
    assert (answer.outcome, answer.verdict) == ("released", "pass"), answer.refusal
    assert answer.evidence.claim.kind == "dp"
    ledger = made.wards["a"]._bench.door.ledger
    assert ledger.cumulative("train") == pytest.approx(answer.evidence.claim.epsilon, abs=1e-3)


def test_a_hospital_without_torch_or_persons_enough_says_so_and_spends_nothing(
    make_consortium: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wardgate.networks.installed.find_spec", lambda name: None)
    made = make_consortium({"a": 900, "b": 60, "c": 60}, notes={"a": "generator: {name: autoregressive}\n"})
    answer = made.say("a", computation="corpus", split="train", parameters={"pass": 1})
    assert answer.outcome == "refused"
    assert "'deep'" in answer.refusal
    assert made.wards["a"]._bench.door.ledger.cumulative("train") == 0.0
