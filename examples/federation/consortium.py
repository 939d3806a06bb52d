"""A hub and its hospitals as processes of their own on this machine, by the commands that people would type.

    python examples/federation/consortium.py OUT                                     # six simulated hospitals
    python examples/federation/consortium.py OUT --data DIR --study STUDY.yaml       # a public data set, divided

It prints every command. OUT gets `hub/`, one folder a hospital, and `result/`, which `wardgate verify` checks. Needs
the extra `[engine]`. Interrupt it and give the same OUT again with `--resume`: it goes on where it stopped.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from wardgate.federation.local import find_hospitals
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside
from wardgate.simulate.hospitals import build

COMMAND = [str(Path(sys.executable).with_name("wardgate"))]


def wardgate(*arguments: object) -> str:
    """Run one command and return what it prints."""
    words = [str(argument) for argument in arguments]
    print("$ wardgate", *words, flush=True)
    done = subprocess.run([*COMMAND, *words], stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603
    if done.returncode:
        sys.exit(done.returncode)
    return done.stdout


def start(log: Path, *arguments: object) -> "subprocess.Popen[bytes]":
    """Start a command that stays."""
    words = [str(argument) for argument in arguments]
    print("$ wardgate", *words, "&", flush=True)
    with log.open("ab") as out:
        return subprocess.Popen([*COMMAND, *words], stdout=out, stderr=out, start_new_session=True)  # noqa: S603


def free_port() -> int:
    """Return a port that nobody uses."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def hospitals(out: Path, data: Path | None, study: Path | None) -> tuple[Path, Study, dict[str, Path]]:
    """Write the hospitals' data where they are not there yet; return the study's file, the study and their folders."""
    folder = out / "data"
    if data is None or study is None:
        study = folder / "study.yaml"
        if not folder.exists():
            build(folder, seed=1)
        parsed = parse(study.read_text(encoding="utf-8"), name=study.name)
    else:
        parsed = parse(study.read_text(encoding="utf-8"), name=study.name)
        if not folder.exists():
            folder.mkdir(parents=True)
            divide(data, parsed, mapping_beside(study), folder)
    return study, parsed, find_hospitals(folder, parsed)


def enrol(out: Path, sites: dict[str, Path]) -> None:
    """Found the consortium and let every hospital join it."""
    hub = out / "hub"
    wardgate("hub", "init", hub, "--name", "example", "--host", "127.0.0.1", "--port", free_port())
    for site, source in sites.items():
        home, response = out / site, out / f"{site}.response"
        wardgate("site", "init", home, "--name", site, "--source", source.resolve())
        said = json.loads(wardgate("hub", "admit", hub, home / "site.request", "--out", response, "--json"))
        wardgate("site", "enrol", home, response, "--hub-code", said["hub_code"])


def agree(out: Path, file: Path, sites: dict[str, Path]) -> str:
    """Propose the study, and sign it at every hospital; here one person plays all officers."""
    proposed = json.loads(wardgate("study", "propose", file, "--hub", out / "hub", "--json"))
    study = str(proposed["study_sha256"])
    for site in sites:
        home, code, until = out / site, "", time.monotonic() + 120
        while not code and time.monotonic() < until:
            waiting = json.loads(wardgate("study", "review", "--site", home, "--json"))["studies"]
            code = next((one["code"] for one in waiting if one["study_sha256"] == study), "")
            time.sleep(0 if code else 1)
        wardgate("study", "sign", study, "--site", home, "--code", code)
    return study


def main() -> None:
    """Run it all, and end every process whatever happens."""
    given = argparse.ArgumentParser(description="A consortium on one machine.")
    given.add_argument("out", type=Path)
    given.add_argument("--data", type=Path)
    given.add_argument("--study", type=Path)
    given.add_argument("--resume", action="store_true")
    options = given.parse_args()
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    file, parsed, sites = hospitals(out, options.data, options.study)
    if not options.resume:
        enrol(out, sites)
    running = [start(out / "hub.log", "hub", "serve", out / "hub")]
    running += [start(out / f"{site}.log", "site", "serve", out / site) for site in sites]
    try:
        study = parsed.fingerprint() if options.resume else agree(out, file, sites)
        print(wardgate("study", "run", study, "--hub", out / "hub", "--out", out / "result", "--replace"))
        print(wardgate("verify", out / "result"))
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            process.wait()


if __name__ == "__main__":
    main()
