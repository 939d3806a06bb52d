"""The pages of a comparison and of a training stand by themselves, escape what they show, and hide nothing."""

import math
import re

import pytest

from wardgate.papers.compare_page import compare_page, way_in_words
from wardgate.papers.training_page import training_page
from wardgate.records.claim import Claim
from wardgate.records.comparison import Candidate, Comparison, Tried
from wardgate.records.measured import Measured
from wardgate.records.training import Training, TrainingAlarm, TrainingRound

EVIL = "<script>alert(1)</script>"


def candidate(name: str, label: str, kind: str, **others: object) -> Candidate:
    figures = {"auroc": 0.8, "low": 0.7, "oe": 1.0, "slope": 1.0, "worst": 0.7, "rounds": 20, "moved": 1e6}
    return Candidate.model_validate({"name": name, "label": label, "kind": kind, **figures, **others})


def comparison(**others: object) -> Comparison:
    given = {
        "study_id": "s",
        "study_version": 1,
        "study_sha256": "0" * 64,
        "network": "mlp",
        "network_sha256": "1" * 64,
        "network_numbers": 513,
        "rows": 1000,
        "sites": 8,
        "rounds": 20,
        "ways": ("natural", "labels:0.3"),
        "seeds": (1,),
        "tried": (
            Tried(candidate="fedavg", kind="network", way="natural", seed=1, auroc=0.8),
            Tried(candidate="fedavg", kind="network", way="labels:0.3", seed=1, failed=EVIL),
            Tried(candidate="logistic", kind="regression", way="natural", seed=1, auroc=0.81),
            Tried(candidate="logistic", kind="regression", way="labels:0.3", seed=1, auroc=0.79),
        ),
        "candidates": (
            candidate("logistic", "logistic regression", "regression", equal=True),
            candidate(
                "fedavg", "FedAvg", "network", behind=0.01, error=0.002, guards=("slope 0.4 outside",), worst=math.nan
            ),
            candidate("local", "network at one site alone", "bound", behind=math.inf),
        ),
        "recommended": "logistic",
        "algorithm": "fedavg",
        "rule": ("first", "second"),
        "reason": (EVIL,),
        "cannot_tell": ("much",),
    }
    return Comparison.model_validate(given | others)


def training(**others: object) -> Training:
    rounds = tuple(
        TrainingRound(
            number=k,
            weight=100.0,
            before=0.7 - 0.1 * k,
            after=0.6 - 0.1 * k,
            loss=0.2,
            auroc=math.nan if k % 2 else 0.7,
            moved=1000,
            sites=("a", "b", "c"),
            said={"a": "trained", "b": "not-finite"},
        )
        for k in range(4)
    )
    given = {
        "study_id": "s",
        "study_version": 1,
        "study_sha256": "0" * 64,
        "network": "mlp",
        "network_sha256": "1" * 64,
        "network_numbers": 513,
        "algorithm": "fedavg",
        "planned": 10,
        "best": 2,
        "stopped": "ended after 4 of 10 rounds: no better",
        "claim": Claim(kind="exact"),
        "moved": 4000,
        "sites": ("a", "b", "c"),
        "rounds": rounds,
        "model_sha256": "2" * 64,
        "held_out": (Measured(name="auroc", value=0.81, low=0.78, high=0.84),),
    }
    return Training.model_validate(given | others)


def test_a_comparison_shows_every_candidate_its_guards_and_what_failed() -> None:
    page = compare_page(comparison())
    for words in ("Logistic regression", "FedAvg", "misses a guard", "slope 0.4 outside", "could not be compared"):
        assert words in page
    assert "first" in page
    assert "much" in page
    assert "ON SYNTHETIC ROWS ONLY" in page


@pytest.mark.parametrize("page", [compare_page(comparison()), training_page(training())], ids=["compare", "training"])
def test_pages_ask_nothing_of_any_network_and_run_nothing(page: str) -> None:
    assert EVIL not in page
    assert not re.search(r"<script|https?://|@import|url\((?!data:)", page)


def test_equal_records_give_equal_pages() -> None:
    assert compare_page(comparison()) == compare_page(comparison())
    assert training_page(training()) == training_page(training())


def test_a_training_shows_its_figures_its_end_and_who_sat_out() -> None:
    page = training_page(training())
    for words in ("AUROC 0.810", "4 of 10", "ended after 4 of 10 rounds", "b: not-finite, 4 rounds"):
        assert words in page


def test_a_training_that_an_alarm_stopped_is_not_to_be_used() -> None:
    alarm = TrainingAlarm(kind="too-few-groups", sites=("a",), words=EVIL, stops=True)
    page = training_page(training(alarms=(alarm,)))
    assert "Do not use this model" in page
    assert "AUROC 0.810</span>" not in page


def test_a_training_with_noise_shows_its_epsilon_and_no_losses() -> None:
    silent = tuple(
        one.model_copy(update={"before": math.nan, "after": math.nan, "auroc": math.nan, "loss": math.nan})
        for one in training().rounds
    )
    claim = Claim(kind="dp", epsilon=1.0, delta=1e-6, covers=("all rounds",))
    page = training_page(training(rounds=silent, claim=claim, held_out=(), not_judged="nobody asked"))
    assert "ε 1" in page
    assert "With noise nobody says losses" in page
    assert "Not judged" in page


def test_every_way_has_words() -> None:
    assert [way_in_words(name) for name in ("natural", "sizes", "features", "labels:0.3")][-1].endswith("0.3)")
