"""The files that the engine reads: written by Wardgate alone, and strict on the hospital's side."""

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from made_consortium import Founded, founded

from wardgate.carriage.alone import alone
from wardgate.hospital.wire.engine import workspace as at_hospital
from wardgate.hospital.wire.engine.launch import check_apart, run
from wardgate.hospital.wire.known import read_known
from wardgate.hospital.wire.roads import check_job
from wardgate.hub.app import check_port, serve
from wardgate.hub.consortium.founding import read_hub
from wardgate.hub.engine import job as at_hub
from wardgate.hub.engine.job import write_job
from wardgate.hub.engine.workspace import write_workspaces
from wardgate.records.errors import Broken, Invalid, Refused, Unsupported
from wardgate.records.mail import PROTOCOL


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Founded:
    return founded(tmp_path_factory.mktemp("made"), sites=("uk",))


@pytest.fixture(scope="module")
def written(made: Founded) -> Path:
    premises = made.sites["uk"]
    return at_hospital.write_workspace(premises, read_known(premises).response)


def document(path: Path) -> dict[str, object]:
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def test_a_hospital_lists_every_class_in_full_and_no_more_than_five(written: Path) -> None:
    resources = document(written / "local" / "resources.json")
    assert resources["class_list_enforcement_mode"] == "enforce"
    listed = resources["class_allow_list"]
    assert isinstance(listed, list)
    assert set(listed) == set(at_hospital.ALLOWED)
    assert len(listed) == 5
    assert not any("*" in path or path.endswith(".") for path in listed)
    assert all(path.rsplit(".", 1)[1][0].isupper() for path in listed)


def test_every_listed_class_exists(written: Path) -> None:
    from importlib import import_module

    for path in at_hospital.ALLOWED:
        module, name = path.rsplit(".", 1)
        assert getattr(import_module(module), name).__name__ == name


def test_a_hospital_streams_no_logs(written: Path) -> None:
    text = (written / "local" / "resources.json").read_text()
    assert json.loads(text)["allow_log_streaming"] is False
    assert "streamer" not in text


def test_nobody_may_bring_code_or_open_a_shell_or_operate_whatever_the_role(written: Path) -> None:
    permissions = document(written / "local" / "authorization.json")["permissions"]
    assert isinstance(permissions, dict)
    assert set(permissions) == {"project_admin", "org_admin", "lead", "member"}
    for rights in permissions.values():
        for right in ("byoc", "shell_commands", "operate", "download_job", "clone_job"):
            assert rights[right] == "none"


def test_the_only_scope_is_ours_and_its_filter_lets_nothing_through(written: Path) -> None:
    from nvflare.apis.fl_context import FLContext
    from nvflare.apis.shareable import ReservedHeaderKey, ReturnCode, Shareable, make_reply

    from wardgate.hospital.wire.engine.filter import Nothing

    privacy = document(written / "local" / "privacy.json")
    (scope,) = privacy["scopes"]  # type: ignore[misc]
    assert privacy["default_scope"] == scope["name"]
    assert [one["path"] for one in scope["task_result_filters"]] == [at_hospital.FILTER]
    ended = make_reply(ReturnCode.OK)
    ended.set_header(ReservedHeaderKey.TASK_NAME, "carry")
    ended["patients"] = b"CANARY"
    ended.set_header("note", "CANARY")
    passed = Nothing().process(ended, FLContext())
    assert passed.get_return_code() == ReturnCode.OK
    assert "CANARY" not in str(passed)
    for other in (Shareable({"weights": b"CANARY"}), make_reply(ReturnCode.OK), None, "CANARY", 1):
        refused = Nothing().process(other, FLContext())  # type: ignore[arg-type]
        assert refused.get_return_code() != ReturnCode.OK
        assert "CANARY" not in str(refused)


