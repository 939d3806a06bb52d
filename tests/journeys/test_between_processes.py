"""A consortium of real processes over mutual TLS: the same study as in one process, and everybody may be killed."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "consortium"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "engine"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))

from made_consortium import Founded, founded
from running import Running, free_port
from smallest import STUDY, write_hospital

from wardgate.federation import site as hospital
from wardgate.federation import studies
from wardgate.federation.local import Settings, find_hospitals, run_study
from wardgate.hospital.premises import Premises
from wardgate.hub.intake.audit import audit
from wardgate.records.errors import Invalid
from wardgate.records.study_file import parse

SITES = ("h0", "h1", "h2", "h3")
COMMAND = str(Path(sys.executable).with_name("wardgate"))
NOW = "2026-11-22T12:00:00+00:00"


def text_of(study: str) -> str:
    """The smallest study, under a name."""
    return STUDY.replace("id: attacked", f"id: {study}").replace("SITES", ", ".join(SITES))


@dataclass(slots=True, kw_only=True)
class Town:
    """A hub and four hospitals in operation."""

    made: Founded
    run: Running
    data: Path
    folder: Path
    out: dict[str, Path] = field(default_factory=dict)

    def serve_site(self, site: str) -> None:
        """Start a hospital's ward and wire by its command."""
        self.run._start(site, [COMMAND, "site", "serve", str(self.made.sites[site].root)])

    def agree(self, study: str) -> None:
        """Propose a study and sign it everywhere."""
        studies.propose(hub=self.made.home.root, text=text_of(study), name="study.yaml", seed=5)
        for site, premises in self.made.sites.items():
            self.run.until(
                lambda premises=premises: any(one.id == study for one in hospital.studies(premises)),  # type: ignore[misc]
                seconds=120,
                what=f"the proposal at {site}",
            )
            code = hospital.review(premises, study, on="2026-11-22").code
            hospital.sign(premises, study, code=code, now=NOW)

    def start_study(self, study: str, *, verb: str = "run") -> None:
        """Start the study's driver by its command."""
        self.out[study] = self.folder / f"result-{study}"
        words = [
            "study",
            verb,
            study,
            "--hub",
            str(self.made.home.root),
            "--out",
            str(self.out[study]),
            "--patience",
            "5",
        ]
        self.run._start("driver", [COMMAND, *words])

    def round_of(self, study: str) -> int:
        """Which round the study is in."""
        return studies.status(hub=self.made.home.root, study=study).round

    def finish(self, study: str) -> Path:
        """Wait for the driver and return what it wrote."""
        driver = self.run.processes["driver"]
        self.run.until(lambda: driver.poll() is not None, seconds=400, what=f"the end of {study}")
        self.run.processes.pop("driver")
        assert driver.returncode == 0, (self.run.log / "driver.log").read_text()[-3000:] + self.run.said()
        return self.out[study]


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """Founded, enrolled, serving and connected."""
    folder = tmp_path_factory.mktemp("town")
    data = folder / "data"
    for place, site in enumerate(SITES):
        write_hospital(data / site, 230, [7, place], inverted=False, note="")
    made = founded(folder, sites=SITES, port=free_port(), sources={site: data / site for site in SITES})
    log = folder / "log"
    log.mkdir()
    run = Running(home=made.home, sites=made.sites, log=log)
    town = Town(made=made, run=run, data=data, folder=folder)
    try:
        run.start_hub()
        for site in SITES:
            town.serve_site(site)
        run.until_connected(seconds=180)
        yield town
    finally:
        for name in list(run.processes):
            run.processes[name].terminate()
        for name in list(run.processes):
            run.stop(name)


def in_one_process(town: Town, study: str, tmp_path: Path) -> list[float]:
    """Coefficients of the same study over the same persons, splits and seed, in this process."""
    parsed = parse(text_of(study), name="study.yaml")
    salts = {site: premises.salt.read_bytes() for site, premises in town.made.sites.items()}
    work = tmp_path / "work"
    work.mkdir()
    finished = run_study(
        study=parsed,
        hospitals=find_hospitals(town.data, parsed),
        settings=Settings(seed=5, issued_on="2026-11-22", salts=salts),
        work=work,
    )
    assert finished.run.federated is not None
    coefficients: list[float] = finished.run.federated.beta.tolist()
    return coefficients


