"""What people decide while a study runs: pause, resume, leave; allow once, always or never."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from town import Town, course

from wardgate.computations.newton import Newton
from wardgate.entropy import SystemEntropy
from wardgate.federation import site as people
from wardgate.hospital.ward.porter.approvals import approval_of
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer
from wardgate.records.errors import Invalid
from wardgate.records.mail import Standing
from wardgate.records.messages import Answer, Question, SumTerms
from wardgate.records.parcel import Parcel, pack_bytes
from wardgate.records.study import Study


def found_town(root: Path, **extra: str) -> Town:
    """A town whose hospitals have further lines in their site files."""
    root.mkdir(exist_ok=True)
    made = Town(root=root, hub=Signer(SystemEntropy().bytes(32)))
    for place, site in enumerate(("north", "south", "west")):
        made.build(site, seed=place, **extra)
    return made


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Town, Study, np.ndarray]:
    """A study that nobody disturbed, and its coefficients."""
    town = found_town(tmp_path_factory.mktemp("undisturbed"))
    study = town.agreed()
    exchange = town.exchange(study)
    run = town.run(study, exchange)
    town.drive(course(run), exchange)
    assert run.federated is not None, run.federated_reason
    return town, study, run.federated.beta


def test_a_study_is_proposed_signed_asked_and_ended_by_mail_alone(undisturbed) -> None:
    town, _, beta = undisturbed
    assert np.all(np.isfinite(beta))
    for site, premises in town.premises.items():
        assert town.box(site, "questions").names() == []
        asked = people.questions(premises)
        given = [one for one in town.heard[site] if isinstance(town.opened(site, one), Answer)]
        assert len(asked) == len(given) > 8
        assert all([line.event for line in one.outcomes] == ["answer"] for one in asked)


def test_leaving_lists_what_stays_with_dates_and_counts(undisturbed) -> None:
    town, _, _ = undisturbed
    left = people.leave(town.premises["west"], "attacked", reason="no staff", now="2026-03-01T00:00:00Z")
    stays = {one.left: one for one in left.stays}
    assert set(stays) == {"sum", "figures", "statement"}
    assert stays["sum"].computations == {"newton": stays["sum"].count}
    assert "keeps this hospital's part" in stays["sum"].words
    assert stays["figures"].computations == {"associations": 1, "evaluate": 1}
    assert {one.first[:10] for one in left.stays} == {"2026-02-03"}


@pytest.mark.slow
def test_paused_resumed_killed_and_opened_again_a_study_ends_with_the_same_result(undisturbed, tmp_path: Path) -> None:
    _, _, beta = undisturbed
    town = found_town(tmp_path / "disturbed")
    study = town.agreed()
    exchange, rounds = town.exchange(study), []

    def carry(asked: Mapping[str, Parcel]) -> dict[str, Parcel]:
        rounds.append(1)
        if len(rounds) == 5:
            people.pause(town.premises["south"], "attacked", now=town.clock.now)
        answers = town.carry(asked)
        town.kill("west")
        town.open("west")
        if "south" not in answers and "south" in asked:
            town.porters["south"].step()
            people.resume(town.premises["south"], "attacked", now=town.clock.now)
            answers |= town.carry({"south": asked["south"]})
        return answers

    run = town.run(study, exchange)
    town.drive(course(run), exchange, carry=carry)
    assert run.federated is not None, run.federated_reason
    assert np.array_equal(run.federated.beta, beta)
    assert [one.state for one in town.standings("south")] == ["paused"]
    held = [one for one in people.questions(town.premises["south"]) if len(one.outcomes) == 2]
    assert [[line.event for line in one.outcomes] for one in held] == [["held", "answer"]]


def reviewed(town: Town, study: Study) -> None:
    """Let north review the study."""
    said = town.say("north", town.question(study, [pack_bytes("study", study.to_bytes())], computation="review"))
    assert [one.outcome for one in said if isinstance(one, Answer)] == ["released"]


def asked(town: Town, study: Study, **fields: object) -> Parcel:
    """A question that touches patients."""
    return town.question(study, **({"computation": "associations", "split": "train"} | fields))


def outcomes(said: list) -> list[str]:
    """What came back, in one word each."""
    return [one.state if isinstance(one, Standing) else one.outcome for one in said]


def test_a_paused_hospital_says_so_once_and_keeps_its_questions(town: Town) -> None:
    study = town.agreed()
    people.pause(town.premises["north"], "attacked", reason="power cut", now=town.clock.now)
    question = town.question(study, [pack_bytes("study", study.to_bytes())], computation="review")
    (pause, standing) = town.say("north", question)
    assert pause.outcome == "paused"
    assert isinstance(standing, Standing) and standing.state == "paused" and "power cut" in standing.words
    assert town.work("north") == []
    town.kill("north")
    town.open("north")
    assert town.work("north") == []
    assert len(town.box("north", "questions").names()) == 1
    people.resume(town.premises["north"], "attacked", now=town.clock.now)
    assert [one.outcome for one in (town.opened("north", two) for two in town.work("north"))] == ["resumed", "released"]


def test_a_hospital_that_left_refuses_at_once_so_that_nobody_waits(town: Town) -> None:
    study = town.agreed()
    reviewed(town, study)
    people.leave(town.premises["north"], "attacked", reason="no staff", now=town.clock.now)
    said = town.say("north", asked(town, study))
    assert outcomes(said) == ["left", "refused", "never"]
    assert "left the study on 2026-02-03: no staff" in said[1].refusal


def test_a_floor_that_became_stricter_holds_a_signed_study(town: Town) -> None:
    study = town.agreed()
    premises = town.premises["north"]
    premises.site_file.write_text(premises.site_file.read_text() + "policy: floor.yaml\n")
    (premises.root / "floor.yaml").write_text("schema: wardgate/privacy-gate/1\nsmall_cells: {min_count: 20}\n")
    town.kill("north")
    town.open("north")
    (said,) = town.say("north", asked(town, study))
    assert isinstance(said, Standing) and said.state == "paused" and "floor became stricter" in said.words


@pytest.fixture
def careful(tmp_path: Path) -> Town:
    """A town where a person approves every computation."""
    return found_town(tmp_path / "careful", questions="each")


def test_a_question_waits_for_a_person_and_is_allowed_once(careful: Town) -> None:
    study = careful.agreed()
    north = careful.premises["north"]
    reviewed(careful, study)
    first, second = asked(careful, study), asked(careful, study)
    (standing,) = careful.say("north", first)
    assert standing.state == "waiting_for_approval"
    (waits,) = people.waiting(north)
    assert "How each feature goes with the outcome" in waits.words and waits.digest[:16] in standing.words
    people.approve(north, waits.digest[:10], "once", now=careful.clock.now)
    assert outcomes([careful.opened("north", one) for one in careful.work("north")]) == ["released"]
    assert people.waiting(north) == ()
    assert outcomes(careful.say("north", second)) == ["waiting_for_approval"]


def test_always_covers_every_question_of_the_kind_until_it_is_withdrawn(careful: Town) -> None:
    study = careful.agreed()
    north = careful.premises["north"]
    reviewed(careful, study)
    careful.say("north", asked(careful, study))
    (waits,) = people.waiting(north)
    people.approve(north, waits.digest, "always", now=careful.clock.now)
    careful.work("north")
    assert outcomes(careful.say("north", asked(careful, study))) == ["released"]
    people.approve(north, waits.digest, "withdrawn", now=careful.clock.now)
    assert outcomes(careful.say("north", asked(careful, study))) == ["waiting_for_approval"]
    assert [one.word for one in people.approvals(north)] == ["always", "withdrawn"]


def test_never_closes_the_sum_at_once_also_where_a_signed_study_covers_all(town: Town) -> None:
    study = town.agreed()
    north = town.premises["north"]
    reviewed(town, study)
    town.say("north", asked(town, study))
    digest = people.questions(north)[-1].question.approval
    assert digest is not None
    people.approve(north, digest, "never", now=town.clock.now)
    again = asked(town, study)
    said = town.say("north", again)
    assert outcomes(said) == ["refused", "never"]
    assert "a person of this hospital ruled this out" in said[0].refusal
    assert town.box("north", "questions").names() == []


def test_the_same_computation_with_another_parameter_is_not_covered(careful: Town) -> None:
    """The attack: get harmless parameters allowed always, then ask with others."""
    study = careful.agreed(lambda plain: plain.update(analyses=["summaries"]))
    north = careful.premises["north"]
    reviewed(careful, study)
    terms = SumTerms(roster=("north", "south", "west"), entries=4, persons=500, coin="0" * 64)
    kind = {"computation": "summaries", "parameters": {"features": ["age"], "by_label": False}, "sum": terms}
    careful.say("north", asked(careful, study, **kind))
    (waits,) = people.waiting(north)
    people.approve(north, waits.digest, "always", now=careful.clock.now)
    careful.work("north")
    assert "waiting_for_approval" not in outcomes(careful.say("north", asked(careful, study, **kind)))
    two = terms.model_copy(update={"roster": ("north", "south")})
    for other in (
        {"parameters": {"features": ["marker"], "by_label": False}},
        {"parameters": {"features": ["age"], "by_label": True}},
        {"split": "holdout"},
        {"sum": two},
        {"sum": terms.model_copy(update={"noise_multiplier": 0.001})},
        {"sum": terms.model_copy(update={"persons": 10})},
        {"computation": "moments"},
    ):
        assert outcomes(careful.say("north", asked(careful, study, **(kind | other)))) == ["waiting_for_approval"], (
            other
        )


def test_what_changes_from_round_to_round_needs_no_new_approval() -> None:
    terms = SumTerms(roster=("a", "b", "c"), entries=4, persons=500, coin="0" * 64, bits=32)
    plain = {"study_sha256": "a" * 64, "computation": "newton", "split": "train"}
    first = Question(number=1, sum=terms, **plain)
    later = Question(number=7, sum=terms.model_copy(update={"bits": 64, "roster_sha256": "b" * 64}), **plain)
    other = Question(number=7, sum=terms, **(plain | {"study_sha256": "c" * 64}))
    assert approval_of(first) == approval_of(later) != approval_of(other)


def test_another_version_of_a_computation_needs_another_approval(monkeypatch: pytest.MonkeyPatch) -> None:
    question = Question(study_sha256="a" * 64, number=1, computation="newton", split="train")
    before = approval_of(question)
    monkeypatch.setattr(Newton, "version", 2)
    assert approval_of(question) != before


@pytest.mark.slow
def test_a_whole_fit_runs_where_a_person_allows_each_kind_always(careful: Town) -> None:
    study = careful.agreed()
    exchange, seen = careful.exchange(study), []

    def carry(questions: Mapping[str, Parcel]) -> dict[str, Parcel]:
        answers = careful.carry(questions)
        for site in set(questions) - set(answers):
            for waits in people.waiting(careful.premises[site]):
                seen.append((site, waits.computation))
                people.approve(careful.premises[site], waits.digest, "always", now=careful.clock.now)
            answers |= careful.carry({site: questions[site]})
        return answers

    run = careful.run(study, exchange)

    def steps():
        yield from run.review()
        yield from run.introduce(run.sites)
        yield from run.fit()

    careful.drive(steps(), exchange, carry=carry)
    assert run.federated is not None, run.federated_reason
    assert sorted(seen) == [(site, "newton") for site in ("north", "south", "west")]


@pytest.mark.parametrize(("digest", "word"), [("0" * 64, "always"), ("", "never"), ("abc", "once")])
def test_what_was_never_asked_cannot_be_approved(careful: Town, digest: str, word: people.Word) -> None:
    study = careful.agreed()
    careful.say("north", asked(careful, study))
    with pytest.raises(Invalid, match="no computation that waits"):
        people.approve(careful.premises["north"], digest, word, now=careful.clock.now)


def test_once_needs_a_question_that_waits(town: Town) -> None:
    study = town.agreed()
    reviewed(town, study)
    town.say("north", asked(town, study))
    digest = people.questions(town.premises["north"])[-1].question.approval or ""
    with pytest.raises(Invalid, match="none of its questions waits"):
        people.approve(town.premises["north"], digest, "once", now=town.clock.now)


def test_questions_since_a_day_are_those_of_that_day_and_after(town: Town) -> None:
    study = town.agreed()
    reviewed(town, study)
    town.clock.now = "2026-02-05T00:00:00Z"
    parcel = asked(town, study)
    town.say("north", parcel)
    (found,) = people.questions(town.premises["north"], since="2026-02-04", study="attacked")
    assert found.question.question == sha256(parcel.envelope)
