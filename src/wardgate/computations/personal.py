"""What a hospital is asked of its personal models: which to make, and which to compare with which.

The models are made and judged at the hospital and stay there. Everything that decides them travels as named vectors, so
that a locked test is opened for one fixed list of them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

from wardgate.computations.carried import carried, unloaded
from wardgate.computations.computation import Vector
from wardgate.computations.likeness import Likeness
from wardgate.computations.network_update import Stays
from wardgate.computations.networks import check_weights, pinned
from wardgate.records.canonical import canonical, number_of, text_of
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.opening import digest_of, list_of
from wardgate.records.parcel import pack_vector
from wardgate.records.study import Study

RECIPE = "recipe"

MOST_MODELS = 24

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,40}([.][a-z0-9_-]{1,20})?")
"""Of a model: it becomes the name of a figure, and of a file in the hospital's own folder."""

_PARTS = ("beta", "hessian", "shares", "weights")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A model of which a part, or all, stayed at the hospital when a network was trained.

    Attributes:
        network, sha256: Under which name it was trained.
        stays: What of the common weights each hospital replaces by its own; nothing for the common network itself.
        personal: Whether it is the hospital's second model (Ditto).
        weights: All numbers of the common network, shape (size,).
    """

    network: str
    sha256: str
    stays: tuple[Stays, ...] = ()
    personal: bool = False
    weights: Vector

    def __post_init__(self) -> None:
        if self.personal and self.stays:
            raise Invalid("a hospital's second model is whole; nothing of the common weights is replaced in it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Personal:
    """The personal models of a hospital.

    Attributes:
        drawn: By prefix, a common logistic model (over the design, or over what reaches a network's last layer) and how
            far hospitals differ from it. Makes three models: prefix + `global`, `local` and `shrunk`.
        kept: By name, models of which something stayed at the hospital.
        against: By model, the two that it is compared with: it is judged against the better of them.
        level: Of intervals.
    """

    name: ClassVar[str] = "personal"
    splits: ClassVar[tuple[SplitName, ...]] = ("holdout", "locked_test")

    drawn: Mapping[str, Likeness] = field(default_factory=lambda: MappingProxyType({}))
    kept: Mapping[str, Kept] = field(default_factory=lambda: MappingProxyType({}))
    against: Mapping[str, tuple[str, str]]
    level: float = 0.95

    def __post_init__(self) -> None:
        made = self.models
        if len(set(made)) != len(made) or not 1 <= len(made) <= MOST_MODELS:
            raise Invalid(f"expected 1 to {MOST_MODELS} models under different names, found {len(made)}")
        if not all(NAME.fullmatch(one) for one in made):
            raise Invalid("a model's name has small letters, digits, '-' and '_', and one dot at most")
        unknown = {*self.against, *(one for pair in self.against.values() for one in pair)} - set(made)
        if unknown or any(len(set(pair)) != 2 for pair in self.against.values()):
            raise Invalid("every comparison names models that are made here, and two different ones to compare with")
        if not 0.5 < self.level < 1:
            raise Invalid(f"expected a level between 0.5 and 1, found {self.level}")
        if any(one.wants != "shares" for one in self.drawn.values()):
            raise Invalid("a common model comes with its Hessian and shares")

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all models that are made."""
        drawn = [f"{prefix}{which}" for prefix in self.drawn for which in ("global", "local", "shrunk")]
        return (*drawn, *self.kept)

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        """Return the named vectors that travel beside the question."""
        found = [(RECIPE, carried(canonical(self._plain())))]
        for number, one in enumerate(self.drawn.values()):
            found += [(f"drawn:{number}:{name}", array) for name, array in one.arrays()]
        found += [(f"kept:{number}:weights", one.weights) for number, one in enumerate(self.kept.values())]
        return tuple(found)

    def parameters(self) -> dict[str, Any]:
        """Return the list of everything that decides the models, for one opening of the locked test."""
        listed = list_of({name: pack_vector(name, array)[1] for name, array in self.arrays()})
        return {"models": sorted(listed), "listed": listed, "models_sha256": digest_of(listed)}

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        """Return what `parameters` and `arrays` were made of.

        Raises:
            Invalid: they describe no personal models.
        """
        if set(parameters) != {"models", "listed", "models_sha256"} or RECIPE not in arrays:
            raise Invalid("personal models need 'models', 'listed', 'models_sha256', and a recipe beside the question")
        plain = _recipe(arrays[RECIPE])
        drawn, kept, used = {}, {}, {RECIPE}
        for number, (prefix, said) in enumerate(plain["drawn"]):
            names = {name: f"drawn:{number}:{name}" for name in _PARTS if f"drawn:{number}:{name}" in arrays}
            used |= set(names.values())
            drawn[prefix] = Likeness.read(said, {name: arrays[place] for name, place in names.items()})
        for number, (name, said) in enumerate(plain["kept"]):
            place = f"kept:{number}:weights"
            if place not in arrays:
                raise Invalid(f"the network of '{name}' came without its numbers")
            used.add(place)
            kept[name] = _kept(said, arrays[place])
        if used != set(arrays):
            raise Invalid("a vector beside the question belongs to no model")
        against = {model: (first, second) for model, first, second in plain["against"]}
        return cls(drawn=drawn, kept=kept, against=against, level=number_of(plain["level"]))

    def check(self, study: Study) -> None:
        """Check that every model fits the study.

        Raises:
            Invalid: one does not.
        """
        for one in self.drawn.values():
            one.shape(study)
        for kept in self.kept.values():
            check_weights(pinned(study, network=kept.network, sha256=kept.sha256), kept.weights)

    def _plain(self) -> dict[str, Any]:
        return {
            "drawn": [[prefix, one.parameters()] for prefix, one in self.drawn.items()],
            "kept": [
                [name, {"network": k.network, "sha256": k.sha256, "stays": list(k.stays), "personal": k.personal}]
                for name, k in self.kept.items()
            ],
            "against": [[model, *pair] for model, pair in self.against.items()],
            "level": text_of(self.level),
        }


def _recipe(carrier: Vector) -> dict[str, Any]:
    try:
        plain = json.loads(unloaded(carrier))
    except (ValueError, RecursionError):
        plain = None
    if not isinstance(plain, dict) or set(plain) != {"drawn", "kept", "against", "level"}:
        raise Invalid("the recipe of personal models names 'drawn', 'kept', 'against' and 'level'")
    pairs = isinstance(plain["drawn"], list) and isinstance(plain["kept"], list) and isinstance(plain["against"], list)
    if not pairs or not isinstance(plain["level"], str):
        raise Invalid("the recipe of personal models is of another form")
    for row in (*plain["drawn"], *plain["kept"]):
        if not (isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict)):
            raise Invalid("a model of the recipe is a name and what it is")
    for row in plain["against"]:
        if not (isinstance(row, list) and len(row) == 3 and all(isinstance(one, str) for one in row)):
            raise Invalid("a comparison of the recipe is three names")
    for part in ("drawn", "kept", "against"):
        if len({row[0] for row in plain[part]}) != len(plain[part]):
            raise Invalid("the recipe names a model twice")
    return plain


def _kept(said: Mapping[str, Any], weights: Vector) -> Kept:
    if set(said) != {"network", "sha256", "stays", "personal"} or type(said["personal"]) is not bool:
        raise Invalid("a kept model names 'network', 'sha256', 'stays' and 'personal'")
    network, digest, stays = said["network"], said["sha256"], said["stays"]
    parts: dict[str, Literal["norms", "head"]] = {"norms": "norms", "head": "head"}
    if not isinstance(network, str) or not isinstance(digest, str) or not isinstance(stays, list):
        raise Invalid("'network' and 'sha256' of a kept model are text, and 'stays' a list")
    if not all(isinstance(one, str) and one in parts for one in stays):
        raise Invalid("'norms' and 'head' may stay at a hospital")
    return Kept(
        network=network,
        sha256=digest,
        stays=tuple(parts[one] for one in stays),
        personal=said["personal"],
        weights=weights,
    )
