"""Saved fits: what is written reads back as itself, and nothing that is broken, foreign or crafted is read."""

import json
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.answering.synthesis.saved import pack, unpack
from wardgate.records.claim import Claim
from wardgate.records.errors import Broken, Unsupported, WardgateError
from wardgate.records.parcel import Parcel


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    values: np.ndarray
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    leaves: tuple[Leaf, ...]
    table: pl.DataFrame
    claim: Claim
    odd: float
    names: dict[str, int]
    chosen: frozenset[str]
    nothing: None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranger:
    value: int


KINDS = (Leaf, Tree, Claim)


def tree() -> Tree:
    return Tree(
        leaves=(Leaf(values=np.arange(6.0).reshape(2, 3)), Leaf(values=np.array([True, False]), name="b")),
        table=pl.DataFrame({"a": [1.5, None], "b": ["x", None]}),
        claim=Claim(kind="none", excludes=("everything",)),
        odd=float("-inf"),
        names={"x": 1},
        chosen=frozenset({"p", "q"}),
    )


def test_a_tree_of_values_reads_back_as_itself():
    found = unpack(pack(tree(), types=KINDS), types=KINDS)
    assert [one.name for one in found.leaves] == ["", "b"]
    assert found.leaves[0].values.dtype == np.float64
    assert np.array_equal(found.leaves[0].values, tree().leaves[0].values)
    assert found.leaves[1].values.tolist() == [True, False]
    assert found.table.equals(tree().table)
    assert (found.claim, found.odd, found.names, found.chosen) == (tree().claim, float("-inf"), {"x": 1}, {"p", "q"})


@pytest.mark.parametrize(
    "value",
    [Stranger(value=1), lambda: 0, np.array([object()]), Leaf(values=np.array(["text"]))],
    ids=["a stranger", "a function", "objects", "an array of text"],
)
def test_what_is_not_listed_is_not_written(value):
    with pytest.raises(Unsupported):
        pack(value, types=KINDS)


def test_a_class_that_is_not_listed_is_not_made():
    data = pack(Stranger(value=1), types=(Stranger,))
    with pytest.raises(Broken, match="no part of any generator"):
        unpack(data, types=KINDS)


def changed(edit) -> bytes:
    parcel = Parcel.from_bytes(pack(tree(), types=KINDS))
    plain = json.loads(parcel.envelope)
    edit(plain)
    return Parcel(json.dumps(plain).encode(), parcel.blobs).to_bytes()


def deep(plain):
    for _ in range(60):
        plain["value"] = {"tuple": [plain["value"]]}


BROKEN = {
    "another form": lambda plain: plain.update(form="wardgate/fit/9"),
    "no digests": lambda plain: plain.pop("sha256"),
    "another digest": lambda plain: plain.update(sha256=["0" * 64] * 3),
    "a field too many": lambda plain: plain["value"]["fields"].update(more=1),
    "a field too few": lambda plain: plain["value"]["fields"].pop("odd"),
    "a list where nothing writes one": lambda plain: plain.update(value=[1, 2]),
    "a float": lambda plain: plain.update(value=1.5),
    "an array of objects": lambda plain: plain.update(value={"array": 0, "dtype": "|O", "shape": [6]}),
    "an array of another size": lambda plain: plain.update(value={"array": 0, "dtype": "<f8", "shape": [7]}),
    "an array of negative size": lambda plain: plain.update(value={"array": 0, "dtype": "<f8", "shape": [-6]}),
    "an array that is not there": lambda plain: plain.update(value={"array": 9, "dtype": "<f8", "shape": [6]}),
    "a table that is none": lambda plain: plain.update(value={"table": 0}),
    "a number that is none": lambda plain: plain.update(value={"number": "pi"}),
    "a record of other fields": lambda plain: plain.update(value={"record": "Claim", "plain": {"kind": "magic"}}),
    "nested too deep": deep,
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_fits_are_refused(name):
    with pytest.raises(WardgateError):
        unpack(changed(BROKEN[name]), types=KINDS)


def test_a_fit_that_was_cut_off_or_flipped_is_refused():
    data = pack(tree(), types=KINDS)
    for part in (
        data[:-1],
        data[: len(data) // 2],
        b"",
        b"\x80\x04pickle",
        data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
    ):
        with pytest.raises(Broken):
            unpack(part, types=KINDS)
