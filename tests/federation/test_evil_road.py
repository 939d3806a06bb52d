"""What a hub, or somebody between hub and hospitals, may try when everything is mail between machines.

The hospitals are real ones as `site init` and `site enrol` leave them: a border (the wire's judgement), a porter and
durable wards. The hub's key is in the test's hands. Where that says something, the attack is shown to work with the
protection taken away.
"""

import base64
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "consortium"))

from made_consortium import founded
from made_town import AT, SIX, Town, opened_town, town
from smallest import write_hospital

from wardgate.computations.newton import newton_shape
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.split import tables
from wardgate.hospital.ward.porter.decide import decide, sign
from wardgate.hospital.ward.porter.known import KnownKeys
from wardgate.hospital.ward.porter.register import Register
from wardgate.hospital.wire.courier import kind_of
from wardgate.hub.exchange import Exchange
from wardgate.hub.pooling.ask import Ask
from wardgate.hub.study.post import Post
from wardgate.hub.study.proposal import propose
from wardgate.measures.encoding import design_matrix, labels
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.errors import Broken, Refused
from wardgate.records.mail import Decision, Notice, Standing, open_mail, seal_mail
from wardgate.records.messages import ANSWER, QUESTION, Answer, Question, open_answer, open_question
from wardgate.records.parcel import Parcel, pack_bytes, pack_vector
from wardgate.records.study_file import parse
from wardgate.road.box import Box
from wardgate.sums.agreed import agreed_plan
from wardgate.sums.plan import total

BETA = pack_vector("beta", np.zeros(4))
NEWTON = 15


@pytest.fixture(scope="module")
def founded_three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hospitals that joined, on disk."""
    folder = tmp_path_factory.mktemp("three")
    town(folder, SIX[:3], persons=60)
    return folder


@pytest.fixture
def three(founded_three: Path, tmp_path: Path) -> Town:
    """Three hospitals to which nothing was proposed yet."""
    shutil.copytree(founded_three, tmp_path / "three")
    return opened_town(tmp_path / "three", SIX[:3])


@pytest.fixture(scope="module")
def conversation(make_consortium: Callable[..., Any]) -> Callable[[Town], Any]:
    """Wraps a town into the consortium whose hub may sign any question; reviewed and introduced over the road."""
    kind = type(make_consortium({"x": 11, "y": 11, "z": 11}, enrolled=False))

    def open_for(met: Town) -> Any:
        found = kind(study=met.study, hub=met.hub, wards=dict(met.hospitals), couriers=dict(met.hospitals))
        found.review()
        assert {answer.outcome for answer in found.introduce().values()} == {"released"}
        return found

    return open_for


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Town:
    """Six hospitals that signed."""
    met = town(tmp_path_factory.mktemp("six"), SIX, persons=230)
    for hospital in met.hospitals.values():
        hospital.say(met.proposal())
        hospital.sign()
    return met


@pytest.fixture(scope="module")
def asked(six: Town, conversation: Callable[[Town], Any]) -> Any:
    """The same, introduced to each other."""
    return conversation(six)


def newton(asked: Any, sites: tuple[str, ...], **more: Any) -> Parcel:
    """A question for one Newton step over some of the sites."""
    fields = {"computation": "newton", "split": "train", "sum": asked.terms(sites, NEWTON)} | more
    return asked.question([BETA], **fields)[1]


def opened(met: Any, site: str, parcel: Parcel) -> Answer:
    return open_answer(parcel.envelope, site_key=met.keys[site])


def truth(asked: Any, sites: tuple[str, ...]) -> Any:
    """The gradient at zero, from the patients themselves."""
    found = np.zeros(4)
    for site in sites:
        hospital = asked.couriers[site]
        salt = hospital.premises.salt.read_bytes()
        train = tables(load(hospital.data, asked.study), asked.study.splits, salt=salt)["train"]
        found += design_matrix(asked.study.features, train).T @ (labels(train) - 0.5)
    return found


def spent(asked: Any, site: str) -> int:
    """How many exact answers the ward's ledger on disk holds."""
    ledger = Register(asked.couriers[site].premises).folder(asked.digest) / "ward" / "ledger.jsonl"
    return sum("exact" in line for line in ledger.read_text().splitlines())


