"""What a check of a certificate came to, one line each."""

from dataclasses import dataclass
from typing import Literal

State = Literal["holds", "broken", "refused", "not checked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of a check.

    Attributes:
        what: What was looked at, e.g. `signature`.
        state: `broken` where something does not hold, `refused` where it holds and still may not be relied on,
            `not checked` where something for it was not handed in.
        words: What was found.
    """

    what: str
    state: State
    words: str
