"""The engine's workspaces at the hub, server and coordinator: written at every start, all below the hub's folder."""

import json
from pathlib import Path

from wardgate.carriage.logs import log_config
from wardgate.hub.consortium.founding import COORDINATOR, COORDINATOR_KEY, ROOT, SERVER, SERVER_KEY
from wardgate.hub.engine.job import CONTROLLER
from wardgate.hub.home import Home
from wardgate.records.hub_file import IDENTITY, HubFile
from wardgate.road.whole import write_file

ADMISSION = "wardgate.hub.engine.admission.Admission"

_FLARE = {
    "job_scheduler": "nvflare.app_common.job_schedulers.job_scheduler.DefaultJobScheduler",
    "job_manager": "nvflare.apis.impl.job_def_manager.SimpleJobDefManager",
    "job_store": "nvflare.app_common.storages.filesystem_storage.FilesystemStorage",
    "process_launcher": "nvflare.app_common.job_launcher.server_process_launcher.ServerProcessJobLauncher",
}
_PERSISTOR = "nvflare.app_common.state_persistors.storage_state_persistor.StorageStatePersistor"

HEART_BEAT_SECONDS = 20
"""A site that was not heard of for so long is away."""

MOST_SITES = 1000


def server_workspace(home: Home) -> Path:
    """Return where the server works."""
    return home.engine / "server"


def coordinator_workspace(home: Home) -> Path:
    """Return where the conductor's right to submit jobs lies."""
    return home.engine / "coordinator"


def write_workspaces(home: Home, hub: HubFile, *, disabled: tuple[str, ...]) -> None:
    """Write both workspaces.

    Args:
        disabled: Sites that were put out; the server refuses them from its first moment.
    """
    server, coordinator = server_workspace(home), coordinator_workspace(home)
    for folder in (
        home.engine,
        *(root / name for root in (server, coordinator) for name in ("", "startup", "local", "transfer")),
        home.engine / "jobs",
        home.engine / "snapshots",
    ):
        folder.mkdir(mode=0o700, exist_ok=True)
    documents = {
        server / "startup" / "fed_server.json": _server(home, hub),
        server / "local" / "resources.json": _resources(home),
        server / "local" / "authorization.json": _authorization(),
        server / "local" / "log_config.json": log_config(most_bytes=5_000_000),
        server / "disabled_clients.json": {"disabled_clients": sorted(disabled)},
        coordinator / "startup" / "fed_admin.json": _coordinator(home, hub),
        coordinator / "local" / "resources.json": {
            "format_version": 1,
            "admin": {"idle_timeout": 0, "login_timeout": 10},
        },
    }
    for path, document in documents.items():
        write_file(path, json.dumps(document, indent=1).encode(), mode=0o600)
    write_file(server / "startup" / "rootCA.pem", (home.authority / ROOT).read_bytes(), mode=0o600)


def _server(home: Home, hub: HubFile) -> dict[str, object]:
    ca = home.authority.resolve()
    return {
        "format_version": 2,
        "servers": [
            {
                "name": hub.consortium,
                "service": {"target": f"{IDENTITY}:{hub.port}", "scheme": "grpc"},
                "admin_server": IDENTITY,
                "admin_port": hub.port,
                "ssl_private_key": str(ca / SERVER_KEY),
                "ssl_cert": str(ca / SERVER),
                "ssl_root_cert": str(ca / ROOT),
                "connection_security": "mtls",
            }
        ],
    }


def _resources(home: Home) -> dict[str, object]:
    engine = home.engine.resolve()
    arguments: dict[str, dict[str, object]] = {
        "job_scheduler": {
            "max_jobs": 2,
            "max_schedule_count": 1000,
            "min_schedule_interval": 1.0,
            "max_schedule_interval": 5.0,
        },
        "job_manager": {"uri_root": str(engine / "jobs"), "job_store_id": "job_store"},
    }
    return {
        "format_version": 2,
        "class_list_enforcement_mode": "enforce",
        "class_allow_list": [CONTROLLER, ADMISSION, _PERSISTOR, *_FLARE.values()],
        "servers": [
            {
                "admin_storage": "transfer",
                "max_num_clients": MOST_SITES,
                "heart_beat_timeout": HEART_BEAT_SECONDS,
                "shutdown_period": 2.0,
            }
        ],
        "snapshot_persistor": {
            "path": _PERSISTOR,
            "args": {
                "uri_root": "/",
                "storage": {
                    "path": _FLARE["job_store"],
                    "args": {"root_dir": str(engine / "snapshots"), "uri_root": "/"},
                },
            },
        },
        "components": [
            *({"id": name, "path": path, "args": arguments.get(name, {})} for name, path in _FLARE.items()),
            {"id": "admission", "path": ADMISSION, "args": {}},
        ],
    }


def _authorization() -> dict[str, object]:
    rights = {
        "submit_job": "any",
        "clone_job": "none",
        "manage_job": "any",
        "download_job": "none",
        "view": "any",
        "operate": "any",
        "shell_commands": "none",
        "byoc": "none",
        "server-predeployed-flwr": "none",
    }
    return {"format_version": "1.0", "permissions": {"lead": rights, "member": {"view": "none"}}}


def _coordinator(home: Home, hub: HubFile) -> dict[str, object]:
    ca = home.authority.resolve()
    near = next((name for name in ("127.0.0.1", "localhost") if name in hub.reached_at), hub.host)
    root = coordinator_workspace(home).resolve()
    return {
        "format_version": 1,
        "admin": {
            "project_name": hub.consortium,
            "username": hub.coordinator,
            "server_identity": IDENTITY,
            "scheme": "grpc",
            "host": near,
            "port": hub.port,
            "connection_security": "mtls",
            "uid_source": "user_input",
            "with_file_transfer": True,
            "upload_dir": str(root / "transfer"),
            "download_dir": str(root / "transfer"),
            "client_key": str(ca / COORDINATOR_KEY),
            "client_cert": str(ca / COORDINATOR),
            "ca_cert": str(ca / ROOT),
        },
    }
