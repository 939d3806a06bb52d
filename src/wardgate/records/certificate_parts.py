"""The parts of a certificate: whose release it is, from what and by what it was made, and what it cost."""

from typing import Literal

from pydantic import Field

from wardgate.records.claim import Claim
from wardgate.records.gate_policy import GatePolicy, Profile
from wardgate.records.record import Digest, Name, Number, Stated


class Unsaid(Stated):
    """A field that the issuer could not fill, and why."""

    field: str
    reason: str = Field(min_length=10)


class StudyNamed(Stated):
    """The locked study, and the sites whose signature under it the issuer holds."""

    id: Name
    version: str
    protocol_sha256: Digest
    signed_by: tuple[Name, ...] | None = None


class SiteNamed(Stated):
    """Who issues. `population_id` is opaque: it joins what one population spent, and names nobody."""

    id: Name
    key_id: Digest
    population_id: str | None = None


class PolicyNamed(Stated):
    """The limits, whole, so that anybody can decide again; and the consortium's floor under them."""

    profile: Profile
    sha256: Digest
    floor_sha256: Digest | None = None
    stricter_than_floor: tuple[str, ...] | None = None
    rules: GatePolicy | None = None


class DataQuality(Stated):
    """The report on the source's quality, by digest, and what came of it."""

    sha256: Digest
    failed: int
    passed_with_exceptions: int


class Source(Stated):
    """Whose data. `sites` are those whose summed counts were used; empty for the issuer alone."""

    persons_band: str
    period: str | None = None
    data_quality: DataQuality | None = None
    sites: tuple[Name, ...] = ()


class Splits(Stated):
    """Digests of who is in which split, committed to before anything was fitted."""

    commitments: dict[Name, Digest]
    committed_at: str | None = None
    log_index: int | None = None


class GeneratorNamed(Stated):
    """What made the corpus."""

    name: str
    version: str | None = None
    code_sha256: Digest | None = None
    config_sha256: Digest | None = None
    seed_commitment: Digest | None = None
    weights_leave_site: bool | None = None


class Spent(Stated):
    """Epsilon spent up to and with this release, of what may be spent."""

    epsilon: Number
    of: Number


class Noise(Stated):
    """What protects by design, and what it adds up to in the study and over the population."""

    claim: Claim
    study: Spent | None = None
    population: Spent | None = None


class Attempts(Stated):
    """Which candidate of this protocol version it was; `previous` says the verdicts before it, in words."""

    number: int = Field(ge=1)
    of: int = Field(ge=1)
    previous: tuple[str, ...] = ()


class Restrictions(Stated):
    """What was taken out so that the rest may leave."""

    columns_dropped: tuple[str, ...] = ()
    columns_coarsened: tuple[str, ...] = ()
    subgroups_left_out: tuple[str, ...] = ()


class Subgroups(Stated):
    """Groups that were attacked and judged apart, and how many were too small for it."""

    reported: tuple[str, ...]
    suppressed: int | None = None


class ClinicianReview(Stated):
    """Blinded clinicians, asked which records are real."""

    reviewers: int
    cases: int
    auc: Number
    kappa: Number
    implausible_rate: Number
    verdict: Literal["pass", "fail"]


class Terms(Stated):
    """Under which terms it may be used."""

    duo: tuple[str, ...]
    no_reidentification: Literal[True] = True
    licence: str


class Tool(Stated):
    """What judged."""

    name: str
    version: str
    code_sha256: Digest | None = None
    sbom_sha256: Digest | None = None


class LogInclusion(Stated):
    """Where the verdict stands in the issuer's Merkle log (RFC 9162); hashes in hexadecimal."""

    origin: str
    index: int
    size: int
    root: Digest
    proof: tuple[Digest, ...]
