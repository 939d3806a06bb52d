"""A hub and its hospitals on machines of their own, founded, enrolled and served by the commands that people type."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from namespaces import PLAIN, Laboratory, Line, Machine, Program, laboratory

COMMAND = str(Path(sys.executable).with_name("wardgate"))
HUB = "hub"
PORT = 8443
"""In a network of its own, so it is always free."""

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
START_SECONDS = 180


@dataclass(slots=True, kw_only=True)
class Consortium:
    """A consortium in a laboratory. `study` and its code are there once it was proposed.

    Attributes:
        home: The hub's folder.
        premises: Each hospital's folder.
    """

    lab: Laboratory
    home: Path
    premises: Mapping[str, Path]
    environment: Mapping[str, str]
    serving: dict[str, Program] = field(default_factory=dict)

    @property
    def hub(self) -> Machine:
        """The hub's machine."""
        return self.lab[HUB]

    def command(self, machine: Machine, *words: object, timeout_seconds: float = 300) -> Any:
        """Run one command on a machine and return what it printed, as JSON where it is."""
        said = machine.run(COMMAND, *map(str, words), environment=self.environment, timeout_seconds=timeout_seconds)
        try:
            return json.loads(said)
        except ValueError:
            return said

    def serve(self, name: str, *, core: bool = False) -> Program:
        """Serve the hub or a hospital on its machine, which is switched on."""
        self.lab[name].power_on()
        words = ("hub", "serve", self.home) if name == HUB else ("site", "serve", self.premises[name])
        self.serving[name] = self.lab[name].start(COMMAND, *words, environment=self.environment, core=core)
        return self.serving[name]

    def propose(self, study: Path, *, seed: int = 1) -> str:
        """Propose a study and return its digest."""
        said = self.command(self.hub, "study", "propose", study, "--hub", self.home, "--seed", seed, "--json")
        return str(said["study_sha256"])

    def sign(self, study_sha256: str) -> None:
        """Sign the study at every hospital, each as soon as it is there, with the code that all of them see."""
        codes = set()
        for site, premises in self.premises.items():
            until = time.monotonic() + START_SECONDS
            while True:
                waiting = self.command(self.lab[site], "study", "review", "--site", premises, "--json")["studies"]
                found = [one["code"] for one in waiting if one["study_sha256"] == study_sha256]
                if found or time.monotonic() > until:
                    break
                self.check_serving()
                time.sleep(0.5)
            if not found:
                raise RuntimeError(f"the proposal did not come to {site}: {self.words()}")
            codes.add(found[0])
            self.command(self.lab[site], "study", "sign", study_sha256, "--site", premises, "--code", found[0])
        if len(codes) != 1:
            raise RuntimeError(f"hospitals see different codes: {codes}")

    def run(self, study_sha256: str, out: Path, *words: object, verb: str = "run") -> Program:
        """Start the study at the hub."""
        return self.hub.start(
            COMMAND, "study", verb, study_sha256, "--hub", self.home, "--out", out, *words, environment=self.environment
        )

    def status(self, study_sha256: str) -> Any:
        """Return what the hub says of a study."""
        return self.command(self.hub, "study", "status", study_sha256, "--hub", self.home, "--json")[0]

    def check_serving(self) -> None:
        """Check that whoever serves still does.

        Raises:
            RuntimeError: somebody ended; its words are quoted.
        """
        for name, program in self.serving.items():
            if program.popen.poll() is not None:
                raise RuntimeError(f"{name} ended with {program.popen.poll()}: {program.said()[-3000:]}")

    def words(self) -> str:
        """Return the last words of everybody who serves, for people who look for a fault."""
        return "\n".join(f"--- {name}\n{program.said()[-1500:]}" for name, program in self.serving.items())


@contextmanager
def consortium(
    folder: Path,
    hospitals: Mapping[str, Path],
    *,
    seed: int,
    line: Line = PLAIN,
    lines: Mapping[str, Line] | None = None,
    policy: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Consortium]:
    """Build machines, found a consortium and enrol every hospital; nobody serves yet. All ends with the block.

    Args:
        folder: Existing and empty.
        hospitals: Folder of each site's data.
        line: Of every hospital that `lines` does not name; the hub's own line is plain.
        policy: The floor of every hospital.
        environment: Changes to this process's own, for every command.
    """
    cables = {HUB: PLAIN, **{site: (lines or {}).get(site, line) for site in hospitals}}
    (folder / "lab").mkdir()
    with laboratory(folder / "lab", cables, seed=seed) as lab:
        given = Consortium(
            lab=lab,
            home=folder / "hub",
            premises={site: folder / f"site-{site}" for site in hospitals},
            environment={**os.environ, **ONE_THREAD, **(environment or {})},
        )
        given.command(given.hub, "hub", "init", given.home, "--name", "laboratory", "--host", HUB, "--port", PORT)
        for site, source in hospitals.items():
            machine, premises, response = lab[site], given.premises[site], folder / f"{site}.response"
            floor = ("--policy", policy) if policy else ()
            given.command(machine, "site", "init", premises, "--name", site, "--source", source.resolve(), *floor)
            admitted = given.command(
                given.hub, "hub", "admit", given.home, premises / "site.request", "--out", response, "--json"
            )
            given.command(machine, "site", "enrol", premises, response, "--hub-code", admitted["hub_code"])
        yield given
