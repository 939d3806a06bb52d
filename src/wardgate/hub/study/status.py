"""Where a study is, and each of its sites: read from what lies on the disk, beside a driver or without one."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from wardgate.hub.engine.lanes import LaneState, read_lanes
from wardgate.hub.home import Home
from wardgate.hub.study.decisions import last_word, standing_of
from wardgate.hub.study.folder import StudyFolder, filed
from wardgate.hub.study.journal import Journal, Round, read_journal
from wardgate.hub.study.post import Post
from wardgate.hub.study.proposal import Proposed, read_proposal
from wardgate.hub.study.shelf import Shelf
from wardgate.hub.study.state import Doing, aborted, is_driven, read_doing
from wardgate.records.errors import Broken
from wardgate.records.messages import open_answer
from wardgate.records.record import Digest, Name, Number, Record


class Spent(Record):
    """What a site said at the close that it spent of one split's budget."""

    split: str
    epsilon: Number
    exact_answers: int


class SiteStatus(Record):
    """One site of a study.

    Attributes:
        decision: Its last: `none`, `signed`, `refused`, `paused`, `resumed` or `left`.
        reason: For that, in its words.
        waited_for: Whether the open round waits for its answer.
        standing: What it says of the open round's question, e.g. `waiting_for_approval`; empty where nothing.
        words: Likewise, for people.
        answered, missed: Closed rounds that its answer is in, and those that closed without it.
        late: Answers that came after their round had closed. They count for nothing.
        aside: Parcels of it that did not hold.
        bytes_out, bytes_in: Of questions to it, and of its answers that count.
        last_heard: When its last mail was filed, UTC; empty for never.
        lane: Of the road to it: `connected`, `away`, `refused`, or `unknown` while nothing carries.
        budget: What it spent, once it said so.
    """

    site: Name
    decision: str
    reason: str = ""
    waited_for: bool = False
    standing: str = ""
    words: str = ""
    answered: int = 0
    missed: int = 0
    late: int = 0
    aside: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    last_heard: str = ""
    lane: str = "unknown"
    budget: tuple[Spent, ...] = ()


class StudyStatus(Record):
    """A study at the hub.

    Attributes:
        code: Of the proposal; hospitals read it out to each other.
        state: `proposed` (not run yet), `waiting` for signatures, `running`, `stopped` (its driver was killed or
            closed; run it again and it goes on), `failed`, `aborted` or `finished`.
        words: What is asked, or why it does not go on.
        round: The last round that opened.
        at: When the driver said so, UTC; empty before the first run.
        signed: Sites that signed and did not leave.
    """

    study_sha256: Digest
    study: Name
    version: int
    title: str
    code: str
    state: Literal["proposed", "waiting", "running", "stopped", "failed", "aborted", "finished"]
    words: str = ""
    round: int = 0
    at: str = ""
    signed: int = 0
    sites: tuple[SiteStatus, ...]


def status_of(home: Home, study_sha256: str) -> StudyStatus:
    """Return where a study is. Mail that came meanwhile is sorted first.

    Raises:
        Invalid: it was not proposed here.
        Broken: its journal or a filed record was altered.
    """
    proposed = read_proposal(home, study_sha256)
    folder = StudyFolder(home.study(study_sha256))
    post, journal, lanes = Post(home), read_journal(folder), _lanes(home)
    for site in proposed.study.sites:
        post.collect(site)
    sites = tuple(_site(home, proposed, post, journal, lanes, site) for site in proposed.study.sites)
    doing = read_doing(folder)
    state, words = _state(folder, doing)
    return StudyStatus(
        study_sha256=study_sha256,
        study=proposed.study.id,
        version=proposed.study.version,
        title=proposed.study.title,
        code=proposed.code,
        state=state,
        words=words,
        round=len(journal.rounds),
        at="" if doing is None else doing.at,
        signed=sum(one.decision in ("signed", "paused", "resumed") for one in sites),
        sites=sites,
    )


