"""Copies of the package to break, and a way to run Python in them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Copy = Callable[..., Path]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Copy:
    """Return a function that copies the package into a folder of its own, without the given rooms."""

    def copy(*, without: Sequence[str] = ()) -> Path:
        source = tmp_path / "src"
        shutil.copytree(root / "src" / "wardgate", source / "wardgate", ignore=shutil.ignore_patterns("__pycache__"))
        for room in without:
            target = source / "wardgate" / room
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        return source

    return copy


@pytest.fixture
def python() -> Run:
    """Return a function that runs Python with a copy of the package in front of the installed one."""

    def run(*arguments: str, source: Path, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
        return subprocess.run(
            [*before, sys.executable, *arguments],
            cwd=source,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
