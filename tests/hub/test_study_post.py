"""The hub's post room: what holds is filed once, what does not is kept aside with the reason; any number may sort."""

import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))

from smallest import STUDY

from made_hub import enlist, found_hub
from wardgate.hub.home import Home
from wardgate.hub.study.decisions import last_word, standing_of
from wardgate.hub.study.folder import StudyFolder, filed
from wardgate.hub.study.post import Post
from wardgate.hub.study.proposal import Proposed, hub_signer, propose
from wardgate.hub.study.shelf import Shelf
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.errors import Broken
from wardgate.records.mail import Decision, Notice, Standing, seal_mail
from wardgate.records.messages import ANSWER, Answer
from wardgate.records.parcel import Parcel
from wardgate.records.study_file import parse
from wardgate.road.box import Box

ASKED = "5" * 64


@dataclass(slots=True, kw_only=True)
class Office:
    """A hub with three sites and a proposed study."""

    home: Home
    proposed: Proposed
    keys: dict[str, Signer]

    @property
    def folder(self) -> StudyFolder:
        """The study's folder."""
        return StudyFolder(self.home.study(self.proposed.study_sha256))

    def send(self, site: str, parcel: Parcel) -> str:
        """Lay a parcel into a site's box."""
        self.home.inbox(site).parent.mkdir(parents=True, exist_ok=True)
        return Box(self.home.inbox(site)).put(parcel)

    def answer(self, site: str = "h0", *, signer: str = "h0", said: str = "", asked: str = ASKED) -> Parcel:
        """A parcel that answers a question."""
        record = Answer(
            study_sha256=self.proposed.study_sha256,
            question_sha256=asked,
            site=site,
            computation="close",
            outcome="refused",
            refusal=said,
            verdict="not_judged",
        )
        subjects = (("study", self.proposed.study_sha256),)
        return Parcel(
            seal(Statement(predicate_type=ANSWER, predicate=record.plain(), subjects=subjects), self.keys[signer])
        )

    def decision(self, outcome: str = "signed", *, number: int = 1, reason: str = "") -> Parcel:
        """A decision of h0."""
        record = Decision.model_validate(
            {
                "proposal_sha256": self.proposed.sha256,
                "study_sha256": self.proposed.study_sha256,
                "site": "h0",
                "outcome": outcome,
                "reason": reason,
                "number": number,
                "code": self.proposed.code,
                "at": "",
            }
        )
        return Parcel(seal_mail(record, self.keys["h0"]))

    def standing(self, state: str, words: str = "") -> Parcel:
        """What h0 says of a question."""
        plain = {
            "study_sha256": self.proposed.study_sha256,
            "site": "h0",
            "state": state,
            "question_sha256": ASKED,
            "words": words,
        }
        return Parcel(seal_mail(Standing.model_validate(plain), self.keys["h0"]))

    def aside(self) -> list[str]:
        """Why parcels of h0 were put aside."""
        return [path.read_text().strip() for path in sorted(Post(self.home).aside("h0").glob("*.txt"))]


@pytest.fixture
def office(tmp_path: Path) -> Office:
    """A hub with three sites and a proposed study."""
    home = found_hub(tmp_path / "hub")
    keys = {f"h{place}": Signer(bytes([place + 1]) * 32) for place in range(3)}
    for site, signer in keys.items():
        enlist(home, site, signer.public_key)
    text = STUDY.replace("SITES", "h0, h1, h2")
    return Office(home=home, proposed=propose(home, parse(text, name="study.yaml"), text, seed=1), keys=keys)


def test_an_answer_is_filed_by_its_question_and_once(office: Office) -> None:
    for _ in range(2):
        office.send("h0", office.answer())
        assert Post(office.home).collect("h0") == 1
    assert Box(office.home.inbox("h0")).names() == []
    path = filed(office.folder.answers("h0"), ASKED)
    assert Parcel.from_bytes(path.read_bytes()) == office.answer()
    assert office.aside() == []


def test_a_second_answer_in_other_words_is_kept_aside_and_the_first_stands(office: Office) -> None:
    post = Post(office.home)
    for said in ("one", "two"):
        office.send("h0", office.answer(said=said))
        post.collect("h0")
    (reason,) = office.aside()
    assert "question answered twice" in reason
    path = filed(office.folder.answers("h0"), ASKED)
    assert Parcel.from_bytes(path.read_bytes()) == office.answer(said="one")


def test_the_last_decision_by_number_stands_in_whatever_order_they_come(office: Office) -> None:
    post = Post(office.home)
    for number, outcome in ((3, "resumed"), (1, "signed"), (2, "paused")):
        office.send("h0", office.decision(outcome, number=number))
        post.collect("h0")
    assert last_word(office.home, office.proposed, "h0").outcome == "resumed"
    office.send("h0", office.decision("left", number=4, reason="the board said so"))
    post.collect("h0")
    word = last_word(office.home, office.proposed, "h0")
    assert not word.takes_part and word.why_not == "left the study: the board said so"


def test_a_decision_made_twice_under_one_number_stands_as_it_came_first(office: Office) -> None:
    for outcome in ("signed", "refused"):
        office.send("h0", office.decision(outcome, reason=outcome))
        Post(office.home).collect("h0")
    assert last_word(office.home, office.proposed, "h0").outcome == "signed"
    assert len(office.aside()) == 1


