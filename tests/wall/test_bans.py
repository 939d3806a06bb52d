"""What import contracts cannot see: dynamic imports, code from text, clocks, files in pure rooms, global generators."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PURE = ("records", "measures", "privacy", "sums", "marginals", "policy", "papers", "formats", "networks")
"""Rooms that touch nothing but their arguments."""

NOT_SPEAKING = (*PURE, "hospital/ward", "hospital/spool", "hub")
"""Rooms that print nothing: what they print could leave."""

MAY_READ_THE_CLOCK = (
    *("cli/", "hospital/app/", "hub/app.py", "bedside/app.py"),
    *("hub/engine/controller.py", "hub/engine/admission.py"),
    *("hospital/wire/engine/executor.py", "hospital/wire/engine/launch.py"),
    "hospital/ward/__main__.py",
)
"""Where `now` and the environment come from; everybody else is handed them. The engine makes its own parts by the names
of their classes, so that nobody can hand them a clock; a ward in operation is a process that outlives many days."""

DYNAMIC = {"__import__", "eval", "exec", "compile", "breakpoint", "globals"}
CLOCKS = {
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("datetime", "today"),
    ("date", "today"),
    ("time", "time"),
    ("time", "time_ns"),
    ("time", "localtime"),
    ("time", "gmtime"),
}
ENVIRONMENT = {("os", "environ"), ("os", "getenv")}
OTHER_DOORS = {("os", "urandom"), ("os", "getrandom"), ("uuid", "uuid1"), ("uuid", "uuid4"), ("random", "SystemRandom")}
PICKLES = {("torch", "load"), ("np", "load"), ("numpy", "load"), ("pd", "read_pickle"), ("pandas", "read_pickle")}
SHELLS = {("os", "system"), ("os", "popen")}
SEEDED = {"Generator", "BitGenerator", "PCG64", "PCG64DXSM", "Philox", "SeedSequence", "default_rng"}
FILES = {
    "read_text",
    "read_bytes",
    "write_text",
    "write_bytes",
    "unlink",
    "mkdir",
    "touch",
    "fromfile",
    "tofile",
    "memmap",
}


def found(source: str, place: str) -> list[str]:
    """Return every banned thing in a file.

    Args:
        source: The text of the file.
        place: Its path inside the package, e.g. `hub/chain.py`.
    """
    pure = place.startswith(tuple(f"{room}/" for room in PURE))
    quiet = place.startswith(tuple(f"{room}/" for room in NOT_SPEAKING))
    clock = place.startswith(MAY_READ_THE_CLOCK)
    return [
        f"{place}:{line}: {what}"
        for line, what in _walk(ast.parse(source), pure=pure, quiet=quiet, clock=clock, door=place == "entropy.py")
    ]


def _walk(tree: ast.Module, *, pure: bool, quiet: bool, clock: bool, door: bool) -> Iterator[tuple[int, str]]:
    aliases = _aliases(tree)
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if not door and _last(node) == "UnsafeEntropy":
            yield line, "UnsafeEntropy: only tests may use it"
        elif isinstance(node, ast.Name) and node.id in DYNAMIC:
            yield line, f"{node.id}: code that no reader and no contract can follow"
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for name in _imported(node):
                if name in ("importlib.import_module", "importlib.util", "importlib", "imp", "runpy", "pkgutil"):
                    yield line, f"{name}: a dynamic import; no contract can follow it"
                elif not clock and tuple(name.rsplit(".", 1)) in CLOCKS | ENVIRONMENT:
                    yield line, f"{name}: `now` and the environment are arguments"
                elif tuple(name.rsplit(".", 1)) in OTHER_DOORS and not door:
                    yield line, f"{name}: entropy is handed in"
                elif name == "logging.handlers" or name.startswith("logging.handlers."):
                    yield line, f"{name}: a log that could leave the hospital"
        elif isinstance(node, ast.Attribute):
            pair = (aliases.get(_last(node.value), _last(node.value)), node.attr)
            if node.attr == "import_module" or pair == ("sys", "modules"):
                yield line, f"{node.attr}: a dynamic import; no contract can follow it"
            elif pair in CLOCKS | ENVIRONMENT and not clock:
                yield line, f"{'.'.join(pair)}: `now` and the environment are arguments"
            elif pair in OTHER_DOORS and not door:
                yield line, f"{'.'.join(pair)}: entropy is handed in"
            elif pair in PICKLES:
                yield line, f"{'.'.join(pair)}: may load a pickle, and pickles run code"
            elif pair in SHELLS:
                yield line, f"{'.'.join(pair)}: a shell"
            elif pair == ("io", "open") and pure:
                yield line, "io.open: a pure room touches nothing but its arguments"
            elif _global_generator(node):
                yield line, f"np.random.{node.attr}: a global generator; `rng` is an argument"
        elif isinstance(node, ast.Call):
            called = _last(node.func)
            if called == "default_rng" and not node.args and not node.keywords:
                yield line, "default_rng(): a generator without a seed; `rng` is an argument"
            elif isinstance(node.func, ast.Name) and called in ("open", "input") and pure:
                yield line, f"{called}(: a pure room touches nothing but its arguments"
            elif isinstance(node.func, ast.Attribute) and pure and called in FILES:
                yield line, f"{called}(: a pure room opens no file"
            elif isinstance(node.func, ast.Name) and called == "print" and quiet:
                yield line, "print(: what is printed could leave"
            elif any(word.arg == "shell" and getattr(word.value, "value", False) for word in node.keywords):
                yield line, "shell=True: a shell"
        elif isinstance(node, ast.ExceptHandler) and node.type is None:
            yield line, "except: without a kind hides what went wrong"


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if node.module == "importlib":
        return [f"importlib.{alias.name}" for alias in node.names]
    return [f"{node.module}.{alias.name}" for alias in node.names]


def _aliases(tree: ast.Module) -> dict[str, str]:
    """Return what a name in this file is called at home, where it was imported under another."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname: alias.name for node in imports for alias in node.names if alias.asname}


