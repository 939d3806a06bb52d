"""Hospitals vote on candidate weights of a network: which of them do harm to persons of their own?

Every hospital counts for one at most, whatever its size, so that a minority of liars stays a minority. It says of each
candidate and each kind of persons whether the candidate does material harm there, beyond the hospital's own chance.
With n hospitals no entry of an honest sum can leave [0, n]: a sum outside is proof of a forged answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.computations.networks import check_weights, pinned
from wardgate.measures.layers.tensors import size
from wardgate.measures.subgroups import group_names
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.network import Architecture
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

MOST_CANDIDATES = 64

ALL, OWN, CLASSES = ("reference", "floor"), "own-model", ("without-outcome", "with-outcome")
"""Against what all persons are held, and the two classes. Each subgroup of the study follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Harm:
    """When a hospital calls a candidate harmful. Public, the same for all. Losses are mean log-losses, in nats.

    Attributes:
        reference: Over all persons, worse than the reference by more than this.
        floor: Over all persons, worse than the floor by more than this. The floor of a person is the larger loss of
            two who cannot be bought: this hospital's own outcome rate, and the anchor, which is where training began.
        own: Over all persons, worse than this hospital's own logistic regression by more than this; None where a
            candidate is not yet expected to be any good.
        outcome: Among those with, and those without the outcome, worse than the floor by more than this.
        subgroup: In a subgroup, worse than the floor by more than this.
        errors: And in each case by this many standard errors more.
        full: Persons from whom on a hospital counts for one; with fewer it counts for its share of them.
    """

    reference: float = 0.06
    floor: float = 0.05
    own: float | None = None
    outcome: float = 0.6
    subgroup: float = 0.2
    errors: float = 1.28
    full: int = 20

    def __post_init__(self) -> None:
        margins = [self.reference, self.floor, self.outcome, self.subgroup, *(() if self.own is None else (self.own,))]
        if not all(0 <= one <= 10 for one in (*margins, self.errors)):
            raise Invalid("margins and standard errors of a vote must lie from 0 to 10")
        if not 1 <= self.full <= 1_000_000:
            raise Invalid(f"expected 1 to 1,000,000 persons from whom on a hospital counts for one, found {self.full}")

    def plain(self) -> dict[str, Any]:
        """Return it as JSON, numbers that are no integers as text."""
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: text_of(value) if isinstance(value, float) else value for name, value in given.items()}

    @classmethod
    def from_plain(cls, value: Any) -> Self:
        """Read what `plain` wrote.

        Raises:
            Invalid: a field is missing, unknown or of another type.
        """
        if not isinstance(value, Mapping) or set(value) != {one.name for one in fields(cls)}:
            raise Invalid("what harm is names every setting and no other")
        read: dict[str, Any] = {}
        for name, found in value.items():
            good = type(found) is int if name == "full" else isinstance(found, str) or (name == "own" and found is None)
            if not good:
                raise Invalid(f"'{name}' of what harm is is of another type than expected")
            read[name] = number_of(found) if isinstance(found, str) else found
        return cls(**read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a sum of votes says.

    Attributes:
        harmful: By candidate and kind of persons, what the hospitals that call it harmful count for, shape (k, s).
        able: By kind of persons, what the hospitals that could judge count for, shape (s,).
        possible: Whether a sum of honest answers can be this.
    """

    harmful: Vector
    able: Vector
    possible: bool

    @property
    def shares(self) -> Vector:
        """Share of the able that call it harmful, shape (k, s); 0 where nobody could judge."""
        found = self.harmful / np.where(self.able > 0, self.able, 1.0)
        return np.asarray(np.where(self.able > 0, np.clip(found, 0.0, 1.0), 0.0), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkVotes:
    """Votes on candidates, and who could judge.

    The vector holds, for each candidate, what the hospital counts for in each kind of persons where it found harm and 0
    elsewhere; then what it counts for in each kind of which it has persons. All lies in [0, 1].

    Attributes:
        network, sha256: Which network of the study, and its digest.
        anchor: Where training began, shape (size,).
        reference: What candidates would replace, shape (size,).
        candidates: Shape (k, size).
        harm: What counts as harm.
    """

    name: ClassVar[str] = "network_votes"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("tuning", "holdout")

    network: str
    sha256: str
    anchor: Vector
    reference: Vector
    candidates: Vector
    harm: Harm

    def parameters(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "sha256": self.sha256,
            "candidates": len(self.candidates),
            "harm": self.harm.plain(),
        }

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        found = np.concatenate([self.anchor, self.reference, self.candidates.ravel()])
        return (("weights", found),)

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        if set(parameters) != {"network", "sha256", "candidates", "harm"} or set(arrays) != {"weights"}:
            raise Invalid("a vote names 'network', 'sha256', 'candidates' and 'harm', and brings 'weights'")
        network, digest, count = (parameters[name] for name in ("network", "sha256", "candidates"))
        if not isinstance(network, str) or not isinstance(digest, str) or type(count) is not int:
            raise Invalid("'network' and 'sha256' must be text, and 'candidates' a whole number")
        weights = arrays["weights"]
        if not 1 <= count <= MOST_CANDIDATES or weights.ndim != 1 or not len(weights) or len(weights) % (count + 2):
            raise Invalid(
                f"expected 1 to {MOST_CANDIDATES} candidates, and anchor, reference and each of them of one length;"
                f" found {count} and {weights.size} numbers"
            )
        anchor, reference, *candidates = weights.reshape(count + 2, -1)
        return cls(
            network=network,
            sha256=digest,
            anchor=anchor,
            reference=reference,
            candidates=np.array(candidates),
            harm=Harm.from_plain(parameters["harm"]),
        )

    def over(self, study: Study) -> Architecture:
        """Return the network, if the study locks it and all weights fit it.

        Raises:
            Invalid: as said there, or too many candidates.
        """
        architecture = pinned(study, network=self.network, sha256=self.sha256)
        if self.candidates.ndim != 2 or self.candidates.shape[1] != size(architecture):
            raise Invalid(f"expected candidates of {size(architecture)} numbers, found {self.candidates.shape}")
        if not 1 <= len(self.candidates) <= MOST_CANDIDATES:
            raise Invalid(f"expected 1 to {MOST_CANDIDATES} candidates, found {len(self.candidates)}")
        check_weights(architecture, self.arrays()[0][1], count=len(self.candidates) + 2)
        return architecture

    def shape(self, study: Study) -> Shape:
        """Whatever one person is, its hospital's vote stays in [0, 1], so each entry moves by 1 at most."""
        self.over(study)
        entries = (len(self.candidates) + 1) * len(kinds_of_persons(study, self.harm))
        return Shape(bound=np.ones(entries), l2=float(np.sqrt(entries)))

    def counted(self, total: Vector, *, study: Study, sites: int, slack: float = 0.0) -> Counted:
        """Return what an opened sum says.

        Args:
            sites: Whose sum it is.
            slack: How far noise and rounding may carry an entry.
        """
        kinds = len(kinds_of_persons(study, self.harm))
        harmful, able = total[:-kinds].reshape(-1, kinds), total[-kinds:]
        room = slack + 1e-6 * sites
        inside = bool(np.all(harmful >= -room) and np.all(able >= -room) and np.all(able <= sites + room))
        possible = inside and bool(np.all(harmful <= able + 2 * room))
        return Counted(harmful=harmful, able=able, possible=possible)


def kinds_of_persons(study: Study, harm: Harm) -> tuple[str, ...]:
    """Return of whom the votes speak, in order; the first is of all persons."""
    return (*ALL, *(() if harm.own is None else (OWN,)), *CLASSES, *group_names(study))