def added(asked: Any, sites: tuple[str, ...], questions: Mapping[str, Parcel], answers: Mapping[str, Parcel]) -> Any:
    """What a hub gets that adds up masked answers under the terms of the first site's question."""
    terms = asked.terms(sites, NEWTON)
    shape = newton_shape(columns=4, l1_of_beta=0.0)
    plan = agreed_plan(terms, shape, question_sha256=sha256(questions[sites[0]].envelope))
    masked = {site: np.frombuffer(answers[site].blobs[0], dtype="<u8") for site in sites}
    return total(plan, masked)


# Before a signature: whom does a hospital believe to be in the study?


def test_an_honest_proposal_has_one_code_everywhere_and_can_be_signed(three: Town) -> None:
    codes = set()
    for hospital in three.hospitals.values():
        assert hospital.say(three.proposal()) == []
        codes.add(hospital.proposed.proposal.code)
        (left,) = hospital.sign()
        decision, _ = open_mail(left.envelope, key=hospital.signer.public_key)
        assert isinstance(decision, Decision) and decision.outcome == "signed"
    assert len(codes) == 1


def test_another_roster_for_one_hospital_is_heard_on_the_phone(three: Town) -> None:
    """The hub puts its own key in the place of h1's, for h0 alone."""
    evil = Signer(bytes(32)).public_key.hex()
    three.hospitals["h0"].say(three.proposal(h1=evil))
    three.hospitals["h2"].say(three.proposal())
    told, true = (three.hospitals[site].proposed.proposal.code for site in ("h0", "h2"))
    assert told != true
    with pytest.raises(Refused, match=r"not the code of this proposal.*do not sign"):
        three.hospitals["h0"].sign(code=true)
    assert three.hospitals["h0"].answers.names() == []


def test_a_hospital_that_does_not_telephone_signs_whatever_it_was_told(three: Town) -> None:
    """The attack with the protection off: nothing but people comparing codes can find it before the first signature."""
    evil = Signer(bytes(32)).public_key.hex()
    three.hospitals["h0"].say(three.proposal(h1=evil))
    assert len(three.hospitals["h0"].sign()) == 1


def test_a_hub_that_invents_the_other_hospitals_reads_the_one_that_did_not_telephone(
    three: Town, conversation: Callable[[Town], Any]
) -> None:
    """Two of three are the hub's own. The sum is over three signed keys, and all the same one hospital's data."""
    for hospital in three.hospitals.values():
        hospital.say(three.proposal())
        hospital.sign()
    asked = conversation(three)
    question = newton(asked, asked.sites)
    answers = {site: asked.carry(site, question) for site in asked.sites}
    whole = added(asked, asked.sites, dict.fromkeys(asked.sites, question), answers)[:4]
    invented = truth(asked, ("h1", "h2"))
    assert whole - invented == pytest.approx(truth(asked, ("h0",)), abs=1e-6)


def test_two_names_with_one_key_cannot_be_signed(three: Town) -> None:
    twice = three.keys["h2"].hex()
    three.hospitals["h0"].say(three.proposal(h1=twice))
    with pytest.raises(Refused, match="two of the proposal's names have one key"):
        three.hospitals["h0"].sign()
    three.hospitals["h2"].say(three.proposal(h1=three.hub.public_key.hex()))
    with pytest.raises(Refused, match="two of the proposal's names have one key"):
        three.hospitals["h2"].sign()


def test_another_key_for_the_hospital_itself_cannot_be_signed(three: Town) -> None:
    three.hospitals["h0"].say(three.proposal(h0=Signer(bytes(32)).public_key.hex()))
    with pytest.raises(Refused, match="another key for 'h0' than this hospital's own"):
        three.hospitals["h0"].sign()


def test_a_proposal_changed_after_the_signature_is_put_aside_and_said_to_be_broken(three: Town) -> None:
    hospital = three.hospitals["h0"]
    hospital.say(three.proposal())
    hospital.sign()
    code = hospital.proposed.proposal.code
    (left,) = hospital.say(three.proposal(h1=Signer(bytes(32)).public_key.hex()))
    standing, _ = open_mail(left.envelope, key=hospital.signer.public_key)
    assert isinstance(standing, Standing) and standing.state == "broken"
    assert "other members or keys" in standing.words
    assert hospital.proposed.proposal.code == code
    assert hospital.proposed.open