def test_the_latest_standing_of_a_question_stands(office: Office) -> None:
    for state in ("waiting_for_approval", "never"):
        office.send("h0", office.standing(state))
        Post(office.home).collect("h0")
    found = standing_of(office.home, office.proposed, "h0", ASKED)
    assert found is not None and found.state == "never"
    assert standing_of(office.home, office.proposed, "h0", "6" * 64) is None


def _by_another(office: Office) -> Parcel:
    return office.answer(signer="h1")


def _of_another(office: Office) -> Parcel:
    return office.answer("h1")


def _by_nobody(_office: Office) -> Parcel:
    return Parcel(b"{}")


def _by_the_hub(office: Office) -> Parcel:
    notice = Notice(study_sha256=office.proposed.study_sha256, event="running")
    return Parcel(seal_mail(notice, hub_signer(office.home)))


def _a_notice(office: Office) -> Parcel:
    return Parcel(seal_mail(Notice(study_sha256=office.proposed.study_sha256, event="running"), office.keys["h0"]))


def _of_no_study(office: Office) -> Parcel:
    return Parcel(seal_mail(Notice(study_sha256="8" * 64, event="running"), office.keys["h0"]))


def _bent(office: Office) -> Parcel:
    envelope = office.answer().envelope
    return Parcel(envelope.replace(b'"sig":"', b'"sig":"A', 1))


MUSEUM: dict[str, tuple[Callable[[Office], Parcel], str]] = {
    "signed by another site": (_by_another, "signed by a key that is not expected"),
    "in another site's name": (_of_another, "a record of 'h1' came from 'h0'|came from"),
    "no envelope": (_by_nobody, "not a signed envelope"),
    "signed by the hub": (_by_the_hub, "found notice/v1"),
    "a notice": (_a_notice, "a site sends answers, decisions and standings; found notice/v1"),
    "of no study": (_of_no_study, "was not proposed here"),
    "a bent signature": (_bent, "not a signed envelope"),
}


@pytest.mark.parametrize("name", MUSEUM)
def test_what_does_not_hold_is_kept_aside_with_the_reason(office: Office, name: str) -> None:
    made, words = MUSEUM[name]
    office.send("h0", made(office))
    assert Post(office.home).collect("h0") == 0
    (reason,) = office.aside()
    assert any(word in reason for word in words.split("|"))
    assert Box(office.home.inbox("h0")).names() == []
    assert not office.folder.answers("h0").exists() or not list(office.folder.answers("h0").iterdir())


@pytest.mark.parametrize("data", [b"", b"WGPARCEL1", b"WGPARCEL1\x01\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\x7f{}"])
def test_what_is_no_parcel_is_kept_aside(office: Office, data: bytes) -> None:
    office.send("h0", office.answer())
    (name,) = Box(office.home.inbox("h0")).names()
    (office.home.inbox("h0") / f"{name}.parcel").write_bytes(data)
    assert Post(office.home).collect("h0") == 0
    assert len(office.aside()) == 1


def test_a_site_that_was_put_out_says_nothing_more(office: Office) -> None:
    enlist(office.home, "h0", office.keys["h0"].public_key, revoked_on="2026-01-01T00:00:00Z")
    office.send("h0", office.decision())
    Post(office.home).collect("h0")
    assert "is no member since" in office.aside()[0]
    assert last_word(office.home, office.proposed, "h0").outcome == ""


def test_a_filed_decision_that_was_altered_is_found(office: Office) -> None:
    office.send("h0", office.decision())
    Post(office.home).collect("h0")
    (path,) = office.folder.decisions("h0").iterdir()
    path.write_bytes(office.answer().to_bytes())
    with pytest.raises(Broken):
        last_word(office.home, office.proposed, "h0")


def test_reading_a_large_answer_takes_at_most_twice_its_size(office: Office) -> None:
    size = 32 * 2**20
    large = Parcel(office.answer().envelope, (bytes(size),))
    office.send("h0", large)
    del large
    tracemalloc.start()
    try:
        Post(office.home).collect("h0")
        sorting = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        office.folder.run.mkdir()
        shelf = Shelf(office.folder.parcels)
        name, parcel = shelf.link_in(filed(office.folder.answers("h0"), ASKED))
        reading = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sorting < 2**20, "mail is sorted by its envelope alone"
    assert reading < 2.1 * size and parcel.size > size
    assert shelf.size(name) == filed(office.folder.answers("h0"), ASKED).stat().st_size


def test_one_parcel_for_many_sites_lies_on_the_disk_once(office: Office) -> None:
    office.folder.run.mkdir()
    shelf = Shelf(office.folder.parcels)
    name = shelf.put(Parcel(b"{}", (bytes(1000),)))
    for site in office.keys:
        shelf.link_out(name, office.home.out(site))
        shelf.link_out(name, office.home.out(site))
    places = [office.folder.parcels / f"{name}.parcel", *(office.home.out(s) / f"{name}.parcel" for s in office.keys)]
    assert len({path.stat().st_ino for path in places}) == 1
    Box(office.home.out("h0")).remove(name)
    assert shelf.read(name).blobs == (bytes(1000),)
