"""A study is proposed once, to members, in words that its sites can rely on."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))

from smallest import STUDY

from made_hub import enlist, found_hub
from wardgate.federation.studies import all_studies, propose, status
from wardgate.hub.home import Home
from wardgate.hub.study.folder import StudyFolder
from wardgate.hub.study.proposal import find_study, hub_signer, read_proposal
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Invalid
from wardgate.records.mail import Proposal, open_mail
from wardgate.road.box import Box

TEXT = STUDY.replace("SITES", "h0, h1, h2")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A hub with three members."""
    found = found_hub(tmp_path / "hub")
    for place in range(3):
        enlist(found, f"h{place}", bytes([place]) * 32)
    return found


def _propose(home: Home, text: str = TEXT, seed: int = 3) -> str:
    return propose(hub=home.root, text=text, name="study.yaml", seed=seed).study_sha256


def test_every_site_gets_the_same_parcel(home: Home) -> None:
    digest = _propose(home)
    names = {site: Box(home.out(site)).names() for site in ("h0", "h1", "h2")}
    assert len({tuple(found) for found in names.values()}) == 1
    parcel = Box(home.out("h0")).read(names["h0"][0])
    mail, subjects = open_mail(parcel.envelope, key=hub_signer(home).public_key)
    assert isinstance(mail, Proposal) and mail.study_sha256 == digest == sha256(parcel.blobs[0])
    assert subjects == (("study", digest), ("text", sha256(TEXT.encode())))
    assert parcel.blobs[1] == TEXT.encode()
    assert [member.site for member in mail.members] == ["h0", "h1", "h2"]


def test_the_same_again_is_sent_again(home: Home) -> None:
    digest = _propose(home)
    for name in Box(home.out("h1")).names():
        Box(home.out("h1")).remove(name)
    assert _propose(home) == digest
    assert len(Box(home.out("h1")).names()) == len(Box(home.out("h0")).names()) == 1


@pytest.mark.parametrize(
    ("text", "seed", "words"),
    [(TEXT + "# a remark\n", 3, "another text"), (TEXT, 4, "another seed")],
)
def test_the_same_study_in_other_words_is_refused(home: Home, text: str, seed: int, words: str) -> None:
    _propose(home)
    with pytest.raises(Invalid, match=words):
        _propose(home, text, seed)


def test_the_same_study_with_another_key_of_a_site_is_refused(home: Home) -> None:
    _propose(home)
    enlist(home, "h1", bytes([9]) * 32)
    with pytest.raises(Invalid, match="another list of members and their keys"):
        _propose(home)


def test_strangers_and_those_who_were_put_out_take_part_in_nothing(home: Home) -> None:
    with pytest.raises(Invalid, match="2 of the study's sites are no members of this hub, first 'h3'"):
        _propose(home, STUDY.replace("SITES", "h0, h1, h3, h4"))
    enlist(home, "h2", bytes([2]) * 32, revoked_on="2026-01-01T00:00:00Z")
    with pytest.raises(Invalid, match="'h2' is no member since 2026-01-01"):
        _propose(home)
    assert all_studies(hub=home.root) == ()


def test_a_study_is_found_by_id_and_by_the_start_of_its_digest(home: Home) -> None:
    digest = _propose(home)
    assert find_study(home, "attacked") == find_study(home, digest) == find_study(home, digest[:8]) == digest
    for name in ("other", digest[:7], "0" * 64, "../studies", ""):
        with pytest.raises(Invalid, match="was proposed here"):
            find_study(home, name)
    second = _propose(home, TEXT.replace("version: 1", "version: 2"))
    with pytest.raises(Invalid, match=r"'attacked' names 2 studies here; give a digest: .*" + min(digest, second)[:16]):
        find_study(home, "attacked")


def test_an_altered_proposal_is_found(home: Home) -> None:
    digest = _propose(home)
    path = StudyFolder(home.study(digest)).proposal
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Broken, match="was altered"):
        read_proposal(home, digest)


def test_a_new_proposal_waits_for_its_sites(home: Home) -> None:
    _propose(home)
    found = status(hub=home.root, study="attacked")
    assert (found.state, found.signed, found.round) == ("proposed", 0, 0)
    assert {site.decision for site in found.sites} == {"none"}


def test_a_hub_without_a_key_says_how_to_make_one(home: Home) -> None:
    home.key.unlink()
    with pytest.raises(Invalid, match="wardgate hub init"):
        _propose(home)
