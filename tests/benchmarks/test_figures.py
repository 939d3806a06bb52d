"""The benchmark page shows every figure, also those that fall short, whatever a result leaves out."""

import json
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def harness(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(root / "benchmarks")
    import harness

    return harness


@pytest.fixture
def render(harness: ModuleType) -> ModuleType:
    import render

    return render


def test_a_figure_survives_writing_and_rendering(harness: ModuleType, render: ModuleType, tmp_path: Path) -> None:
    figures = [
        harness.Figure(name="AUROC", value=0.7951234, goal=">= 0.785", met=True, seeds=5, peers={"dpmm": 0.77}),
        harness.Figure(name="fit", value=12, unit="s", goal="< 10 s", met=False, reason="one core | shared"),
    ]
    path = harness.write("ist", figures, "make bench NAME=ist", folder=tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["ist.json"]
    result = json.loads(path.read_text())
    assert set(result) == {"name", "command", "commit", "machine", "figures"}

    text = render.page(render.read(tmp_path))
    assert "1 of 2 goals met" in text
    assert "| AUROC | 0.7951 | >= 0.785 | yes | 5 | dpmm: 0.77 |" in text
    assert "| fit | 12 s | < 10 s | **no** | - | - |" in text
    assert "- **fit**: one core \\| shared" in text


def test_a_missed_goal_needs_a_reason(harness: ModuleType) -> None:
    with pytest.raises(ValueError, match="reason"):
        harness.Figure(name="AUROC", value=0.7, goal=">= 0.785", met=False)


def test_an_absent_value_never_meets_a_goal(harness: ModuleType) -> None:
    with pytest.raises(ValueError, match="no value"):
        harness.Figure(name="AUROC", value=None, goal=">= 0.785", met=True, reason="not run")


def test_a_value_that_is_no_number_is_not_written(harness: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        harness.write("ist", [harness.Figure(name="AUROC", value=float("nan"))], "x", folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "figure",
    [
        {},
        {"name": "x"},
        {"name": "x", "value": 1.0, "goal": "> 2"},
        {"name": "x", "value": 1, "seeds": [1, 2], "peers": [{"a": 1}, "b"]},
        {"name": "x", "value": None, "peers": None, "met": None, "reason": None},
    ],
)
def test_a_result_with_missing_keys_is_still_shown(render: ModuleType, figure: dict[str, object]) -> None:
    text = render.page([{"name": "thin", "figures": [figure]}])
    assert "## thin" in text
    assert "command not stated" in text


def test_a_goal_without_a_measurement_counts_as_missed(render: ModuleType) -> None:
    text = render.page([{"name": "thin", "figures": [{"name": "x", "goal": "> 2"}]}])
    assert "0 of 1 goals met" in text
    assert "**not measured**" in text
    assert "- **x**: reason not stated" in text
