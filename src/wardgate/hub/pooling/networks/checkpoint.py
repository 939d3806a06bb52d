"""Where a training stands: everything the hub needs to go on as if nothing had happened, in one safetensors file.

What hospitals keep for themselves (control variates, personal models, norms, heads) is not in it: it stays with them,
by the number of the round. A file that was cut off or altered by accident is found; it is no signature, and whoever
may write the file may write another training.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any, Self

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from wardgate.hub.pooling.networks.gather import Alarm
from wardgate.records.canonical import canonical, number_of, sha256, text_of
from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]

SCHEMA = "wardgate/network-checkpoint/1"
LARGEST_HEADER = 8 * 2**20
_ENTRY, _RULE = "wardgate", "rule."


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What is known of one round, for the history.

    Attributes:
        number: From 0.
        weight: What the hospitals that trained count for together.
        before, after: Mean loss of their training persons; NaN where noise would have to cover it.
        loss, auroc: On tuning persons, after the round: mean squared error, and AUROC from coarse bins; NaN where
            nobody asked.
        bytes_moved: Both ways, the judging included.
        sites: Whose sums opened.
        said: Outcome by site, where sites may say one.
    """

    number: int
    weight: float
    before: float
    after: float
    bytes_moved: int
    sites: tuple[str, ...]
    said: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    loss: float = math.nan
    auroc: float = math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """What a training belongs to.

    Attributes:
        study, architecture, algorithm: SHA-256 of each.
        network: The network's name in the study.
        cost: What the sums cost, in words that hold every number; empty for exact sums.
    """

    study: str
    network: str
    architecture: str
    algorithm: str
    cost: str = ""

    def check(self, other: "Digests") -> None:
        """Check that a checkpoint of `other` may go on here.

        Raises:
            Invalid: it is of another study, network, algorithm or noise.
        """
        if other.study != self.study:
            raise Invalid(
                f"this checkpoint is of another study ({other.study[:16]}...), expected {self.study[:16]}...; a"
                " changed study is another one: begin anew"
            )
        if (other.network, other.architecture) != (self.network, self.architecture):
            raise Invalid(
                f"this checkpoint is of network '{other.network}' ({other.architecture[:16]}...), expected"
                f" '{self.network}' ({self.architecture[:16]}...)"
            )
        if other.algorithm != self.algorithm:
            raise Invalid(
                "this checkpoint is of another algorithm, or of other settings of it; go on with those that it was"
                " made with, or begin anew"
            )
        if other.cost != self.cost:
            raise Invalid(
                f"this checkpoint is of a training {other.cost or 'without noise'}, expected one"
                f" {self.cost or 'without noise'}; its privacy cannot be stated together: begin anew"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The weights that judged best on tuning persons so far."""

    weights: Vector
    rounds: int
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """Where a training stands after some rounds.

    Attributes:
        digests: What it belongs to.
        sites: Who is asked next.
        rounds: Rounds done; the next one has this number.
        weights: Shape (size,).
        control: SCAFFOLD's common control variate; empty without.
        rule: What the server's rule remembers.
        most: Training persons of the fullest round so far; SCAFFOLD's share is of these.
        best: The best on tuning persons; None before any judging.
        first: Whose sums the first round opened; only whole blocks of these may be left out later.
        judged, judged_at: Whose tuning persons judged, and after how many rounds.
        waited: Judgings since the best.
        tail, tails: Sum of the weights after the last rounds, and of how many; empty where they are not averaged.
        resumed: How often it went on from a checkpoint.
    """

    digests: Digests
    rounds: int
    weights: Vector
    control: Vector
    rule: Mapping[str, Vector]
    sites: tuple[str, ...]
    first: tuple[str, ...] = ()
    most: float = 0.0
    best: Best | None = None
    judged: tuple[str, ...] = ()
    judged_at: int = 0
    waited: int = 0
    tail: Vector = field(default_factory=lambda: np.zeros(0))
    tails: int = 0
    history: tuple[Round, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    resumed: int = 0

    @property
    def bytes_moved(self) -> int:
        """Both ways, in all rounds."""
        return sum(one.bytes_moved for one in self.history)

    def to_bytes(self) -> bytes:
        """Return it as a safetensors file; the same state always gives the same bytes."""
        arrays = {
            "weights": self.weights,
            "control": self.control,
            "tail": self.tail,
            "best": np.zeros(0) if self.best is None else self.best.weights,
            **{_RULE + name: vector for name, vector in self.rule.items()},
        }
        arrays = {name: np.ascontiguousarray(arrays[name], dtype=np.float64) for name in sorted(arrays)}
        words = self._words()
        # One entry: safetensors writes several in no fixed order, and the same state gives the same bytes.
        entry = canonical({"schema": SCHEMA, "words": words, "sha256": _digest(words, arrays)})
        return bytes(save_arrays(arrays, metadata={_ENTRY: entry.decode()}))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote, and nothing else that safetensors could hold.

        Raises:
            Invalid: cut off, altered, of another kind, or vectors that do not fit each other.
        """
        words, stated = _metadata(data)
        try:
            arrays = load_arrays(data)
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise Invalid(
                f"the checkpoint is cut off or altered ({type(error).__name__}); take an earlier one"
            ) from None
        if any(array.dtype != np.float64 or array.ndim != 1 for array in arrays.values()):
            raise Invalid("the vectors of a checkpoint are float64, and flat; this one was altered")
        if _digest(words, dict(sorted(arrays.items()))) != stated:
            raise Invalid(
                "the checkpoint's digest does not hold: it was altered after it was saved; take an earlier one"
            )
        try:
            found = cls._read(words, arrays)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Invalid(
                "the checkpoint's words are not those of this version; go on with the one that wrote it"
            ) from None
        found._check()
        return found

    def _words(self) -> dict[str, Any]:
        best = self.best
        return {
            "digests": asdict(self.digests),
            "rounds": self.rounds,
            "most": text_of(self.most),
            "best": None if best is None else {"rounds": best.rounds, "loss": text_of(best.loss)},
            "judged": list(self.judged),
            "judged_at": self.judged_at,
            "first": list(self.first),
            "waited": self.waited,
            "tails": self.tails,
            "resumed": self.resumed,
            "sites": list(self.sites),
            "history": [_round_words(one) for one in self.history],
            "alarms": [
                {"kind": one.kind, "sites": list(one.sites), "words": one.words, "stops": one.stops}
                for one in self.alarms
            ],
        }

    @classmethod
    def _read(cls, words: Any, arrays: Mapping[str, Vector]) -> Self:
        best = words["best"]
        if {name for name in arrays if not name.startswith(_RULE)} != {"weights", "control", "tail", "best"}:
            raise KeyError("vectors")
        return cls(
            digests=Digests(**words["digests"]),
            rounds=words["rounds"],
            weights=arrays["weights"],
            control=arrays["control"],
            rule={name.removeprefix(_RULE): one for name, one in arrays.items() if name.startswith(_RULE)},
            sites=tuple(words["sites"]),
            most=number_of(words["most"]),
            best=None
            if best is None
            else Best(weights=arrays["best"], rounds=best["rounds"], loss=number_of(best["loss"])),
            judged=tuple(words["judged"]),
            judged_at=words["judged_at"],
            first=tuple(words["first"]),
            waited=words["waited"],
            tail=arrays["tail"],
            tails=words["tails"],
            history=tuple(_round(one) for one in words["history"]),
            alarms=tuple(Alarm(**{**one, "sites": tuple(one["sites"])}) for one in words["alarms"]),
            resumed=words["resumed"],
        )

    def _check(self) -> None:
        size = len(self.weights)
        vectors = [self.control, self.tail, *self.rule.values(), *([] if self.best is None else [self.best.weights])]
        if any(len(vector) not in (0, size) for vector in vectors) or not all(
            bool(np.all(np.isfinite(vector))) for vector in (self.weights, *vectors)
        ):
            raise Invalid(
                "the checkpoint's vectors do not fit each other, or hold what is no number; take an earlier one"
            )
        if self.rounds != len(self.history):
            raise Invalid(
                f"the checkpoint says {self.rounds} rounds and tells of {len(self.history)}; take an earlier one"
            )

    def again(self) -> Self:
        """Return it as it goes on."""
        return replace(self, resumed=self.resumed + 1)


def _digest(words: Mapping[str, Any], arrays: Mapping[str, Vector]) -> str:
    parts = [canonical(words)]
    parts += [name.encode() + b"\0" + array.astype("<f8").tobytes() for name, array in arrays.items()]
    return sha256("".join(sha256(part) for part in parts).encode())


def _metadata(data: bytes) -> tuple[dict[str, Any], str]:
    """Return the words and the stated digest of a checkpoint's header."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= LARGEST_HEADER or length > len(data) - 8:
        raise Invalid("the checkpoint is cut off, or is no checkpoint")
    try:
        entry = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_ENTRY])
        schema, words, stated = entry["schema"], entry["words"], entry["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise Invalid("the file is no checkpoint of a training, or it was altered") from None
    if schema != SCHEMA or set(entry) != {"schema", "words", "sha256"} or not isinstance(words, dict):
        raise Invalid(f"the file is no checkpoint of this version; expected a schema of {SCHEMA}")
    return words, str(stated)


def _round_words(one: Round) -> dict[str, Any]:
    numbers = {name: text_of(getattr(one, name)) for name in ("weight", "before", "after", "loss", "auroc")}
    return {
        "number": one.number,
        "bytes_moved": one.bytes_moved,
        "sites": list(one.sites),
        "said": dict(one.said),
        **numbers,
    }


def _round(words: Any) -> Round:
    numbers = {name: number_of(words[name]) for name in ("weight", "before", "after", "loss", "auroc")}
    return Round(
        number=words["number"],
        bytes_moved=words["bytes_moved"],
        sites=tuple(words["sites"]),
        said=dict(words["said"]),
        **numbers,
    )
