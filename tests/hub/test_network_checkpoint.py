"""A museum of broken checkpoints: each is refused for the right reason, and none is half read."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from wardgate.hub.pooling.networks.checkpoint import Best, Checkpoint, Digests, Round
from wardgate.hub.pooling.networks.gather import Alarm
from wardgate.records.errors import Invalid

DIGESTS = Digests(study="a" * 64, network="small", architecture="b" * 64, algorithm="c" * 64)
RNG = np.random.default_rng(3)
POINT = Checkpoint(
    digests=DIGESTS,
    rounds=2,
    weights=RNG.normal(size=5),
    control=RNG.normal(size=5),
    rule={"mean": RNG.normal(size=5), "squares": RNG.random(5)},
    sites=("h0", "h1", "h2"),
    first=("h0", "h1", "h2", "h3"),
    most=311.0,
    best=Best(weights=RNG.normal(size=5), rounds=1, loss=0.1 + 0.2),
    judged=("h0", "h1", "h2"),
    judged_at=1,
    waited=1,
    history=tuple(
        Round(number=k, weight=1e3 / 7, before=0.7, after=1 / 3, bytes_moved=10, sites=("h0",), said={"h0": "trained"})
        for k in range(2)
    ),
    alarms=(Alarm(kind="one-class", sites=("h0",), words="'h0': look"),),
    resumed=1,
)
DATA = POINT.to_bytes()


def with_entry(change: Any, *, data: bytes = DATA) -> bytes:
    """The file with another header entry, and its arrays as they were."""
    length = int.from_bytes(data[:8], "little")
    entry = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["wardgate"])
    change(entry)
    return bytes(save(load(data), metadata={"wardgate": json.dumps(entry)}))


def with_arrays(**changes: Any) -> bytes:
    """The file with other arrays, and its header entry as it was."""
    length = int.from_bytes(DATA[:8], "little")
    metadata = json.loads(DATA[8 : 8 + length])["__metadata__"]
    return bytes(save({**load(DATA), **changes}, metadata=metadata))


def test_what_is_read_is_what_was_written_to_the_last_bit() -> None:
    found = Checkpoint.from_bytes(DATA)
    assert found.to_bytes() == DATA
    assert found.weights.tobytes() == POINT.weights.tobytes()
    assert found.best is not None
    assert POINT.best is not None
    assert found.best.loss == POINT.best.loss
    assert found.history[0].after == POINT.history[0].after
    assert np.isnan(found.history[0].loss)
    assert dict(found.history[1].said) == {"h0": "trained"}
    assert found.alarms == POINT.alarms
    assert (found.rounds, found.sites, found.first, found.resumed) == (2, POINT.sites, POINT.first, 1)


BROKEN: list[tuple[str, bytes, str]] = [
    ("empty", b"", "cut off"),
    ("cut in the header", DATA[:40], "cut off"),
    ("cut in the numbers", DATA[:-3], "cut off or altered"),
    ("longer", DATA + b"\0", "cut off or altered"),
    ("text", b"round: 3\nweights: none\n" * 20, "no checkpoint"),
    ("a header as long as memory", b"\xff" * 8 + DATA[8:], "cut off"),
    ("another tensor file", bytes(save({"weights": np.zeros(5)})), "no checkpoint of a training"),
    ("another version", with_entry(lambda entry: entry.update(schema="wardgate/network-checkpoint/9")), "this version"),
    ("one bit of a weight", DATA[:-5] + bytes([DATA[-5] ^ 1]) + DATA[-4:], "altered"),
    ("another weight", with_arrays(weights=POINT.weights + 1e-16 + 1e-9), "digest does not hold"),
    ("single precision", with_arrays(weights=POINT.weights.astype(np.float32)), "float64"),
    ("one vector more", with_arrays(more=np.zeros(5)), "digest does not hold"),
    ("another round", with_entry(lambda entry: entry["words"].update(rounds=1)), "digest does not hold"),
    ("no words", with_entry(lambda entry: entry.pop("words")), "no checkpoint of a training"),
    ("words that are none", with_entry(lambda entry: entry.update(words=[1])), "this version"),
    ("no number", replace(POINT, weights=np.full(5, np.nan)).to_bytes(), "what is no number"),
    ("another length", replace(POINT, control=np.zeros(4)).to_bytes(), "do not fit each other"),
    ("rounds without history", replace(POINT, rounds=5).to_bytes(), "says 5 rounds and tells of 2"),
]


@pytest.mark.parametrize(("name", "data", "words"), BROKEN, ids=[name for name, _, _ in BROKEN])
def test_a_broken_checkpoint_is_refused(name: str, data: bytes, words: str) -> None:
    del name
    with pytest.raises(Invalid, match=words):
        Checkpoint.from_bytes(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"study": "d" * 64}, "of another study"),
        ({"network": "large"}, "of network 'large'"),
        ({"architecture": "d" * 64}, "of network 'small'"),
        ({"algorithm": "d" * 64}, "of another algorithm"),
        ({"cost": "with noise of 2 x 50"}, "privacy cannot be stated"),
    ],
)
def test_a_checkpoint_of_something_else_says_of_what(change: dict[str, str], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        DIGESTS.check(replace(DIGESTS, **change))
