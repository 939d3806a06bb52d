"""The engine's workspace at a hospital: written by Wardgate at every start, so that nothing in it is by default.

What matters: no job may bring code (`byoc: none`; the class list is skipped for jobs that do), only the few classes
named here are built, whoever asks for a shell or an operation is refused, log lines do not stream, and results of tasks
pass our own filter. Nothing here imports the engine.
"""

import json
from pathlib import Path

from wardgate.carriage.logs import log_config
from wardgate.hospital.premises import Premises
from wardgate.records.enrolment_file import SiteResponse
from wardgate.records.errors import Unsupported
from wardgate.road.whole import write_file

EXECUTOR = "wardgate.hospital.wire.engine.executor.Carrier"
FILTER = "wardgate.hospital.wire.engine.filter.Nothing"

_FLARE = (
    "nvflare.app_common.resource_managers.passthrough_resource_manager.PassthroughResourceManager",
    "nvflare.app_common.resource_consumers.passthrough_resource_consumer.PassthroughResourceConsumer",
    "nvflare.app_common.job_launcher.client_process_launcher.ClientProcessJobLauncher",
)

ALLOWED = (EXECUTOR, FILTER, *_FLARE)
"""Every class that the engine may build at a hospital, in full."""

ROLES = ("project_admin", "org_admin", "lead", "member")
"""All roles of the engine. None of them has more rights at a hospital than another."""


def write_workspace(premises: Premises, response: SiteResponse) -> Path:
    """Write the engine's workspace below the wire's folder and return it.

    Raises:
        Unsupported: the hub is named by an IPv6 address, which the engine cannot take apart.
    """
    if ":" in response.host:
        raise Unsupported(
            f"the hub is named by the IPv6 address {response.host}; the engine needs a name: let the hub be known by"
            " one, in DNS or in the hosts file, and ask for a new response"
        )
    root = premises.engine
    for folder in (root, root / "startup", root / "local"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(root / "startup" / "client.crt", response.certificate.encode(), mode=0o600)
    write_file(root / "startup" / "rootCA.pem", response.root.encode(), mode=0o600)
    documents = {
        "startup/fed_client.json": _client(premises, response),
        "local/resources.json": resources(),
        "local/authorization.json": authorization(),
        "local/privacy.json": privacy(),
        "local/log_config.json": log_config(most_bytes=2_000_000),
    }
    for name, document in documents.items():
        write_file(root / name, json.dumps(document, indent=1).encode(), mode=0o600)
    return root


def _client(premises: Premises, response: SiteResponse) -> dict[str, object]:
    return {
        "format_version": 2,
        "servers": [
            {
                "name": response.consortium,
                "service": {"target": f"{response.host}:{response.port}", "scheme": "grpc"},
                "identity": response.identity,
            }
        ],
        "client": {
            "ssl_private_key": str(premises.tls_key.resolve()),
            "ssl_cert": "client.crt",
            "ssl_root_cert": "rootCA.pem",
            "fqsn": response.site,
            "is_leaf": True,
            "connection_security": "mtls",
            "client_register_interval": 2.0,
            "maint_msg_timeout": 10.0,
        },
    }


def resources() -> dict[str, object]:
    """Return what the engine may build and keep at a hospital."""
    return {
        "format_version": 2,
        "class_list_enforcement_mode": "enforce",
        "class_allow_list": list(ALLOWED),
        "allow_log_streaming": False,
        "components": [
            {"id": name, "path": path, "args": {}}
            for name, path in zip(("resource_manager", "resource_consumer", "process_launcher"), _FLARE, strict=True)
        ],
    }


def authorization() -> dict[str, object]:
    """Return who may do what here: look at the state of a job, submit and stop one; nothing else, nobody more.

    The class list and `byoc` decide what a submitted job can be.
    """
    rights = {
        "submit_job": "any",
        "clone_job": "none",
        "manage_job": "any",
        "download_job": "none",
        "view": "any",
        "operate": "none",
        "shell_commands": "none",
        "byoc": "none",
        "server-predeployed-flwr": "none",
    }
    return {"format_version": "1.0", "permissions": {role: dict(rights) for role in ROLES}}


def privacy() -> dict[str, object]:
    """Return the only scope: jobs that name none get it, jobs that name another are refused."""
    name = "wardgate"
    return {
        "scopes": [{"name": name, "properties": {}, "task_result_filters": [{"path": FILTER, "args": {}}]}],
        "default_scope": name,
    }
