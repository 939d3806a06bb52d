"""A hospital's folder as its ward sees it: who this is, whose key signs, which hub may ask, what floor holds."""

from dataclasses import dataclass
from pathlib import Path

from wardgate.hospital.premises import Premises
from wardgate.hospital.ward.porter.known import KnownKeys
from wardgate.policy.limits import weaker_than
from wardgate.records.enrolment_file import check_protocol, open_response, peek_key
from wardgate.records.envelope import Signer
from wardgate.records.errors import Invalid, Refused
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.keyring import read_key
from wardgate.records.mapping import Hospital, parse_hospital
from wardgate.records.policy_file import parse as parse_policy
from wardgate.records.site_file import SiteFile
from wardgate.records.site_file import parse as parse_site
from wardgate.records.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """One hospital.

    Attributes:
        site_file: `site.yaml`.
        source: Folder of its data.
        hospital: Its `hospital.yaml`.
        signer: The ward's long-term key.
        hub_key: Whose mail is opened.
        floor: The hospital's own gate policy, or None.
    """

    premises: Premises
    site_file: SiteFile
    source: Path
    hospital: Hospital
    signer: Signer
    hub_key: bytes
    floor: GatePolicy | None

    @property
    def site(self) -> str:
        """Its name in studies."""
        return self.site_file.site

    def check_floor(self, study: Study) -> None:
        """Hold a study's gate policy against the hospital's floor.

        Raises:
            Refused: a limit of the study is weaker, or cannot be compared; all such limits are named.
        """
        below = () if self.floor is None else weaker_than(study.gate, self.floor)
        if below:
            raise Refused(
                f"the study's gate is weaker than this hospital's own floor ({self.site_file.policy}) in"
                f" {len(below)} limit(s): {'; '.join(below)}. Ask for a version of the study with at least these limits"
            )


def open_house(premises: Premises) -> House:
    """Read who this hospital is.

    Raises:
        Invalid: a file is missing, says something impossible, or speaks of another hospital.
        Broken: the hub's response or the list of known keys does not hold.
        Refused: the hub's key is another one than the pinned one.
        Unsupported: the response was written for another protocol.
    """
    site_file = parse_site(_text(premises.site_file, "make one with 'site init'"), name=premises.site_file.name)
    source = premises.root / site_file.source
    hospital = parse_hospital(_text(source / "hospital.yaml", "it names the hospital"), name="hospital.yaml")
    if hospital.id != site_file.site:
        raise Invalid(f"hospital.yaml names '{hospital.id}', site.yaml '{site_file.site}'; one of them is wrong")
    key = read_key(_bytes(premises.ward_key, "make keys with 'site init'"))
    if key.name != site_file.site or key.role != "site":
        raise Invalid(f"{premises.ward_key.name} is the key of '{key.name}' ({key.role}), not of '{site_file.site}'")
    response = _bytes(premises.response, "this hospital is not enrolled; give the hub's response to 'site enrol'")
    check_protocol(response)
    said = open_response(response, claimed=peek_key(response, field="hub_key"))
    if said.site != site_file.site:
        raise Invalid(f"the hub's response is for '{said.site}', this is '{site_file.site}'")
    KnownKeys(premises.ward).check_hub(said.hub_key)
    return House(
        premises=premises,
        site_file=site_file,
        source=source,
        hospital=hospital,
        signer=key.signer,
        hub_key=bytes.fromhex(said.hub_key),
        floor=_floor(premises, site_file),
    )


def _floor(premises: Premises, site_file: SiteFile) -> GatePolicy | None:
    if site_file.policy is None:
        return None
    path = premises.root / site_file.policy
    return parse_policy(_text(path, "site.yaml names it as this hospital's floor"), name=path.name)


def _bytes(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror
    raise Invalid(f"{path} cannot be read ({reason}): {what}")


def _text(path: Path, what: str) -> str:
    try:
        return _bytes(path, what).decode()
    except UnicodeDecodeError:
        pass
    raise Invalid(f"{path} is not UTF-8 text")