def test_files_of_the_workspace_are_their_owners_alone_and_no_key_is_copied(written: Path) -> None:
    for path in (written, *written.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0
        assert path.is_dir() or "PRIVATE KEY" not in path.read_text()


def test_a_hub_named_by_an_ipv6_address_is_told_to_take_a_name(made: Founded) -> None:
    premises = made.sites["uk"]
    response = read_known(premises).response.model_copy(update={"host": "::1"})
    with pytest.raises(Unsupported, match="needs a name"):
        at_hospital.write_workspace(premises, response)


def test_a_job_is_three_files_of_json_with_public_words(tmp_path: Path) -> None:
    written = write_job(tmp_path / "job", consortium="testing")
    files = sorted(path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file())
    assert files == ["app/config/config_fed_client.json", "app/config/config_fed_server.json", "meta.json"]
    client = document(written / "app" / "config" / "config_fed_client.json")
    assert client["executors"] == [
        {
            "tasks": ["carry"],
            "executor": {"path": at_hospital.EXECUTOR, "args": {"consortium": "testing", "protocol": PROTOCOL}},
        }
    ]


def test_the_hub_names_the_executor_that_the_hospital_has() -> None:
    assert at_hub.EXECUTOR == at_hospital.EXECUTOR


def test_everything_of_the_engine_at_the_hub_lies_below_its_folder_for_its_owner_alone(made: Founded) -> None:
    write_workspaces(made.home, read_hub(made.home), disabled=("gone",))
    engine = made.home.engine
    assert all(path.stat().st_mode & 0o077 == 0 for path in (engine, *engine.rglob("*")) if path.name != "revoked.json")
    said = "".join(path.read_text() for path in engine.rglob("*.json"))
    assert '"/tmp/nvflare' not in said
    assert json.loads((engine / "server" / "disabled_clients.json").read_text()) == {"disabled_clients": ["gone"]}


def test_a_job_for_another_consortium_protocol_or_study_is_refused(made: Founded) -> None:
    premises = made.sites["uk"]
    known = read_known(premises)
    check_job(premises, known, consortium="testing", protocol=PROTOCOL, studies=())
    with pytest.raises(Refused, match="'other', this hospital joined 'testing'"):
        check_job(premises, known, consortium="other", protocol=PROTOCOL, studies=())
    with pytest.raises(Refused, match="the hub has to upgrade"):
        check_job(premises, known, consortium="testing", protocol=PROTOCOL - 1, studies=())
    with pytest.raises(Refused, match="this hospital has to upgrade"):
        check_job(premises, known, consortium="testing", protocol=PROTOCOL + 1, studies=())
    with pytest.raises(Refused, match="has not signed"):
        check_job(premises, known, consortium="testing", protocol=PROTOCOL, studies=("e" * 64,))


def test_a_wire_that_can_read_the_ward_refuses_where_it_is_asked_to(
    made: Founded, capsys: pytest.CaptureFixture[str]
) -> None:
    premises = made.sites["uk"]
    with pytest.raises(Refused, match="two users"):
        check_apart(premises, strict=True)
    check_apart(premises, strict=False)
    assert "two users" in capsys.readouterr().err


def test_a_wire_without_a_response_or_with_another_hospitals_does_not_start(made: Founded, tmp_path: Path) -> None:
    other = founded(tmp_path, sites=("uk",), consortium="other")
    premises = other.sites["uk"]
    own = premises.response.read_bytes()
    premises.response.write_bytes(made.sites["uk"].response.read_bytes())
    if (premises.root / "site.request").read_bytes() != (made.sites["uk"].root / "site.request").read_bytes():
        with pytest.raises(Broken, match="answers another request"):
            run(premises, strict=False)
    premises.response.unlink()
    with pytest.raises(Invalid, match="not enrolled"):
        run(premises, strict=False)
    premises.response.write_bytes(own)
    assert replace(read_known(premises)).site == "uk"


def test_a_hub_whose_port_is_taken_says_so_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Invalid, match="is taken by another process"):
            check_port(port)
        other = founded(tmp_path, sites=(), port=port)
        with pytest.raises(Invalid, match="is taken by another process"):
            serve(other.home, stop=lambda: True)
    check_port(port)


def test_a_wire_that_runs_already_is_not_run_twice(made: Founded) -> None:
    premises = made.sites["uk"]
    with (
        alone(premises.wire / "serving.lock", premises.engine),
        pytest.raises(Invalid, match="already served"),
        alone(premises.wire / "serving.lock", premises.engine),
    ):
        pass
