"""One finished run for the tests of what becomes of it."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

MUSEUM = Path(__file__).resolve().parent.parent / "museum"


def _load(name: str) -> ModuleType:
    """Load a module that lies beside the museum's tests, once for all rooms that use it."""
    known = f"wardgate_tests_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, MUSEUM / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[known] = module
        spec.loader.exec_module(module)
    return sys.modules[known]


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory):
    """One finished run over four small hospitals, in memory, with everybody's keys."""
    return _load("small_run").small_run(tmp_path_factory)


@pytest.fixture(scope="session")
def whole(small, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run on disk. Tests that change it work on a copy."""
    return small.write(tmp_path_factory.mktemp("whole") / "run")
