"""A network's last layer as a logistic regression on what reaches it."""

from typing import Any

import numpy as np
import pytest

from wardgate.measures.layers.forward import before_last, logits
from wardgate.measures.layers.head import FARTHEST, head_beta, head_columns, seen_by_head, with_head
from wardgate.measures.layers.start import start
from wardgate.records.errors import Invalid
from wardgate.records.network import Architecture

BODY: list[dict[str, Any]] = [
    {"kind": "linear", "units": 4},
    {"kind": "group_norm"},
    {"kind": "activation", "how": "relu"},
]


def network(layers: list[dict[str, Any]]) -> Architecture:
    """A network over three columns."""
    return Architecture.from_plain({"schema": "wardgate/network/1", "inputs": 3, "layers": layers, "seed": 5})


WHOLE = network([*BODY, {"kind": "linear", "units": 1}])
ROWS = np.random.default_rng(1).uniform(-1, 1, (50, 3))


def test_the_head_over_what_reaches_it_is_the_network() -> None:
    vector = start(WHOLE)
    seen = seen_by_head(WHOLE, vector, ROWS)
    assert seen.shape == (50, head_columns(WHOLE)) == (50, 5)
    assert np.all(np.abs(seen) <= 1) and np.all(seen[:, 0] == 1)
    assert np.allclose(seen @ head_beta(WHOLE, vector), logits(WHOLE, vector, ROWS), atol=1e-12)


def test_another_head_is_put_in_and_nothing_else_is_touched() -> None:
    vector, beta = start(WHOLE), np.array([0.3, -1.0, 2.0, 0.5, 4.0])
    found = with_head(WHOLE, vector, beta)
    assert np.allclose(logits(WHOLE, found, ROWS), seen_by_head(WHOLE, vector, ROWS) @ beta, atol=1e-12)
    assert np.array_equal(found[:-5], vector[:-5])
    assert np.allclose(head_beta(WHOLE, found), beta)


def test_what_is_too_large_counts_as_the_bound() -> None:
    plain = network([{"kind": "linear", "units": 2}, {"kind": "linear", "units": 1}])
    vector = start(plain)
    vector[:6] = 100.0
    assert np.max(np.abs(before_last(plain, vector, ROWS))) > FARTHEST
    assert np.max(np.abs(seen_by_head(plain, vector, ROWS))) == 1.0


@pytest.mark.parametrize("rows", [0, 1, 50])
def test_any_number_of_rows_has_its_shape(rows: int) -> None:
    assert before_last(WHOLE, start(WHOLE), ROWS[:rows]).shape == (rows, 4)


def test_a_network_that_does_not_end_in_a_linear_layer_has_no_head() -> None:
    bent = network([{"kind": "linear", "units": 1}, {"kind": "activation", "how": "tanh"}])
    with pytest.raises(Invalid, match="ends in a linear layer"):
        head_columns(bent)
    with pytest.raises(Invalid, match="ends in a linear layer"):
        seen_by_head(bent, start(bent), ROWS)
