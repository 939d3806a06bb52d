"""The wire's checks as a process of its own, so that nothing which sees patients has to be able to speak.

    python -m wardgate.hospital.wire.doctor --premises DIR --now 2026-01-02T03:04:05+00:00

Reads the variables that name proxies as JSON from its standard input, since they may hold a password, and prints one
JSON object: the checks, and the rule for the network team.
"""

import argparse
import json
import sys
from datetime import datetime
from pathlib import Path

from wardgate.hospital.premises import Premises
from wardgate.hospital.wire.doctor.examine import examine


def main() -> None:
    """Examine and print."""
    given = argparse.ArgumentParser(prog="python -m wardgate.hospital.wire.doctor")
    given.add_argument("--premises", type=Path, required=True)
    given.add_argument("--now", type=datetime.fromisoformat, required=True)
    options = given.parse_args()
    found = examine(Premises(options.premises), now=options.now, environment=json.load(sys.stdin))
    json.dump({"checks": [check.plain() for check in found.checks], "rule": found.rule}, sys.stdout)


if __name__ == "__main__":
    main()
