"""Ward code works where there is no network at all, and the namespace that proves it has none."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

WITHOUT_NETWORK = ("unshare", "--map-root-user", "--net")

CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=5).close()"

IMPORT_WARD = """
import importlib, pkgutil
import wardgate.hospital.ward as ward
names = [found.name for found in pkgutil.walk_packages(ward.__path__, ward.__name__ + ".")]
for name in names:
    if not name.endswith(".__main__"):
        importlib.import_module(name)
print(len(names))
"""


@pytest.fixture(scope="module", autouse=True)
def _namespaces_are_allowed() -> None:
    if shutil.which("unshare") is None:
        pytest.skip("this system has no unshare, so the network cannot be taken away")
    done = subprocess.run([*WITHOUT_NETWORK, "true"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this system forbids network namespaces: {done.stderr.strip()}")


def _is_about_the_ward(path: Path) -> bool:
    """Whether a test is of the ward and not, beside it, of the wire, which speaks."""
    text = path.read_text()
    return "wall" not in path.parts and "wardgate.hospital.ward" in text and "wardgate.hospital.wire" not in text


def test_a_socket_opens_outside_and_not_inside(root: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        connect = [sys.executable, "-c", CONNECT, port]
        outside = subprocess.run(connect, capture_output=True, text=True, check=False)
        inside = subprocess.run([*WITHOUT_NETWORK, *connect], capture_output=True, text=True, check=False)
    assert outside.returncode == 0, outside.stderr
    assert inside.returncode != 0
    assert "Network is unreachable" in inside.stderr


def test_every_ward_module_imports_without_a_network(root: Path, python) -> None:
    done = python("-c", IMPORT_WARD, source=root / "src", before=WITHOUT_NETWORK)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 6


@pytest.mark.slow
def test_ward_tests_pass_without_a_network(root: Path) -> None:
    files = [str(path) for path in sorted((root / "tests").rglob("test_*.py")) if _is_about_the_ward(path)]
    assert files, "no test imports wardgate.hospital.ward"
    pytest_again = [
        sys.executable,
        "-m",
        "pytest",
        "-m",
        "not slow",
        "-p",
        "no:cacheprovider",
        "-n",
        "2",
        "--dist",
        "loadfile",
    ]
    # What needs a server of another user skips in here: a namespace has one user. It runs outside.
    here = {name: value for name, value in os.environ.items() if name != "WARDGATE_REQUIRE_DATA"}
    done = subprocess.run(
        [*WITHOUT_NETWORK, *pytest_again, *files], cwd=root, capture_output=True, text=True, check=False, env=here
    )
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
