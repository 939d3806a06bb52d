"""What hospitals voted on the models of groups, and which groups are out by it; anybody can decide it again."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.record import Digest, Name, Number, Record

Count = Annotated[int, Field(ge=0)]


class Judgement(Record):
    """One vote. A candidate is out where more than `tolerated` of the hospitals that could judge call it harmful.

    That holds for any one kind of persons, if those hospitals are more than `least` of all: else a few liars could say
    that they alone have such persons.

    Attributes:
        study_sha256, network, network_sha256: Of what.
        round: Number of the round whose changes were judged, from 0; `final` where it was the finished model.
        groups: Whose change each candidate adds; all hospitals in training together for the finished model.
        anchor_sha256, reference_sha256, candidates_sha256: Digests of the weights, little-endian float64.
        harm: What counted as harm, as the question says it.
        kinds: Of which persons hospitals voted.
        voters: Hospitals whose votes stand in the sum.
        harmful: By candidate and kind, what the hospitals that call it harmful count for.
        able: By kind, what the hospitals that could judge count for.
        tolerated, least: Shares from which on a candidate is out.
        out: Positions of the candidates that are out.
        changes: SHA-256 of each hospital's signed answer that held its masked change, by hospital.
        votes: SHA-256 of each hospital's signed answer that held its masked votes, by hospital.
    """

    schema_: Literal["wardgate/judgement/1"] = Field(default="wardgate/judgement/1", alias="schema")
    study_sha256: Digest
    network: Name
    network_sha256: Digest
    round: Count
    final: bool = False
    groups: tuple[tuple[Name, ...], ...]
    anchor_sha256: Digest
    reference_sha256: Digest
    candidates_sha256: tuple[Digest, ...]
    harm: dict[str, str | int | None]
    kinds: tuple[str, ...]
    voters: tuple[Name, ...]
    harmful: tuple[tuple[Number, ...], ...]
    able: tuple[Number, ...]
    tolerated: Number
    least: Number
    out: tuple[Count, ...]
    changes: dict[Name, Digest] = Field(default_factory=dict)
    votes: dict[Name, Digest] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        count = len(self.candidates_sha256)
        if not count == len(self.groups) == len(self.harmful) or any(
            len(row) != len(self.kinds) for row in (*self.harmful, self.able)
        ):
            raise ValueError(
                "a judgement has one row of votes for each candidate, and one entry for each kind of persons"
            )
        return self

    @property
    def sha256(self) -> str:
        """Digest of the canonical bytes."""
        return sha256(self.to_bytes())

    def check(self, envelopes: Mapping[str, bytes] | None = None) -> None:
        """Decide again from the votes that stand here, and hold signed answers against their digests.

        That the votes are those of the signed answers is what `wardgate verify` shows of every sum of a transcript.

        Args:
            envelopes: Signed answers with votes, by hospital, as they lie in the transcript.

        Raises:
            Broken: other candidates are out by these votes, or an answer is missing or another one.
        """
        if self.out != decided(self.harmful, self.able, tolerated=self.tolerated, least=self.least):
            raise Broken("by the votes in this judgement, other candidates are out than it says")
        for site, digest in self.votes.items() if envelopes is not None else ():
            if envelopes is not None and sha256(envelopes.get(site, b"")) != digest:
                raise Broken(f"the signed votes of '{site}' are missing or not those of this judgement")


def decided(
    harmful: Sequence[Sequence[float]], able: Sequence[float], *, tolerated: float, least: float
) -> tuple[int, ...]:
    """Return which candidates are out; see `Judgement`. The first kind of persons is of all."""
    return tuple(
        place
        for place, votes in enumerate(harmful)
        if any(found > max(tolerated * most, least * able[0]) for found, most in zip(votes, able, strict=True))
    )
