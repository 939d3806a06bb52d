"""`wardgate site`, the technical side: a hospital joins a consortium, looks what stands in the way, and serves."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.files import bytes_in
from wardgate.cli.options import AsJson
from wardgate.cli.running import stopping, utc_now
from wardgate.entropy import source
from wardgate.federation import consortium
from wardgate.federation.consortium import Asking, Users
from wardgate.hospital.app.serving import Side
from wardgate.hospital.app.serving import serve as serve_site
from wardgate.hospital.premises import Premises
from wardgate.papers.examination_text import examination_text
from wardgate.records.errors import CheckFailed, Invalid

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

SiteFolder = Annotated[Path, typer.Argument(help="The hospital's folder.", show_default=False)]
WardOnly = Annotated[bool, typer.Option("--ward-only", help="The ward's side alone; the wire is elsewhere.")]
WireOnly = Annotated[bool, typer.Option("--wire-only", help="The wire's side alone; the ward is elsewhere.")]


@app.command("init")
def init(
    folder: SiteFolder,
    name: Annotated[str, typer.Option(help="The hospital's name in studies.", show_default=False)],
    source_folder: Annotated[
        Path, typer.Option("--source", help="Folder of its data, with hospital.yaml and mapping.yaml or source.yaml.")
    ],
    policy: Annotated[Path | None, typer.Option(help="The hospital's own gate policy; no study may be laxer.")] = None,
    contact: Annotated[str, typer.Option(help="Whom the hub may call; travels in the request.")] = "",
    users: Annotated[
        str | None, typer.Option(help="WARD:WIRE:GROUP, two users of this machine and their group; needs root.")
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Make a hospital's folder with all its keys, and the one file that leaves: site.request."""
    asking = consortium.site_init(
        Premises(folder),
        site=name,
        source=source_folder,
        policy=policy,
        contact=contact,
        entropy=source(unsafe_seed=None),
        users=None if users is None else _users(users),
    )
    _tell(asking, json_output=json_output)


@app.command("renew")
def renew(
    folder: SiteFolder,
    contact: Annotated[str, typer.Option(help="Whom the hub may call; travels in the request.")] = "",
    json_output: AsJson = False,
) -> None:
    """Ask for a new certificate with a new TLS key, under the ward's key as before."""
    _tell(consortium.site_ask_again(Premises(folder), contact=contact), json_output=json_output)


@app.command("enrol")
def enrol(
    folder: SiteFolder,
    response: Annotated[Path, typer.Argument(help="What the hub sent back.", show_default=False)],
    hub_code: Annotated[
        str, typer.Option(help="The code of the hub's key, as you heard it from the hub by phone.", show_default=False)
    ],
) -> None:
    """Install the hub's response, after checking that it is this hub's and for this hospital."""
    found = consortium.site_enrol(
        Premises(folder), bytes_in(response, "the hub's response"), hub_code=hub_code, now=utc_now()
    )
    typer.echo(
        f"Enrolled until {found.not_after:%Y-%m-%d}.\n"
        f"Check the way: wardgate site doctor {folder}\nServe:         wardgate site serve {folder}"
    )


@app.command("doctor")
def doctor(
    folder: SiteFolder, ward_only: WardOnly = False, wire_only: WireOnly = False, json_output: AsJson = False
) -> None:
    """Say what stands between this hospital and its hub, and the rule to ask the network team for."""
    from wardgate.federation.doctor import examine

    found = examine(folder, now=utc_now(), environment=os.environ, sides=_sides(ward_only, wire_only))
    if json_output:
        typer.echo(json.dumps(found.plain(), indent=2, ensure_ascii=False))
    else:
        typer.echo(examination_text(found))
    failed = [check.name for check in found.checks if check.state == "fail"]
    if failed:
        raise CheckFailed(f"{len(failed)} of {len(found.checks)} checks failed: {', '.join(failed)}")


@app.command("serve")
def serve(folder: SiteFolder, ward_only: WardOnly = False, wire_only: WireOnly = False) -> None:
    """Serve until interrupted: the ward as a process without a network, the wire as one without the data."""

    def started(side: Side, process: int) -> None:
        typer.echo(f"the {side} runs as process {process}")

    with stopping() as stop:
        serve_site(
            Premises(folder),
            sides=_sides(ward_only, wire_only),
            clock=time.monotonic,
            pause=lambda: stop.wait(0.2),
            on_start=started,
        )


def _sides(ward_only: bool, wire_only: bool) -> Sequence[Side]:
    if ward_only and wire_only:
        raise Invalid("--ward-only and --wire-only exclude each other; leave both out for both sides")
    if ward_only:
        return ("ward",)
    return ("wire",) if wire_only else ("ward", "wire")


def _users(text: str) -> Users:
    parts = text.split(":")
    if len(parts) != 3 or not all(parts):
        raise Invalid(f"found '{text}', expected WARD:WIRE:GROUP, e.g. wardgate-ward:wardgate-wire:wardgate")
    return Users(ward=parts[0], wire=parts[1], group=parts[2])


def _tell(asking: Asking, *, json_output: bool) -> None:
    if json_output:
        typer.echo(
            json.dumps({"site": asking.site, "request": str(asking.request), "site_code": asking.code}, indent=2)
        )
        return
    typer.echo(
        f"Send {asking.request} to the hub; it holds no secret.\n"
        f"Code of this hospital's key, to be read to the hub by phone: {asking.code}"
    )
