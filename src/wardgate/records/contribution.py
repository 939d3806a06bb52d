"""Who contributed how much to a joint model: what a publication or an agreement quotes, signed by the hub."""

from typing import Literal

from pydantic import Field

from wardgate.records.parcel import VectorRef
from wardgate.records.record import Digest, Name, Number, Record

CONTRIBUTION = "contribution/v1"

Definition = Literal["by_persons", "by_players"]
Players = Literal["blocks", "sites"]


class Worth(Record):
    """What a model is worth in one way.

    Attributes:
        name: `auroc`, `net_benefit@T` or `worst_site`.
        meaning: In words.
        nobody, everybody: Worth of the model of nobody and of everybody together.
    """

    name: str
    meaning: str
    nobody: Number
    everybody: Number


class Share(Record):
    """One player's share in one kind of worth. Errors are standard errors, the interval is of 95 %.

    Attributes:
        worth: Its name.
        by_persons: The sum of the shares of the player's persons; it cannot be raised by dividing a hospital.
        by_players: The Shapley value with each player whole; dividing a player raises it.
        sampling_error: The part of the last's error that sampled permutations gave; 0 where all coalitions were valued.
        left_out: What everybody's model loses without the player.
    """

    worth: str
    by_persons: Number
    by_persons_error: Number
    low: Number
    high: Number
    by_players: Number
    by_players_error: Number
    sampling_error: Number
    left_out: Number
    left_out_error: Number


class Player(Record):
    """One player: a block of three hospitals or more, or one hospital with noise.

    Attributes:
        sites: Its hospitals.
        persons_band: Of its training persons, as a band.
        remark: Why its share is to be read with care, or empty.
    """

    name: Name
    sites: tuple[Name, ...]
    persons_band: str
    shares: tuple[Share, ...]
    remark: str = ""


class Basis(Record):
    """One opened sum that the shares rest on.

    Attributes:
        total: The opened vector, which lies beside the record; its digest is that in the hub's record of the sum.
    """

    what: str
    split: Literal["train", "holdout"]
    sites: tuple[Name, ...]
    products: Literal["none", "together", "apart"]
    places: tuple[Name, ...] = ()
    noise: Number
    total: VectorRef


class Contribution(Record):
    """Who contributed.

    Attributes:
        study_sha256: The locked study.
        issued_on: ISO date.
        players_are: Fixed blocks on exact sums, or single hospitals on noised ones.
        drawn: How blocks came about.
        definition: Whose shares an agreement should quote.
        stands_for: The model whose worth is shared, in words.
        ridge, thresholds, within: As asked; without `within` copies of records were not looked for.
        epsilon, delta: Of each split, where hospitals answered with noise.
        seed: Of redraws and permutations; with the sums it makes the table again.
        coalitions: Valued.
        redraws: Behind the standard errors.
        bytes_moved: Both ways, for all sums.
    """

    study_sha256: Digest
    issued_on: str
    players_are: Players
    drawn: str
    definition: Definition = "by_persons"
    stands_for: str
    worth: tuple[Worth, ...]
    players: tuple[Player, ...]
    basis: tuple[Basis, ...]
    ridge: Number
    thresholds: tuple[Number, ...]
    within: Number | None = None
    epsilon: Number | None = None
    delta: Number | None = None
    seed: int = Field(ge=0)
    pairs: int = Field(ge=2)
    coalitions: int
    redraws: int
    bytes_moved: int
