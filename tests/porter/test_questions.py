"""Questions that a hospital does not answer: each is refused with words, stands in the book, and breaks nothing."""

import shutil

import numpy as np
import pytest
from town import Town

from wardgate.entropy import SystemEntropy
from wardgate.federation import site as people
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer
from wardgate.records.mail import Standing, seal_mail
from wardgate.records.messages import Answer, SumTerms
from wardgate.records.parcel import Parcel, pack_bytes, pack_vector
from wardgate.records.study import Study

FORGER = Signer(SystemEntropy().bytes(32))


def review(town: Town, study: Study, site: str = "north") -> Answer:
    """Let one hospital review a study, after which its gate stands."""
    said = town.say(site, town.question(study, [pack_bytes("study", study.to_bytes())], computation="review"))
    (answer,) = [one for one in said if isinstance(one, Answer)]
    return answer


def broken(town: Town, parcel: Parcel, words: str) -> None:
    """Bring a parcel that north does not accept, and look at what it says and writes."""
    (said,) = town.say("north", parcel)
    assert isinstance(said, Standing)
    assert said.state == "broken" and words in said.words
    assert said.question_sha256 == sha256(parcel.envelope)
    assert town.box("north", "questions").names() == []
    entry = people.book(town.premises["north"])[-1]
    assert entry.event == "broken" and words in entry.words


def refused(town: Town, parcel: Parcel, words: str) -> None:
    """Bring a question that north's gate refuses, and look at what it says and writes."""
    said = town.say("north", parcel)
    (answer,) = [one for one in said if isinstance(one, Answer)]
    assert answer.outcome == "refused" and words in answer.refusal, answer.refusal
    asked = people.questions(town.premises["north"])[-1]
    assert asked.question.question == sha256(parcel.envelope)
    assert any(words in one.words and one.left == "nothing" for one in asked.outcomes)


def test_a_study_that_was_never_proposed_is_not_answered(town: Town) -> None:
    broken(town, town.question(town.study(), computation="review"), "was never proposed to this hospital")


def test_a_study_that_nobody_signed_is_not_answered(town: Town) -> None:
    study = town.study()
    town.propose(study)
    broken(town, town.question(study, computation="review"), "nobody at this hospital has signed")


def test_a_refused_study_is_ruled_out(town: Town) -> None:
    study = town.study()
    town.propose(study)
    people.refuse(town.premises["north"], "attacked", reason="no", now=town.clock.now)
    town.work("north")
    said = town.say("north", town.question(study, [pack_bytes("study", study.to_bytes())], computation="review"))
    assert [(one.outcome if isinstance(one, Answer) else one.state) for one in said] == ["refused", "never"]


def test_a_question_that_another_than_the_hub_signed_is_not_answered(town: Town) -> None:
    study = town.agreed()
    broken(town, town.question(study, signer=FORGER, computation="review"), "signed by a key that is not expected")


def test_a_forged_question_of_an_unknown_study_is_put_aside_in_silence(town: Town) -> None:
    assert town.say("north", town.question(town.study(), signer=FORGER, computation="review")) == []
    assert people.book(town.premises["north"])[-1].event == "broken"


def test_a_question_of_another_studys_digest_is_not_answered(town: Town) -> None:
    study = town.agreed()
    other = town.study(lambda plain: plain.update(version=2))
    broken(town, town.question(study, study_sha256=sha256(other.to_bytes()), computation="review"), "never proposed")


def test_a_question_whose_vectors_were_swapped_on_the_way_is_not_answered(town: Town) -> None:
    study = town.agreed()
    honest = town.question(study, [pack_bytes("study", study.to_bytes())], computation="review")
    broken(town, Parcel(honest.envelope, (b"another study",)), "is not the one that the hub signed")
    broken(town, Parcel(honest.envelope), "names 1 vectors, its parcel holds 0")


def test_the_same_number_with_another_content_is_not_answered(town: Town) -> None:
    study = town.agreed()
    review(town, study)
    broken(town, town.question(study, computation="close", number=town.number), "was another one")


def test_the_same_question_again_gets_the_same_answer_and_one_line_in_the_book(town: Town) -> None:
    study = town.agreed()
    review(town, study)
    asked = town.question(study, computation="associations", split="train")
    first = [town.bring("north", asked), *town.work("north")]
    lines = people.book(town.premises["north"])
    town.kill("north")
    town.open("north")
    assert [town.bring("north", asked), *town.work("north")] == first
    assert people.book(town.premises["north"]) == lines


def test_a_computation_that_the_study_does_not_list_is_refused_with_words(town: Town) -> None:
    study = town.agreed()
    review(town, study)
    parameters = {"features": ["age"], "by_label": False}
    question = town.question(study, computation="summaries", split="train", parameters=parameters)
    refused(town, question, "lists no 'summaries' under 'analyses'")


