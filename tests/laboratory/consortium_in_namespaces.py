"""A hub and its hospitals on machines of their own, founded, enrolled and served by the commands that people type."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from namespaces import PLAIN, Laboratory, Line, Machine, Program, laboratory

from wardgate.entropy import source
from wardgate.federation import consortium as joining
from wardgate.federation import site as site_of
from wardgate.hospital.premises import Premises
from wardgate.hub.home import Home

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
    typed: bool
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
            while not (code := self._code_at(site, study_sha256)):
                if time.monotonic() > until:
                    raise RuntimeError(f"the proposal did not come to {site}: {self.words()}")
                self.check_serving()
                time.sleep(0.5)
            codes.add(code)
            if self.typed:
                self.command(self.lab[site], "study", "sign", study_sha256, "--site", premises, "--code", code)
            else:
                site_of.sign(Premises(premises), study_sha256, code=code, now=_now().isoformat(timespec="seconds"))
        if len(codes) != 1:
            raise RuntimeError(f"hospitals see different codes: {codes}")

    def _code_at(self, site: str, study_sha256: str) -> str:
        """The code of a proposal as a hospital sees it, empty where it did not come yet."""
        premises = self.premises[site]
        if not self.typed:
            seen = site_of.studies(Premises(premises))
            return next((one.code for one in seen if one.study_sha256 == study_sha256), "")
        waiting = self.command(self.lab[site], "study", "review", "--site", premises, "--json")["studies"]
        return next((one["code"] for one in waiting if one["study_sha256"] == study_sha256), "")

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
    typed: bool = True,
) -> Iterator[Consortium]:
    """Build machines, found a consortium and enrol every hospital; nobody serves yet. All ends with the block.

    Args:
        folder: Existing and empty.
        hospitals: Folder of each site's data.
        line: Of every hospital that `lines` does not name; the hub's own line is plain.
        policy: The floor of every hospital.
        environment: Changes to this process's own, for every command.
        typed: Enrol and sign by commands, which start a process each; else by the functions behind them.
    """
    cables = {HUB: PLAIN, **{site: (lines or {}).get(site, line) for site in hospitals}}
    (folder / "lab").mkdir()
    with laboratory(folder / "lab", cables, seed=seed) as lab:
        given = Consortium(
            lab=lab,
            home=folder / "hub",
            premises={site: folder / f"site-{site}" for site in hospitals},
            environment={**os.environ, **ONE_THREAD, **(environment or {})},
            typed=typed,
        )
        if not typed:
            _enrol(given, hospitals, policy)
            yield given
            return
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


def _enrol(given: Consortium, hospitals: Mapping[str, Path], policy: Path | None) -> None:
    """What the commands do, in this process."""
    home, entropy = Home(given.home), source(unsafe_seed=None)
    code = joining.hub_init(home, consortium="laboratory", host=HUB, port=PORT, now=_now(), entropy=entropy)
    for site, folder in hospitals.items():
        premises = Premises(given.premises[site])
        asking = joining.site_init(premises, site=site, source=folder.resolve(), policy=policy, entropy=entropy)
        response = joining.hub_admit(home, asking.request.read_bytes(), now=_now()).response
        joining.site_enrol(premises, response, hub_code=code, now=_now())


def _now() -> datetime:
    return datetime.now(UTC)
