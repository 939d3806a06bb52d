"""The studies that a hub proposed to this hospital, and what the hospital decided on each."""

import json
from dataclasses import dataclass
from pathlib import Path

from wardgate.hospital.premises import Premises
from wardgate.hospital.ward.gate.book import write_whole
from wardgate.hospital.ward.porter.lines import Lines
from wardgate.records.canonical import sha256
from wardgate.records.enrolment_file import peek_key
from wardgate.records.errors import Broken, Invalid
from wardgate.records.mail import Decision, Notice, Proposal, open_mail
from wardgate.records.parcel import Parcel
from wardgate.records.record import Record
from wardgate.records.study import Study

Files = tuple[tuple[int, int], tuple[int, int]]
"""Sizes and times of a study's files."""

OPEN = ("signed", "resumed")
"""Decisions after which questions are answered."""


class Kept(Record):
    """One line of what is kept of a study: a decision, the number of one that is surely on its way, or a notice."""

    decision: Decision | None = None
    sent: int | None = None
    notice: Notice | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A proposed study.

    Attributes:
        sha256: Of the proposal's envelope.
        text: The study as its lead wrote it; shown, never obeyed.
        decisions: Of this hospital, oldest first.
        unsent: Decisions that are kept, and perhaps not yet on their way.
    """

    sha256: str
    proposal: Proposal
    study: Study
    text: str
    decisions: tuple[Decision, ...] = ()
    unsent: tuple[Decision, ...] = ()
    notices: tuple[Notice, ...] = ()

    @property
    def outcome(self) -> str:
        """The last decision, or `proposed`."""
        return self.decisions[-1].outcome if self.decisions else "proposed"

    @property
    def open(self) -> bool:
        """Whether its questions are answered."""
        return self.outcome in OPEN

    @property
    def signed(self) -> bool:
        """Whether it was ever signed; its proposal then stands for good."""
        return any(decision.outcome == "signed" for decision in self.decisions)

    @property
    def name(self) -> str:
        """For people."""
        return f"'{self.study.id}' version {self.study.version}"

    @property
    def keys(self) -> dict[str, bytes]:
        """Long-term public keys of all members."""
        return {member.site: bytes.fromhex(member.public_key) for member in self.proposal.members}


class Register:
    """One folder a study, below the ward's own.

    Args:
        premises: The hospital's folder.
    """

    def __init__(self, premises: Premises) -> None:
        self._folder = premises.studies

    def folder(self, study_sha256: str) -> Path:
        """Return the folder of a study."""
        return self._folder / study_sha256

    def decisions(self, study_sha256: str) -> Lines:
        """Return the file of this hospital's decisions and the hub's notices."""
        return Lines(self.folder(study_sha256) / "decisions.jsonl")

    def state_of(self, study_sha256: str) -> Files:
        """Return what changes whenever the proposal or a decision of a study does."""
        return Lines(self.folder(study_sha256) / "proposal.parcel").state, self.decisions(study_sha256).state

    @property
    def state(self) -> tuple[tuple[str, Files], ...]:
        """Changes whenever that of any study does."""
        names = sorted(path.name for path in self._folder.iterdir()) if self._folder.is_dir() else []
        return tuple((name, self.state_of(name)) for name in names)

    def keep(self, parcel: Parcel, proposal: Proposal) -> tuple[Proposed, bool]:
        """Keep a verified proposal; say whether it is new here.

        Raises:
            Broken: its blobs are not the study that it names, or it differs from the one that was signed.
        """
        found = read_proposal(parcel, proposal)
        folder = self.folder(proposal.study_sha256)
        known = self.find(proposal.study_sha256)
        if known is not None and known.sha256 == found.sha256:
            return known, False
        if known is not None and known.signed:
            raise Broken(
                f"the hub proposes {found.name} anew with other members or keys (code {proposal.code}); this hospital"
                f" signed the proposal with code {known.proposal.code}, which stands. A change needs a new version"
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / "proposal.parcel", parcel.to_bytes())
        return found, True

    def find(self, study_sha256: str) -> Proposed | None:
        """Return a study by its digest.

        Raises:
            Broken: what is kept of it cannot be read.
        """
        path = self.folder(study_sha256) / "proposal.parcel"
        if not path.is_file():
            return None
        parcel = Parcel.from_bytes(path.read_bytes())
        proposal, _ = open_mail(parcel.envelope, key=peek_key(parcel.envelope, field="hub_key"))
        if not isinstance(proposal, Proposal):
            raise Broken(f"what is kept as the proposal of study {study_sha256[:16]} is none")
        found = read_proposal(parcel, proposal)
        kept = self.decisions(study_sha256).records(Kept)
        decisions = tuple(line.decision for line in kept if line.decision is not None)
        sent = {line.sent for line in kept}
        return Proposed(
            sha256=found.sha256,
            proposal=proposal,
            study=found.study,
            text=found.text,
            decisions=decisions,
            unsent=tuple(one for one in decisions if one.number not in sent),
            notices=tuple(line.notice for line in kept if line.notice is not None),
        )

    def all(self) -> tuple[Proposed, ...]:
        """Return every study, in the order of their names."""
        names = sorted(path.parent.name for path in self._folder.glob("*/proposal.parcel"))
        found = [one for name in names if (one := self.find(name)) is not None]
        return tuple(sorted(found, key=lambda one: (one.study.id, one.study.version, one.proposal.study_sha256)))

    def named(self, name: str) -> Proposed:
        """Return a study by its id (the newest version), by `id@version`, or by at least eight letters of its digest.

        Raises:
            Invalid: none, or several.
        """
        every = self.all()
        found = [one for one in every if name in (f"{one.study.id}@{one.study.version}", one.proposal.study_sha256)]
        if not found:
            same = [one for one in every if one.study.id == name]
            newest = max((one.study.version for one in same), default=0)
            found = [one for one in same if one.study.version == newest]
        if not found and len(name) >= 8:
            found = [one for one in every if one.proposal.study_sha256.startswith(name)]
        if len(found) == 1:
            return found[0]
        if found:
            digests = ", ".join(one.proposal.study_sha256[:16] for one in found)
            raise Invalid(f"'{name}' names {len(found)} studies; say which by its digest: {digests}")
        known = ", ".join(f"{one.study.id}@{one.study.version}" for one in every) or "none"
        raise Invalid(f"no study '{name}' was proposed to this hospital; known: {known}")


def read_proposal(parcel: Parcel, proposal: Proposal) -> Proposed:
    """Return a proposal with the study that it brings.

    Raises:
        Broken: the blobs are not a study with the digest that the proposal names, and its text.
    """
    if len(parcel.blobs) != 2 or sha256(parcel.blobs[0]) != proposal.study_sha256:
        raise Broken("a proposal brings two things, the study that it names and its text; found something else")
    try:
        study = Study.from_plain(json.loads(parcel.blobs[0]))
        text = parcel.blobs[1].decode()
    except (ValueError, RecursionError, Invalid) as error:
        raise Broken("a proposal brings a study that this version cannot read") from error
    if study.to_bytes() != parcel.blobs[0]:
        raise Broken("a proposal brings a study in another form than the canonical one")
    return Proposed(sha256=sha256(parcel.envelope), proposal=proposal, study=study, text=text)
