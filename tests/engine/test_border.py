"""What may pass a wire, in both directions; each rule with the parcel that breaks it."""

from pathlib import Path

import pytest
from made_mail import OTHER, STUDY, answer, decision, notice, proposal, question, standing

from wardgate.hospital.wire.courier import Border, Seen
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel

HUB, WARD, ROGUE = (Signer(bytes([number]) * 32) for number in (1, 2, 3))


@pytest.fixture
def border(tmp_path: Path) -> Border:
    """The border of the hospital uk, which signed nothing yet."""
    return Border(site="uk", hub_key=HUB.public_key, ward_key=WARD.public_key, seen=Seen(tmp_path / "studies"))


@pytest.fixture
def signed(border: Border) -> Border:
    """The same, after its ward signed the study."""
    border.outwards(decision(WARD, "uk"))
    return border


def test_a_question_passes_once_the_hospital_signed_the_study(border: Border) -> None:
    with pytest.raises(Broken, match="not signed"):
        border.inwards(question(HUB, 1))
    border.outwards(decision(WARD, "uk"))
    assert border.inwards(question(HUB, 1)) == "question/v1"
    with pytest.raises(Broken, match="not signed"):
        border.inwards(question(HUB, 2, study=OTHER))


def test_proposals_and_notices_of_the_hub_pass_before_any_signature(border: Border) -> None:
    assert border.inwards(proposal(HUB)) == "proposal/v1"
    assert border.inwards(notice(HUB)) == "notice/v1"


@pytest.mark.parametrize("blobs", [(), (b"study",), (b"study", b"altered"), (b"study", b"text", b"more")])
def test_a_proposal_passes_with_exactly_its_blobs(border: Border, blobs: tuple[bytes, ...]) -> None:
    with pytest.raises(Broken):
        border.inwards(proposal(HUB, blobs=blobs))


def test_nobody_but_the_hub_sends_anything_in(signed: Border) -> None:
    for signer in (WARD, ROGUE):
        for parcel in (question(signer, 1), notice(signer), proposal(signer)):
            with pytest.raises(Broken, match="key that is not expected"):
                signed.inwards(parcel)


def test_a_hospitals_word_does_not_come_in_from_the_hub(signed: Border) -> None:
    for parcel in (decision(HUB, "uk", number=9), standing(HUB, "uk", question(HUB, 1))):
        with pytest.raises(Broken, match="found a hospital's word"):
            signed.inwards(parcel)
    with pytest.raises(Broken):
        signed.inwards(answer(HUB, "uk", question(HUB, 1)))


def test_a_question_passes_with_exactly_its_blobs(signed: Border) -> None:
    whole = question(HUB, 1, blob=b"vector")
    for blobs in ((), (b"Vector",), (b"vector", b"more")):
        with pytest.raises(Broken):
            signed.inwards(Parcel(whole.envelope, blobs))
    assert signed.inwards(whole) == "question/v1"


def test_an_answer_leaves_only_for_a_question_that_came_in_here(signed: Border) -> None:
    asked = question(HUB, 1)
    with pytest.raises(Broken, match="did not come in here"):
        signed.outwards(answer(WARD, "uk", asked))
    signed.inwards(asked)
    assert signed.outwards(answer(WARD, "uk", asked)) == "answer/v1"
    with pytest.raises(Broken, match="did not come in here"):
        signed.outwards(answer(WARD, "uk", asked, study=OTHER))


def test_only_this_hospitals_ward_speaks_and_only_in_its_own_name(signed: Border) -> None:
    asked = question(HUB, 1)
    signed.inwards(asked)
    for make in (answer, standing):
        with pytest.raises(Broken, match="key that is not expected"):
            signed.outwards(make(ROGUE, "uk", asked))
        with pytest.raises(Broken, match="of site it"):
            signed.outwards(make(WARD, "it", asked))
    with pytest.raises(Broken, match="of site it"):
        signed.outwards(decision(WARD, "it"))
    assert signed.outwards(standing(WARD, "uk", asked)) == "standing/v1"


def test_a_hubs_word_does_not_leave_a_hospital(signed: Border) -> None:
    for parcel in (question(WARD, 1), notice(WARD), proposal(WARD)):
        with pytest.raises(Broken):
            signed.outwards(parcel)


def test_a_hospital_that_left_or_refused_is_asked_nothing_more_and_a_paused_one_answers_that_it_pauses(
    signed: Border,
) -> None:
    for number, (outcome, passes) in enumerate(
        [("paused", True), ("resumed", True), ("left", False), ("resumed", True), ("refused", False)], start=2
    ):
        signed.outwards(decision(WARD, "uk", outcome=outcome, number=number))
        if passes:
            signed.inwards(question(HUB, number))
        else:
            with pytest.raises(Broken, match="not signed"):
                signed.inwards(question(HUB, number))


def test_an_old_decision_delivered_again_opens_nothing(signed: Border) -> None:
    signed.outwards(decision(WARD, "uk", outcome="left", number=2))
    signed.outwards(decision(WARD, "uk", number=1))
    with pytest.raises(Broken, match="not signed"):
        signed.inwards(question(HUB, 1))


def test_a_wire_that_was_killed_goes_on_with_the_same_knowledge(signed: Border) -> None:
    asked = question(HUB, 1)
    signed.inwards(asked)
    again = Border(site="uk", hub_key=HUB.public_key, ward_key=WARD.public_key, seen=Seen(signed.seen.folder))
    assert again.inwards(question(HUB, 2)) == "question/v1"
    assert again.outwards(answer(WARD, "uk", asked)) == "answer/v1"


@pytest.mark.parametrize(
    "envelope",
    [
        *(b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"payload":1}', b'{"payload":"!!"}', b"[" * 5000),
        *(b'{"payload":"e30="}', b'{"payload":"eyJwcmVkaWNhdGVUeXBlIjoxfQ=="}', b'{"payload":"bnVsbA=="}'),
    ],
)
def test_no_garbage_passes_and_none_breaks_the_border(signed: Border, envelope: bytes) -> None:
    for judge in (signed.inwards, signed.outwards):
        with pytest.raises(Broken):
            judge(Parcel(envelope))


def test_a_record_of_an_unknown_kind_passes_in_no_direction(signed: Border) -> None:
    for signer, judge in ((HUB, signed.inwards), (WARD, signed.outwards)):
        statement = Statement(predicate_type="gift/v1", predicate={}, subjects=(("study", STUDY),))
        with pytest.raises(Broken, match="gift"):
            judge(Parcel(seal(statement, signer)))