def test_a_computation_that_nobody_knows_is_refused_with_words(town: Town) -> None:
    study = town.agreed()
    review(town, study)
    refused(town, town.question(study, computation="exfiltrate", split="train"), "answers no 'exfiltrate'")


def test_a_question_beyond_the_budget_is_refused_with_words(town: Town) -> None:
    study = town.agreed(lambda plain: plain["gate"]["dp"].update(exact_sum_ration=2))
    review(town, study)
    once = town.question(study, computation="associations", split="train")
    assert [one.outcome for one in town.say("north", once) if isinstance(one, Answer)] == ["released"]
    refused(town, town.question(study, computation="associations", split="train"), "exact")


def test_a_sum_of_too_few_hospitals_is_refused_with_words(town: Town) -> None:
    study = town.agreed()
    review(town, study)
    terms = SumTerms(roster=("north",), entries=15, persons=500, coin="0" * 64)
    beta = pack_vector("beta", np.zeros(4))
    question = town.question(study, [beta], computation="newton", split="train", sum=terms)
    refused(town, question, "roster")


def test_a_broken_step_leaves_a_reference_and_no_cause_and_may_be_asked_again(town: Town) -> None:
    study = town.agreed()
    review(town, study)
    town.kill("north")
    data = town.premises["north"].root / "data" / "patients.csv"
    shutil.move(data, data.with_suffix(".away"))
    data.write_text("CANARY-7f3a,CANARY-1\nCANARY-2,CANARY-3\n")
    town.open("north")
    asked = town.question(study, computation="associations", split="train")
    assert town.say("north", asked) == [], "the share may come back, so nobody is told yet"
    town.clock.ticks += 301.0
    (failed,) = [one for one in town.say("north", asked) if isinstance(one, Standing)]
    assert failed.state == "failed" and len(failed.words) == 12
    assert town.box("north", "questions").names() == []
    assert all(b"CANARY" not in one.to_bytes() for one in town.heard["north"])
    shutil.move(data.with_suffix(".away"), data)
    (answer,) = town.say("north", asked)
    assert isinstance(answer, Answer) and answer.outcome == "released"


def test_a_question_that_found_no_patients_is_answered_when_they_are_back(town: Town) -> None:
    study = town.agreed()
    review(town, study)
    town.kill("north")
    data = town.premises["north"].root / "data" / "patients.csv"
    shutil.move(data, data.with_suffix(".away"))
    town.open("north")
    assert town.say("north", town.question(study, computation="associations", split="train")) == []
    shutil.move(data.with_suffix(".away"), data)
    town.clock.ticks += 3.0
    (answer,) = [town.opened("north", one) for one in town.work("north")]
    assert isinstance(answer, Answer) and answer.outcome == "released"


def test_two_numbers_of_a_question_before_the_review_get_words(town: Town) -> None:
    study = town.agreed()
    broken(town, town.question(study, computation="close"), "first question")
    review(town, study)


def test_the_end_of_a_study_closes_its_ward_and_a_later_question_opens_it_again(town: Town) -> None:
    study = town.agreed()
    review(town, study)
    assert town.say("north", town.notice(study, "finished")) == []
    assert people.studies(town.premises["north"])[0].notice == "finished"
    assert len(town.porters["north"]._wards) == 0
    (answer,) = town.say("north", town.question(study, computation="associations", split="train"))
    assert isinstance(answer, Answer) and answer.outcome == "released"


def test_a_notice_twice_is_one(town: Town) -> None:
    study = town.agreed()
    for _ in range(2):
        town.say("north", town.notice(study, "aborted", reason="a mistake in the label"))
    lines = [one for one in people.book(town.premises["north"]) if one.event == "notice"]
    assert len(lines) == 1 and "a mistake in the label" in lines[0].words


def test_a_notice_of_an_unknown_study_is_put_aside(town: Town) -> None:
    assert town.say("north", town.notice(town.study(), "running")) == []


def test_the_word_of_a_hospital_does_not_come_from_the_hub(town: Town) -> None:
    study = town.agreed()
    evil = Standing(study_sha256=sha256(study.to_bytes()), site="south", state="paused", question_sha256="0" * 64)
    (said,) = town.say("north", Parcel(seal_mail(evil, town.hub)))
    assert isinstance(said, Standing) and "hospital's word" in said.words


@pytest.mark.parametrize("blob", [b"", b"{}", b"not a study", b"[" * 5000])
def test_a_proposal_without_its_study_is_put_aside(town: Town, blob: bytes) -> None:
    _, parcel = town.proposal(town.study())
    assert town.say("north", Parcel(parcel.envelope, (blob, parcel.blobs[1]))) == []
    assert people.studies(town.premises["north"]) == ()
