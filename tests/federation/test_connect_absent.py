"""Sites that are away in a round: it closes without them, and what they say later is kept and never used."""

from pathlib import Path

import numpy as np
import pytest
from made_road import MadeRoad, make_road, now
from smallest import COLUMNS
from test_connect_killed import drive, told

from wardgate.federation.connect import connect
from wardgate.federation.studies import status
from wardgate.hub.engine.lanes import Lanes, LaneState, write_lanes
from wardgate.hub.pooling.newton import Fit, newton
from wardgate.hub.study.folder import StudyFolder
from wardgate.hub.study.journal import read_journal
from wardgate.records.errors import StepFailed, Vanished
from wardgate.road.box import Box

SEVEN = tuple(f"h{place}" for place in range(7))


def fit(road: MadeRoad) -> tuple[Fit, str]:
    """Connect, fit once, and return what was found with the head of the conversation's log."""
    with connect(hub=road.home.root, study="attacked", now=now, wait=road.wait()) as federation:
        found = federation.drive(newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0))
        return found, federation.exchange.log.checkpoint()


def once(site: str, computation: str):  # type: ignore[no-untyped-def]
    """Keeps one site's mouth shut at the first question of a kind."""
    left = [True]

    def silent(where: str, what: str) -> bool:
        if left and where == site and what == computation:
            left.clear()
            return True
        return False

    return silent


def test_an_exact_sum_is_asked_again_and_the_late_answer_stays_out(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    road.silent = once("h2", "newton")
    first, head = fit(road)
    assert len(road.held) == 1
    assert road.asked["h0"].count("newton") == first.rounds + 1
    site = status(hub=road.home.root, study="attacked").sites[2]
    assert (site.site, site.missed, site.late) == ("h2", 1, 0)
    road.release()
    again, same = fit(road)
    assert head == same and first.beta.tobytes() == again.beta.tobytes()
    assert status(hub=road.home.root, study="attacked").sites[2].late == 1


@pytest.mark.slow
def test_a_fit_without_a_site_in_one_round_is_bit_identical_to_one_with_everybody(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    steady, unsteady = make_road(tmp_path / "a"), make_road(tmp_path / "b")
    for road in (steady, unsteady):
        road.sign_all()
    unsteady.silent = once("h1", "newton")
    assert fit(steady)[0].beta.tobytes() == fit(unsteady)[0].beta.tobytes()


@pytest.mark.slow
def test_with_drop_out_the_sum_opens_without_the_site_which_then_stays_out(tmp_path: Path) -> None:
    road = make_road(tmp_path, sites=SEVEN, more="drop_out: 0.3\n")
    road.sign_all()
    road.silent = once("h5", "newton")
    first, head = fit(road)
    newtons = road.asked["h5"].count("newton")
    assert newtons == 1 and road.asked["h0"].count("newton") == first.rounds
    road.release()
    again, same = fit(road)
    assert head == same and first.beta.tobytes() == again.beta.tobytes()
    assert road.asked["h5"].count("newton") == newtons


def test_a_question_that_was_not_fetched_is_taken_back_when_its_round_closes(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    gone = road.links.pop("h3")
    with pytest.raises(Vanished):
        road.silent = lambda _site, _computation: False
        with connect(hub=road.home.root, study="attacked", now=now, wait=road.wait()) as federation:
            assert federation.sites == ("h0", "h1", "h2")
            road.links["h3"] = gone
            lost = road.links.pop("h2")
            federation.drive(newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0))
    assert lost is not None
    left = [Box(road.home.out(site)).read(name) for site in ("h2", "h3") for name in Box(road.home.out(site)).names()]
    assert not [parcel for parcel in left if b"question" in parcel.envelope]
    names = {one.asked.questions["h2"] for one in read_journal(_folder(road)).rounds if "h2" in one.asked.questions}
    assert names.isdisjoint(Box(road.home.out("h2")).names())


def test_a_site_whose_road_is_down_is_waited_for_once(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    with connect(hub=road.home.root, study="attacked", now=now, wait=road.wait(patience=50.0)) as federation:
        write_lanes(road.home, Lanes(at=0, lanes=(LaneState(site="h2", state="away"),)))
        road.links.pop("h2")
        begun = road.seconds
        with pytest.raises(Vanished):
            federation.drive(newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0))
        assert 50.0 <= road.seconds - begun < 60.0, "asked three times, waited for once"
    found = status(hub=road.home.root, study="attacked")
    assert (found.state, found.sites[2].lane, found.sites[2].missed) == ("stopped", "away", 3)


def _folder(road: MadeRoad) -> StudyFolder:
    return StudyFolder(road.home.study(road.proposed.study_sha256))


def _question(road: MadeRoad, site: str) -> str:
    """The envelope digest of what a site was asked last."""
    return [question for where, question in road.given if where == site][-1]


@pytest.mark.parametrize(("state", "least"), [("waiting_for_approval", 5.0), ("paused", 5.0), ("never", 0.0)])
def test_who_only_waits_is_waited_for_and_who_was_ruled_out_is_not(tmp_path: Path, state: str, least: float) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    seen: list[str] = []

    def silent(site: str, computation: str) -> bool:
        if site != "h3" or computation != "review":
            return False
        road.stand(site, state, _question(road, site), "an officer has to look")
        return True

    def look() -> None:
        seen.extend(one.standing for one in status(hub=road.home.root, study="attacked").sites if one.standing)

    road.silent, road.on_move = silent, look
    with connect(hub=road.home.root, study="attacked", now=now, wait=road.wait()) as federation:
        assert federation.sites == ("h0", "h1", "h2")
    asked = read_journal(_folder(road)).rounds[0]
    assert asked.closed is not None and set(asked.closed.absent) == {"h3"}
    words = asked.closed.absent["h3"]
    assert ("an officer has to look" in words) == (state == "never")
    assert road.seconds >= least
    assert state == "never" or state in seen


def test_a_step_that_failed_beside_patients_ends_the_run_and_is_asked_again(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    failing = once("h1", "newton")

    def silent(site: str, computation: str) -> bool:
        if not failing(site, computation):
            return False
        road.stand(site, "failed", _question(road, site), "0123456789ab")
        road.held.clear()
        return True

    road.silent = silent
    with pytest.raises(StepFailed, match="0123456789ab"):
        drive(road)
    assert status(hub=road.home.root, study="attacked").state == "failed"
    finished = drive(road)
    assert finished.run.federated is not None and not finished.run.federated_reason
    assert told(finished) == told(drive(road))
