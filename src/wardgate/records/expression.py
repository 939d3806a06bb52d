"""Arithmetic over named values, read from text without running anything: `(systolic + 2 * diastolic) / 3`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from wardgate.records.errors import Invalid

Function = Literal["log10", "exp", "sqrt", "abs", "min", "max"]

FUNCTIONS: dict[str, int] = {"log10": 1, "exp": 1, "sqrt": 1, "abs": 1, "min": 2, "max": 2}
"""What may be called, and with how many values."""

_TOKEN = re.compile(r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:e-?\d+)?)|(?P<name>[a-z][a-z0-9_]*)|(?P<sign>[-+*/^(),]))")
_MAX_TOKENS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a stack machine: push a number or a named value, or work on what was pushed last.

    Attributes:
        does: `number` pushes `value`, `name` pushes what is called `word`; `call` takes as many values as FUNCTIONS
            says, `+ - * / ^` two, `negate` one.
    """

    does: Literal["number", "name", "call", "+", "-", "*", "/", "^", "negate"]
    value: float = 0.0
    word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expression:
    """An expression as steps in the order in which they are worked."""

    steps: tuple[Step, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The named values that it needs, each once."""
        return tuple(dict.fromkeys(step.word for step in self.steps if step.does == "name"))


def read(text: str) -> Expression:
    """Read an expression of numbers, lower-case names, + - * / ^, brackets, min, max, sqrt, abs, exp and log10.

    `^` binds strongest and to the right, and a sign stands before a whole product's factor, as in ordinary arithmetic.

    Raises:
        Invalid: the text is something else; the message says what stands where.

    >>> read("2 * sodium + 1").names
    ('sodium',)
    """
    return Expression(steps=tuple(_Reader(text).whole()))


class _Reader:
    """Recursive descent; every method yields the steps of what it read."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._place = 0

    def whole(self) -> Iterator[Step]:
        yield from self._sum()
        if self._here[0] != "end":
            raise Invalid(f"'{self._here[1]}' stands where an operator or the end was expected")

    @property
    def _here(self) -> tuple[str, str]:
        return self._tokens[self._place]

    def _takes(self, *signs: str) -> str | None:
        kind, text = self._here
        if kind == "sign" and text in signs:
            self._place += 1
            return text
        return None

    def _needs(self, sign: str) -> None:
        if self._takes(sign) is None:
            raise Invalid(f"'{self._here[1]}' stands where '{sign}' was expected")

    def _sum(self) -> Iterator[Step]:
        yield from self._product()
        while sign := self._takes("+", "-"):
            yield from self._product()
            yield Step(does="+" if sign == "+" else "-")

    def _product(self) -> Iterator[Step]:
        yield from self._signed()
        while sign := self._takes("*", "/"):
            yield from self._signed()
            yield Step(does="*" if sign == "*" else "/")

    def _signed(self) -> Iterator[Step]:
        negative = self._takes("-")
        yield from self._power()
        if negative:
            yield Step(does="negate")

    def _power(self) -> Iterator[Step]:
        yield from self._atom()
        if self._takes("^"):
            yield from self._signed()
            yield Step(does="^")

    def _atom(self) -> Iterator[Step]:
        kind, text = self._here
        if kind == "number":
            self._place += 1
            yield Step(does="number", value=float(text))
        elif kind == "name":
            self._place += 1
            yield from self._call(text) if self._takes("(") else (Step(does="name", word=text),)
        else:
            if self._takes("(") is None:
                raise Invalid(f"'{text}' stands where a number, a name or a bracket was expected")
            yield from self._sum()
            self._needs(")")

    def _call(self, name: str) -> Iterator[Step]:
        if name not in FUNCTIONS:
            raise Invalid(f"'{name}' cannot be called; expected one of {', '.join(FUNCTIONS)}")
        yield from self._sum()
        for _ in range(FUNCTIONS[name] - 1):
            self._needs(",")
            yield from self._sum()
        self._needs(")")
        yield Step(does="call", word=name)


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    place = count = 0
    rest = text.rstrip()
    while place < len(rest):
        found = _TOKEN.match(rest, place)
        count += 1
        if found is None or found.lastgroup is None or count > _MAX_TOKENS:
            what = f"'{rest[place:].strip()[:20]}'" if found is None else f"more than {_MAX_TOKENS} parts"
            raise Invalid(f"{what} in an expression; expected numbers, names, + - * / ^ and brackets")
        yield found.lastgroup, found[found.lastgroup]
        place = found.end()
    yield "end", "the end"
