"""Launches one ward as a process without a network, for a run on one machine.

The process reads names of questions on its standard input and writes names of answers on its standard output;
everything else goes through the spool's folder. Its standard error stays in the hospital's private folder.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from wardgate.records.errors import Broken, StepFailed, Unsupported

NAMESPACE = ("unshare", "--map-root-user", "--net")
"""A new network namespace with no interface but a loopback that is down."""


@dataclass(slots=True, kw_only=True)
class WardProcess:
    """A running ward.

    Attributes:
        public_key: The ward's long-term public key, which it made itself.
        spool: The shared folder.
        home: The ward's private folder.
    """

    public_key: bytes
    spool: Path
    home: Path
    process: "subprocess.Popen[str]"

    def introduce(self, phone_book: Mapping[str, bytes]) -> None:
        """Write the long-term keys of all sites where the ward reads them."""
        text = json.dumps({site: key.hex() for site, key in sorted(phone_book.items())})
        (self.home / "phone_book.json").write_text(text, encoding="utf-8")

    def ring(self, name: str) -> None:
        """Tell the ward which question waits in the spool."""
        if self.process.stdin is None:
            raise RuntimeError("the ward has no doorbell")
        try:
            self.process.stdin.write(name + "\n")
            self.process.stdin.flush()
        except BrokenPipeError as error:
            raise StepFailed("ward process", f"exit {self.process.poll()}") from error

    def wait(self) -> str:
        """Return the name of the answer in the spool.

        Raises:
            Broken: the ward found the question forged, replayed or of another study.
            StepFailed: a step failed beside patients and could not even be refused, or the ward's process ended.
        """
        if self.process.stdout is None:
            raise RuntimeError("the ward has no voice")
        word, _, rest = self.process.stdout.readline().strip().partition(" ")
        if word == "answer":
            return rest
        if word == "broken":
            raise Broken(rest)
        if word == "failed":
            reference, _, step = rest.partition(" ")
            raise StepFailed(step, reference)
        self.stop()
        raise StepFailed("ward process", f"exit {self.process.returncode}, see {self.home.name}/stderr.log")

    def stop(self) -> None:
        """End the process and wait for it."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def check_isolation() -> None:
    """Check that this system lets a process run without a network.

    Raises:
        Unsupported: it does not; the message says what to do.
    """
    if shutil.which(NAMESPACE[0]) is None:
        raise Unsupported("--isolate needs the program 'unshare' (Debian package util-linux), and it is not here")
    tried = subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False)  # noqa: S603 - fixed arguments
    if tried.returncode != 0:
        raise Unsupported(
            "--isolate needs user and network namespaces, and this system forbids them"
            " (kernel.unprivileged_userns_clone, or a container's profile); run without --isolate"
        )


def launch(
    *,
    site: str,
    folder: Path,
    home: Path,
    study_sha256: str,
    hub_key: bytes,
    seed: int,
    salt: bytes,
    issued_on: str,
    memory: Path | None = None,
    unsafe_entropy_seed: str | None = None,
) -> WardProcess:
    """Start a ward without a network.

    Args:
        folder: The hospital's data.
        home: An empty private folder; the spool is made inside.
        salt: Secret of the splits; written to the private folder, not to the command line.
        memory: Private folder that the hospital keeps over studies.
        unsafe_entropy_seed: Tests only: repeatable noise, which no verification accepts.

    Raises:
        StepFailed: the ward did not start.
    """
    spool = home / "spool"
    spool.mkdir(mode=0o700)
    (home / "salt").touch(mode=0o600)
    (home / "salt").write_bytes(salt)
    command = [*NAMESPACE, sys.executable, "-m", "wardgate.hospital.ward"]
    command += ["--folder", str(folder), "--home", str(home), "--study-sha256", study_sha256]
    command += ["--hub-key", hub_key.hex(), "--seed", str(seed), "--issued-on", issued_on]
    if memory is not None:
        command += ["--memory", str(memory)]
    if unsafe_entropy_seed is not None:
        command += ["--unsafe-entropy-seed", unsafe_entropy_seed]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    with (home / "stderr.log").open("wb") as errors:
        process = subprocess.Popen(  # noqa: S603 - fixed program, own arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment
        )
    word, _, key = (process.stdout.readline() if process.stdout else "").strip().partition(" ")
    if word != "key":
        process.kill()
        process.wait()
        raise StepFailed(f"start of the ward of {site}", f"exit {process.returncode}, see {home.name}/stderr.log")
    return WardProcess(public_key=bytes.fromhex(key), spool=spool, home=home, process=process)
