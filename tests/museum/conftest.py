"""The run whose copies are broken in one way each."""

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

MUSEUM = Path(__file__).resolve().parent


def _load(name: str) -> ModuleType:
    """Load a helper that lies beside the museum's tests, once for all rooms that use it."""
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


@pytest.fixture
def forger(small, whole: Path, tmp_path: Path):
    """A copy of the run in evil hands."""
    shutil.copytree(whole, tmp_path / "run")
    return _load("forger").Forger(root=tmp_path / "run", signers=small.signers)


@pytest.fixture
def tools() -> ModuleType:
    """The forger's loose tools."""
    return _load("forger")


@pytest.fixture
def test_noise_run(tmp_path: Path) -> Path:
    """A run made with a test's repeatable noise."""
    return _load("small_run").run_with_test_noise(tmp_path / "made").write(tmp_path / "run")


@pytest.fixture
def noisy_run(tmp_path: Path) -> Path:
    """A run whose fit and evaluation carry noise."""
    return _load("small_run").run_with_noisy_answers(tmp_path / "made").write(tmp_path / "run")
