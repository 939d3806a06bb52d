"""What the sites decided on a study, and why a site is not answering: read from what the post room filed."""

from dataclasses import dataclass

from wardgate.hub.home import Home
from wardgate.hub.study.folder import StudyFolder, filed
from wardgate.hub.study.proposal import Proposed
from wardgate.records.errors import Broken
from wardgate.records.mail import Decision, Standing, open_mail
from wardgate.records.parcel import read_envelope

TAKING_PART = ("signed", "paused", "resumed")
"""Outcomes after which a site is asked. One that paused may come back while a round waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A site's last word on a study.

    Attributes:
        outcome: Of its last decision; empty where it said nothing.
        reason: In its words.
    """

    outcome: str = ""
    reason: str = ""

    @property
    def takes_part(self) -> bool:
        """Whether it signed, and did not leave."""
        return self.outcome in TAKING_PART

    @property
    def why_not(self) -> str:
        """Why a site is not asked, in words."""
        said = {"refused": "refused the study", "left": "left the study"}.get(self.outcome, "did not sign the study")
        return f"{said}: {self.reason}" if self.reason else said


def last_word(home: Home, proposed: Proposed, site: str) -> Word:
    """Return what a site decided last. Decisions are numbered, so it does not matter in which order they came.

    Raises:
        Broken: a filed decision was altered.
    """
    folder = StudyFolder(home.study(proposed.study_sha256)).decisions(site)
    paths = sorted(folder.glob("*.parcel")) if folder.is_dir() else []
    if not paths:
        return Word()
    with paths[-1].open("rb") as stream:
        mail, _ = open_mail(read_envelope(stream), key=proposed.keys[site])
    if not isinstance(mail, Decision) or mail.proposal_sha256 != proposed.sha256 or mail.site != site:
        raise Broken(f"decisions/{site}/{paths[-1].name} is no decision of '{site}' on this study; it was altered")
    return Word(outcome=mail.outcome, reason=mail.reason)


def standing_of(home: Home, proposed: Proposed, site: str, question_sha256: str) -> Standing | None:
    """Return the last word of a site on a question that it is not answering; None where it said nothing.

    Raises:
        Broken: the filed word was altered.
    """
    path = filed(StudyFolder(home.study(proposed.study_sha256)).standings(site), question_sha256)
    try:
        with path.open("rb") as stream:
            mail, _ = open_mail(read_envelope(stream), key=proposed.keys[site])
    except FileNotFoundError:
        return None
    if not isinstance(mail, Standing) or mail.site != site or mail.question_sha256 != question_sha256:
        raise Broken(f"standings/{site}/{path.name} is no standing of '{site}'; it was altered")
    return mail
