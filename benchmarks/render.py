"""Render docs/benchmarks.md from benchmarks/results/*.json. Nothing in that page is typed by hand."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import RESULTS, ROOT, replace

PAGE = ROOT / "docs" / "benchmarks.md"
EMPTY = "-"

HEAD = """# Benchmarks

Written by `make bench NAME=...` from `benchmarks/results/`; do not edit. Every figure stands beside its goal
and, where there are any, beside the figures of others on the same work. Goals that are not met stay in the
tables and are listed with the reason. Peers' figures come from their papers, from their code, or from runs on
the same machine, as each reason says.
"""


def page(results: Sequence[Mapping[str, Any]]) -> str:
    """Return the whole page.

    Args:
        results: What the benchmarks wrote; missing keys count as not stated.
    """
    figures = [figure for result in results for figure in result.get("figures", ())]
    goals = [figure for figure in figures if figure.get("goal")]
    met = sum(figure.get("met") is True for figure in goals)
    lines = [HEAD]
    if not results:
        lines.append("No benchmark has been run yet.\n")
    else:
        lines.append(f"{met} of {len(goals)} goals met, over {len(figures)} figures.\n")
    for result in results:
        lines.append(_section(result))
    return "\n".join(lines)


def _section(result: Mapping[str, Any]) -> str:
    figures = result.get("figures", ())
    lines = [f"## {_text(result.get('name'))}", "", f"    {result.get('command') or 'command not stated'}", ""]
    stated = [("commit", result.get("commit")), ("machine", result.get("machine"))]
    lines += [", ".join(f"{key} {value}" for key, value in stated if value) or "commit not stated", ""]
    lines += ["| figure | value | goal | met | seeds | peers |", "|---|---|---|---|---|---|"]
    for figure in figures:
        cells = (
            _text(figure.get("name")),
            " ".join(part for part in (_text(figure.get("value")), _unit(figure)) if part),
            _text(figure.get("goal")),
            _met(figure),
            _text(figure.get("seeds")),
            _peers(figure.get("peers")),
        )
        lines.append("| " + " | ".join(cells) + " |")
    missed = [figure for figure in figures if figure.get("goal") and figure.get("met") is not True]
    noted = [figure for figure in figures if figure not in missed and figure.get("reason")]
    for title, group in (("Short of the goal", missed), ("Notes", noted)):
        if group:
            lines += ["", f"{title}:", ""]
            lines += [
                f"- **{_text(figure.get('name'))}**: {_text(figure.get('reason') or 'reason not stated')}"
                for figure in group
            ]
    return "\n".join(lines) + "\n"


def _met(figure: Mapping[str, Any]) -> str:
    if not figure.get("goal"):
        return EMPTY
    return {True: "yes", False: "**no**"}.get(figure.get("met"), "**not measured**")


def _unit(figure: Mapping[str, Any]) -> str:
    return "" if figure.get("value") is None else str(figure.get("unit") or "")


def _peers(peers: Any) -> str:
    if isinstance(peers, Mapping):
        return "; ".join(f"{_text(name)}: {_text(value)}" for name, value in peers.items()) or EMPTY
    if isinstance(peers, list | tuple):
        return "; ".join(_peers(peer) if isinstance(peer, Mapping) else _text(peer) for peer in peers) or EMPTY
    return _text(peers)


def _text(value: Any) -> str:
    """Return a cell: four significant digits for doubles, nothing that could break the table."""
    if value is None or value == "":
        return EMPTY
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(_text(part) for part in value)
    return str(value).replace("|", "\\|").replace("\n", " ")


def read(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """Return all results, by name of their file.

    Raises:
        ValueError: a file is not JSON, or not one object.
    """
    results = []
    for path in sorted(folder.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(result, dict):
            raise ValueError(f"{path.name}: expected one JSON object with 'figures'")
        results.append({"name": path.stem, **result})
    return results


if __name__ == "__main__":
    replace(PAGE, page(read()))
    print(f"wrote {PAGE.relative_to(ROOT)}")
