"""Wards as processes without a network: they have none, they say no more and no less, and they cannot be overheard."""

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import commands
import faults
import leaks
import made_up

from wardgate.federation.local import Finished, Settings, find_hospitals, run_study
from wardgate.hospital.app.isolated import check_isolation, launch
from wardgate.hub.telling import results_of
from wardgate.records.errors import StepFailed, Unsupported
from wardgate.records.results import Results
from wardgate.records.study_file import parse

SETTINGS = Settings(seed=5, issued_on="2026-01-02", unsafe_entropy_seed="isolated-or-not")

CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), timeout=5).close()"


@pytest.fixture(scope="module")
def _allowed() -> None:
    try:
        check_isolation()
    except Unsupported as reason:
        pytest.skip(str(reason))


def _wards() -> list[int]:
    """Processes of wards that this process started."""
    children = [
        int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()
    ]
    return [pid for pid in children if b"wardgate.hospital.ward" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@dataclasses.dataclass(slots=True, kw_only=True)
class Watched:
    """An isolated run, and what was seen of its wards from outside while they worked."""

    finished: Finished
    hospitals: Path
    work: Path
    namespaces: list[str] = dataclasses.field(default_factory=list)
    interfaces: set[str] = dataclasses.field(default_factory=set)
    connected: list[subprocess.CompletedProcess[str]] = dataclasses.field(default_factory=list)
    left_over: list[int] = dataclasses.field(default_factory=list)


def _run(hospitals: Path, work: Path, settings: Settings, on_event=lambda _what, _sites: None) -> Finished:
    work.mkdir()
    study = parse(made_up.study_text(), name="study.yaml")
    found = find_hospitals(hospitals, study)
    return run_study(study=study, hospitals=found, settings=settings, work=work, on_event=on_event)


@pytest.fixture(scope="module")
def watched(_allowed, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """One isolated run over four hospitals whose wards also print, warn and log what they should not."""
    folder = tmp_path_factory.mktemp("isolated")
    hospitals = made_up.hospitals(folder / "hospitals")
    seen = Watched(finished=None, hospitals=hospitals, work=folder / "private")  # type: ignore[arg-type]

    def look(what: str, _sites: int) -> None:
        if not what.startswith("own corpora"):
            return
        for pid in _wards():
            seen.namespaces.append(str(Path(f"/proc/{pid}/ns/net").readlink()))
            lines = Path(f"/proc/{pid}/net/dev").read_text().splitlines()[2:]
            seen.interfaces |= {line.partition(":")[0].strip() for line in lines}
        if shutil.which("nsenter"):
            with socket.create_server(("127.0.0.1", 0)) as server:
                port = str(server.getsockname()[1])
                enter = ["nsenter", "-t", str(_wards()[0]), "-U", "-n", "--preserve-credentials"]
                for before in ([], enter):
                    connect = [*before, sys.executable, "-S", "-c", CONNECT, port]
                    seen.connected.append(subprocess.run(connect, capture_output=True, text=True, check=False))

    with pytest.MonkeyPatch.context() as patch:
        for name, value in commands.noisy(folder / "noisy", faults.SECRET).items():
            patch.setenv(name, value)
        settings = dataclasses.replace(SETTINGS, isolate=True)
        seen.finished = _run(hospitals, seen.work, settings, look)
    seen.left_over = _wards()
    return seen


def test_a_ward_process_has_a_network_of_its_own_with_no_interface_but_a_loopback(watched: Watched) -> None:
    assert len(watched.namespaces) == len(made_up.SITES)
    assert len({*watched.namespaces, str(Path("/proc/self/ns/net").readlink())}) == len(made_up.SITES) + 1
    assert watched.interfaces == {"lo"}


def test_nothing_can_be_reached_from_where_a_ward_is(watched: Watched) -> None:
    if not watched.connected:
        pytest.skip("this system has no nsenter, so nobody can look from inside")
    outside, inside = watched.connected
    assert outside.returncode == 0, outside.stderr
    assert inside.returncode != 0
    assert "Network is unreachable" in inside.stderr


def test_no_ward_process_outlives_its_run(watched: Watched) -> None:
    assert watched.left_over == []


def test_what_an_isolated_ward_prints_stays_in_its_hospital(watched: Watched) -> None:
    for exchange in (watched.finished.exchange,):
        pieces = [leaks.Piece(str(n), kept.parcel.to_bytes(), random=True) for n, kept in enumerate(exchange.store)]
        assert leaks.leaks(pieces, texts=faults.VICTIM.texts, numbers=faults.VICTIM.numbers) == []
    for site in made_up.SITES:
        assert watched.work.joinpath(site, "stderr.log").read_text().count(faults.SECRET) > 5


def test_an_isolated_run_gives_the_results_of_one_in_process(watched: Watched, tmp_path: Path) -> None:
    """With a test's repeatable keys and noise on both sides, down to the bytes of every signed record."""
    local = _run(watched.hospitals, tmp_path / "private", SETTINGS)
    here, there = _results(local, isolated=False), _results(watched.finished, isolated=True)
    assert there.isolated
    assert not here.isolated
    assert there.model_copy(update={"isolated": False}) == here
    records = [[kept.parcel.to_bytes() for kept in run.exchange.store] for run in (local, watched.finished)]
    assert records[0] == records[1]


def _results(finished: Finished, *, isolated: bool) -> Results:
    return results_of(finished.run, finished.exchange, simulated=True, isolated=isolated)


def test_two_runs_with_one_seed_agree_in_everything_exact_and_in_no_noise(tmp_path: Path) -> None:
    """Noise and keys are the system's, so corpora differ; fits without noise are equal."""
    hospitals = made_up.hospitals(tmp_path / "hospitals")
    settings = dataclasses.replace(SETTINGS, unsafe_entropy_seed=None)
    runs = [_run(hospitals, tmp_path / name, settings).run for name in ("first", "second")]
    first, second = runs
    assert first.federated is not None
    assert second.federated is not None
    assert abs(first.federated.beta - second.federated.beta).max() < 1e-9
    for name in first.corpora.keys() & second.corpora.keys():
        assert first.corpora[name] != second.corpora[name]
    said = [{site: answer.statement for site, answer in run.reviews.items()} for run in runs]
    for site in made_up.SITES:
        for word in ("flow", "quality", "persons_band", "commitments"):
            assert said[0][site][word] == said[1][site][word]
        assert said[0][site]["exchange_key"] != said[1][site]["exchange_key"]


@pytest.mark.slow
def test_wards_that_started_are_ended_when_a_later_one_does_not_start(_allowed, tmp_path: Path) -> None:
    hospitals = made_up.hospitals(tmp_path / "hospitals")
    study = parse(made_up.study_text(sites=["northgate", "eastgate", "southgate"]), name="study.yaml")
    found = find_hospitals(hospitals, study)
    (found["southgate"] / "hospital.yaml").write_text("id: [broken\n")
    with pytest.raises(StepFailed, match=r"start of the ward of southgate.*stderr\.log"):
        run_study(
            study=study,
            hospitals=found,
            settings=dataclasses.replace(SETTINGS, isolate=True),
            work=_made(tmp_path / "private"),
        )
    assert _wards() == []


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_a_ward_process_that_dies_is_told_by_where_its_words_are(_allowed, tmp_path: Path) -> None:
    hospitals = made_up.hospitals(tmp_path / "hospitals", only=["northgate"])
    ward = launch(
        site="northgate",
        folder=hospitals / "northgate",
        home=_made(tmp_path / "home"),
        study_sha256="0" * 64,
        hub_key=bytes(32),
        seed=1,
        salt=bytes(32),
        issued_on="2026-01-02",
    )
    ward.process.kill()
    with pytest.raises(StepFailed, match=r"exit -9, see home/stderr\.log"):
        ward.wait()


def _without_namespaces(folder: Path) -> str:
    tools = _made(folder)
    (tools / "unshare").write_text("#!/bin/sh\necho 'unshare: Operation not permitted' >&2\nexit 1\n")
    (tools / "unshare").chmod(0o755)
    return f"{tools}:{os.environ['PATH']}"


@pytest.mark.parametrize(("kind", "words"), [("forbidden", "forbids them"), ("absent", "it is not here")])
def test_a_system_without_namespaces_says_so(kind: str, words: str, tmp_path: Path) -> None:
    given, out = made_up.data_set(tmp_path / "set"), tmp_path / "out"
    path = _without_namespaces(tmp_path / "tools") if kind == "forbidden" else str(_made(tmp_path / "empty"))
    done = commands.wardgate(*given.arguments(out, "--isolate"), environment={"PATH": path})
    assert done.returncode == 5
    assert done.stdout == ""
    assert done.stderr.startswith("wardgate: --isolate needs ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not out.exists()
