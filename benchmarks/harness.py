"""What every benchmark hands in: figures beside their goals, with the command, the commit and the machine.

A benchmark is a script `benchmarks/NAME.py` that measures and ends with `write(NAME, figures, command)`;
`benchmarks/render.py` then writes docs/benchmarks.md. A goal that is not met stays listed, with the reason.
"""

import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"

Value = float | int | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure.

    Attributes:
        name: What was measured, on which data.
        value: The figure; None when it could not be measured (then `reason` says why).
        unit: Its unit, where it has one.
        goal: What was to be reached, in words, e.g. `>= 0.785`.
        met: Whether it was; None where there is no goal or no value.
        seeds: How many seeds stand behind the value.
        peers: Figures of others on the same work, by name.
        reason: Why the goal was missed or the value is absent; also any limit of the figure.
    """

    name: str
    value: Value
    unit: str = ""
    goal: str = ""
    met: bool | None = None
    seeds: int | None = None
    peers: Mapping[str, Value] = field(default_factory=dict)
    reason: str = ""

    def __post_init__(self) -> None:
        if self.met is False and not self.reason:
            raise ValueError(f"figure '{self.name}' misses its goal; give the reason, it will be printed beside it")
        if self.value is None and (self.met or not self.reason):
            raise ValueError(f"figure '{self.name}' has no value; it cannot meet a goal and needs a reason")


def commit() -> str:
    """Return the short commit, with `+changes` when the measured code differs from it; `unknown` outside git."""
    try:
        head = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "src", "benchmarks/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+changes" if changed else head


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def machine() -> str:
    """Return the class of the machine, without a name: cores, memory, architecture, Python."""
    memory = ""
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores{memory}, {platform.machine()}, Python {platform.python_version()}"


def write(name: str, figures: Sequence[Figure], command: str, *, folder: Path = RESULTS) -> Path:
    """Write `NAME.json` whole or not at all.

    Args:
        name: Name of the benchmark, as in `make bench NAME=...`.
        figures: What was measured.
        command: What a reader types to repeat it.
        folder: Where results lie.

    Returns:
        The file written.

    Raises:
        ValueError: there are no figures, or two have the same name.
    """
    names = [figure.name for figure in figures]
    if not names or len(set(names)) != len(names):
        raise ValueError("expected figures with different names, at least one")
    result = {
        "name": name,
        "command": command,
        "commit": commit(),
        "machine": machine(),
        "figures": [asdict(figure) for figure in figures],
    }
    return replace(folder / f"{name}.json", json.dumps(result, indent=2, allow_nan=False) + "\n")


def replace(path: Path, text: str) -> Path:
    """Write `text` to `path` by way of a file beside it, so that no reader sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).chmod(0o644)
        Path(draft).replace(path)
    finally:
        Path(draft).unlink(missing_ok=True)
    return path
