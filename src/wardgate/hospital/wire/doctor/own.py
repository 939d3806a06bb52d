"""The wire's own things: its certificate and key, its clock, its software, its disk, the spool it shares."""

import os
import tempfile
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from wardgate import __version__
from wardgate.hospital.premises import Premises
from wardgate.hospital.wire.greeted import Greeted
from wardgate.records.enrolment_file import SiteResponse
from wardgate.records.examination import Check, State
from wardgate.records.mail import PROTOCOL

WARN_DAYS = 60
"""Of a certificate's life left, from which on people are told."""

CLOCK_SECONDS = 300
"""Difference of clocks from which on people are told; certificates and logs are then hard to compare."""

ENGINE = "nvflare"

LEAST_BYTES = 1 * 2**30
WARN_BYTES = 10 * 2**30
LEAST_INODES = 1_000


def check_certificate(premises: Premises, response: SiteResponse, *, now: datetime) -> Check:
    """Judge the wire's certificate by itself: ours, in time, and the key beside it."""
    try:
        certificate = x509.load_pem_x509_certificate(response.certificate.encode())
        mode = premises.tls_key.stat().st_mode & 0o777
        key = serialization.load_pem_private_key(premises.tls_key.read_bytes(), password=None)
    except OSError as error:
        do = "run this as the wire's user; where the key is lost: 'site renew', 'hub admit', 'site enrol'"
        return _certificate("fail", f"{premises.tls_key.name} cannot be read ({error.strerror})", do)
    except (ValueError, TypeError):
        return _certificate("fail", "certificate or key is damaged", "'site renew', 'hub admit', 'site enrol'")
    if key.public_key() != certificate.public_key():
        do = "'site enrol' with the response to the last request, or 'site renew' and begin again"
        return _certificate("fail", f"{premises.tls_key.name} is not the key of our certificate", do)
    left = certificate.not_valid_after_utc - now
    dates = f"valid from {certificate.not_valid_before_utc:%Y-%m-%d} to {certificate.not_valid_after_utc:%Y-%m-%d}"
    renew = "'site renew', 'hub admit' at the hub, 'site enrol'"
    if left <= timedelta(0):
        return _certificate("fail", f"expired: {dates}; this machine's clock says {now:%Y-%m-%d}", renew)
    if now < certificate.not_valid_before_utc:
        do = "set this machine's clock; where it is right, ask the hub for a new certificate"
        return _certificate("fail", f"not yet valid: {dates}; this machine's clock says {now:%Y-%m-%d}", do)
    if mode & 0o077:
        do = f"chmod 600 {premises.tls_key}; where others were on this machine, renew: {renew}"
        return _certificate("fail", f"{premises.tls_key.name} can be read by others (mode {mode:03o})", do)
    if left < timedelta(days=WARN_DAYS):
        return _certificate("warning", f"{dates}: {left.days} days left", renew)
    return _certificate("ok", f"{dates}: {left.days} days left; its key is readable by its owner alone")


def check_clock(response: SiteResponse, greeted: Greeted | None, *, now: datetime) -> Check:
    """Compare this machine's clock with the hub's, as it was when the two last spoke, or with the certificate's dates.

    Certificates begin some days before they are made, so without a greeting only a clock that is far behind is found.
    """
    do = "set this machine's clock from a time server (timedatectl set-ntp true), and ask the hub to do the same"
    if greeted is not None:
        difference = greeted.our_clock - greeted.hub_clock
        word = f"{_span(abs(difference))} {'ahead of' if difference > 0 else 'behind'} the hub's"
        if abs(difference) > CLOCK_SECONDS:
            return _clock("warning", f"this machine's clock was {word} when the two last spoke", do)
        return _clock("ok", f"within {abs(difference)} s of the hub's when the two last spoke")
    try:
        certificate = x509.load_pem_x509_certificate(response.certificate.encode())
    except ValueError:
        return _clock("not checked", "the certificate is damaged and the hub was not heard yet")
    if now < certificate.not_valid_before_utc:
        begins = f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M}"
        return _clock("fail", f"this machine's clock ({now:%Y-%m-%d %H:%M}) is before our certificate ({begins})", do)
    return _clock("not checked", "the hub was not heard yet; the clock fits the dates of our certificate")


def check_software(response: SiteResponse, greeted: Greeted | None) -> Check:
    """Compare both ends' versions, and ours of the engine with the one that this Wardgate was made for."""
    theirs, said = (response.protocol, response.wardgate) if greeted is None else (greeted.protocol, greeted.wardgate)
    here = f"Wardgate {__version__}, protocol {PROTOCOL}; the hub: Wardgate {said}, protocol {theirs}"
    if theirs != PROTOCOL:
        older = "the hub" if theirs < PROTOCOL else "this hospital"
        return _software("fail", here, f"{older} has to upgrade Wardgate")
    wanted = next((text for text in requires("wardgate") or () if text.startswith(f"{ENGINE}==")), "")
    expected = wanted.removeprefix(f"{ENGINE}==").partition(";")[0].strip()
    install = "pip install 'wardgate[engine]' where the wire runs"
    try:
        found = version(ENGINE)
    except PackageNotFoundError:
        return _software("fail", f"{here}; the engine {ENGINE} is not installed", install)
    if expected and found != expected:
        return _software("fail", f"{here}; found {ENGINE} {found}, expected {expected}", install)
    return _software("ok", f"{here}; {ENGINE} {found}")


def check_disk(folder: Path) -> Check:
    """Judge room and inodes where a side writes."""
    name = f"disk of the {folder.name}"
    try:
        found = os.statvfs(folder)
    except OSError as error:
        return Check(
            name=name, side="wire", state="not checked", found=f"{folder} cannot be looked at ({error.strerror})"
        )
    free, inodes = found.f_bavail * found.f_frsize, found.f_favail
    few = found.f_files > 0 and inodes < LEAST_INODES
    said = f"{free / 2**30:.1f} GiB free in {folder}" + (f", {inodes} inodes" if found.f_files else "")
    do = (
        f"make room: parcels of corpora and models take up to 2 GiB each; at least {LEAST_BYTES >> 30} GiB must be free"
    )
    state: State = "fail" if free < LEAST_BYTES or few else "warning" if free < WARN_BYTES else "ok"
    return Check(name=name, side="wire", state=state, found=said, do="" if state == "ok" else do)


def check_spool(premises: Premises) -> Check:
    """Try whether the wire may lay down and take away in both boxes of the spool."""
    name, folders = "spool", [premises.spool / box for box in ("questions", "answers")]
    for folder in folders:
        if not folder.is_dir():
            do = "'site init' makes the spool; on separate machines, mount the same folder on both"
            return Check(name=name, side="wire", state="fail", found=f"{folder} is missing", do=do)
        try:
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-"):
                pass
        except OSError as error:
            do = f"let the wire's user write there: chgrp wardgate {folder} && chmod 2770 {folder}, one group for both"
            found = f"the wire may not write in {folder} ({error.strerror})"
            return Check(name=name, side="wire", state="fail", found=found, do=do)
    return Check(name=name, side="wire", state="ok", found="the wire may lay down and take away in both boxes")


def _span(seconds: int) -> str:
    for size, word in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {word}"
    return f"{seconds} s"


def _certificate(state: State, found: str, do: str = "") -> Check:
    return Check(name="our certificate", side="wire", state=state, found=found, do=do)


def _clock(state: State, found: str, do: str = "") -> Check:
    return Check(name="clock", side="wire", state=state, found=found, do=do)


def _software(state: State, found: str, do: str = "") -> Check:
    return Check(name="versions", side="wire", state=state, found=found, do=do)
