"""What an officer has to know before signing a study: what it may ask and spend, with whom, and what is wrong."""

from dataclasses import dataclass

from wardgate import __version__
from wardgate.entropy import Entropy
from wardgate.hospital.ward.answering.data.check import check
from wardgate.hospital.ward.gate.population import PopulationBook
from wardgate.hospital.ward.porter.book import clean
from wardgate.hospital.ward.porter.house import House
from wardgate.hospital.ward.porter.known import KnownKeys
from wardgate.hospital.ward.porter.register import Proposed
from wardgate.hospital.ward.porter.words import may_ask
from wardgate.records.data_check import DataCheck
from wardgate.records.errors import Broken, Refused
from wardgate.records.mail import PROTOCOL
from wardgate.records.member_file import code_of
from wardgate.records.study import Study

LEAST_MEMBERS = 3
"""With two, each would learn the other's part of every sum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSeen:
    """A hospital of a study: its key's code, and since when that key is known here; empty where it is new."""

    site: str
    code: str
    known_since: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A proposed study in plain words.

    Attributes:
        outcome: The last decision here, or `proposed`.
        code: To be compared with other hospitals by phone, and typed at the signature.
        hub_code: Of the hub's key.
        asks: What the study may ask, a line each.
        spends: What it may spend, a line each.
        objections: Why it cannot be signed here; none is well.
        text: The study as its lead wrote it.
        data: What this hospital's data say to it, where that was asked for.
    """

    study_sha256: str
    study: Study
    outcome: str
    code: str
    hub_code: str
    members: tuple[MemberSeen, ...]
    asks: tuple[str, ...]
    spends: tuple[str, ...]
    objections: tuple[str, ...]
    text: str
    data: DataCheck | None = None


def review(house: House, proposed: Proposed, *, on: str, entropy: Entropy, with_data: bool = False) -> Review:
    """Say what an officer has to know of a proposed study.

    Args:
        on: Today, as an ISO date.
        with_data: Also build the cohort and check the data, which may take minutes.

    Raises:
        Invalid: `with_data`, and the data cannot be read.
    """
    proposal, study = proposed.proposal, proposed.study
    known = KnownKeys(house.premises.ward).all()
    data = check(study, str(house.source), site=house.site) if with_data else None
    return Review(
        study_sha256=proposal.study_sha256,
        study=study,
        outcome=proposed.outcome,
        code=proposal.code,
        hub_code=code_of(bytes.fromhex(proposal.hub_key)),
        members=tuple(
            MemberSeen(
                site=member.site,
                code=code_of(bytes.fromhex(member.public_key)),
                known_since=pin.since[:10] if (pin := known.get(member.site)) and pin.key == member.public_key else "",
            )
            for member in proposal.members
        ),
        asks=may_ask(study),
        spends=(*_spends(study), _spent(house, proposed, on=on, entropy=entropy)),
        objections=tuple(objections(house, proposed)),
        text=proposed.text,
        data=data,
    )


def objections(house: House, proposed: Proposed) -> list[str]:
    """Return every reason why this hospital cannot sign a study, in words."""
    proposal, study = proposed.proposal, proposed.study
    if proposal.protocol != PROTOCOL:
        older, newer = (
            ("the hub", "the hub's") if proposal.protocol < PROTOCOL else ("this hospital", "this hospital's")
        )
        return [
            f"the hub speaks protocol {proposal.protocol} (Wardgate {clean(proposal.wardgate, most=20)}), this hospital"
            f" protocol {PROTOCOL} (Wardgate {__version__}): {older} has to upgrade {newer} Wardgate"
        ]
    found = []
    members = {member.site: member.public_key for member in proposal.members}
    if bytes.fromhex(proposal.hub_key) != house.hub_key:
        found.append("the proposal names another hub's key than the one that this hospital enrolled with")
    if house.site not in study.sites:
        found.append(f"the study is for {', '.join(study.sites)}; this hospital is '{house.site}'")
    if members.get(house.site) != house.signer.public_key.hex():
        found.append(
            f"the proposal names no key for '{house.site}'"
            if house.site not in members
            else f"the proposal names another key for '{house.site}' than this hospital's own"
        )
    if set(members) != set(study.sites) or len(members) != len(proposal.members):
        found.append("the members of the proposal are not the study's sites, each once")
    if len(set(members.values()) | {proposal.hub_key}) != len(members) + 1:
        found.append("two of the proposal's names have one key: whoever holds it is alone behind both")
    if len(members) < max(LEAST_MEMBERS, study.gate.min_sites_in_sum):
        least = max(LEAST_MEMBERS, study.gate.min_sites_in_sum)
        found.append(f"{len(members)} hospitals, and a sum needs at least {least}: with fewer, a part could be told")
    try:
        KnownKeys(house.premises.ward).check(proposal)
    except (Refused, Broken) as refusal:
        found.append(str(refusal))
    try:
        house.check_floor(study)
    except Refused as refusal:
        found.append(str(refusal))
    return found


def _spends(study: Study) -> tuple[str, ...]:
    budget, gate = study.budget, study.gate
    noise = (
        "all hospitals of a sum add one noise together"
        if budget.noise != "local"
        else "each hospital adds the whole noise"
    )
    lines = [
        f"at most epsilon {budget.epsilon_total:g} for the persons of one split, at delta {budget.delta:g}; {noise}",
        f"this hospital's own synthetic table: epsilon {budget.corpus:g}; its part in the joint one: epsilon"
        f" {budget.joint_corpus:g}",
    ]
    for what, spend in (
        ("fitting the study's model", budget.fit),
        ("evaluating models", budget.evaluation),
        ("comparing definitions", budget.definitions),
    ):
        lines.append(f"{what}: " + ("exact, covered by no epsilon" if spend == "exact" else f"epsilon {spend:g}"))
    if gate.dp.exact_sums == "allow":
        lines.append(f"at most {gate.dp.exact_sum_ration} exact answers for the persons of one split")
    lines.append(f"the locked test is opened at most {study.acceptance.locked_test_opens} time(s)")
    return tuple(lines)


def _spent(house: House, proposed: Proposed, *, on: str, entropy: Entropy) -> str:
    limits, memory = proposed.study.gate.population, house.premises.memory
    if limits is None:
        return "the study sets no limit to what the population may lose over all studies"
    what = f"of epsilon {limits.epsilon_total:g} that the population may lose within {limits.months} months"
    if not memory.is_dir():
        return f"{what}, nothing is spent yet"
    book = PopulationBook(
        memory,
        population=house.hospital.population,
        study_sha256=proposed.proposal.study_sha256,
        limits=limits,
        on=on,
        entropy=entropy,
    )
    try:
        spent = book.spent()
        exact = book.exact_answers()
    except (Broken, Refused) as reason:
        return f"{what}: nobody can say what is spent ({reason})"
    return f"{what}, {0.0 if spent is None else spent[0]:.4f} is spent already, beside {exact} exact answers"
