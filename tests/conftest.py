"""What all tests share: the folder of real data, and examples that are the same in every run."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("wardgate", deadline=None, derandomize=True)
settings.load_profile("wardgate")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's root."""
    return ROOT


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data sets, WARDGATE_DATA or `../shared/data` beside the project.

    Skips where it is missing, unless WARDGATE_REQUIRE_DATA=1: then a missing folder fails.
    """
    folder = (ROOT / os.environ.get("WARDGATE_DATA", "../shared/data")).resolve()
    if not folder.is_dir():
        reason = f"no real data: WARDGATE_DATA names {folder}, which is no folder"
        if os.environ.get("WARDGATE_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresServer:
    """A PostgreSQL of the tests alone: reached through its socket, trusting everybody there.

    Attributes:
        socket: Folder of the socket.
        user: Who may do everything.
        database: One that is there from the start.
    """

    socket: Path
    user: str = "postgres"
    database: str = "postgres"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real server in a folder of its own, listening on a Unix socket and nowhere else.

    Skips where PostgreSQL is missing, unless WARDGATE_REQUIRE_DATA=1: then that fails.
    """
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name)
    places = [str(path) for path in reversed(versions)]
    initdb = shutil.which("initdb") or shutil.which("initdb", path=os.pathsep.join(places))
    account = next((name for name in ("postgres", "nobody") if _may_become(name)), None) if os.geteuid() == 0 else ""
    if initdb is None or account is None:
        reason = "no PostgreSQL: initdb is neither in PATH nor in /usr/lib/postgresql, or root may lend it to no user"
        if os.environ.get("WARDGATE_REQUIRE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    binaries = Path(initdb).resolve().parent
    as_user = ["setpriv", f"--reuid={account}", f"--regid={pwd.getpwnam(account).pw_gid}", "--clear-groups"]
    prefix = as_user if account else []
    folder = Path(tempfile.mkdtemp(prefix="wardgate-pg-"))
    try:
        if account:
            shutil.chown(folder, user=account)
        folder.chmod(0o755)
        quiet = {"check": True, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        data, options = folder / "data", f"-k {folder} -c listen_addresses='' -c fsync=off"
        start = [*prefix, binaries / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"]
        subprocess.run([*start, "--locale=C"], **quiet)
        control = [*prefix, binaries / "pg_ctl", "-D", data, "-w"]
        subprocess.run([*control, "-l", folder / "log", "-o", options, "start"], **quiet)
        try:
            yield PostgresServer(socket=folder)
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _may_become(name: str) -> bool:
    """Whether root may run a program as this user; inside a user namespace it may not."""
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return False
    become = ["setpriv", f"--reuid={name}", f"--regid={account.pw_gid}", "--clear-groups", "true"]
    return shutil.which("setpriv") is not None and subprocess.run(become, capture_output=True).returncode == 0
