"""The shape of everything that may cross the wall: frozen, closed, canonical."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    PlainSerializer,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from wardgate.records.canonical import canonical, number_of, sha256, text_of
from wardgate.records.errors import Invalid


def _number(value: Any) -> float:
    try:
        return number_of(value)
    except Invalid as error:
        raise ValueError(str(error)) from error


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


AnyNumber = Annotated[float, BeforeValidator(_number), PlainSerializer(text_of, return_type=str)]
"""A double that travels as the shortest text that reads back as itself. May be NaN or infinite."""

Number = Annotated[AnyNumber, AfterValidator(_finite)]
"""A finite double that travels as text."""

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,79}$"

Name = Annotated[str, StringConstraints(pattern=NAME)]
"""A name that is safe in a path, a log and a page."""

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hexadecimal."""


STORED: Mapping[str, bool] = MappingProxyType({"stored": True})
"""Said to validators while a record is read that `plain` wrote, at whatever version."""


class Record(BaseModel):
    """A frozen, closed value. Unknown fields are refused; numbers travel as text."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=True)

    def plain(self) -> dict[str, Any]:
        """Return the value as JSON-ready data without floats."""
        return self.model_dump(mode="json", exclude_none=True, by_alias=True)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes (RFC 8785)."""
        return canonical(self.plain())

    def fingerprint(self) -> str:
        """Return the SHA-256 of the canonical bytes."""
        return sha256(self.to_bytes())

    @classmethod
    def from_plain(cls, value: Any) -> Self:
        """Read what `plain` wrote.

        Raises:
            Invalid: a field is missing, unknown or of another type. The message names fields, never values.
        """
        try:
            return cls.model_validate(value, context=STORED)
        except ValidationError as error:
            found = "; ".join(
                f"{'.'.join(str(part) for part in item['loc']) or 'record'}: {item['msg']}" for item in error.errors()
            )
            raise Invalid(f"not a valid {cls.__name__}: {found}") from None


class Stated(Record):
    """A record whose fields travel in camelCase, as predicates of in-toto statements are written."""

    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, validate_by_alias=True)
