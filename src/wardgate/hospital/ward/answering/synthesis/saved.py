"""A fitted generator as bytes that cannot run: a tree of plain values, and arrays beside it.

Pickles run code when they are read, so a fit is written as JSON that names its parts, with raw arrays and tables
beside. Reading makes values of listed classes only, by their own constructors, which check what they are given. A
network is no plain value: it has `parts()`, which are, and `of_parts(...)` builds it again.
"""

import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Unsupported, WardgateError
from wardgate.records.parcel import Parcel
from wardgate.records.record import Record

FORM = "wardgate/fit/1"
DTYPES = ("<f8", "<f4", "<i8", "<i4", "<i2", "|i1", "|u1", "<u8", "<u4", "|b1")
DEEPEST = 40


def pack(value: Any, *, types: Sequence[type]) -> bytes:
    """Return a value as bytes.

    Args:
        types: Frozen dataclasses and records that may stand in it.

    Raises:
        Unsupported: it holds something else.
    """
    blobs: list[bytes] = []
    names = {kind: kind.__qualname__ for kind in types}
    if len(set(names.values())) != len(names):
        raise RuntimeError("two listed classes have the same name")
    tree = {"form": FORM, "value": _packed(value, names, blobs)}
    tree["sha256"] = [sha256(blob) for blob in blobs]
    return Parcel(json.dumps(tree, allow_nan=False).encode(), tuple(blobs)).to_bytes()


def _packed(value: Any, names: Mapping[type, str], blobs: list[bytes]) -> Any:
    if value is None or isinstance(value, bool | str) or type(value) is int:
        return value
    if isinstance(value, int | float | np.floating | np.integer | np.bool_):
        return {"number": float(value).hex()} if isinstance(value, float | np.floating) else int(value)
    if isinstance(value, np.ndarray):
        little = np.asarray(value, dtype=value.dtype.newbyteorder("<"), order="C")
        if little.dtype.str not in DTYPES:
            raise Unsupported(f"an array of {little.dtype} cannot be saved; expected one of {', '.join(DTYPES)}")
        blobs.append(little.tobytes())
        return {"array": len(blobs) - 1, "dtype": little.dtype.str, "shape": list(little.shape)}
    if isinstance(value, pl.DataFrame):
        sink = io.BytesIO()
        pq.write_table(value.to_arrow(compat_level=pl.CompatLevel.oldest()), sink, compression="zstd")
        blobs.append(sink.getvalue())
        return {"table": len(blobs) - 1}
    if type(value) in names:
        if isinstance(value, Record):
            return {"record": names[type(value)], "plain": value.plain()}
        parts = getattr(value, "parts", None)
        whole = parts() if parts else {one.name: getattr(value, one.name) for one in _fields(type(value))}
        held = {name: _packed(part, names, blobs) for name, part in whole.items()}
        return {"object": names[type(value)], "fields": held}
    if isinstance(value, Mapping):
        return {"dict": [[_packed(k, names, blobs), _packed(v, names, blobs)] for k, v in value.items()]}
    if isinstance(value, frozenset | set):
        return {"set": [_packed(one, names, blobs) for one in sorted(value)]}
    if isinstance(value, tuple | list):
        return {"tuple": [_packed(one, names, blobs) for one in value]}
    raise Unsupported(f"a value of {type(value).__qualname__} cannot be saved")


def unpack(data: bytes, *, types: Sequence[type]) -> Any:
    """Return what `pack` wrote. Lists come back as tuples, mappings as dicts.

    Raises:
        Broken: cut off, changed, of another form, or naming a class that is not listed.
    """
    parcel = Parcel.from_bytes(data)
    try:
        tree = json.loads(parcel.envelope)
        if not isinstance(tree, dict) or tree.get("form") != FORM:
            raise Broken(f"not a saved fit of the form {FORM}")
        if tree["sha256"] != [sha256(blob) for blob in parcel.blobs]:
            raise Broken("a saved fit was changed: an array does not match its digest")
        return _unpacked(tree["value"], {kind.__qualname__: kind for kind in types}, parcel.blobs, 0)
    except WardgateError:
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, pa.ArrowException) as error:
        raise Broken("a saved fit cannot be read: it was cut off, changed or written by another version") from error


def _unpacked(held: Any, kinds: Mapping[str, type], blobs: Sequence[bytes], depth: int) -> Any:
    if depth > DEEPEST:
        raise Broken("a saved fit is nested too deep")
    if held is None or isinstance(held, bool | str | int):
        return held
    if not isinstance(held, dict):
        raise Broken("a saved fit holds something that was never written")

    def inner(part: Any) -> Any:
        return _unpacked(part, kinds, blobs, depth + 1)

    if "number" in held:
        return float.fromhex(held["number"])
    if "array" in held:
        return _array(held, blobs)
    if "table" in held:
        return pl.DataFrame(pl.from_arrow(pq.read_table(io.BytesIO(blobs[held["table"]]))))
    if "tuple" in held:
        return tuple(inner(one) for one in held["tuple"])
    if "set" in held:
        return frozenset(inner(one) for one in held["set"])
    if "dict" in held:
        return {inner(key): inner(value) for key, value in held["dict"]}
    name = held.get("record") or held.get("object")
    kind: Any = kinds.get(str(name))
    if kind is None:
        raise Broken(f"a saved fit names '{str(name)[:60]}', which is no part of any generator here")
    if "record" in held:
        return kind.from_plain(held["plain"])
    fields = {field: inner(part) for field, part in held["fields"].items()}
    if hasattr(kind, "of_parts"):
        return kind.of_parts(**fields)
    if sorted(fields) != sorted(one.name for one in _fields(kind)):
        raise Broken(f"a saved '{name}' has other fields than this version's; fit again")
    return kind(**fields)


def _array(held: Mapping[str, Any], blobs: Sequence[bytes]) -> Any:
    shape, data = tuple(held["shape"]), blobs[held["array"]]
    if held["dtype"] not in DTYPES or any(type(one) is not int or one < 0 for one in shape):
        raise Broken("a saved array has no readable type or shape")
    kind = np.dtype(held["dtype"])
    if len(data) != math.prod(shape) * kind.itemsize:
        raise Broken("a saved array has another size than its shape")
    return np.frombuffer(data, dtype=kind).reshape(shape).copy()


def _fields(kind: type) -> tuple[Any, ...]:
    return tuple(one for one in dataclasses.fields(kind) if one.init)
