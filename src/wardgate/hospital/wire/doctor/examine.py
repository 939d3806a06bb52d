"""All checks of the wire's side, in the order in which a person would repair things."""

import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from wardgate.hospital.premises import Premises
from wardgate.hospital.wire.doctor.greeting import check_accepted, check_presented, presented
from wardgate.hospital.wire.doctor.own import check_certificate, check_clock, check_disk, check_software, check_spool
from wardgate.hospital.wire.doctor.proxies import ignored, proxy_for
from wardgate.hospital.wire.doctor.reach import addresses_of, check_name, connect
from wardgate.hospital.wire.greeted import Greeted, read_greeting
from wardgate.hospital.wire.known import read_known
from wardgate.records.enrolment_file import SiteResponse
from wardgate.records.errors import WardgateError
from wardgate.records.examination import Check

TIMEOUT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What the wire's side found, and the rule to ask for."""

    checks: tuple[Check, ...]
    rule: str = ""


def examine(
    premises: Premises, *, now: datetime, environment: Mapping[str, str], timeout_seconds: float = TIMEOUT_SECONDS
) -> Examined:
    """Look at everything that the wire needs. The ward's folder is not touched.

    Args:
        environment: Where proxies are named.
        timeout_seconds: For each step on the network.
    """
    try:
        response = read_known(premises).response
    except (WardgateError, OSError) as error:
        words = str(error) if isinstance(error, WardgateError) else f"{premises.root}: {error.strerror}"
        do = "'site init' makes the request, the hub admits it, and 'site enrol' takes the response"
        enrolled = Check(name="enrolment", side="wire", state="fail", found=words, do=do)
        return Examined(checks=(enrolled, check_disk(premises.spool), check_spool(premises)))
    checks = [Check(name="enrolment", side="wire", state="ok", found=f"{response.site} at {response.consortium}")]
    checks += _network(response, premises, now=now, environment=environment, timeout_seconds=timeout_seconds)
    checks.append(check_certificate(premises, response, now=now))
    greeted, broken = _greeted(premises)
    checks += [*broken, check_clock(response, greeted, now=now), check_software(response, greeted)]
    checks += [check_disk(premises.spool), check_spool(premises)]
    return Examined(checks=tuple(checks), rule=rule_of(response, here=socket.gethostname()))


def rule_of(response: SiteResponse, *, here: str) -> str:
    """Return the exact rule to ask a network team for."""
    return (
        f"Allow outbound TCP from {here} to {response.host} port {response.port}: TLS with mutual certificates, no"
        " inspection (no replaced certificates), long-lived connections (no idle limit below 5 minutes). No inbound"
        " connections, no other ports, nothing to this machine."
    )


def _network(
    response: SiteResponse,
    premises: Premises,
    *,
    now: datetime,
    environment: Mapping[str, str],
    timeout_seconds: float,
) -> Iterator[Check]:
    host, port = response.host, response.port
    addresses = addresses_of(host, timeout_seconds=timeout_seconds)
    proxy = proxy_for(host, environment)
    by_proxy = proxy is not None and not addresses.found
    if by_proxy:
        found = f"{host}: none here; the proxy looks it up"
        yield Check(name="name of the hub", side="wire", state="ok", found=found)
    else:
        yield check_name(host, addresses)
    yield _proxy(host, environment)

    def line() -> tuple[Check, socket.socket | None]:
        opened = connect(host, port, addresses, proxy=proxy, timeout_seconds=timeout_seconds)
        return opened.check, opened.line

    check, first = line()
    yield check
    if first is None:
        for name in ("who answers there", "our certificate at the hub"):
            yield Check(name=name, side="wire", state="not checked", found="there is no connection")
        return
    with first:
        shown = check_presented(presented(first, host), response, now=now)
    yield shown
    again, second = line() if shown.state == "ok" else (check, None)
    if second is None:
        words = "another end than the hub answers" if shown.state != "ok" else again.found
        yield Check(name="our certificate at the hub", side="wire", state="not checked", found=words)
        return
    with second:
        yield check_accepted(second, premises, response)


def _proxy(host: str, environment: Mapping[str, str]) -> Check:
    proxy, unread = proxy_for(host, environment), ignored(environment)
    if proxy is not None:
        found = f"the engine goes through {proxy.host}:{proxy.port} ({proxy.variable})"
        do = f"where the proxy inspects TLS or ends long connections, go around it: no_proxy={host} for the wire"
        return Check(name="proxy", side="wire", state="warning", found=found, do=do)
    if unread:
        found = f"{', '.join(unread)} is set, and the engine does not read it: it connects directly"
        do = "where only a proxy leads out, set https_proxy (in lower case) for the wire"
        return Check(name="proxy", side="wire", state="warning", found=found, do=do)
    return Check(name="proxy", side="wire", state="ok", found="none: the engine connects directly")


def _greeted(premises: Premises) -> tuple[Greeted | None, list[Check]]:
    try:
        return read_greeting(premises), []
    except WardgateError as error:
        return None, [Check(name="last greeting", side="wire", state="warning", found=str(error))]
