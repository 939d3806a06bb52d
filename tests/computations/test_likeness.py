"""The two questions about personal models: what they may hold, and a museum of what they may not."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from wardgate.computations.carried import carried
from wardgate.computations.likeness import Likeness, Seen
from wardgate.computations.personal import RECIPE, Kept, Personal
from wardgate.measures.personal import MENU, START
from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

STUDY: Any = SimpleNamespace(
    features=(
        Feature(name="age", type="integer", unit="a", range=(18, 100), missing="refused"),
        Feature(name="marker", type="number", unit="mg/L", range=(0, 200), missing="refused"),
        Feature(name="sex", type="category", values=("female", "male"), missing="refused"),
    ),
    networks={},
)
"""As much of a study as a question looks at: four columns, no network."""

SHARES = Likeness(wants="shares", beta=np.zeros(4), ridge=1.0, hessian=np.eye(4), shares=np.array(START), fitted=("a",))
CURVATURE = Likeness(wants="curvature", beta=np.zeros(4), ridge=1.0)
KEPT = Kept(network="small", sha256="ab", personal=True, weights=np.zeros(21))
PERSONAL = Personal(drawn={"": SHARES}, kept={"ditto": KEPT}, against={"shrunk": ("global", "local")})


@pytest.mark.parametrize(
    "asked", [SHARES, CURVATURE, replace(CURVATURE, seen=Seen(network="n", sha256="ab", weights=np.ones(3)))]
)
def test_what_is_written_is_read_again(asked: Likeness) -> None:
    found = Likeness.read(asked.parameters(), dict(asked.arrays()))
    assert found.parameters() == asked.parameters()
    for (name, one), (other, two) in zip(found.arrays(), asked.arrays(), strict=True):
        assert name == other and np.array_equal(one, two)


def test_personal_models_are_read_again() -> None:
    found = Personal.read(PERSONAL.parameters(), dict(PERSONAL.arrays()))
    assert found.parameters() == PERSONAL.parameters()
    assert found.models == ("global", "local", "shrunk", "ditto")


@pytest.mark.parametrize(
    "change",
    [
        {"wants": "everything"},
        {"ridge": 1},
        {"fitted": "a"},
        {"fitted": [1]},
        {"network": None},
        {"network": "small"},
        {"more": 1},
    ],
)
def test_broken_questions_about_likeness_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Likeness.read(SHARES.parameters() | change, dict(SHARES.arrays()))


@pytest.mark.parametrize(
    "change",
    [
        {"hessian": np.zeros(15)},
        {"shares": np.zeros(3)},
        {"shares": -np.array(START)},
        {"shares": np.zeros(len(MENU))},
        {"beta": np.zeros(5)},
        {"hessian": np.arange(16.0)},
    ],
)
def test_broken_numbers_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        Likeness.read(SHARES.parameters(), dict(SHARES.arrays()) | change).shape(STUDY)


def test_a_hospital_moves_the_shares_by_less_than_the_root_of_two() -> None:
    shape = SHARES.shape(STUDY)
    assert shape.entries == len(MENU) and shape.l2 == pytest.approx(np.sqrt(2))
    rng = np.random.default_rng(1)
    for _ in range(200):
        one, two = rng.dirichlet(np.full(len(MENU), 0.05), size=2)
        assert np.linalg.norm(one - two) <= shape.l2


def recipe(**change: Any) -> dict[str, Any]:
    """A recipe with something wrong in it."""
    plain = {"drawn": [["", SHARES.parameters()]], "kept": [], "against": [], "level": "0.95"}
    return plain | change


@pytest.mark.parametrize(
    "broken",
    [
        recipe(level=95),
        recipe(level="1.5"),
        recipe(drawn=[]),
        recipe(drawn=[["", SHARES.parameters()], ["", SHARES.parameters()]]),
        recipe(drawn=[["../../home/", SHARES.parameters()]]),
        recipe(drawn=[["", {"wants": "curvature", "ridge": "1", "network": "", "sha256": ""}]]),
        recipe(drawn="all"),
        recipe(against=[["shrunk", "global", "global"]]),
        recipe(against=[["shrunk", "global", "unknown"]]),
        recipe(against=[["shrunk", "global"]]),
        recipe(kept=[["ditto", {"network": "n", "sha256": "ab", "stays": [], "personal": True}]]),
        recipe(more=1),
        [],
    ],
)
def test_broken_recipes_are_refused(broken: Any) -> None:
    arrays = {f"drawn:0:{name}": array for name, array in SHARES.arrays()}
    arrays[RECIPE] = carried(canonical(broken))
    with pytest.raises(Invalid):
        Personal.read(PERSONAL.parameters(), arrays)


@pytest.mark.parametrize("name", ["../escape", "a/b", ".hidden", "A", "", "x" * 80, "a.b.c"])
def test_no_model_has_a_name_that_would_be_a_path(name: str) -> None:
    with pytest.raises(Invalid):
        Personal(drawn={"": SHARES}, kept={name: KEPT}, against={})


def test_a_vector_too_many_is_refused() -> None:
    with pytest.raises(Invalid, match="belongs to no model"):
        Personal.read(PERSONAL.parameters(), dict(PERSONAL.arrays()) | {"more": np.zeros(2)})