def _state(
    folder: StudyFolder, doing: Doing | None
) -> tuple[Literal["proposed", "waiting", "running", "stopped", "failed", "aborted", "finished"], str]:
    reason = aborted(folder)
    if reason is not None:
        return "aborted", reason
    if doing is None:
        return "proposed", "waits for its sites to decide"
    if doing.state in ("waiting", "running") and not is_driven(folder):
        return "stopped", f"its driver ended while it was at: {doing.words}; run it again and it goes on"
    return doing.state, doing.words


def _site(
    home: Home, proposed: Proposed, post: Post, journal: Journal, lanes: Mapping[str, LaneState], site: str
) -> SiteStatus:
    folder = StudyFolder(home.study(proposed.study_sha256))
    shelf, word = Shelf(folder.parcels) if folder.parcels.is_dir() else None, last_word(home, proposed, site)
    closed = [one.closed for one in journal.rounds if one.closed is not None]
    asked = [one.asked.questions[site] for one in journal.rounds if site in one.asked.questions]
    counted = [one.answers[site] for one in closed if site in one.answers]
    waited_for, standing = False, None
    if shelf is not None and journal.rounds and journal.rounds[-1].closed is None:
        question = journal.rounds[-1].asked.questions.get(site)
        digest = None if question is None else shelf.envelope_digest(question)
        if digest is not None:
            standing = standing_of(home, proposed, site, digest)
            waited_for = not filed(folder.answers(site), digest).is_file()
    lane = lanes.get(site)
    return SiteStatus(
        site=site,
        decision=word.outcome or "none",
        reason=word.reason,
        waited_for=waited_for,
        standing="" if standing is None else standing.state,
        words="" if standing is None else standing.words,
        answered=len(counted),
        missed=sum(site in one.absent for one in closed),
        late=_late(folder, shelf, journal, site),
        aside=len(list(post.aside(site).glob("*.parcel"))),
        bytes_out=0 if shelf is None else sum(map(shelf.size, asked)),
        bytes_in=0 if shelf is None else sum(map(shelf.size, counted)),
        last_heard=_heard(folder, site),
        lane="unknown" if lane is None else lane.state,
        budget=_spent(proposed, shelf, journal.rounds, site),
    )


def _late(folder: StudyFolder, shelf: Shelf | None, journal: Journal, site: str) -> int:
    """Return how many answers came after their round had closed without them."""
    if shelf is None:
        return 0
    missed = [
        one.asked.questions[site] for one in journal.rounds if one.closed is not None and site in one.closed.absent
    ]
    digests = [shelf.envelope_digest(name) for name in missed]
    return sum(digest is not None and filed(folder.answers(site), digest).is_file() for digest in digests)


def _heard(folder: StudyFolder, site: str) -> str:
    """Return when the newest mail of a site came."""
    places = (folder.decisions(site), folder.standings(site), folder.answers(site))
    times = [_changed(path) for place in places if place.is_dir() for path in place.iterdir()]
    if not times:
        return ""
    return datetime.datetime.fromtimestamp(max(times), tz=datetime.UTC).isoformat(timespec="seconds")


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _spent(proposed: Proposed, shelf: Shelf | None, rounds: list[Round], site: str) -> tuple[Spent, ...]:
    closing = next((one for one in reversed(rounds) if one.asked.computation == "close"), None)
    if shelf is None or closing is None or closing.closed is None or site not in closing.closed.answers:
        return ()
    answer = open_answer(shelf.envelope(closing.closed.answers[site]), site_key=proposed.keys[site])
    lines: Any = answer.statement.get("budget", ())
    kept = ("split", "epsilon", "exact_answers")
    return tuple(Spent.from_plain({key: line[key] for key in kept}) for line in lines)


def _lanes(home: Home) -> Mapping[str, LaneState]:
    try:
        found = read_lanes(home)
    except Broken:
        return {}
    return {} if found is None else {lane.site: lane for lane in found.lanes}
