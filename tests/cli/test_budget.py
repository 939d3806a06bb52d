"""`wardgate budget` reads the hospital's book and never the hospital."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from wardgate.cli.budget import app
from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.gate.population import PopulationBook
from wardgate.papers.words import belief
from wardgate.privacy.accountant import epsilon_of, noise_multiplier_for
from wardgate.privacy.budget import Spending
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import Broken, Invalid
from wardgate.records.gate_policy import GatePolicy, Population

DELTA = 1e-6
ONE_CORPUS = noise_multiplier_for(epsilon=1.0, delta=DELTA)


def spend(memory: Path, *, on: str, study: str, epsilon: float = 1.0, population: str | None = None) -> None:
    hand = PopulationBook(
        memory,
        population=population,
        study_sha256=study * 64,
        limits=None,
        on=on,
        entropy=SystemEntropy(),
    )
    event = GaussianEvent(
        noise_multiplier=noise_multiplier_for(epsilon=epsilon, delta=DELTA), count=1, what="marginals"
    )
    hand.commit(Spending(population="p", split="train", what="a corpus", kind="corpus", gaussian=(event,)))
    if study == "b":
        hand.commit(Spending(population="p", split="train", what="sums", kind="sum", exact=3))


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    folder.mkdir()
    spend(folder, on="2026-01-10", study="a", epsilon=6.0)
    spend(folder, on="2026-06-01", study="b")
    return folder


def run(*arguments: str) -> str:
    found = CliRunner().invoke(app, list(arguments), catch_exceptions=True)
    if found.exception is not None and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output
    return found.output


def said(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_the_app_can_be_registered() -> None:
    assert isinstance(app, typer.Typer)


def test_show_tells_the_joint_epsilon_with_the_belief_beside_it(memory: Path) -> None:
    [found] = said("show", str(memory), "--on", "2026-07-01")["populations"]
    multipliers = (noise_multiplier_for(epsilon=6.0, delta=DELTA), ONE_CORPUS)
    joint = epsilon_of(
        gaussian=[GaussianEvent(noise_multiplier=one, count=1, what="x") for one in multipliers], delta=DELTA
    )
    assert float(found["epsilon"]) == pytest.approx(joint, abs=2e-4)
    assert float(found["epsilon"]) < 7
    assert float(found["beliefFrom50Percent"]) == pytest.approx(belief(joint, 0.5), abs=0.002)
    assert float(found["beliefFrom1Percent"]) == pytest.approx(belief(joint, 0.01), abs=0.005)
    assert [run["releases"] for run in found["runs"]] == [{"corpus": 1}, {"corpus": 1, "sum": 1}]
    text = run("show", str(memory), "--on", "2026-07-01")
    assert text.count("50 % to ") >= 4, "beside every epsilon"
    assert max(map(len, text.splitlines())) <= 120


def test_exact_answers_stand_apart_with_the_sentence(memory: Path) -> None:
    text = " ".join(run("show", str(memory), "--on", "2026-07-01").split())
    assert "3 exact answers, apart. Exact answers were also released. They have no epsilon" in text
    [found] = said("show", str(memory), "--on", "2026-07-01")["populations"]
    assert (found["exactAnswers"], found["epsilonCoversExactAnswers"]) == (3, False)


def test_without_exact_answers_the_sentence_is_not_there(tmp_path: Path) -> None:
    spend(tmp_path, on="2026-01-10", study="a")
    assert "Exact answers" not in run("show", str(tmp_path), "--on", "2026-07-01")


def test_time_gives_back_what_left_the_window_and_says_when(memory: Path) -> None:
    [now] = said("show", str(memory), "--on", "2026-07-01")["populations"]
    assert [one["on"] for one in now["freed"]] == ["2028-01-10", "2028-06-01"]
    assert float(now["freed"][0]["epsilon"]) == pytest.approx(1.0, abs=2e-3)
    assert float(now["freed"][1]["epsilon"]) == 0
    [later] = said("show", str(memory), "--on", "2028-01-10")["populations"]
    assert later["epsilon"] == now["freed"][0]["epsilon"]
    assert later["lifetime"]["epsilon"] == now["epsilon"], "what was told stays told"
    assert [run["counts"] for run in later["runs"]] == [False, True]


def test_forecast_says_what_fits_and_from_when_on(memory: Path) -> None:
    plan = ("--add", "corpus:epsilon=1", "--add", "rounds=50:noise=5", "--add", "sum=2:exact")
    found = said("forecast", str(memory), *plan, "--on", "2026-07-01")
    first, second, third = found["steps"]
    assert first["allowed"] and first["allowedOn"] == "2026-07-01"
    assert float(first["alone"]) == pytest.approx(1.0, abs=2e-4)
    assert float(first["total"]["epsilon"]) < float(found["now"]["epsilon"]) + 1
    assert not second["allowed"] and second["allowedOn"] == "2028-01-10"
    assert third["allowed"] and third["exactAnswers"] == 2
    text = run("forecast", str(memory), *plan, "--on", "2026-07-01")
    assert "no; from 2028-01-10 on" in text
    assert "yes, but no epsilon covers it" in text


def test_what_never_fits_is_said(memory: Path) -> None:
    found = said("forecast", str(memory), "--add", "corpus:epsilon=40", "--on", "2026-07-01")
    assert found["steps"][0]["allowedOn"] is None
    assert "no, never" in run("forecast", str(memory), "--add", "corpus:epsilon=40", "--on", "2026-07-01")


def test_the_room_is_exactly_how_many_corpora_still_fit(memory: Path) -> None:
    room = said("forecast", str(memory), "--add", "corpus:epsilon=1", "--on", "2026-07-01")["roomForCorporaOfEpsilon1"]
    assert room > 0
    fits, too_many = (
        said("forecast", str(memory), "--add", f"corpus={count}:epsilon=1", "--on", "2026-07-01")["steps"][0]
        for count in (room, room + 1)
    )
    assert fits["allowed"] and not too_many["allowed"]


def test_a_forecast_agrees_with_what_the_gate_then_does(memory: Path) -> None:
    before = said("forecast", str(memory), "--add", "corpus:epsilon=2", "--on", "2026-07-01")["steps"][0]["total"]
    spend(memory, on="2026-07-01", study="c", epsilon=2.0)
    [after] = said("show", str(memory), "--on", "2026-07-01")["populations"]
    assert float(after["epsilon"]) == pytest.approx(float(before["epsilon"]), abs=2e-4)


def test_limits_come_from_the_policy(memory: Path, tmp_path: Path) -> None:
    from wardgate.papers.policy_text import template

    policy = tmp_path / "privacy-gate.yaml"
    policy.write_text(template("commons-controlled").replace("epsilon_total: 10", "epsilon_total: 6.5"))
    [found] = said("show", str(memory), "--policy", str(policy), "--on", "2026-07-01")["populations"]
    assert found["limits"]["epsilon_total"] == "6.5"
    assert found["roomForCorporaOfEpsilon1"] < 8
    assert GatePolicy().population == Population()


def test_several_populations_are_shown_and_must_be_named_to_forecast(memory: Path) -> None:
    spend(memory, on="2026-06-02", study="c", population="children")
    names = [one["population"] for one in said("show", str(memory), "--on", "2026-07-01")["populations"]]
    assert names == ["one", "children"]
    with pytest.raises(Invalid, match="--population: children, one"):
        run("forecast", str(memory), "--add", "corpus:epsilon=1")
    assert said("forecast", str(memory), "--add", "corpus:epsilon=1", "--population", "children")["steps"][0]["allowed"]
    with pytest.raises(Invalid, match="no population 'adults'"):
        run("show", str(memory), "--population", "adults")


def test_the_page_stands_by_itself_and_says_belief_and_exact_answers(memory: Path, tmp_path: Path) -> None:
    run("show", str(memory), "--on", "2026-07-01", "--html", str(tmp_path / "budget.html"))
    text = (tmp_path / "budget.html").read_text()
    assert "http://" not in text and "https://" not in text and "<script" not in text
    assert "Content-Security-Policy" in text
    assert "They have no epsilon" in text
    assert "50 % to" in text


@pytest.mark.parametrize(
    "plan",
    [
        "",
        "",
        "corpus",
        "corpus:epsilon",
        "corpus:epsilon=-1",
        "corpus:epsilon=0",
        "corpus:epsilon=nan",
        "party:epsilon=1",
        "rounds=0:noise=5",
        "rounds=1e3:noise=5",
        "corpus:epsilon=1e99",
        "corpus:epsilon=1:noise=2",
        "sum=3:exact=1",
        "corpus:epsilon=.",
        "corpus=9999999:epsilon=1",
        "Corpus:epsilon=1",
    ],
)
def test_a_plan_that_is_none_is_refused_with_an_example(memory: Path, plan: str) -> None:
    with pytest.raises(Invalid, match="expected"):
        run("forecast", str(memory), "--add", plan)


def test_a_broken_book_and_a_missing_one_are_told_apart(memory: Path, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"holds no population.jsonl; there is one in memory"):
        run("show", str(tmp_path))
    with pytest.raises(Invalid, match="not a folder"):
        run("show", str(tmp_path / "nowhere"))
    path = memory / "population.jsonl"
    path.write_bytes(path.read_bytes()[: -len(path.read_bytes().splitlines()[-1]) - 1])
    with pytest.raises(Broken, match="cut off or put in"):
        run("show", str(memory))


def test_a_day_that_is_none_is_refused(memory: Path) -> None:
    with pytest.raises(Invalid, match="YYYY-MM-DD"):
        run("show", str(memory), "--on", "soon")
