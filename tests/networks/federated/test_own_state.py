"""What a hospital keeps of a network survives its bytes; anything else is broken."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wardgate.networks.federated.own import HEAD, State
from wardgate.records.errors import Broken

NUMBERS = np.array([1.5, -0.0, 5e-324, 1e4])
STATE = State(number=3, before=NUMBERS[::-1].copy(), now=NUMBERS)


@pytest.mark.parametrize("before", [None, NUMBERS + 1])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_state_survives_its_bytes(before, count):
    state = State(number=2**40, before=None if before is None else before[:count], now=NUMBERS[:count])
    again = State.from_bytes(state.to_bytes())
    assert again.number == state.number
    assert again.now.tobytes() == state.now.tobytes()
    assert (again.before is None) == (before is None)
    assert again.before is None or again.before.tobytes() == state.before.tobytes()


def test_a_round_begins_anew_or_again_or_goes_on():
    assert STATE.begins(0) is None
    assert STATE.begins(3) is STATE.before
    assert STATE.begins(4) is STATE.now
    assert STATE.begins(9) is STATE.now
    assert STATE.begins(1) is STATE.now


def spoilt():
    """The museum: one thing wrong with each."""
    good = STATE.to_bytes()
    yield "nothing", b""
    yield "half a head", good[: HEAD.size // 2]
    yield "a head alone", good[: HEAD.size]
    yield "one byte less", good[:-1]
    yield "one byte more", good + b"\0"
    yield "another magic", b"X" + good[1:]
    yield "another version", good.replace(b"own/1", b"own/2")
    yield "a larger count", good[:24] + struct.pack("<Q", 5) + good[32:]
    yield "a count beyond memory", good[:24] + struct.pack("<Q", 2**63) + good[32:]
    yield "a flag of two", good[:32] + b"\2" + good[33:]
    yield "no flag for numbers that are there", good[:32] + b"\0" + good[33:]
    yield "bytes in the padding", good[:36] + b"\1" + good[37:]
    yield "no number", good[:-8] + struct.pack("<d", float("nan"))
    yield "infinity before", good[: HEAD.size] + struct.pack("<d", float("inf")) + good[HEAD.size + 8 :]
    yield "big-endian", good[:16] + struct.pack(">QQ", 3, 4) + good[32:]
    yield "a pickle", b"\x80\x04K\x01." * 20


@pytest.mark.parametrize("raw", [raw for _, raw in spoilt()], ids=[name for name, _ in spoilt()])
def test_anything_else_is_broken(raw):
    with pytest.raises(Broken, match="kept of a network"):
        State.from_bytes(raw)


@given(st.binary(max_size=120))
@settings(max_examples=200)
def test_random_bytes_are_broken_and_nothing_worse(raw):
    with pytest.raises(Broken):
        State.from_bytes(raw)


def test_reading_it_needs_no_torch():
    code = "import sys, wardgate.networks.federated.own; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