def _last(node: ast.AST) -> str:
    """Return the last name of an expression: `dt.datetime` and `datetime` both say `datetime`."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _global_generator(node: ast.Attribute) -> bool:
    return (
        isinstance(node.value, ast.Attribute)
        and node.value.attr == "random"
        and _last(node.value.value) in ("np", "numpy")
        and node.attr not in SEEDED
    )


def test_no_file_of_the_package_does_what_is_banned(root: Path) -> None:
    package = root / "src" / "wardgate"
    files = sorted(package.rglob("*.py"))
    assert len(files) > 20
    everything = [line for file in files for line in found(file.read_text(), file.relative_to(package).as_posix())]
    assert everything == []


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("hub/x.py", "module = __import__('socket')"),
        ("hospital/ward/cohort/x.py", "import importlib"),
        ("hospital/ward/cohort/x.py", "from importlib import import_module"),
        ("hospital/ward/cohort/x.py", "import sys\nsys.modules['socket']"),
        ("hospital/ward/gate/x.py", "eval('1')"),
        ("policy/x.py", "exec('1')"),
        ("cli/x.py", "compile('1', '', 'eval')"),
        ("measures/x.py", "open('patients.csv')"),
        ("papers/x.py", "template.read_text()"),
        ("sums/x.py", "array.tofile('x')"),
        ("hospital/ward/learning/x.py", "print(row)"),
        ("records/x.py", "print(row)"),
        ("hub/x.py", "import datetime\ndatetime.datetime.now()"),
        ("hub/x.py", "from datetime import date\ndate.today()"),
        ("hub/x.py", "from datetime import datetime as clock\nclock.now()"),
        ("policy/x.py", "import io\nio.open('x')"),
        ("federation/x.py", "from wardgate.entropy import UnsafeEntropy\nUnsafeEntropy('seed')"),
        ("hospital/ward/source/x.py", "import time\ntime.time()"),
        ("hospital/ward/source/x.py", "from time import time"),
        ("federation/x.py", "import os\nos.environ['HOME']"),
        ("federation/x.py", "from os import environ"),
        ("hospital/ward/generators/x.py", "import os\nos.urandom(8)"),
        ("hub/x.py", "import uuid\nuuid.uuid4()"),
        ("hospital/ward/generators/x.py", "import numpy as np\nnp.random.normal()"),
        ("hospital/ward/generators/x.py", "import numpy as np\nnp.random.default_rng()"),
        ("hub/x.py", "import numpy as np\nnp.load('x.npy')"),
        ("federation/x.py", "import os\nos.system('ls')"),
        ("federation/x.py", "import subprocess\nsubprocess.run('ls', shell=True)"),
        ("hospital/ward/x.py", "import logging.handlers"),
        ("hub/x.py", "try:\n    pass\nexcept:\n    pass"),
    ],
)
def test_a_banned_thing_is_found(place: str, line: str) -> None:
    assert found(line, place), line


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("cli/demo.py", "from datetime import datetime, UTC\nnow = datetime.now(UTC)"),
        ("entropy.py", "import secrets\nsecrets.token_bytes(8)"),
        ("hospital/ward/source/csv.py", "with path.open() as file:\n    file.read()"),
        ("hospital/ward/generators/cart.py", "import numpy as np\nrng = np.random.default_rng(7)"),
        ("records/study.py", "import re\nre.compile('x')"),
        ("papers/report.py", "from importlib import resources"),
        ("cli/demo.py", "print('done')"),
    ],
)
def test_an_innocent_line_passes(place: str, line: str) -> None:
    assert found(line, place) == []
