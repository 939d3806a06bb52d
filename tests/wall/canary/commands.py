"""The command line in a process of its own, and wards that talk too much inside it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

NOISY = '''\
"""Read by every Python process of the test before anything else: patients are quoted on every road there is."""
import logging, os, sys, warnings

import wardgate.hospital.ward.answering.corpus as corpus
import wardgate.hospital.ward.answering.ward as ward
import wardgate.hospital.ward.learning.newton as newton

SECRET = {secret!r}


def noisy(kept):
    def instead(*args, **kwargs):
        print(SECRET)
        print("answer " + SECRET)
        print(SECRET, end="", file=sys.stderr)
        sys.__stdout__.write(SECRET)
        warnings.warn(SECRET, RuntimeWarning, stacklevel=2)
        logging.getLogger("library").error(SECRET)
        os.write(1, SECRET.encode())
        os.write(2, SECRET.encode())
        return kept(*args, **kwargs)

    return instead


ward.read_cohort = noisy(ward.read_cohort)
corpus.measure = noisy(corpus.measure)
newton.step = noisy(newton.step)
'''

FAILING = """\
import {module} as module


def failing(*args, **kwargs):
    raise ValueError("could not convert string to float: " + {secret!r})


module.{name} = failing
"""


def sitecustomize(folder: Path, text: str) -> dict[str, str]:
    """Write what every Python process of the test runs first, and return the environment that makes it so."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(text, encoding="utf-8")
    return {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def noisy(folder: Path, secret: str) -> dict[str, str]:
    """Environment in which wards quote `secret` by print, warning, log and raw file descriptor, and go on."""
    return sitecustomize(folder, NOISY.format(secret=secret))


def failing(folder: Path, path: str, secret: str) -> dict[str, str]:
    """Environment in which one function fails with `secret` in its words."""
    module, _, name = path.rpartition(".")
    return sitecustomize(folder, FAILING.format(module=module, name=name, secret=secret))


def wardgate(
    *arguments: str, environment: Mapping[str, str] | None = None, before: tuple[str, ...] = (), timeout: int = 300
) -> subprocess.CompletedProcess[str]:
    """Run `wardgate` and return what it said."""
    return subprocess.run(
        [*before, *command(*arguments)],
        env=environment_of(environment),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def command(*arguments: str) -> list[str]:
    """The command line of `wardgate` under this Python."""
    return [sys.executable, "-c", "from wardgate.cli import main; main()", *arguments]


def environment_of(changes: Mapping[str, str] | None) -> dict[str, str]:
    """This process's environment with one thread for each library, and the given changes."""
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    return {**os.environ, **threads, **(changes or {})}
