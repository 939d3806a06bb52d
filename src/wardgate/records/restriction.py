"""What is held back of a candidate that would not pass whole: columns dropped or coarsened, subgroups left out."""

from typing import Literal, Self

from pydantic import model_validator

from wardgate.records.errors import Invalid
from wardgate.records.record import Name, Number, Record


class Restriction(Record):
    """One restriction. It holds for real and synthetic tables alike, so that both are judged as they would leave.

    Attributes:
        way: `drop` a column, `coarsen` a number to multiples of `step` or join the categories `values`, or leave out
            (`without`) the persons whose column has one of `values`.
    """

    way: Literal["drop", "coarsen", "without"]
    column: Name
    step: Number | None = None
    values: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.way == "drop" and (self.step is not None or self.values is not None):
            raise ValueError("a dropped column has neither step nor values")
        if self.way == "coarsen" and (self.step is None) == (self.values is None):
            raise ValueError("a column is coarsened either by a step or by joining values")
        if self.way == "without" and not self.values:
            raise ValueError("say which values are left out")
        if self.step is not None and not self.step > 0:
            raise ValueError("expected a step above 0")
        if self.way == "coarsen" and self.values is not None and len(self.values) < 2:
            raise ValueError("two categories at least are joined")
        return self

    @property
    def words(self) -> str:
        """The restriction for people."""
        if self.way == "drop":
            return f"{self.column} dropped"
        if self.step is not None:
            return f"{self.column} coarsened to multiples of {self.step:g}"
        named = ", ".join(self.values or ())
        return (
            f"{self.column}: {named} joined"
            if self.way == "coarsen"
            else f"persons with {self.column} {named} left out"
        )


def dropping(text: str) -> Restriction:
    """Read `COLUMN`."""
    return Restriction.from_plain({"way": "drop", "column": text})


def coarsening(text: str) -> Restriction:
    """Read `COLUMN=STEP` or `COLUMN=VALUE+VALUE`.

    Raises:
        Invalid: the text is neither.
    """
    column, equals, what = text.partition("=")
    if not equals or not what:
        raise Invalid(f"found '{text}', expected COLUMN=STEP (age=5) or COLUMN=VALUE+VALUE (region=north+islands)")
    if "+" in what:
        return Restriction.from_plain({"way": "coarsen", "column": column, "values": what.split("+")})
    return Restriction.from_plain({"way": "coarsen", "column": column, "step": what})


def leaving_out(text: str) -> Restriction:
    """Read `COLUMN=VALUE`.

    Raises:
        Invalid: the text is something else.
    """
    column, equals, value = text.partition("=")
    if not equals or not value:
        raise Invalid(f"found '{text}', expected COLUMN=VALUE of the subgroup to leave out")
    return Restriction.from_plain({"way": "without", "column": column, "values": [value]})
