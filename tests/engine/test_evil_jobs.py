"""A hub that allows itself everything submits what it likes; the hospital refuses all of it.

The first test shows that such a hub's honest carriage runs, so that the others do not pass for want of a connection.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from made_consortium import Founded
from made_mail import decision, ward_signer
from running import Running

from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.wire.engine.workspace import write_workspace
from wardgate.hospital.wire.known import read_known
from wardgate.hub.consortium.founding import read_hub
from wardgate.hub.engine.job import write_job
from wardgate.hub.engine.session import FlareSession
from wardgate.hub.engine.workspace import coordinator_workspace
from wardgate.road.box import Box

pytestmark = pytest.mark.slow

Evil = tuple[Founded, Running]

CODE = """
from pathlib import Path
from nvflare.apis.executor import Executor
Path({marker!r}).write_text("imported")
class Evil(Executor):
    def execute(self, task_name, shareable, fl_ctx, abort_signal):
        return shareable
"""


@contextmanager
def coordinating(made: Founded) -> Iterator[FlareSession]:
    session = FlareSession(coordinator_workspace(made.home).resolve(), read_hub(made.home).coordinator)
    try:
        yield session
    finally:
        session.close()


def job(folder: Path, made: Founded, *, name: str, studies: tuple[str, ...] = (), **meta: Any) -> Path:
    """The carriage's own job under another name, for a test to make evil."""
    consortium = read_hub(made.home).consortium
    written = write_job(folder / name, consortium=consortium, studies=studies)
    path = written / "meta.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "name": name, **meta}))
    return written


def client_side(folder: Path, **changes: Any) -> None:
    """Change what the job asks of the hospital."""
    path = folder / "app" / "config" / "config_fed_client.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(made: Founded, run: Running, folder: Path) -> str:
    """Submit a job, and return what the hospital's log says, once it is clear that the job does not run there."""
    engine = made.sites["uk"].engine
    with coordinating(made) as session:
        number = session.submit(folder)

        def refusing() -> bool:
            own = engine / number / "log.txt"
            said = own.read_text() if own.is_file() else ""
            if "the hub's job is refused" in said or "ComponentNotAuthorized" in said:
                return True
            return next((one.state for one in session.jobs() if one.id == number), "over") == "over"

        try:
            run.until(refusing, seconds=120, what=f"{folder.name} is refused")
        finally:
            session.abort(number)
    logs = [engine / "log.txt", *engine.glob(f"{number}/log.txt"), engine / "audit.log"]
    said = "\n".join(path.read_text() for path in logs if path.is_file())
    run.until(lambda: number not in _running(run), seconds=60, what=f"nothing of {folder.name} runs at the hospital")
    return said + (made.home.engine / "server" / "log.txt").read_text()


def _running(run: Running) -> str:
    return " ".join(
        (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace")
        for pid in run.engine_of("uk", job=True)
        if (Path("/proc") / str(pid)).exists()
    )


def test_the_honest_carriage_of_an_evil_hub_runs(evil: Evil) -> None:
    made, run = evil
    name = FolderSpool(made.sites["uk"].spool).put("answers", decision(ward_signer(made.sites["uk"]), "uk"))
    run.until(lambda: name in Box(made.home.inbox("uk")).names(), seconds=120, what="a decision arrives")


def test_a_job_that_brings_code_does_not_run_at_a_hospital(evil: Evil, tmp_path: Path) -> None:
    made, run = evil
    marker = tmp_path / "marker"
    folder = job(tmp_path, made, name="code")
    (folder / "app" / "custom").mkdir()
    (folder / "app" / "custom" / "evil_code.py").write_text(CODE.format(marker=str(marker)))
    client_side(folder, executors=[{"tasks": ["carry"], "executor": {"path": "evil_code.Evil", "args": {}}}])
    said = refused(made, run, folder)
    assert not marker.exists()
    assert "byoc" in said.lower() or "not authorized" in said.lower()


def test_a_job_that_names_a_class_which_the_hospital_does_not_list_does_not_run(evil: Evil, tmp_path: Path) -> None:
    made, run = evil
    folder = job(tmp_path, made, name="unlisted")
    other = {"path": "nvflare.app_common.np.np_trainer.NPTrainer", "args": {}}
    client_side(folder, executors=[{"tasks": ["carry"], "executor": other}])
    assert "is not in allow_list" in refused(made, run, folder)


def test_a_job_that_streams_logs_does_not_run(evil: Evil, tmp_path: Path) -> None:
    made, run = evil
    folder = job(tmp_path, made, name="streaming")
    streamer = {"id": "log", "path": "nvflare.app_common.logging.job_log_streamer.JobLogStreamer", "args": {}}
    client_side(folder, components=[streamer])
    assert "is not in allow_list" in refused(made, run, folder)
    assert not list((made.home.engine / "server").rglob("*log*stream*"))


def test_a_job_with_a_filter_of_the_hubs_own_does_not_run(evil: Evil, tmp_path: Path) -> None:
    made, run = evil
    folder = job(tmp_path, made, name="filtering")
    exclude = {"path": "nvflare.app_common.filters.exclude_vars.ExcludeVars", "args": {}}
    client_side(folder, task_result_filters=[{"tasks": ["*"], "filters": [exclude]}])
    assert "is not in allow_list" in refused(made, run, folder)


def test_a_job_of_another_consortium_or_of_a_study_that_was_not_signed_is_refused(evil: Evil, tmp_path: Path) -> None:
    made, run = evil
    folder = job(tmp_path, made, name="elsewhere")
    path = folder / "app" / "config" / "config_fed_client.json"
    path.write_text(path.read_text().replace('"consortium": "evil"', '"consortium": "elsewhere"'))
    assert "the job is of consortium 'elsewhere'" in refused(made, run, folder)
    other = job(tmp_path, made, name="otherstudy", studies=("e" * 64,))
    assert f"the job is for study {'e' * 16}" in refused(made, run, other)


def test_a_job_of_another_privacy_scope_is_refused(evil: Evil, tmp_path: Path) -> None:
    made, run = evil
    said = refused(made, run, job(tmp_path, made, name="scoped", scope="open"))
    assert "scope" in said


def test_nobody_gets_a_shell_or_a_file_of_a_hospital(evil: Evil) -> None:
    made, _ = evil
    with coordinating(made) as session:
        for command in ("ls uk", "cat uk local/resources.json", "pwd uk", "tail uk log.txt", "grep uk root log.txt"):
            try:
                said = str(session._session.do_command(command))
            except Exception as error:  # noqa: BLE001 - any refusal will do; what it says is checked
                said = str(error)
            assert "class_allow_list" not in said
            assert str(made.sites["uk"].root) not in said
            assert "ot authorized" in said or "no permission" in said.lower() or "denied" in said.lower(), said


def test_an_operator_does_not_stop_a_hospitals_wire(evil: Evil) -> None:
    made, run = evil
    before = run.engine_of("uk", job=False)
    with coordinating(made) as session:
        for command in ("shutdown client uk", "restart client uk", "remove_client uk"):
            try:
                session._session.do_command(command)
            except Exception:  # noqa: BLE001 - a refusal
                continue
    time.sleep(3.0)
    assert run.engine_of("uk", job=False) == before


def test_the_workspace_is_written_anew_at_every_start_whatever_was_changed_in_it(evil: Evil) -> None:
    made, _ = evil
    premises = made.sites["uk"]
    before = {path: path.read_text() for path in (premises.engine / "local").glob("*.json")}
    for path in before:
        path.write_text("{}")
    write_workspace(premises, read_known(premises).response)
    assert {path: path.read_text() for path in before} == before
