"""The coordinator's conversation with the engine: the only place that knows its admin interface."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from wardgate.records.errors import Absent, Unsupported

T = TypeVar("T")

JobState = Literal["waiting", "running", "over"]

_STATES: dict[str, JobState] = {
    "SUBMITTED": "waiting",
    "APPROVED": "waiting",
    "DISPATCHED": "waiting",
    "RUNNING": "running",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job of the engine."""

    id: str
    name: str
    state: JobState


class Session(Protocol):
    """What the conductor needs of an engine. Everything raises Absent when the engine does not answer."""

    def submit(self, folder: Path) -> str:
        """Submit a job and return its id."""
        ...

    def jobs(self) -> Sequence[Job]:
        """Return all jobs."""
        ...

    def abort(self, job: str) -> None:
        """Stop a job; one that is over already counts as stopped."""
        ...

    def forget(self, job: str) -> None:
        """Delete a job that is over, with everything stored for it."""
        ...

    def connected(self) -> Mapping[str, str]:
        """Return the sites that the engine heard of lately, each with a word that changes whenever it is heard."""
        ...

    def disable(self, site: str) -> None:
        """Put a site out: its token no longer serves."""
        ...

    def enable(self, site: str) -> None:
        """Let a site in again."""
        ...

    def close(self) -> None:
        """End the conversation."""
        ...


class FlareSession:
    """A session with FLARE 2.9.

    Args:
        workspace: The coordinator's.
        user: Common name of its certificate.

    Raises:
        Absent: the server does not answer yet.
    """

    def __init__(self, workspace: Path, user: str, *, timeout_seconds: float = 10.0) -> None:
        require_engine()
        from nvflare.fuel.flare_api.flare_api import new_secure_session

        self._session: Any = _calmly(
            lambda: new_secure_session(user, str(workspace), timeout=timeout_seconds, auto_login_max_tries=1)
        )

    def submit(self, folder: Path) -> str:
        return str(_calmly(lambda: self._session.submit_job(str(folder))))

    def jobs(self) -> Sequence[Job]:
        found = _calmly(lambda: self._session.list_jobs()) or []
        return tuple(
            Job(
                id=str(one.get("job_id")),
                name=str(one.get("job_name", one.get("name", ""))),
                state=_STATES.get(str(one.get("status")), "over"),
            )
            for one in found
        )

    def abort(self, job: str) -> None:
        _calmly(lambda: self._session.abort_job(job))

    def forget(self, job: str) -> None:
        _calmly(lambda: self._session.delete_job(job))

    def connected(self) -> Mapping[str, str]:
        found = _calmly(lambda: self._session.get_system_info()).client_info
        return {str(one.name): str(one.last_connect_time) for one in found}

    def disable(self, site: str) -> None:
        _calmly(lambda: self._session.disable_client(site))

    def enable(self, site: str) -> None:
        _calmly(lambda: self._session.enable_client(site))

    def close(self) -> None:
        with _quiet(), suppress(Exception):  # the engine's interface raises anything; we are leaving
            self._session.close()


def require_engine() -> None:
    """Check that the engine is installed.

    Raises:
        Unsupported: it is not.
    """
    try:
        import nvflare  # noqa: F401
    except ImportError:
        raise Unsupported("the engine is not installed: pip install 'wardgate[engine]'") from None


def _calmly(call: Callable[[], T]) -> T:
    """Call the engine without its prints; whatever it raises means that it did not do it."""
    words = ""
    with _quiet():
        try:
            return call()
        except Exception as error:  # noqa: BLE001 - the interface documents no complete list of what it raises
            words = f"{type(error).__name__}: {error}"[:200]
    raise Absent(f"the engine did not answer the coordinator ({words})")


@contextmanager
def _quiet() -> Iterator[None]:
    with redirect_stdout(StringIO()):
        yield
