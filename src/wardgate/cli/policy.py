"""`wardgate gate policy`: write, show and check a gate policy."""

import json
from pathlib import Path
from typing import Annotated

import typer

from wardgate.cli.files import text_in
from wardgate.cli.options import AsJson
from wardgate.hub.commons.durable import write_whole
from wardgate.papers import policy_text
from wardgate.policy import tighter_than, weaker_than
from wardgate.records import policy_file
from wardgate.records.errors import Invalid, Refused
from wardgate.records.gate_policy import GatePolicy, Profile

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

PolicyFile = Annotated[Path, typer.Argument(help="The policy (YAML).", show_default=False)]


@app.command("init")
def policy_init(
    file: PolicyFile,
    profile: Annotated[str, typer.Option(help="public-open, commons-controlled or internal-only.")] = (
        "commons-controlled"
    ),
) -> None:
    """Write a commented policy to start from."""
    if file.exists():
        raise Invalid(f"{file} exists; choose another name, or remove it")
    profiles: dict[str, Profile] = {
        "public-open": "public-open",
        "commons-controlled": "commons-controlled",
        "internal-only": "internal-only",
    }
    if profile not in profiles:
        raise Invalid(f"found profile '{profile}', expected one of {', '.join(profiles)}")
    write_whole(file, policy_text.template(profiles[profile]).encode())
    typer.echo(f"Wrote {file}. Tighten it, then: wardgate gate policy check {file} --floor FLOOR")


@app.command("show")
def policy_show(
    file: PolicyFile,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a page for documentation.")] = False,
    json_output: AsJson = False,
) -> None:
    """Show every limit with what it says and where it comes from."""
    found = read_policy(file)
    if markdown:
        typer.echo(policy_text.markdown(found), nl=False)
        return
    if json_output:
        typer.echo(json.dumps({"sha256": found.fingerprint(), "policy": found.plain()}, indent=2))
        return
    for name, value, words, source in policy_text.table(found):
        typer.echo(f"{name:<38} {value:<22} {words} ({source})")
    typer.echo(f"sha256 {found.fingerprint()}")


@app.command("check")
def policy_check(
    file: PolicyFile,
    floor: Annotated[Path | None, typer.Option(help="The consortium's policy, which may only be tightened.")] = None,
) -> None:
    """Say everything that is wrong in a policy, and where it is weaker than its floor."""
    found = read_policy(file)
    if floor is None:
        typer.echo(f"{file}: clean")
        return
    asked = read_policy(floor)
    weaker = weaker_than(found, asked)
    if weaker:
        raise Refused(f"{file} is weaker than {floor}; a site may only tighten it:\n" + "\n".join(weaker))
    tighter = tighter_than(found, asked)
    typer.echo(
        f"{file}: clean, and nowhere weaker than {floor}" + (f"; tighter in {', '.join(tighter)}" * bool(tighter))
    )


def read_policy(file: Path) -> GatePolicy:
    """Return the policy in a file.

    Raises:
        Invalid: no such file, or something wrong in it, line by line.
    """
    return policy_file.parse(text_in(file, "a policy; 'wardgate gate policy init FILE' starts one"), name=str(file))
