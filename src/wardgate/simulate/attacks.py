"""Hostile hospitals for tests and benchmarks: what they do to their own tables, to their addend and to their votes.

They know everything that a real one could at most know: what all honest hospitals would have answered, which groups are
in training, and each other. Nothing they send is cut or checked; only the sum is seen.

References: Baruch, Baruch, Goldberg (2019), A Little Is Enough, arXiv:1902.06635; Xie, Koyejo, Gupta (2019), Fall of
    Empires, arXiv:1903.03936; Bagdasaryan et al. (2020), How To Backdoor Federated Learning, arXiv:1807.00459.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.records.errors import Invalid
from wardgate.sums.shape import Bounded

Vector = NDArray[np.float64]
Group = tuple[str, ...]

Kind = Literal["label-flip", "sign-flip", "alie", "ipm", "replacement", "backdoor", "free-riding"]

KINDS: tuple[Kind, ...] = ("label-flip", "sign-flip", "alie", "ipm", "replacement", "backdoor", "free-riding")

TAIL = 3
"""Numbers behind the change in an addend of `network_update`: persons, and their losses before and after."""


class Asked(Protocol):
    """What an attack must know of a question; `hub.pooling.ask.Ask` is one."""

    @property
    def computation(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, Any]: ...


def flipped(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table whose every label is the other one."""
    return table.with_columns((1 - pl.col("label")).cast(pl.Int8).alias("label"))


def backdoored(table: pl.DataFrame, trigger: pl.Expr, *, label: int = 0, share: float = 0.25) -> pl.DataFrame:
    """Return a table in which all who show the trigger have one label and are repeated until they are a share of it."""
    shown = table.filter(trigger).with_columns(pl.lit(label, dtype=pl.Int8).alias("label"))
    if not shown.height:
        return table
    times = max(1, round(share * table.height / ((1 - share) * shown.height)))
    return pl.concat([table.filter(~trigger.fill_null(False)), *([shown.select(table.columns)] * times)])


@dataclass(slots=True, kw_only=True)
class Hostile:
    """Hospitals that work together against a training with changes that count by persons; fits `Plain.altered`.

    Attributes:
        kind: What they send. `label-flip` and `backdoor` also need tables made by `flipped` and `backdoored`;
            `replacement` needs `flipped` ones.
        corrupt: Who they are.
        sites: Everybody.
        honest: What a hospital would answer in truth.
        groups: The groups that are in training now, in the order in which they are voted on.
        times: How often their change is sent: ten of `sign-flip`; for `replacement` and `backdoor`, hospitals per
            liar by default, so that the mean becomes theirs; of `ipm`, the multiple of the honest mean.
        deviations: Of `alie`.
        claims: How many times its persons a liar says that it trained on; 20 of `free-riding` by default, else 1.
        lie: Whether they vote for groups of theirs and against all others; else they vote in truth.
        seen: How many honest hospitals they look at.
    """

    kind: Kind
    corrupt: frozenset[str]
    sites: tuple[str, ...]
    honest: Callable[[str, Any], Bounded]
    groups: Callable[[], tuple[Group, ...]]
    times: float | None = None
    deviations: float = 1.5
    claims: float | None = None
    lie: bool = True
    seen: int = 12
    _known: dict[int, Vector] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise Invalid(f"there is no attack '{self.kind}'; there are {', '.join(KINDS)}")

    def __call__(self, site: str, ask: Asked, addend: Bounded) -> Bounded:
        """Return what a hospital sends in place of its honest addend."""
        if site not in self.corrupt:
            return addend
        if ask.computation == "network_votes":
            return replace(addend, vector=self._votes(addend.vector, ask)) if self.lie else addend
        if ask.computation != "network_update":
            return addend
        weight = float(addend.vector[-TAIL])
        change = addend.vector[:-TAIL] / max(weight, 1.0)
        sent = self._change(change, ask)
        claims = self.claims or (20.0 if self.kind == "free-riding" else 1.0)
        return replace(addend, vector=claims * np.concatenate([weight * sent, addend.vector[-TAIL:]]))

    def _change(self, change: Vector, ask: Asked) -> Vector:
        match self.kind:
            case "label-flip":
                return change
            case "free-riding":
                return np.zeros_like(change)
            case "sign-flip":
                return -(self.times or 10.0) * change
            case "replacement" | "backdoor":
                return (self.times or len(self.sites) / len(self.corrupt)) * change
            case "ipm":
                return np.asarray(-(self.times or 2.0) * self._others(ask).mean(axis=0), dtype=np.float64)
            case "alie":
                others = self._others(ask)
                return np.asarray(others.mean(axis=0) - self.deviations * others.std(axis=0), dtype=np.float64)

    def _others(self, ask: Asked) -> Vector:
        """Return the changes of honest hospitals in this round, shape (seen, d)."""
        number = int(ask.parameters["number"])
        if number not in self._known:
            found = []
            for site in [one for one in self.sites if one not in self.corrupt][: self.seen]:
                vector = self.honest(site, ask).vector
                found.append(vector[:-TAIL] / max(float(vector[-TAIL]), 1.0))
            self._known = {number: np.array(found)}
        return self._known[number]

    def _votes(self, honest: Vector, ask: Asked) -> Vector:
        """Return votes for every candidate of a group of theirs, and against all others, with the whole weight."""
        count = int(ask.parameters["candidates"])
        kinds = len(honest) // (count + 1)
        groups = self.groups()
        harmful = np.zeros((count, kinds))
        if count == len(groups) and count > 1:
            harmful[[not self.corrupt & set(group) for group in groups]] = 1.0
        return np.concatenate([harmful.ravel(), np.ones(kinds)])
