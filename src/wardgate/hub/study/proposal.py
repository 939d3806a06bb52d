"""A study is proposed: every site gets the same signed parcel, and the hub keeps what it proposed."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from wardgate import __version__
from wardgate.hub import layout
from wardgate.hub.commons.durable import write_whole
from wardgate.hub.consortium.members import members
from wardgate.hub.home import Home
from wardgate.hub.study.folder import StudyFolder
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer
from wardgate.records.errors import Broken, Invalid
from wardgate.records.keyring import read_key
from wardgate.records.mail import Member, Proposal, open_mail, seal_mail
from wardgate.records.parcel import Parcel
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.road.box import Box

_DIGEST = re.compile(r"^[0-9a-f]{8,64}$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A study as the hub proposed it.

    Attributes:
        sha256: Digest of the proposal's envelope, which every decision names.
        text: The study's YAML.
        keys: Long-term public keys of all sites, as proposed.
    """

    proposal: Proposal
    sha256: str
    study: Study
    text: str
    parcel: Parcel
    keys: Mapping[str, bytes] = field(init=False, repr=False, compare=False)

    @property
    def study_sha256(self) -> str:
        """The locked study."""
        return self.proposal.study_sha256

    @property
    def code(self) -> str:
        """What hospitals read out to each other."""
        return self.proposal.code

    def __post_init__(self) -> None:
        keys = {member.site: bytes.fromhex(member.public_key) for member in self.proposal.members}
        object.__setattr__(self, "keys", keys)


def hub_signer(home: Home) -> Signer:
    """Return the hub's signing key.

    Raises:
        Invalid: there is none, or the file is none.
    """
    try:
        return read_key(home.key.read_bytes()).signer
    except OSError as error:
        raise Invalid(f"{home.root} holds no key of a hub; make it with 'wardgate hub init'") from error


def propose(home: Home, study: Study, text: str, *, seed: int) -> Proposed:
    """Propose a study to all its sites. The same again is sent again; nothing else changes.

    Args:
        text: The study's YAML, for people to read.
        seed: For repeatable work that protects nobody; every site sees it.

    Raises:
        Invalid: a site is no member, or was revoked; the text is another study's; the same study was proposed with
            another text, seed or other keys.
    """
    proposed = _made(home, study, text, seed=seed)
    folder = StudyFolder(home.study(proposed.study_sha256))
    if folder.proposal.is_file():
        _check_same(read_proposal(home, proposed.study_sha256), proposed)
        proposed = read_proposal(home, proposed.study_sha256)
    else:
        folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder.text, text.encode())
        write_whole(folder.locked, layout.lock_bytes(study.plain(), proposed.study_sha256))
        write_whole(folder.proposal, proposed.parcel.to_bytes())
    for site in study.sites:
        outbox(home, site).put(proposed.parcel)
    return proposed


def outbox(home: Home, site: str) -> Box:
    """Return the box of mail that waits for a site, made where it is missing."""
    home.out(site).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Box(home.out(site))


def _made(home: Home, study: Study, text: str, *, seed: int) -> Proposed:
    if parse(text, name="study.yaml").to_bytes() != study.to_bytes():
        raise Invalid("the text of the study says something else than the study; give the text that was locked")
    reserved = next((site for site in study.sites if site in layout.RESERVED), None)
    if reserved is not None:
        raise Invalid(f"a site of the study is called '{reserved}', which has a meaning in a run; choose another name")
    known = members(home)
    strangers = [site for site in study.sites if site not in known]
    if strangers:
        raise Invalid(
            f"{len(strangers)} of the study's sites are no members of this hub, first '{strangers[0]}'; admit them"
            " first ('wardgate hub admit'), or take them out of the study"
        )
    revoked = next((known[site] for site in study.sites if known[site].revoked_on), None)
    if revoked is not None:
        raise Invalid(f"'{revoked.site}' is no member since {revoked.revoked_on}; take it out of the study")
    signer = hub_signer(home)
    blobs = (study.to_bytes(), text.encode())
    proposal = Proposal(
        study_sha256=sha256(blobs[0]),
        hub_key=signer.public_key.hex(),
        members=tuple(Member(site=site, public_key=known[site].public_key) for site in sorted(study.sites)),
        seed=seed,
        wardgate=__version__,
    )
    subjects = (("study", sha256(blobs[0])), ("text", sha256(blobs[1])))
    envelope = seal_mail(proposal, signer, subjects=subjects)
    parcel = Parcel(envelope, blobs)
    return Proposed(proposal=proposal, sha256=sha256(envelope), study=study, text=text, parcel=parcel)


def _check_same(before: Proposed, now: Proposed) -> None:
    """A proposal stands as its sites saw it; only the version of the software may differ when it is sent again."""
    said = {
        "text": (before.text, now.text),
        "seed": (before.proposal.seed, now.proposal.seed),
        "hub's key": (before.proposal.hub_key, now.proposal.hub_key),
        "list of members and their keys": (before.proposal.members, now.proposal.members),
    }
    for what, (then, found) in said.items():
        if then != found:
            raise Invalid(
                f"this study was proposed before with another {what}, and its sites decided on that; raise the study's"
                " version and propose it as a new one"
            )


def read_proposal(home: Home, study_sha256: str) -> Proposed:
    """Return a study as it was proposed.

    Raises:
        Invalid: it was not.
        Broken: the hub's file was altered.
    """
    folder = StudyFolder(home.study(study_sha256))
    try:
        parcel = Parcel.from_bytes(folder.proposal.read_bytes())
    except OSError as error:
        raise Invalid(f"study {study_sha256[:16]} was not proposed here; see 'wardgate study propose'") from error
    mail, subjects = open_mail(parcel.envelope, key=hub_signer(home).public_key)
    if not isinstance(mail, Proposal) or mail.study_sha256 != study_sha256:
        raise Broken(f"the file of proposal {study_sha256[:16]} holds something else; it was altered")
    if tuple((name, sha256(blob)) for name, blob in zip(("study", "text"), parcel.blobs, strict=False)) != subjects:
        raise Broken(f"the study or text beside proposal {study_sha256[:16]} was altered")
    study = Study.from_plain(json.loads(parcel.blobs[0]))
    text = parcel.blobs[1].decode()
    return Proposed(proposal=mail, sha256=sha256(parcel.envelope), study=study, text=text, parcel=parcel)


def proposed_here(home: Home) -> list[str]:
    """Return the digests of all studies that were proposed here, sorted."""
    places = sorted((home.root / "studies").glob("*/proposal.parcel"))
    return [place.parent.name for place in places]


def find_study(home: Home, name: str) -> str:
    """Return the digest of the study that a person named: by id, by digest, or by its first 8 characters or more.

    Raises:
        Invalid: none of that name was proposed here, or several.
    """
    known = proposed_here(home)
    found = [digest for digest in known if _DIGEST.match(name) and digest.startswith(name)]
    found = found or [digest for digest in known if read_proposal(home, digest).study.id == name]
    if not found:
        raise Invalid(f"no study '{name}' was proposed here; expected a study's id or digest, of {len(known)} there")
    if len(found) > 1:
        raise Invalid(
            f"'{name}' names {len(found)} studies here; give a digest: {', '.join(one[:16] for one in found)}"
        )
    return found[0]
