"""Documents that speak of the code agree with it."""

import inspect
import re
from pathlib import Path

import pytest

from wardgate.computations.menu import MENU
from wardgate.hospital.ward.learning.menu import ANSWERS
from wardgate.records import errors

PAGES = ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", "README.md", "docs/**/*.md")


def _pages(root: Path) -> list[Path]:
    return sorted(path for pattern in PAGES for path in root.glob(pattern))


def test_every_error_stands_beside_its_exit_code(root: Path) -> None:
    rows = re.findall(r"^\| (\d+) \|.*\|([^|]*)\|$", (root / "docs/exit-codes.md").read_text(), flags=re.MULTILINE)
    documented = {name: int(code) for code, names in rows for name in re.findall(r"`(\w+)`", names)}
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.WardgateError)]
    assert documented == {kind.__name__: kind.exit_code for kind in kinds if kind is not errors.WardgateError}
    assert {int(code) for code, _ in rows} == {0, 1, 2, 3, 4, 5, 6, 64}


def test_every_link_between_pages_leads_somewhere(root: Path) -> None:
    pages = _pages(root)
    assert len(pages) > 10
    dead = [
        f"{page.relative_to(root)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert dead == []


def test_every_decision_is_listed_and_names_its_cost(root: Path) -> None:
    index = (root / "docs/adr/README.md").read_text()
    decisions = sorted((root / "docs/adr").glob("[0-9]*.md"))
    assert [path.name[:4] for path in decisions] == [f"{number + 1:04d}" for number in range(len(decisions))]
    for path in decisions:
        text = path.read_text()
        assert f"]({path.name})" in index
        assert text.startswith(f"# {path.name[:4]} ")
        for heading in ("## Context", "## Decision", "## What it costs"):
            assert text.count(f"\n{heading}\n") == 1, f"{path.name} has no '{heading}'"


def test_every_room_is_in_the_picture_of_the_house(root: Path) -> None:
    text = (root / "docs/architecture.md").read_text()
    package = root / "src/wardgate"
    rooms = [path.parent for path in package.glob("*/__init__.py")]
    rooms += [path.parent for path in (package / "hospital").rglob("__init__.py")]
    rooms += [path.parent for path in (package / "hub").rglob("__init__.py")]
    assert [room.name for room in rooms if f"`{room.name}`" not in text] == []


@pytest.mark.parametrize("target", ["demo", "test", "test-slow", "lint", "bench", "docs", "clean", "help"])
def test_a_target_that_newcomers_guess_exists(root: Path, target: str) -> None:
    assert re.search(rf"^{target}:", (root / "Makefile").read_text(), flags=re.MULTILINE)


def _threats(root: Path) -> tuple[str, str]:
    """The threat model of the records and that of the machines, and what they say is not protected."""
    pages = [(root / "docs" / name).read_text() for name in ("security.md", "threat-model.md")]
    parts = [page.partition("## What is not protected") for page in pages]
    return "".join(kept for kept, _, _ in parts), "".join(open_ for _, _, open_ in parts)


def test_every_test_that_the_threat_model_names_exists(root: Path) -> None:
    named = set(re.findall(r"`(test_\w+)`", "".join(_threats(root))))
    files = (root / "tests").rglob("test_*.py")
    there = {name for file in files for name in re.findall(r"^def (test_\w+)", file.read_text(), flags=re.MULTILINE)}
    assert len(named) > 50
    assert sorted(named - there) == []


def test_every_line_of_the_threat_model_names_a_test(root: Path) -> None:
    kept, _ = _threats(root)
    rows = [line for line in kept.splitlines() if line.startswith("| ") and not line.endswith("| test |")]
    assert len(rows) > 30
    assert [row for row in rows if "`test_" not in row] == []


def test_every_federated_computation_stands_in_the_table_of_its_page(root: Path) -> None:
    page = (root / "docs/federated-computations.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("|")]
    documented = {word for row in rows for word in re.findall(r"`(\w+)`", row)} - {"analyses", "drop_out"}
    assert documented == MENU.keys()
    assert MENU.keys() == ANSWERS.keys()
