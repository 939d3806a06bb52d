"""The hub's end of the road to one site: what is taken, what is refused, and what people are shown of it."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from made_mail import answer, decision, question, standing

from wardgate.hub.engine.lane import SiteLane
from wardgate.hub.engine.lanes import Lanes, LaneState, read_lanes, write_lanes
from wardgate.hub.home import Home
from wardgate.records.envelope import Signer
from wardgate.records.errors import Absent, Broken, Refused, Unsupported
from wardgate.records.mail import PROTOCOL
from wardgate.records.parcel import Parcel
from wardgate.road.box import Box
from wardgate.road.transfer import Sender

HUB, WARD, OTHER = (Signer(bytes([number]) * 32) for number in (1, 2, 3))


class Site:
    """A lane at the hub, and the site's end of it as a sender."""

    def __init__(self, folder: Path, standing: Callable[[], None] = lambda: None) -> None:
        self.home = Home(folder)
        self.heard: list[str] = []
        self.now = 1000.0
        self.lane = SiteLane(
            self.home,
            "uk",
            site_key=WARD.public_key,
            call=lambda message: (_ for _ in ()).throw(Absent("nobody")),
            standing=standing,
            before=None,
            wall=lambda: self.now,
            told=self.heard.append,
        )
        self.spool = Box(folder / "spool")
        self.sender = Sender(call=self.lane.take, retries=0)

    def post(self, parcel: Parcel) -> None:
        self.sender.send(self.spool, self.spool.put(parcel))

    def state(self) -> LaneState:
        return self.lane.state(self.now)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_a_ward_signed_in_its_own_name_is_taken(site: Site) -> None:
    asked = question(HUB, 1)
    posted = [answer(WARD, "uk", asked), decision(WARD, "uk"), standing(WARD, "uk", asked)]
    for parcel in posted:
        site.post(parcel)
    inbox = Box(site.home.inbox("uk"))
    assert [inbox.read(name) for name in inbox.names()] == posted
    assert site.state().parcels_in == 3


def test_a_site_cannot_post_as_another(site: Site) -> None:
    asked = question(HUB, 1)
    for parcel in (answer(OTHER, "it", asked), decision(OTHER, "uk"), answer(WARD, "it", asked), decision(WARD, "it")):
        with pytest.raises((Refused, Broken)):
            site.post(parcel)
    assert Box(site.home.inbox("uk")).names() == []
    assert site.state().refused == 4
    assert len(site.heard) == 4


def test_a_site_sends_no_questions(site: Site) -> None:
    with pytest.raises((Refused, Broken), match="found question"):
        site.post(question(WARD, 1))


def test_a_site_that_was_put_out_is_heard_no_more_and_the_reason_is_shown(tmp_path: Path) -> None:
    def out() -> None:
        raise Refused("site 'uk' was revoked: it left")

    site = Site(tmp_path, out)
    with pytest.raises(Refused):
        site.post(decision(WARD, "uk"))
    with pytest.raises(Refused):
        site.sender.greet({"protocol": PROTOCOL, "wardgate": "1"})
    with pytest.raises(Refused):
        site.lane.push(lambda: False)
    assert site.state().state == "refused"
    assert "it left" in site.state().words


def test_two_versions_that_do_not_understand_each_other_say_who_has_to_upgrade(site: Site) -> None:
    with pytest.raises((Refused, Unsupported), match="upgrade"):
        site.sender.greet({"protocol": PROTOCOL + 1, "wardgate": "9"})
    assert "upgrade" in site.state().words
    site.sender.greet({"protocol": PROTOCOL, "wardgate": "1"})
    assert site.state().state == "connected"
    assert site.state().words == ""


def test_a_clock_that_is_wrong_by_a_day_is_shown_and_stops_nothing(site: Site) -> None:
    site.sender.greet({"protocol": PROTOCOL, "wardgate": "1", "clock": 1000 + 86400, "ward": 3})
    assert site.state().clock_difference == 86400
    assert site.state().ward_seconds == 3
    site.post(decision(WARD, "uk"))


def test_a_site_that_is_not_heard_is_away_and_its_mail_stays(site: Site) -> None:
    name = Box(site.home.out("uk")).put(question(HUB, 1))
    with pytest.raises(Absent):
        site.lane.push(lambda: False)
    site.now += 3600
    assert site.state().state == "away"
    assert Box(site.home.out("uk")).names() == [name]


def test_garbage_in_a_greeting_breaks_nothing(site: Site) -> None:
    site.sender.greet({"protocol": PROTOCOL, "wardgate": "x" * 1000, "clock": "noon", "ward": [], "refused": "many"})
    assert len(site.state().wardgate) <= 40
    site.lane.take(b"")
    site.lane.take(b"\x00" * 100)


def test_the_state_of_the_roads_is_read_as_it_was_written_and_damage_is_said(site: Site) -> None:
    site.home.engine.mkdir()
    assert read_lanes(site.home) is None
    written = Lanes(at=5, job="j", carried=("uk",), lanes=(site.state(),))
    write_lanes(site.home, written)
    assert read_lanes(site.home) == written
    (site.home.engine / "lanes.json").write_text("{")
    with pytest.raises(Broken, match=r"lanes\.json"):
        read_lanes(site.home)


def test_the_engines_message_counts_only_with_the_token_of_the_site_that_it_names(site: Site) -> None:
    from nvflare.apis.fl_constant import ReturnCode
    from nvflare.apis.shareable import Shareable

    from wardgate.carriage.words import BODY, TOKEN, UP
    from wardgate.hub.engine.controller import Carriage

    carriage = Carriage(consortium="testing", protocol=PROTOCOL)
    carriage._lanes, carriage._tokens = {"uk": site.lane}, {"uk": "token of uk"}

    def sent(peer: str | None, token: object) -> str:
        request = Shareable()
        request[BODY], request[TOKEN] = b"frame", token
        context = None if peer is None else SimpleNamespace(get_identity_name=lambda: peer)
        reply = carriage._up(UP, request, SimpleNamespace(get_peer_context=lambda: context))
        return str(reply.get_return_code())

    assert sent("uk", "token of uk") == ReturnCode.OK
    for peer, token in (("uk", "token of it"), ("uk", None), ("it", "token of uk"), (None, "token of uk")):
        assert sent(peer, token) != ReturnCode.OK
