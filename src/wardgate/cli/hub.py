"""`wardgate hub`: found a consortium, admit hospitals, and keep the road to them open."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.files import bytes_in, write_out
from wardgate.cli.options import AsJson
from wardgate.cli.running import stopping, utc_now
from wardgate.entropy import source
from wardgate.federation import consortium
from wardgate.federation.consortium import Admitted
from wardgate.hub.home import Home
from wardgate.records.member_file import MemberFile

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

HubFolder = Annotated[Path, typer.Argument(help="The hub's folder.", show_default=False)]
SiteName = Annotated[str, typer.Argument(help="The hospital's name.", show_default=False)]
Out = Annotated[Path, typer.Option(help="Where the response is written, for the hospital.", show_default=False)]


@app.command("init")
def init(
    folder: HubFolder,
    name: Annotated[str, typer.Option(help="The consortium's name; stands in every certificate.")],
    host: Annotated[str, typer.Option(help="What hospitals connect to: a name or an address.", show_default=False)],
    port: Annotated[int, typer.Option(help="The one port; 443 where hospitals allow no other.")] = 8443,
    address: Annotated[
        list[str] | None, typer.Option(help="Another name or address of this hub. May be repeated.")
    ] = None,
    json_output: AsJson = False,
) -> None:
    """Found a consortium: a signing key, a certificate authority, and a folder for everything."""
    code = consortium.hub_init(
        Home(folder),
        consortium=name,
        host=host,
        port=port,
        addresses=tuple(address or ()),
        now=utc_now(),
        entropy=source(unsafe_seed=None),
    )
    if json_output:
        typer.echo(json.dumps({"consortium": name, "host": host, "port": port, "hub_code": code}, indent=2))
        return
    typer.echo(
        f"Consortium {name} is founded in {folder}. The code of this hub: {code}\n"
        f"Read it to every hospital by phone. Serve with: wardgate hub serve {folder}"
    )


@app.command("admit")
def admit(
    folder: HubFolder,
    request: Annotated[Path, typer.Argument(help="The hospital's site.request.", show_default=False)],
    out: Out,
    site_code: Annotated[
        str | None, typer.Option(help="The code as the hospital read it out by phone; another one is refused.")
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Admit a site that was put out, or came back with new keys.")
    ] = False,
    json_output: AsJson = False,
) -> None:
    """Sign a hospital's request. Its private keys never left it."""
    home = Home(folder)
    admitted = consortium.hub_admit(
        home, bytes_in(request, "the site.request of a hospital"), now=utc_now(), site_code=site_code, again=again
    )
    _answer(home, admitted, out, json_output=json_output)


@app.command("renew")
def renew(folder: HubFolder, site: SiteName, out: Out, json_output: AsJson = False) -> None:
    """Certify a member for two more years, under the keys that it has."""
    home = Home(folder)
    _answer(home, consortium.hub_renew(home, site, now=utc_now()), out, json_output=json_output)


@app.command("renew-own")
def renew_own(folder: HubFolder) -> None:
    """Certify the hub's own server anew; hospitals need nothing for it."""
    consortium.hub_renew_own(Home(folder), now=utc_now())
    typer.echo("The hub's certificates are new; start 'wardgate hub serve' again.")


@app.command("members")
def members(folder: HubFolder, json_output: AsJson = False) -> None:
    """List the members, the codes of their keys, and certificates that end soon."""
    found = consortium.hub_members(Home(folder), now=utc_now())
    if json_output:
        plain = {
            "hub_code": consortium.hub_code(Home(folder)),
            "members": [_plain(one) for one in found.members],
            "expiring": [{"name": one.name, "not_after": one.not_after, "days": one.days} for one in found.expiring],
        }
        typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    typer.echo(f"hub  {consortium.hub_code(Home(folder))}")
    for one in found.members:
        state = f"put out on {one.revoked_on}: {one.reason}" if one.revoked_on else f"until {one.not_after[:10]}"
        compared = "" if one.compared else "  (code never compared)"
        typer.echo(f"{one.site}  {one.code}  {state}{compared}  {one.contact}".rstrip())
    for late in found.expiring:
        when = f"ends in {late.days} days" if late.days >= 0 else "has ended"
        typer.echo(f"note: the certificate of {late.name} {when} ({late.not_after[:10]})", err=True)


@app.command("revoke")
def revoke(
    folder: HubFolder, site: SiteName, reason: Annotated[str, typer.Option(help="Why; kept with the member.")]
) -> None:
    """Put a hospital out: its certificate is refused from now on, and no new study may name it."""
    consortium.hub_revoke(Home(folder), site, reason=reason, now=utc_now())
    typer.echo(f"{site} is out. What it signed before stands and still verifies.")


@app.command("serve")
def serve(folder: HubFolder) -> None:
    """Keep the road to all hospitals open, until interrupted."""
    from wardgate.hub.app import serve as serve_hub

    with stopping() as stop:
        serve_hub(Home(folder), stop=stop.is_set, told=typer.echo)


def _answer(home: Home, admitted: Admitted, out: Path, *, json_output: bool) -> None:
    write_out(out, admitted.response)
    code = consortium.hub_code(home)
    if json_output:
        typer.echo(json.dumps({**_plain(admitted.member), "response": str(out), "hub_code": code}, indent=2))
        return
    compared = (
        "was compared"
        if admitted.member.compared
        else "was NOT compared: call the hospital before you send this; with --site-code it is checked here"
    )
    typer.echo(
        f"{admitted.member.site} is admitted until {admitted.member.not_after[:10]}; send it {out}\n"
        f"Code of its key: {admitted.member.code}; it {compared}\n"
        f"Code of this hub, to be read out: {code}"
    )


def _plain(member: MemberFile) -> dict[str, object]:
    return {
        "site": member.site,
        "code": member.code,
        "compared": member.compared,
        "admitted_on": member.admitted_on,
        "not_after": member.not_after,
        "revoked_on": member.revoked_on,
        "reason": member.reason,
        "contact": member.contact,
    }
