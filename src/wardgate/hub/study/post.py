"""The hub's post room: takes what came from a site, checks who signed it, and files it where its study looks for it.

Any number of processes may sort the same mail at once: everything is filed under a name that says what it is, by one
rename or link, and whoever comes second finds it done.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wardgate.hub import layout
from wardgate.hub.consortium.members import members
from wardgate.hub.home import Home
from wardgate.hub.study.folder import StudyFolder, filed
from wardgate.hub.study.proposal import Proposed, read_proposal
from wardgate.records.errors import Broken, Invalid
from wardgate.records.mail import DECISION, STANDING, Decision, Standing, open_mail
from wardgate.records.member_file import MemberFile
from wardgate.records.messages import ANSWER, open_answer
from wardgate.records.parcel import read_envelope
from wardgate.road.box import Box, sync

_DIGEST = re.compile(r"^[0-9a-f]{64}$")


@dataclass(slots=True)
class Post:
    """Sorts the mail of all sites.

    Attributes:
        home: The hub's folder.
    """

    home: Home
    _roll: Mapping[str, MemberFile] = field(init=False)
    _proposed: dict[str, Proposed] = field(init=False, default_factory=dict)
    _boxes: dict[str, Box] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._roll = members(self.home)

    def collect(self, site: str) -> int:
        """File everything that came from a site; return how many parcels were new.

        What does not hold (another signature, site, proposal or code; of no study of this hub) is kept aside with
        the reason and counts for nothing.
        """
        if site not in self._boxes:
            self.home.inbox(site).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._boxes[site] = Box(self.home.inbox(site))
        box, count = self._boxes[site], 0
        for name in box.names():
            try:
                with box.open(name) as stream:
                    envelope = read_envelope(stream)
                self._file(site, box.path(name), envelope)
                count += 1
            except FileNotFoundError:
                continue
            except (Broken, Invalid) as error:
                self._set_aside(site, self.home.inbox(site) / f"{name}.parcel", str(error))
        return count

    def aside(self, site: str) -> Path:
        """Return the folder of a site's mail that did not hold."""
        return self.home.inbox(site).parent / "aside"

    def _file(self, site: str, path: Path, envelope: bytes) -> None:
        said = layout.peek(envelope)
        proposed = self._study(str(said.predicate.get("study_sha256", "")))
        key = proposed.keys.get(site)
        if key is None:
            raise Broken(f"'{site}' is no site of study {proposed.study_sha256[:16]}")
        member = self._roll.get(site)
        if member is not None and member.revoked_on:
            raise Broken(f"'{site}' is no member since {member.revoked_on}")
        folder = StudyFolder(self.home.study(proposed.study_sha256))
        if said.predicate_type == ANSWER:
            answer = open_answer(envelope, site_key=key)
            _check_site(answer.site, site)
            _file_first(path, filed(folder.answers(site), answer.question_sha256), "question answered")
            return  # nobody waits for the disk here: a ward that is asked again gives the same bytes
        if said.predicate_type not in (DECISION, STANDING):
            raise Broken(f"a site sends answers, decisions and standings; found {said.predicate_type}")
        mail, _ = open_mail(envelope, key=key)
        if isinstance(mail, Decision):
            _check_decision(mail, site, proposed)
            _file_first(path, filed(folder.decisions(site), f"{mail.number:06d}"), "decision made", durable=True)
        elif isinstance(mail, Standing):
            _check_site(mail.site, site)
            _file_last(path, filed(folder.standings(site), mail.question_sha256))

    def _study(self, study_sha256: str) -> Proposed:
        if study_sha256 not in self._proposed:
            if not _DIGEST.match(study_sha256):
                raise Broken("the record names no study")
            self._proposed[study_sha256] = read_proposal(self.home, study_sha256)
        return self._proposed[study_sha256]

    def _set_aside(self, site: str, path: Path, reason: str) -> None:
        self.aside(site).mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            path.replace(self.aside(site) / path.name)
        except FileNotFoundError:
            return
        (self.aside(site) / path.name).with_suffix(".txt").write_text(f"{reason}\n", encoding="utf-8")


def _check_site(found: str, site: str) -> None:
    if found != site:
        raise Broken(f"a record of '{found}' came from '{site}'")


def _check_decision(decision: Decision, site: str, proposed: Proposed) -> None:
    _check_site(decision.site, site)
    if decision.proposal_sha256 != proposed.sha256:
        raise Broken(f"'{site}' decided on another proposal than this hub made; propose it again, and let it decide")
    if decision.code != proposed.code:
        raise Broken(
            f"'{site}' saw the code {decision.code[:24]}, this hub proposed {proposed.code}: somebody told them other"
            " keys. Do not run this study; find out who"
        )
    if not 1 <= decision.number <= 999_999:
        raise Broken(f"'{site}' numbers a decision {decision.number}; expected 1, 2, 3 and so on")


def _file_first(path: Path, target: Path, what: str, *, durable: bool = False) -> None:
    """File a parcel where none lies yet; the same again is dropped.

    Args:
        durable: Wait for the disk: it is not said twice.

    Raises:
        Broken: another one lies there. The first stands.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(path, target)
    except FileExistsError:
        with path.open("rb") as new, target.open("rb") as old:
            same = read_envelope(new) == read_envelope(old)
        if not same:
            raise Broken(f"a {what} twice, in different words; the first stands") from None
    if durable:
        sync(target.parent)
    path.unlink(missing_ok=True)


def _file_last(path: Path, target: Path) -> None:
    """File a parcel in place of an earlier one."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.replace(target)
