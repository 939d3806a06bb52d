"""Parcels and vectors: what was packed comes back, and every broken form is refused by name."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel, VectorRef, pack_bytes, pack_vector, unpack_vector

PARCEL = Parcel(b'{"envelope":1}', (b"", b"abc", bytes(9)))
DATA = PARCEL.to_bytes()


@given(st.binary(max_size=40), st.lists(st.binary(max_size=40), max_size=4))
def test_a_parcel_reads_back(envelope: bytes, blobs: list[bytes]) -> None:
    parcel = Parcel(envelope, tuple(blobs))
    assert Parcel.from_bytes(parcel.to_bytes()) == parcel
    assert parcel.size == len(envelope) + sum(map(len, blobs))


def test_a_parcel_cut_at_any_place_is_broken() -> None:
    for length in range(len(DATA)):
        with pytest.raises(Broken, match="parcel"):
            Parcel.from_bytes(DATA[:length])


def test_bytes_behind_a_parcel_are_broken() -> None:
    for more in (b"\x00", b"WGPARCEL1", DATA):
        with pytest.raises(Broken, match="nobody declared"):
            Parcel.from_bytes(DATA + more)


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"WGPARCEL2" + DATA[9:],
        b"WGPARCEL1" + struct.pack("<I", 0),
        b"WGPARCEL1" + struct.pack("<I", 2**32 - 1),
        b"WGPARCEL1" + struct.pack("<IQ", 1, 2**64 - 1),
        DATA[:9] + struct.pack("<I", 3) + DATA[13:],
        DATA[:9] + struct.pack("<I", 5) + DATA[13:],
    ],
    ids=["empty", "magic", "no-parts", "endless", "huge-part", "fewer-parts", "more-parts"],
)
def test_a_parcel_that_states_something_else_is_broken(broken: bytes) -> None:
    with pytest.raises(Broken):
        Parcel.from_bytes(broken)


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.uint64, np.int64, np.uint8]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0),
    )
)
def test_a_vector_reads_back_to_the_last_bit(vector: np.ndarray[Any, Any]) -> None:
    ref, data = pack_vector("beta", vector)
    again = unpack_vector(VectorRef.from_plain(ref.plain()), data)
    assert (again.shape, again.tobytes()) == (vector.shape, np.ascontiguousarray(vector).tobytes())


def test_a_big_endian_or_strided_vector_travels_little_endian() -> None:
    vector = np.arange(6, dtype=">f8")[::2]
    ref, data = pack_vector("beta", vector)
    assert (ref.dtype, data) == ("<f8", struct.pack("<3d", 0, 2, 4))
    assert unpack_vector(ref, data).tolist() == [0, 2, 4]


def test_altered_bytes_of_a_vector_are_broken() -> None:
    ref, data = pack_vector("beta", np.arange(3.0))
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1
        with pytest.raises(Broken, match="digest"):
            unpack_vector(ref, bytes(altered))


@pytest.mark.parametrize("dtype", ["|O", "<f4", ">f8", "f8", "<U4", "[('a','<f8')]", "", "object", "<c16", "|V8"])
def test_a_dtype_that_no_vector_has_is_broken(dtype: str) -> None:
    data = bytes(8)
    with pytest.raises(Broken, match="dtype"):
        unpack_vector(VectorRef(name="beta", sha256=sha256(data), dtype=dtype, shape=(1,)), data)


@pytest.mark.parametrize(
    "shape",
    [(2,), (0,), (-1,), (-1, -1), (-1, 1), (2**32, 2**32), (2**63, 2), (2**63,), (1, 0)],
    ids=str,
)
def test_a_shape_that_the_bytes_do_not_have_is_broken(shape: tuple[int, ...]) -> None:
    for data in (bytes(8), b""):
        if math.prod(shape) * 8 == len(data) and min(shape) >= 0:
            continue
        with pytest.raises(Broken, match="shape"):
            unpack_vector(VectorRef(name="beta", sha256=sha256(data), dtype="<f8", shape=shape), data)


def test_opaque_bytes_travel_as_they_are() -> None:
    ref, data = pack_bytes("study", b"\x00\xff")
    assert (data, ref.shape, ref.dtype, ref.sha256) == (b"\x00\xff", (2,), "|u1", sha256(b"\x00\xff"))