def coefficients(out: Path) -> list[float]:
    """The joint model of a finished run, as its results have it."""
    return [one["coefficient"] for one in json.loads((out / "results.json").read_text())["model"]]


def has_result(premises: Premises, report: bytes) -> bool:
    try:
        return hospital.result(premises, "calm")["report.html"] == report
    except Invalid:
        return False


def wait_for_round(town: Town, study: str, number: int) -> None:
    town.run.until(lambda: town.round_of(study) >= number, seconds=240, what=f"round {number} of {study}")


@pytest.mark.slow
def test_a_study_between_processes_gives_the_bits_of_one_process(town: Town, tmp_path: Path) -> None:
    town.agree("calm")
    town.start_study("calm")
    out = town.finish("calm")
    near = in_one_process(town, "calm", tmp_path)
    assert coefficients(out) == near
    assert audit(out).findings == ()
    for premises in town.made.sites.values():
        asked = hospital.questions(premises, study="calm")
        assert len(asked) > 10
        assert all(one.outcomes for one in asked)
    report = (out / "report.html").read_bytes()
    for premises in town.made.sites.values():
        town.run.until(lambda p=premises: has_result(p, report), seconds=60, what="the report at every hospital")  # type: ignore[misc]
    status = studies.status(hub=town.made.home.root, study="calm")
    assert status.state == "finished"
    assert all(site.bytes_in > 0 and site.missed == 0 for site in status.sites)


KILLS: tuple[tuple[int, Callable[[Town], None]], ...] = (
    (1, lambda town: town.run.kill("h1")),
    (3, lambda town: town.run.kill("hub")),  # and the driver, which works on the hub's folder
    (5, lambda town: town.run.kill("driver")),
    (8, lambda town: [town.run.kill(name) for name in ("driver", "hub", "h2", "h3")] and None),
)
"""From which round on who is killed without a word, all of them while the study runs."""


@pytest.mark.slow
def test_hospitals_the_hub_and_the_driver_are_killed_and_the_study_ends_the_same(town: Town, tmp_path: Path) -> None:
    town.agree("stormy")
    town.start_study("stormy")
    for number, kill in KILLS:
        wait_for_round(town, "stormy", number)
        kill(town)
        time.sleep(0.5)
        if "hub" not in town.run.processes:
            town.run.start_hub()
        for site in SITES:
            if site not in town.run.processes:
                town.serve_site(site)
        driver = town.run.processes.get("driver")
        if driver is None or driver.poll() is not None:
            town.start_study("stormy", verb="resume")
    out = town.finish("stormy")
    near = in_one_process(town, "stormy", tmp_path)
    assert coefficients(out) == near
    assert audit(out).findings == ()


@pytest.mark.slow
def test_a_hospital_leaves_in_the_middle_and_the_others_learn_why(town: Town) -> None:
    town.agree("shrinking")
    hospital.pause(town.made.sites["h3"], "shrinking", reason="stock-taking", now=NOW)
    town.start_study("shrinking")
    town.run.until(
        lambda: any(
            site.site == "h3" and site.standing == "paused"
            for site in studies.status(hub=town.made.home.root, study="shrinking").sites
        ),
        seconds=120,
        what="the hub hears that h3 pauses",
    )
    left = hospital.leave(town.made.sites["h3"], "shrinking", reason="the ethics board withdrew", now=NOW)
    assert left.stays == ()
    out = town.finish("shrinking")
    assert audit(out).findings == ()
    status = studies.status(hub=town.made.home.root, study="shrinking")
    gone = next(site for site in status.sites if site.site == "h3")
    assert gone.decision == "left"
    assert "ethics" in gone.reason
