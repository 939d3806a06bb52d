"""What the hub makes of the mean change of a round: rules without data, the same for every hospital.

A rule moves what gradients move. What norms observe (running means and variances) is averaged, whatever the rule: a
step against the mean of the hospitals could make a variance negative.

References: McMahan et al. (2017), arXiv:1602.05629; Hsu, Qi, Brown (2019), Measuring the Effects of Non-Identical Data
    Distribution for Federated Visual Classification, arXiv:1909.06335 (server momentum); Reddi et al. (2020), Adaptive
    Federated Optimization, arXiv:2003.00295; Kingma, Ba (2014), Adam, arXiv:1412.6980.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wardgate.records.canonical import text_of
from wardgate.records.errors import Invalid

Vector = NDArray[np.float64]
State = Mapping[str, Vector]
"""What a rule remembers from round to round: vectors by name, each as long as the weights."""


class Server(Protocol):
    """Turns the mean change of a round into a step."""

    def begin(self, size: int) -> State:
        """Return what is remembered before the first round."""
        ...

    def step(self, change: Vector, *, state: State, rounds: int) -> tuple[Vector, State]:
        """Return the step, and what is remembered after it.

        Args:
            change: Mean change of what gradients move.
            rounds: Steps made so far.
        """
        ...

    def plain(self) -> dict[str, Any]:
        """Return it as JSON, numbers that are no integers as text."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Average:
    """A step along the mean change.

    Attributes:
        rate: How far; 1 takes the mean of the hospitals' weights.
        momentum: Share of the last step that goes on.
    """

    rate: float = 1.0
    momentum: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.rate <= 100 and 0 <= self.momentum < 1):
            raise Invalid(f"expected a rate in (0, 100] and momentum in [0, 1), found {self.rate}, {self.momentum}")

    def begin(self, size: int) -> State:
        return {"speed": np.zeros(size)} if self.momentum else {}

    def step(self, change: Vector, *, state: State, rounds: int) -> tuple[Vector, State]:
        del rounds
        if not self.momentum:
            return self.rate * change, {}
        speed = self.momentum * state["speed"] + change
        return self.rate * speed, {"speed": speed}

    def plain(self) -> dict[str, Any]:
        return {"rule": "average", "rate": text_of(self.rate), "momentum": text_of(self.momentum)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptive:
    """A step that is longer for numbers whose changes were small so far: FedAdam or FedYogi.

    Attributes:
        rule: How squares of changes are remembered; Yogi forgets them more slowly where changes grow small.
        rate: About the length of a step of every number.
        first, second: What is kept of the mean change and of the squares from round to round.
        floor: Added to the root of the squares; small changes stay small below it.
        corrected: Whether the start at 0 is corrected as in Adam; FedAdam and FedYogi do not.
    """

    rule: Literal["adam", "yogi"] = "adam"
    rate: float = 0.03
    first: float = 0.9
    second: float = 0.99
    floor: float = 1e-3
    corrected: bool = False

    def __post_init__(self) -> None:
        if self.rule not in ("adam", "yogi"):
            raise Invalid(f"the rule of an adaptive server is 'adam' or 'yogi', found '{self.rule}'")
        if not (0 < self.rate <= 10 and 0 <= self.first < 1 and 0 <= self.second < 1 and self.floor > 0):
            raise Invalid("expected a rate in (0, 10], first and second in [0, 1), and a floor above 0")

    def begin(self, size: int) -> State:
        start = 0.0 if self.corrected else self.floor**2
        return {"mean": np.zeros(size), "squares": np.full(size, start)}

    def step(self, change: Vector, *, state: State, rounds: int) -> tuple[Vector, State]:
        mean = self.first * state["mean"] + (1.0 - self.first) * change
        squares, new = state["squares"], change**2
        if self.rule == "yogi":
            squares = squares - (1.0 - self.second) * new * np.sign(squares - new)
        else:
            squares = self.second * squares + (1.0 - self.second) * new
        kept: State = {"mean": mean, "squares": squares}
        if self.corrected:
            mean = mean / (1.0 - self.first ** (rounds + 1))
            squares = squares / (1.0 - self.second ** (rounds + 1))
        return self.rate * mean / (np.sqrt(squares) + self.floor), kept

    def plain(self) -> dict[str, Any]:
        numbers = {name: text_of(getattr(self, name)) for name in ("rate", "first", "second", "floor")}
        return {"rule": self.rule, **numbers, "corrected": self.corrected}


def moved(
    server: Server,
    weights: Vector,
    change: Vector,
    *,
    learnt: NDArray[np.bool_],
    state: State,
    rounds: int,
) -> tuple[Vector, State]:
    """Return the weights after a round, and what the rule remembers.

    Args:
        learnt: Which numbers gradients move, shape (size,); the rest is averaged.
        rounds: Steps made so far.
    """
    step, kept = server.step(np.where(learnt, change, 0.0), state=state, rounds=rounds)
    return weights + np.where(learnt, step, change), kept


def common_control(control: Vector, change: Vector, *, share: float) -> Vector:
    """Return SCAFFOLD's common control variate after a round.

    Args:
        change: Mean change of the control variates of those that trained, weighted by their persons.
        share: Persons of those that trained, over all training persons; who sat out kept theirs.

    Reference: Karimireddy et al. (2020), SCAFFOLD, arXiv:1910.06378, equation 5.
    """
    return control + min(1.0, share) * change
