"""Fitted neural networks: their document and numbers in, predictions out, without torch. Saved as safetensors.

A safetensors file is a header of JSON and raw numbers behind it; reading one runs nothing. Its one metadata entry,
`wardgate`, is the canonical JSON of everything that is no tensor. The tensors have the names of
`measures.layers.tensors`, and are float32 where no number loses anything by it, else float64.
"""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
import safetensors
from numpy.typing import NDArray
from pydantic import Field
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from wardgate.measures.encoding import design_columns, design_matrix
from wardgate.measures.layers.forward import arrays, logits, reach
from wardgate.measures.layers.tensors import MOST_NUMBERS, spread, tensors
from wardgate.measures.logistic import probability
from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.feature import Feature
from wardgate.records.network import Architecture, Linear
from wardgate.records.record import Record

Matrix = NDArray[np.float64]

SCHEMA = "wardgate/model/network/1"

MOST_HEADER = 2**20
"""Bytes of a file's header."""

MOST_BYTES = 8 + MOST_HEADER + 8 * MOST_NUMBERS

FARTHEST = 1e300
"""What no number inside a network may be able to exceed for any row; so none ever overflows."""

_ENTRY = "wardgate"


class _Told(Record):
    """What a file says beside its tensors."""

    schema_: Literal["wardgate/model/network/1"] = Field(alias="schema")
    features: tuple[Feature, ...]
    architecture: Architecture
    noise: str = ""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkModel:
    """A trained network. Two are the same model where their bytes are.

    Attributes:
        features: Definitions of the study's features, in its order; their columns are what goes in.
        architecture: The network as the study locked it.
        vector: All its numbers, running statistics included, shape (size,). It is copied and cannot be written to.
        noise: In words, what noise the numbers carry; empty for an exact fit.

    Raises:
        Invalid: the parts do not fit each other, a number is not finite, or some row could overflow.
    """

    schema_: ClassVar[str] = SCHEMA

    features: tuple[Feature, ...]
    architecture: Architecture
    vector: Matrix
    noise: str = ""

    def __post_init__(self) -> None:
        names = self.column_names
        if len(names) != self.architecture.inputs:
            raise Invalid(f"the network takes {self.architecture.inputs} columns, the features have {len(names)}")
        # Adding 0 makes every -0 a 0, so that equal numbers are equal bytes.
        vector = np.array(self.vector, dtype=np.float64) + 0.0
        arrays(self.architecture, vector)
        for tensor in tensors(self.architecture):
            if tensor.role == "variance" and bool(np.any(tensor.of(vector) < 0)):
                raise Invalid(f"'{tensor.name}' holds a running variance below 0; raise it to 0 before saving")
        if not reach(self.architecture, vector) < FARTHEST:
            raise Invalid("the network's weights are so large that some row could overflow; it cannot be used")
        vector.flags.writeable = False
        object.__setattr__(self, "vector", vector)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Features that a table needs."""
        return tuple(feature.name for feature in self.features)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Name of each column that goes in."""
        return tuple(column.name for column in design_columns(self.features))[1:]

    def decision_function(self, data: pl.DataFrame | Matrix) -> Matrix:
        """Return the log-odds of an event for each row, shape (n,).

        Args:
            data: A table of study features, or their design without the intercept, shape (n, inputs).

        Raises:
            Invalid: a column is missing or wrong, or the design has another shape or a number that is not finite.
        """
        x = design_matrix(self.features, data)[:, 1:] if isinstance(data, pl.DataFrame) else data
        return logits(self.architecture, self.vector, x)

    def predict_proba(self, data: pl.DataFrame | Matrix) -> Matrix:
        """Return the probability of no event and of an event, shape (n, 2).

        Raises:
            Invalid: as `decision_function`.
        """
        p = probability(self.decision_function(data))
        return np.column_stack([1.0 - p, p])

    def predict(self, data: pl.DataFrame | Matrix) -> Matrix:
        """Return the class (0 or 1) of each row, shape (n,)."""
        return (self.decision_function(data) > 0).astype(np.float64)

    def rounded(self) -> "NetworkModel":
        """Return the model in single precision: half the bytes, log-odds that differ in the seventh digit.

        Raises:
            Invalid: a number is beyond the range of single precision.
        """
        with np.errstate(over="ignore"):
            vector = self.vector.astype(np.float32).astype(np.float64)
        return NetworkModel(features=self.features, architecture=self.architecture, vector=vector, noise=self.noise)

    def recalibrated(self, *, intercept: float, slope: float = 1.0, noise: str = "") -> "NetworkModel":
        """Return the model whose log-odds are intercept + slope x its own: its last layer is another one.

        Args:
            noise: In words, what noise both carry; added to the model's own.

        Raises:
            Unsupported: the last layer is no linear one.
        """
        last, vector = len(self.architecture.layers) - 1, self.vector.copy()
        if not isinstance(self.architecture.layers[last], Linear):
            raise Unsupported("only a network that ends in a linear layer can be recalibrated by its last layer")
        named = arrays(self.architecture, vector)
        named[f"{last}.weight"] *= slope
        named[f"{last}.bias"][:] = intercept + slope * named[f"{last}.bias"]
        words = "; ".join(one for one in (self.noise, noise) if one)
        return NetworkModel(features=self.features, architecture=self.architecture, vector=vector, noise=words)

    def to_bytes(self) -> bytes:
        """Return the model as a safetensors file; the same model always gives the same bytes.

        Raises:
            Invalid: the features' definitions are longer than a header may be.
        """
        told = _Told(schema=SCHEMA, features=self.features, architecture=self.architecture, noise=self.noise)
        with np.errstate(over="ignore"):
            single = self.vector.astype(np.float32)
        kept = single if np.array_equal(single.astype(np.float64), self.vector) else self.vector
        named = {
            tensor.name: np.ascontiguousarray(kept[tensor.place].reshape(tensor.shape))
            for tensor in tensors(self.architecture)
        }
        data = bytes(save_arrays(named, metadata={_ENTRY: told.to_bytes().decode()}))
        if int.from_bytes(data[:8], "little") > MOST_HEADER:
            raise Invalid(f"the header of a network's file has at most {MOST_HEADER} bytes; say the features shorter")
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote, and nothing else that safetensors could hold.

        Raises:
            Invalid: a file that is cut off or too large, a header that is no JSON or says more or less than a model's
                does, tensors of other names, shapes or types than the network has, numbers that are not finite, or
                bytes that `to_bytes` would have written otherwise (the model would have two digests).
        """
        header = _header(data)
        told = _told(header)
        wrong = {one.get("dtype") for name, one in header.items() if name != "__metadata__" and isinstance(one, dict)}
        if len(wrong) > 1 or not wrong <= {"F32", "F64"}:
            raise Invalid("the tensors of a network's file are all float32 (F32), or all float64 (F64)")
        try:
            read = load_arrays(data)
        except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise Invalid(f"the file's tensors do not lie as its header says ({type(error).__name__})") from None
        vector = spread(tensors(told.architecture), {name: array.astype(np.float64) for name, array in read.items()})
        found = cls(features=told.features, architecture=told.architecture, vector=vector, noise=told.noise)
        if found.to_bytes() != data:
            raise Invalid("the model's bytes are not those that saving it gives: they were changed; save it again")
        return found


def _header(data: bytes) -> dict[str, Any]:
    """Return the header of a safetensors file."""
    if len(data) > MOST_BYTES:
        raise Invalid(f"a network's file of {len(data)} bytes; expected at most {MOST_BYTES}")
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= length <= MOST_HEADER or length > len(data) - 8:
        raise Invalid("the file's header is cut off, or longer than a network's can be")
    try:
        header = json.loads(data[8 : 8 + length])
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise Invalid("the header of a network's file must be a JSON object; the file is broken or is something else")
    return header


def _told(header: dict[str, Any]) -> _Told:
    """Return what the metadata say."""
    metadata = header.get("__metadata__")
    text = metadata.get(_ENTRY) if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or set(metadata) != {_ENTRY} or not isinstance(text, str):
        raise Invalid(f"a network's file has one metadata entry, '{_ENTRY}', and no other")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise Invalid(f"the file names no model that is known here; expected a schema of {SCHEMA}")
    if canonical(value).decode() != text:
        raise Invalid("what the file says of the model is not canonical JSON; save it again")
    return _Told.from_plain(value)
