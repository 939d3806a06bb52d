"""The carriage as a job of the engine: three files of JSON, class paths and public words, no code."""

import json
from collections.abc import Sequence
from pathlib import Path

from wardgate.carriage.words import TASK
from wardgate.records.mail import PROTOCOL

CONTROLLER = "wardgate.hub.engine.controller.Carriage"
EXECUTOR = "wardgate.hospital.wire.engine.executor.Carrier"
"""By name only: the hub holds no hospital."""

NAME = "carriage"


def write_job(folder: Path, *, consortium: str, studies: Sequence[str] = ()) -> Path:
    """Write the job into a folder and return it.

    Args:
        studies: Digests, if the job is for these alone; a hospital that has not signed each refuses it. The carriage
            itself names none: it must also carry the proposal of a study that nobody signed yet.
    """
    arguments: dict[str, object] = {"consortium": consortium, "protocol": PROTOCOL}
    server = {
        "format_version": 2,
        "workflows": [{"id": NAME, "path": CONTROLLER, "args": arguments}],
        "components": [],
        "task_data_filters": [],
        "task_result_filters": [],
        "server": {"heart_beat_timeout": 30, "task_request_interval": 0.5},
        "client_outcome_wait_timeout": 3.0,
    }
    client = {
        "format_version": 2,
        "executors": [
            {
                "tasks": [TASK],
                "executor": {
                    "path": EXECUTOR,
                    "args": {**arguments, "studies": list(studies)} if studies else arguments,
                },
            }
        ],
        "components": [],
        "task_data_filters": [],
        "task_result_filters": [],
        "task_request_interval": 0.5,
        "job_heartbeat_interval": 5.0,
        "end_run_readiness_timeout": 1.0,
    }
    meta = {"name": NAME, "resource_spec": {}, "min_clients": 1, "deploy_map": {"app": ["@ALL"]}}
    config = folder / "app" / "config"
    config.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path, document in (
        (folder / "meta.json", meta),
        (config / "config_fed_server.json", server),
        (config / "config_fed_client.json", client),
    ):
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return folder