def test_a_key_swapped_between_two_studies_is_held_against_the_first_signature(three: Town) -> None:
    hospital = three.hospitals["h0"]
    hospital.say(three.proposal())
    hospital.sign()
    text = three.text.replace("version: 1", "version: 2")
    second = parse(text, name="study.yaml")
    hospital.say(three.proposal(study=second, text=text, h1=Signer(bytes(32)).public_key.hex()))
    later = Register(hospital.premises).named("attacked@2")
    with pytest.raises(Refused, match="the key of 'h1' is another one than at the signature of 2026-01-02"):
        sign(hospital.porter.house, later, code=later.proposal.code, at=AT)


def test_without_the_pins_the_swapped_key_would_be_signed(three: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    hospital = three.hospitals["h0"]
    hospital.say(three.proposal())
    hospital.sign()
    text = three.text.replace("version: 1", "version: 2")
    evil = three.proposal(study=parse(text, name="s"), text=text, h1=Signer(bytes(32)).public_key.hex())
    hospital.say(evil)
    later = Register(hospital.premises).named("attacked@2")
    monkeypatch.setattr(KnownKeys, "check", lambda self, proposal: None)
    assert sign(hospital.porter.house, later, code=later.proposal.code, at=AT).outcome == "signed"


@pytest.mark.parametrize("blobs", ["none", "study", "text", "swapped", "more"])
def test_a_proposal_with_other_papers_than_it_signed_does_not_pass_the_wire(three: Town, blobs: str) -> None:
    honest = three.proposal()
    study, text = honest.blobs
    other = {
        "none": (),
        "study": (study.replace(b"attacked", b"harmless"), text),
        "text": (study, text + b"\n# nothing else"),
        "swapped": (text, study),
        "more": (study, text, b"more"),
    }[blobs]
    with pytest.raises(Broken):
        three.hospitals["h0"].bring(Parcel(honest.envelope, other))


def test_a_proposal_whose_text_is_another_study_is_signed_for_the_locked_one_alone(three: Town) -> None:
    """People are shown the study that is locked; the hub's text beside it is never what questions are held against."""
    gentle = three.text.replace("A study under attack", "A gentle study")
    hospital = three.hospitals["h0"]
    hospital.say(three.proposal(text=gentle))
    assert hospital.proposed.study.title == "A study under attack"
    assert hospital.proposed.proposal.study_sha256 == sha256(three.study.to_bytes())


def test_a_proposal_of_somebody_else_does_not_pass_the_wire(three: Town) -> None:
    for signer in (Signer(bytes(32)), three.hospitals["h1"].signer):
        with pytest.raises(Broken, match="not expected here"):
            three.hospitals["h0"].bring(three.proposal(signer=signer))


def test_a_hospitals_word_from_the_hub_does_not_pass_the_wire(three: Town) -> None:
    """The hub cannot sign for a hospital, neither with its own key nor with another hospital's."""
    digest = sha256(three.study.to_bytes())
    decision = Decision(
        proposal_sha256="ab" * 32, study_sha256=digest, site="h0", outcome="signed", number=1, code="", at=AT
    )
    for signer in (three.hub, three.hospitals["h1"].signer):
        with pytest.raises(Broken):
            three.hospitals["h0"].bring(Parcel(seal_mail(decision, signer)))


# Signatures and refusals that somebody would rather not have heard.


def test_before_a_signature_no_question_is_answered_whatever_the_wire_lets_in(three: Town) -> None:
    hospital = three.hospitals["h0"]
    hospital.say(three.proposal())
    question = review_question(three)
    with pytest.raises(Broken, match="has not signed"):
        hospital.bring(question)
    hospital.trusting = True
    (left,) = hospital.say(question)
    standing, _ = open_mail(left.envelope, key=hospital.signer.public_key)
    assert isinstance(standing, Standing) and "nobody at this hospital has signed" in standing.words


def review_question(met: Town, **more: Any) -> Parcel:
    ref, data = pack_bytes("study", met.study.to_bytes())
    fields = {"study_sha256": sha256(data), "number": 1, "computation": "review", "vectors": (ref,)} | more
    question = Question(**fields)
    statement = Statement(
        predicate_type=QUESTION, predicate=question.plain(), subjects=(("study", question.study_sha256),)
    )
    return Parcel(seal(statement, met.hub), (data,))


def test_a_refusal_that_the_hub_drops_leaves_the_ward_shut(three: Town) -> None:
    hospital = three.hospitals["h0"]
    hospital.say(three.proposal())
    decide(hospital.porter.house, hospital.proposed, "refused", reason="no", at=AT)
    for name in hospital.answers.names():
        hospital.answers.remove(name)
    with pytest.raises(Broken, match="has not signed"):
        hospital.bring(review_question(three))
    hospital.trusting = True
    for left in hospital.say(review_question(three)):
        if b"".join(left.blobs) or kind_of(left.envelope) == ANSWER:
            answer = open_answer(left.envelope, site_key=hospital.signer.public_key)
            assert (answer.outcome, answer.statement, left.blobs) == ("refused", {}, ())
            assert "refused the study" in answer.refusal
        else:
            mail, _ = open_mail(left.envelope, key=hospital.signer.public_key)
            assert isinstance(mail, Standing) and mail.state == "never"


def test_a_hospital_that_left_answers_nothing_more_though_the_hub_did_not_hear_it(three: Town) -> None:
    hospital = three.hospitals["h0"]
    hospital.say(three.proposal())
    hospital.sign()
    decide(hospital.porter.house, hospital.proposed, "left", reason="enough", at=AT)
    for name in hospital.answers.names():
        hospital.fetch(name)
    with pytest.raises(Broken, match="has not signed"):
        hospital.bring(review_question(three))


def test_a_signature_that_the_hub_forges_for_a_hospital_is_kept_aside_by_an_honest_hub(three: Town) -> None:
    """Somebody at the hub's machine without the hospital's key lays a decision into its box."""
    proposed = propose(three.home, three.study, three.text, seed=7)
    decision = Decision(
        proposal_sha256=proposed.sha256,
        study_sha256=proposed.study_sha256,
        site="h0",
        outcome="signed",
        number=1,
        code=proposed.code,
        at=AT,
    )
    three.home.inbox("h0").parent.mkdir(parents=True, exist_ok=True)
    box = Box(three.home.inbox("h0"))
    for signer in (three.hub, three.hospitals["h1"].signer):
        box.put(Parcel(seal_mail(decision, signer)))
    post = Post(three.home)
    assert post.collect("h0") == 0
    assert len(list(post.aside("h0").glob("*.txt"))) == 2
    box.put(Parcel(seal_mail(decision, three.hospitals["h0"].signer)))
    assert post.collect("h0") == 1


def test_a_hospital_that_saw_another_code_is_found_by_an_honest_hub(three: Town) -> None:
    """Somebody between the two told the hospital other keys: its signature names the code that it saw."""
    proposed = propose(three.home, three.study, three.text, seed=7)
    three.hospitals["h0"].say(three.proposal(h1=Signer(bytes(32)).public_key.hex()))
    (left,) = three.hospitals["h0"].sign()
    three.home.inbox("h0").parent.mkdir(parents=True, exist_ok=True)
    Box(three.home.inbox("h0")).put(left)
    post = Post(three.home)
    assert post.collect("h0") == 0
    (words,) = post.aside("h0").glob("*.txt")
    assert "another proposal" in words.read_text() or "saw the code" in words.read_text()
    assert proposed.code != three.hospitals["h0"].proposed.proposal.code


# Questions.


def test_an_honest_sum_over_the_road_opens_to_the_truth(asked: Any) -> None:
    question = newton(asked, SIX)
    answers = {site: asked.carry(site, question) for site in SIX}
    found = added(asked, SIX, dict.fromkeys(SIX, question), answers)
    assert found[:4] == pytest.approx(truth(asked, SIX), abs=1e-6)


@pytest.mark.parametrize("sites", [("h0",), ("h0", "h1")])
def test_a_sum_of_one_or_two_is_refused_over_the_road(asked: Any, sites: tuple[str, ...]) -> None:
    answer = opened(asked, "h0", asked.carry("h0", newton(asked, sites)))
    assert answer.outcome == "refused"
    assert "at least 3" in answer.refusal
    assert answer.vectors == ()


def test_a_sum_with_one_site_fewer_is_refused_also_after_the_ward_was_restarted(asked: Any) -> None:
    """The difference of two exact sums would be one hospital's own numbers; a machine that was off still knows."""
    everybody = newton(asked, SIX)
    for site in SIX:
        assert opened(asked, site, asked.carry(site, everybody)).outcome == "released"
    for restart in (False, True):
        for site in SIX[:2]:
            if restart:
                asked.couriers[site].restarted()
            answer = opened(asked, site, asked.carry(site, newton(asked, SIX[:5])))
            assert answer.outcome == "refused"
            assert "sum.isolated" in answer.refusal


def test_a_question_of_another_study_passes_neither_wire_nor_ward(asked: Any) -> None:
    other = newton(asked, SIX, study_sha256="ab" * 32)
    hospital = asked.couriers["h0"]
    with pytest.raises(Broken, match="has not signed"):
        hospital.bring(other)
    before = len(hospital.broken)
    hospital.trusting = True
    try:
        left = hospital.say(other)
    finally:
        hospital.trusting = False
    for parcel in left:
        mail, _ = open_mail(parcel.envelope, key=hospital.signer.public_key)
        assert isinstance(mail, Standing) and mail.state == "broken"
    assert "never proposed" in hospital.broken[-1]
    assert len(hospital.broken) == before + 1


def test_an_old_question_again_gives_the_same_answer_and_spends_nothing(asked: Any) -> None:
    """Not a second draw of masks or noise: byte for byte the same, also after a restart."""
    question = newton(asked, SIX)
    first = asked.carry("h3", question)
    before = spent(asked, "h3")
    assert asked.carry("h3", question) == first
    asked.couriers["h3"].restarted()
    assert asked.carry("h3", question) == first
    assert spent(asked, "h3") == before
    asked.carry("h3", newton(asked, SIX))
    assert spent(asked, "h3") == before + 1


def test_two_questions_under_one_number_are_broken_at_the_second(asked: Any) -> None:
    question = newton(asked, SIX)
    asked.carry("h4", question)
    twin = asked.question(
        [pack_vector("beta", np.ones(4))],
        computation="newton",
        split="train",
        number=asked.number,
        sum=asked.terms(SIX, NEWTON),
    )[1]
    (left,) = asked.couriers["h4"].say(twin)
    standing, _ = open_mail(left.envelope, key=asked.keys["h4"])
    assert isinstance(standing, Standing) and standing.state == "broken"


def test_two_questions_under_one_number_to_two_sites_open_to_noise(asked: Any) -> None:
    """Masks are bound to the digest of the question: a sum over two stories does not open, over one it does."""
    ones = pack_vector("beta", np.ones(4))
    first = newton(asked, SIX)
    second = asked.question(
        [ones], computation="newton", split="train", number=asked.number, sum=asked.terms(SIX, NEWTON)
    )[1]
    told = {site: second if site == "h0" else first for site in SIX}
    answers = {site: asked.carry(site, told[site]) for site in SIX}
    assert {opened(asked, site, answers[site]).outcome for site in SIX} == {"released"}
    for leader in ("h0", "h1"):
        order = (leader, *(site for site in SIX if site != leader))
        found = added(asked, order, told, answers)[:4]
        assert not np.any(np.abs(found - truth(asked, SIX)) < 1.0)
    question = open_question(first.envelope, hub_key=asked.hub.public_key)
    with pytest.raises(Broken, match="another question"):
        desk(asked).take(step(), dict.fromkeys(SIX, (question, first)), answers)


def step() -> Ask:
    return Ask(
        what="one step",
        computation="newton",
        sites=SIX,
        split="train",
        shape=newton_shape(columns=4, l1_of_beta=0.0),
        arrays=(("beta", np.zeros(4)),),
    )


def desk(asked: Any) -> Exchange:
    """An honest hub's desk that goes on where the conversation is."""
    found: Exchange = asked.desk()
    return found


def test_a_question_with_other_vectors_than_it_signed_reaches_no_patient(asked: Any) -> None:
    """Altered behind the wire: the ward does not trust what the wire checked."""
    question = newton(asked, SIX)
    hospital = asked.couriers["h5"]
    before = spent(asked, "h5")
    for blobs in ((), (pack_vector("beta", np.ones(4))[1],), (*question.blobs, b"more")):
        altered = Parcel(question.envelope, blobs)
        with pytest.raises(Broken, match="blob"):
            hospital.bring(altered)
        hospital.trusting = True
        try:
            for left in hospital.say(altered):
                mail, _ = open_mail(left.envelope, key=hospital.signer.public_key)
                assert isinstance(mail, Standing) and mail.state == "broken"
        finally:
            hospital.trusting = False
    assert spent(asked, "h5") == before


# Answers.


def filed(met: Town, site: str, parcel: Parcel) -> tuple[int, list[str]]:
    """Lay a parcel into the hub's box of a site and sort it; how many were filed, and words of the rest."""
    home = met.home
    propose(home, met.study, met.text, seed=7)
    home.inbox(site).parent.mkdir(parents=True, exist_ok=True)
    post = Post(home)
    before = set(post.aside(site).glob("*.txt"))
    Box(home.inbox(site)).put(parcel)
    count = post.collect(site)
    return count, [path.read_text() for path in set(post.aside(site).glob("*.txt")) - before]


def test_another_sites_answer_is_carried_by_no_wire_and_filed_by_no_hub(six: Town, asked: Any) -> None:
    question = newton(asked, SIX)
    asked.carry("h0", question)
    other = asked.carry("h1", question)
    name = asked.couriers["h0"].answers.put(other)
    with pytest.raises(Broken, match="not expected here"):
        asked.couriers["h0"].fetch(name)
    asked.couriers["h0"].answers.remove(name)
    count, words = filed(six, "h0", other)
    assert count == 0 and "not expected here" in words[0]
    assert filed(six, "h1", other)[0] == 1


def test_an_answer_to_another_question_or_with_swapped_blobs_opens_no_sum(asked: Any) -> None:
    exchange = desk(asked)
    ask = step()
    sent = exchange.questions(ask)
    asked.number += 10
    answers = {site: asked.carry(site, sent[site][1]) for site in SIX}
    earlier = asked.carry("h2", newton(asked, SIX))
    with pytest.raises(Broken, match="another question"):
        exchange.take(ask, sent, answers | {"h2": earlier})
    swapped = {
        "h2": Parcel(answers["h2"].envelope, answers["h3"].blobs),
        "h3": Parcel(answers["h3"].envelope, answers["h2"].blobs),
    }
    for site, parcel in swapped.items():
        name = asked.couriers[site].answers.put(parcel)
        with pytest.raises(Broken, match="does not match its signed digest"):
            asked.couriers[site].fetch(name)
        asked.couriers[site].answers.remove(name)
        with pytest.raises(Broken):
            exchange.take(ask, sent, answers | {site: parcel})
    assert exchange.take(ask, sent, answers).sum()[:4] == pytest.approx(truth(asked, SIX), abs=1e-6)


def test_a_notice_of_a_study_that_nobody_proposed_is_noted_as_broken(three: Town) -> None:
    hospital = three.hospitals["h0"]
    notice = Notice(study_sha256="ab" * 32, event="aborted", reason="because")
    assert hospital.say(Parcel(seal_mail(notice, three.hub))) == []
    assert "never proposed" in hospital.broken[-1]


# The line and the machines themselves.


def spoken(parcel: Parcel) -> bytes:
    """What stands in a parcel for whoever reads it without any key."""
    return base64.b64decode(json.loads(parcel.envelope)["payload"]) + b"".join(parcel.blobs)


def test_whoever_reads_the_line_reads_questions_models_and_figures_and_of_a_sum_masks_alone(asked: Any) -> None:
    """Records are signed and not encrypted: that is the business of TLS, which a device on the way may end."""
    beta = pack_vector("beta", np.array([0.5, -1.0, 0.25, 2.0]))
    terms = asked.terms(SIX, NEWTON)
    first, second = (asked.question([beta], computation="newton", split="train", sum=terms)[1] for _ in range(2))
    for words in (b'"newton"', b'"train"', asked.digest.encode(), b'"h5"', beta[1]):
        assert words in spoken(first)
    review = Parcel(asked.reviews["h0"])
    assert b'"persons_band":"' in spoken(review)
    masked = [np.frombuffer(asked.carry("h0", one).blobs[0], dtype="<u8") for one in (first, second)]
    assert len(masked[0]) == NEWTON
    bits = np.unpackbits((masked[0] ^ masked[1]).view(np.uint8))
    assert 0.35 < bits.mean() < 0.65, "the same addend twice looks like two unrelated draws"


def test_the_size_of_a_masked_answer_says_nothing_of_the_persons_behind_it(
    tmp_path: Path, conversation: Callable[[Town], Any]
) -> None:
    """Its shape is the computation's alone. How long a ward takes does depend on them, and is not hidden."""
    for place, count in enumerate((60, 200, 900)):
        write_hospital(tmp_path / "data" / SIX[place], count, [7, place], inverted=False, note="")
    sources = {site: tmp_path / "data" / site for site in SIX[:3]}
    founded(tmp_path, sites=SIX[:3], sources=sources)
    met = opened_town(tmp_path, SIX[:3])
    for hospital in met.hospitals.values():
        hospital.say(met.proposal())
        hospital.sign()
    asked = conversation(met)
    question = newton(asked, asked.sites)
    answers = [asked.carry(site, question) for site in asked.sites]
    assert {opened(asked, site, one).outcome for site, one in zip(asked.sites, answers, strict=True)} == {"released"}
    assert len({len(b"".join(one.blobs)) for one in answers}) == 1


def test_a_stolen_wire_holds_neither_a_patient_nor_a_key_that_signs(six: Town, asked: Any) -> None:
    """Everything of a hospital but its ward's folder and its data, after a conversation."""
    asked.carry("h0", newton(asked, SIX))
    hospital = six.hospitals["h0"]
    seed = bytes.fromhex(json.loads(hospital.premises.ward_key.read_bytes())["seed"])
    salt = hospital.premises.salt.read_bytes()
    rows = (hospital.data / "patients.csv").read_bytes().splitlines()[1:]
    secrets = [row for row in rows if row] + [row.split(b",")[0] + b"," for row in rows]
    secrets += [form for one in (seed, salt) for form in (one, one.hex().encode(), base64.b64encode(one).rstrip(b"="))]
    files = [path for path in hospital.premises.root.rglob("*") if path.is_file()]
    outside = [path for path in files if hospital.premises.ward not in path.parents]
    assert len(outside) >= 4
    for path in outside:
        held = path.read_bytes()
        assert not any(secret in held for secret in secrets), path.name
    inside = b"".join(path.read_bytes() for path in files if path not in outside)
    assert seed.hex().encode() in inside, "the search finds what is there"


def test_a_stolen_wire_speaks_for_nobody(six: Town, asked: Any) -> None:
    """It has the TLS key, so it reaches the hub; the hub files nothing that the ward did not sign."""
    question = newton(asked, SIX)
    honest = asked.carry("h0", question)
    thief = Signer(b"\x01" * 32)
    said = opened(asked, "h0", honest)
    statement = Statement(predicate_type=ANSWER, predicate=said.plain(), subjects=())
    count, words = filed(six, "h0", Parcel(seal(statement, thief), honest.blobs))
    assert count == 0 and "not expected here" in words[0]
    left = Decision(
        proposal_sha256="ab" * 32,
        study_sha256=asked.digest,
        site="h0",
        outcome="left",
        reason="not ours",
        number=9,
        code="",
        at=AT,
    )
    count, words = filed(six, "h0", Parcel(seal_mail(left, thief)))
    assert count == 0 and "not expected here" in words[0]
