"""What stands in a hospital's way: the wire's checks and the ward's, each made where its side is, told together."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from wardgate.hospital.app.examining import examine_wire
from wardgate.hospital.app.isolated import check_isolation
from wardgate.hospital.app.serving import Side
from wardgate.hospital.premises import Premises
from wardgate.hospital.ward.porter.health import health
from wardgate.records.errors import Invalid, Unsupported, WardgateError
from wardgate.records.examination import Check, Examination
from wardgate.records.site_file import parse


def examine(
    root: Path, *, now: datetime, environment: Mapping[str, str], sides: Sequence[Side] = ("ward", "wire")
) -> Examination:
    """Examine a hospital's folder.

    The wire's half runs as a process of its own and leaves the ward's folder alone; the ward's half speaks to nobody.

    Args:
        environment: Where proxies are named.
        sides: Both, or one where the other is served by another user or machine.

    Raises:
        Invalid: not a hospital's folder.
        StepFailed: the examination itself broke.
    """
    premises = Premises(root.resolve())
    if not premises.root.is_dir():
        raise Invalid(f"{root} is no folder; expected a hospital's folder, as 'site init' makes it")
    checks: list[Check] = []
    rule = ""
    if "wire" in sides:
        found = examine_wire(premises.root, now=now, environment=environment)
        checks += found.checks
        rule = found.rule
    if "ward" in sides:
        checks += [_isolation(), *health(premises)]
    return Examination(site=_site(premises), at=now.astimezone(UTC).isoformat(), checks=tuple(checks), rule=rule)


def _isolation() -> Check:
    """Whether this system lets the ward run without a network, as `site serve` starts it."""
    name = "network of the ward"
    try:
        check_isolation()
    except Unsupported:
        return Check(
            name=name,
            side="ward",
            state="fail",
            found="this system does not let a process go without a network ('unshare' is missing or forbidden)",
            do="install util-linux, or serve the ward by its systemd unit (PrivateNetwork=yes) or container"
            " (--network none): docs/deployment.md",
        )
    return Check(name=name, side="ward", state="ok", found="none: this system lets the ward run without one")


def _site(premises: Premises) -> str | None:
    try:
        return parse(premises.site_file.read_text(encoding="utf-8"), name=premises.site_file.name).site
    except (WardgateError, OSError, UnicodeDecodeError):
        return None
