"""What sites decide, and what the hub's people stop: who is asked, who is left out, and what is never run."""

from pathlib import Path

import numpy as np
import pytest
from made_road import SITES, MadeRoad, make_road, now
from smallest import COLUMNS
from test_connect_killed import drive, only_fit, told

from wardgate.federation.connect import connect
from wardgate.federation.studies import abort, status
from wardgate.hub.pooling.newton import newton
from wardgate.hub.study.folder import StudyFolder
from wardgate.hub.study.journal import read_journal
from wardgate.hub.study.state import driving
from wardgate.records.errors import Aborted, Broken, CheckFailed, Invalid, Vanished
from wardgate.records.mail import NOTICE


def _folder(road: MadeRoad) -> StudyFolder:
    return StudyFolder(road.home.study(road.proposed.study_sha256))


def _connect(road: MadeRoad, **how: object):  # type: ignore[no-untyped-def]
    return connect(hub=road.home.root, study="attacked", now=now, wait=road.wait(**how))  # type: ignore[arg-type]


def test_a_study_that_nobody_signed_is_not_run(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    with pytest.raises(CheckFailed, match=r"0 of 4 hospitals signed.*h0: did not sign"), _connect(road):
        pass
    assert road.asked == {}
    assert status(hub=road.home.root, study="attacked").state == "failed"


def test_a_refusal_ends_the_wait_at_once_and_says_why(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    for site in SITES[:3]:
        road.decide(site)
    road.decide("h3", "refused")
    with pytest.raises(CheckFailed, match=r"lower the sites needed to 3.*h3: refused the study: the board said so"):
        drive(road)
    assert road.seconds == 0 and road.asked == {}


def test_a_run_goes_on_with_the_sites_that_signed(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    for site in SITES[:3]:
        road.decide(site)
    road.decide("h3", "refused")
    with _connect(road, needed=3) as federation:
        assert federation.sites == SITES[:3]
    assert "h3" not in road.asked
    road.decide("h3", number=2)
    with _connect(road, needed=3) as federation:
        assert federation.sites == SITES[:3], "a run keeps the sites that it began with"


def test_fewer_than_three_sites_are_never_enough(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    with pytest.raises(Invalid, match="expected 3 to 4"), _connect(road, needed=2):
        pass


def test_a_signature_that_comes_while_the_hub_waits_is_enough(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    for site in SITES[:3]:
        road.decide(site)

    def sign_late() -> None:
        if status(hub=road.home.root, study="attacked").state == "waiting":
            road.decide("h3")

    road.on_move = sign_late
    with _connect(road) as federation:
        assert federation.sites == SITES


def test_a_site_that_leaves_is_not_waited_for(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    with _connect(road, patience=1e6) as federation:
        road.decide("h2", "left", number=2)
        with pytest.raises(Vanished, match="1 of 4 sites did not answer"):
            federation.drive(newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0))
        asked = road.asked["h0"].count("newton")
        with pytest.raises(Vanished, match=r"'h2' answers nothing more of this study.*nobody was asked"):
            federation.drive(newton(sites=federation.sites, start=np.ones(COLUMNS), ridge=1.0))
    assert asked == road.asked["h0"].count("newton") == 1, "the others spend nothing for a sum that cannot open"
    closed = [one.closed for one in read_journal(_folder(road)).rounds if one.closed is not None]
    assert {reason for one in closed for reason in one.absent.values()} == {"left the study: the board said so"}
    assert road.asked["h2"].count("newton") == 0


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"code": "0000-0000-0000-0000-0000"}, "somebody told them other keys"),
        ({"proposal_sha256": "0" * 64}, "another proposal"),
        ({"site": "h0"}, "came from 'h3'"),
        ({"study_sha256": "0" * 64}, "was not proposed here"),
        ({"number": 0}, "expected 1, 2, 3"),
    ],
)
def test_a_decision_on_something_else_counts_for_nothing(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    road = make_road(tmp_path)
    road.decide("h3", **changes)
    found = status(hub=road.home.root, study="attacked")
    assert found.signed == 0 and [one.aside for one in found.sites] == [0, 0, 0, 1]
    (reason,) = (road.home.inbox("h3").parent / "aside").glob("*.txt")
    assert why in reason.read_text()


def test_an_aborted_study_stops_at_once_and_goes_on_when_it_is_run_again(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    road.sign_all()

    def stop() -> None:
        if road.asked.get("h0", [])[-1:] == ["newton"]:
            road.on_move = lambda: None
            abort(hub=road.home.root, study="attacked", reason="a wrong label", now=now)

    road.on_move = stop
    with pytest.raises(Aborted, match="a wrong label"):
        drive(road)
    found = status(hub=road.home.root, study="attacked")
    assert (found.state, found.words) == ("aborted", "a wrong label")
    finished = drive(road)
    assert finished.run.federated is not None
    assert status(hub=road.home.root, study="attacked").state == "finished"
    assert told(finished) == told(drive(road))
    with pytest.raises(Invalid, match="has finished"):
        abort(hub=road.home.root, study="attacked", reason="too late", now=now)
    road.move()
    assert road.got["h0"].count(NOTICE) >= 4


def test_an_abort_needs_a_reason(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    with pytest.raises(Invalid, match="say why"):
        abort(hub=road.home.root, study="attacked", reason="  ", now=now)


def test_two_drivers_of_one_study_are_one_too_many(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    with driving(_folder(road)), pytest.raises(Invalid, match="another process runs this study"):
        drive(road)
    assert road.asked == {}


def test_who_asks_something_else_than_before_is_stopped_before_any_question(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    road.sign_all()
    with _connect(road) as federation:
        federation.drive(newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0))
    asked = {site: len(found) for site, found in road.asked.items()}
    with (
        pytest.raises(Broken, match="round 3 asked 'newton' of 4 sites"),
        _connect(road) as federation,
    ):
        federation.drive(newton(sites=federation.sites, start=np.ones(COLUMNS), ridge=1.0))
    assert asked == {site: len(found) for site, found in road.asked.items()}


def test_status_tells_what_each_site_moved_and_spent(tmp_path: Path) -> None:
    road = make_road(tmp_path)
    found = status(hub=road.home.root, study="attacked")
    assert (found.state, found.round, found.signed) == ("proposed", 0, 0)
    road.sign_all()
    finished = drive(road, only_fit)
    found = status(hub=road.home.root, study=road.proposed.study_sha256[:12])
    assert (found.state, found.signed, found.code) == ("finished", 4, road.proposed.code)
    for site in found.sites:
        assert site.answered == found.round and site.missed == 0
        assert site.bytes_in >= finished.exchange.bytes_out[site.site]
        assert site.bytes_out >= finished.exchange.bytes_in[site.site]
        assert {line.split for line in site.budget} >= {"train", "locked_test"}
        assert site.last_heard and site.lane == "unknown"
