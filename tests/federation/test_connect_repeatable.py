"""A hub in another process asks the same bytes: without that, nobody could go on where a killed one stopped."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_driver_asks_the_same_bytes_in_another_process() -> None:
    script = Path(__file__).resolve().parent / "repeatable.py"
    said = [
        subprocess.run(
            [sys.executable, str(script)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    lines = said[0].splitlines()
    assert len(lines) == 10
    assert all(line.endswith("fitted") for line in lines if not line.startswith("chain"))
