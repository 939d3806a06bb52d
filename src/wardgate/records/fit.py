"""What is known of a fitted generator without opening it. It lies beside the fit, inside the hospital."""

from typing import Literal

from pydantic import Field

from wardgate.records.claim import Claim
from wardgate.records.dictionary import Dictionary
from wardgate.records.record import Digest, Record

SCHEMA = "wardgate/fit-record/1"


class FitRecord(Record):
    """One fit.

    Attributes:
        generator: Its name.
        settings: Public settings that differ from the generator's own, as text.
        dictionary: What the columns mean.
        claim: What was done to protect people. `claim.json` beside it holds the same, for `gate check --claim`.
        rows: How many rows a corpus should have; noisy where the claim is.
        advice: What was recommended for so many persons, and why.
        model_sha256: Digest of the private file that holds the fit.
        wardgate: Version that fitted.
        on: Day of the fit, as an ISO date.
    """

    schema_: Literal["wardgate/fit-record/1"] = Field(default="wardgate/fit-record/1", alias="schema")
    generator: str
    settings: dict[str, str] = Field(default_factory=dict)
    dictionary: Dictionary
    claim: Claim
    rows: int
    advice: str
    model_sha256: Digest
    wardgate: str
    on: str
