"""What `site doctor` found, and what to do about it. It stays at the hospital; nothing of it quotes a patient."""

from typing import Literal

from wardgate.records.record import Name, Record

State = Literal["ok", "warning", "fail", "not checked"]


class Check(Record):
    """One thing that was looked at.

    Attributes:
        name: What was looked at, in a few words.
        side: Who looked: the wire, which may speak, or the ward, which may see patients.
        found: What was found, in a sentence.
        do: What to do, for whom; empty where there is nothing to do.
    """

    name: str
    side: Literal["wire", "ward"]
    state: State
    found: str
    do: str = ""


class Examination(Record):
    """All checks of one hospital, in the order in which a person would repair things.

    Attributes:
        site: The hospital's name; absent where even `site.yaml` cannot be read.
        rule: What to ask the network team for, word by word; empty where the hospital is not enrolled.
    """

    site: Name | None = None
    at: str
    checks: tuple[Check, ...]
    rule: str = ""

    @property
    def failed(self) -> tuple[Check, ...]:
        """Checks that stand in the way of serving."""
        return tuple(check for check in self.checks if check.state == "fail")
