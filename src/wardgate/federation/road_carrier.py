"""The road between machines, as a driver at the hub sees it: questions into the sites' boxes, answers out of theirs."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wardgate.hub.engine.lanes import read_lanes
from wardgate.hub.home import Home
from wardgate.hub.study.decisions import last_word, standing_of
from wardgate.hub.study.folder import StudyFolder, filed
from wardgate.hub.study.journalled import Gathered, Sent
from wardgate.hub.study.post import Post
from wardgate.hub.study.proposal import Proposed, outbox
from wardgate.hub.study.shelf import Shelf
from wardgate.hub.study.state import aborted
from wardgate.records.errors import Aborted, Broken, StepFailed
from wardgate.records.parcel import Parcel

POLL_SECONDS = 0.01
"""Between two looks into the boxes: small against the 15 ms that a parcel takes on the shortest road."""

_LOOKS = 100
"""Looks after which a site's decisions are read again although nothing came from it: others sort its mail too."""

PATIENCE_SECONDS = 15 * 60.0
"""For one round, where nobody says otherwise: a hospital that restarts is back by then."""


@dataclass(slots=True, kw_only=True)
class RoadCarrier:
    """Mail of one study, put out and waited for.

    Attributes:
        sites: Those that had signed when the run began; the others count as absent.
        patience_seconds: How long a round waits for an answer.
        pause: Sleeps; tests move the mail meanwhile.
        clock: Seconds that only grow.
    """

    home: Home
    proposed: Proposed
    shelf: Shelf
    sites: frozenset[str]
    patience_seconds: float = PATIENCE_SECONDS
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _post: Post = field(init=False)
    _folder: StudyFolder = field(init=False)
    _away: dict[str, float] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._post = Post(self.home)
        self._folder = StudyFolder(self.home.study(self.proposed.study_sha256))

    def gather(self, sent: Mapping[str, Sent], *, computation: str) -> Gathered:
        """Bring each site its question, and wait for the answers.

        A site is absent that did not sign or left, that a person there told never to answer this, or that says nothing
        until patience is over. Its question is then taken back, unless the site has it already. A site whose road has
        been down for as long as that, over any number of rounds, is not waited for again until the road is back.

        Raises:
            Broken: a site says that a question was forged, replayed or of another study.
            StepFailed: a step failed beside patients and could not even be refused.
            Aborted: somebody stopped the study.
        """
        self._check_wanted()
        self._put_out(sent)
        names: dict[str, str] = {}
        answers: dict[str, Parcel] = {}
        absent: dict[str, str] = {}
        waiting, ends, looks = dict(sent), self.clock() + self.patience_seconds, 0
        try:
            while waiting:
                late = self.clock() >= ends
                if looks % _LOOKS == 0:
                    self._watch_roads()
                for site, one in list(waiting.items()):
                    news = self._post.collect(site) > 0 or looks % _LOOKS == 0
                    path = filed(self._folder.answers(site), one.question)
                    if path.is_file():
                        names[site], answers[site] = self.shelf.link_in(path)
                        del waiting[site]
                        continue
                    reason = self._missing(site) or self._stuck(site, one, computation) if news or late else None
                    reason = reason or self._down(site)
                    if reason is None and late:
                        reason = f"did not answer within {self.patience_seconds:g} seconds"
                    if reason is not None:
                        absent[site] = reason
                        del waiting[site]
                if waiting:
                    self._check_wanted()
                    self.pause(POLL_SECONDS)
                looks += 1
        finally:
            for site in (*absent, *waiting):
                outbox(self.home, site).remove(sent[site].parcel)
        order = [site for site in sent if site in names]
        return Gathered(
            names={site: names[site] for site in order},
            answers={site: answers[site] for site in order},
            absent=absent,
            gone=tuple(sorted(site for site in absent if self._missing(site) is not None)),
        )

    def _put_out(self, sent: Mapping[str, Sent]) -> None:
        for site, one in sent.items():
            self._post.collect(site)
            self._forget_failures(site, one.question)
            if not filed(self._folder.answers(site), one.question).is_file() and self._missing(site) is None:
                outbox(self.home, site)
                self.shelf.link_out(one.parcel, self.home.out(site))

    def _watch_roads(self) -> None:
        """Note since when each road is down, as the engine tells it; where no engine runs, nobody knows."""
        try:
            found = read_lanes(self.home)
        except Broken:
            return
        for lane in () if found is None else found.lanes:
            if lane.state == "away":
                self._away.setdefault(lane.site, self.clock())
            else:
                self._away.pop(lane.site, None)

    def _down(self, site: str) -> str | None:
        """Return that a site's road has been down for too long."""
        away = self.clock() - self._away.get(site, self.clock())
        return f"its road has been down for {away:.0f} seconds" if away >= self.patience_seconds else None

    def _check_wanted(self) -> None:
        reason = aborted(self._folder)
        if reason is not None:
            raise Aborted(f"the study was stopped: {reason}; 'wardgate study run' goes on where it stopped")

    def _missing(self, site: str) -> str | None:
        """Return why a site is not asked at all."""
        if site not in self.sites:
            return "had not signed the study when the run began"
        word = last_word(self.home, self.proposed, site)
        return None if word.takes_part else word.why_not

    def _stuck(self, site: str, one: Sent, computation: str) -> str | None:
        """Return why a site will not answer this question."""
        standing = standing_of(self.home, self.proposed, site, one.question)
        if standing is None:
            return None
        if standing.state == "broken":
            raise Broken(f"{site} does not accept the question '{computation}': {standing.words}")
        if standing.state == "failed":
            raise StepFailed(computation, standing.words)
        if standing.state == "never":
            return f"a person there ruled '{computation}' out" + (f": {standing.words}" if standing.words else "")
        return None

    def _forget_failures(self, site: str, question_sha256: str) -> None:
        """Let a site that failed, or did not accept a question, try again when the round is asked again."""
        standing = standing_of(self.home, self.proposed, site, question_sha256)
        if standing is not None and standing.state in ("failed", "broken"):
            filed(self._folder.standings(site), question_sha256).unlink(missing_ok=True)
