"""What the conductor does, with an engine that is only a table of jobs and a clock that the test turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from wardgate.hub.engine.conductor import Conductor
from wardgate.hub.engine.job import NAME
from wardgate.hub.engine.lanes import Lanes, LaneState
from wardgate.hub.engine.session import Job, JobState
from wardgate.records.errors import Absent

FOLDER = Path("carriage")


@dataclass(slots=True)
class Engine:
    """A session that answers from a table.

    Attributes:
        here: Sites whose heart beats.
        working: Sites whose wire greets in whatever carriage takes them.
    """

    here: set[str] = field(default_factory=set)
    working: set[str] = field(default_factory=set)
    table: dict[str, tuple[str, JobState]] = field(default_factory=dict)
    disabled: list[str] = field(default_factory=list)
    submitted: list[float] = field(default_factory=list)
    carried: frozenset[str] = frozenset()
    now: float = 1000.0

    def submit(self, folder: Path) -> str:
        assert folder == FOLDER
        self.submitted.append(self.now)
        number = f"job{len(self.submitted)}"
        self.table[number] = (NAME, "running")
        self.carried = frozenset(self.here)
        return number

    def jobs(self) -> Sequence[Job]:
        return [Job(id=number, name=name, state=state) for number, (name, state) in self.table.items()]

    def abort(self, job: str) -> None:
        if job not in self.table:
            raise Absent("no such job")
        self.table[job] = (self.table[job][0], "over")

    def forget(self, job: str) -> None:
        del self.table[job]

    def connected(self) -> Mapping[str, str]:
        return {site: str(int(self.now)) for site in self.here}

    def disable(self, site: str) -> None:
        self.disabled.append(site)
        self.here.discard(site)

    def enable(self, site: str) -> None:
        self.disabled.remove(site)

    def close(self) -> None:
        pass

    def lanes(self) -> Lanes | None:
        if not self.submitted:
            return None
        greeting = self.carried & self.working
        return Lanes(
            at=int(self.now),
            job=f"job{len(self.submitted)}",
            carried=tuple(sorted(self.carried)),
            lanes=tuple(
                LaneState(site=site, state="connected", last_heard=int(self.now) if site in greeting else 0)
                for site in sorted(self.carried)
            ),
        )


def conducted(engine: Engine, out: set[str] | None = None) -> Conductor:
    return Conductor(
        session=engine,
        job_folder=FOLDER,
        lanes=engine.lanes,
        put_out=lambda: frozenset(out if out is not None else ()),
        clock=lambda: engine.now,
        wall=lambda: engine.now,
    )


def pass_time(engine: Engine, conductor: Conductor, seconds: int) -> None:
    for _ in range(seconds):
        engine.now += 1
        conductor.step()


def running(engine: Engine) -> list[str]:
    return [number for number, (name, state) in engine.table.items() if name == NAME and state == "running"]


def test_nothing_is_submitted_while_nobody_is_there() -> None:
    engine = Engine()
    pass_time(engine, conducted(engine), 60)
    assert engine.submitted == []


def test_one_carriage_is_kept_while_all_is_well() -> None:
    engine = Engine(here={"uk", "it"}, working={"uk", "it"})
    pass_time(engine, conducted(engine), 300)
    assert len(engine.submitted) == 1
    assert running(engine) == ["job1"]


def test_a_first_flock_is_waited_for() -> None:
    engine = Engine(here={"uk"}, working={"uk", "it"})
    conductor = conducted(engine)
    pass_time(engine, conductor, 1)
    engine.here.add("it")
    pass_time(engine, conductor, 100)
    assert len(engine.submitted) == 1
    assert engine.carried == {"uk", "it"}


def test_a_late_site_brings_one_new_carriage_soon_and_the_old_one_is_stopped_and_forgotten() -> None:
    engine = Engine(here={"uk"}, working={"uk", "it"})
    conductor = conducted(engine)
    pass_time(engine, conductor, 60)
    engine.here.add("it")
    came = engine.now
    pass_time(engine, conductor, 60)
    assert len(engine.submitted) == 2
    assert engine.submitted[1] - came <= 4
    assert list(engine.table) == ["job2"]


def test_a_site_that_lost_its_process_is_taken_in_again() -> None:
    engine = Engine(here={"uk", "it"}, working={"uk", "it"})
    conductor = conducted(engine)
    pass_time(engine, conductor, 60)
    engine.carried = frozenset({"uk"})
    pass_time(engine, conductor, 60)
    assert len(engine.submitted) == 2
    assert engine.carried == {"uk", "it"}


def test_a_site_that_is_gone_altogether_brings_no_new_carriage() -> None:
    engine = Engine(here={"uk", "it"}, working={"uk", "it"})
    conductor = conducted(engine)
    pass_time(engine, conductor, 60)
    engine.here.discard("it")
    engine.working.discard("it")
    pass_time(engine, conductor, 300)
    assert len(engine.submitted) == 1


def test_a_site_that_is_never_cured_disturbs_the_others_less_and_less() -> None:
    engine = Engine(here={"uk", "it"}, working={"uk"})
    conductor = conducted(engine)
    pass_time(engine, conductor, 3600)
    assert 5 <= len(engine.submitted) <= 20
    gaps = [later - earlier for earlier, later in zip(engine.submitted, engine.submitted[1:], strict=False)]
    assert gaps[-1] >= 300
    assert min(gaps) >= 4


def test_a_carriage_that_ended_is_replaced() -> None:
    engine = Engine(here={"uk"}, working={"uk"})
    conductor = conducted(engine)
    pass_time(engine, conductor, 60)
    engine.abort("job1")
    pass_time(engine, conductor, 5)
    assert running(engine) == ["job2"]


def test_a_carriage_that_never_begins_is_replaced() -> None:
    engine = Engine(here={"uk"}, working={"uk"})
    conductor = conducted(engine)
    conductor.lanes = lambda: None
    pass_time(engine, conductor, 1200)
    gaps = [later - earlier for earlier, later in zip(engine.submitted, engine.submitted[1:], strict=False)]
    assert [round(gap / 30) for gap in gaps[:4]] == [1, 2, 4, 8]
    assert len(running(engine)) == 1


def test_a_machine_on_which_carriages_take_a_minute_to_begin_gets_one_that_stays() -> None:
    engine = Engine(here={"uk", "it"}, working={"uk", "it"})
    conductor = conducted(engine)
    conductor.lanes = lambda: engine.lanes() if engine.submitted and engine.now - engine.submitted[-1] > 70 else None
    pass_time(engine, conductor, 1200)
    assert len(engine.submitted) == 3


def test_carriages_of_an_earlier_life_are_stopped_and_jobs_of_others_are_left_alone() -> None:
    engine = Engine(here={"uk"}, working={"uk"})
    engine.table = {"old": (NAME, "running"), "waiting": (NAME, "waiting"), "other": ("something", "running")}
    pass_time(engine, conducted(engine), 20)
    assert running(engine) == ["job1"]
    assert engine.table["other"] == ("something", "running")


def test_a_revoked_site_is_disabled_once_and_let_in_again_when_it_was_taken_back() -> None:
    engine, out = Engine(here={"uk", "it"}, working={"uk", "it"}), set[str]()
    conductor = conducted(engine, out)
    pass_time(engine, conductor, 20)
    out.add("it")
    pass_time(engine, conductor, 20)
    assert engine.disabled == ["it"]
    out.clear()
    pass_time(engine, conductor, 3)
    assert engine.disabled == []
