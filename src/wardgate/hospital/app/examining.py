"""Starts the wire's examination as a process of its own, where the wire would run."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from wardgate.records.errors import StepFailed
from wardgate.records.examination import Check

LONGEST_SECONDS = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFound:
    """What the wire's side found, and the rule to ask a network team for."""

    checks: tuple[Check, ...]
    rule: str


def examine_wire(root: Path, *, now: datetime, environment: Mapping[str, str]) -> WireFound:
    """Examine the wire's side of a hospital.

    Args:
        environment: Of this process; the names of proxies alone are handed on.

    Raises:
        StepFailed: the examination itself broke.
    """
    proxies = {name: value for name, value in environment.items() if name.lower().endswith("proxy")}
    command = [sys.executable, "-m", "wardgate.hospital.wire.doctor", "--premises", str(root)]
    command += ["--now", now.isoformat()]
    try:
        done = subprocess.run(  # noqa: S603 - fixed program, own arguments
            command, input=json.dumps(proxies), capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
        )
        if done.returncode != 0:
            raise StepFailed("examination of the wire", f"exit {done.returncode}")
        found = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        raise StepFailed("examination of the wire", type(error).__name__) from None
    return WireFound(checks=tuple(Check.from_plain(check) for check in found["checks"]), rule=found["rule"])
