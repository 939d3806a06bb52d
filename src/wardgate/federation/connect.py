"""A study between machines, from the hub's side: the same object, drivers and answers as `local` gives.

Nothing here imports a hospital's code: what comes from there comes as signed mail.
"""

import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wardgate import __version__
from wardgate.federation.road_carrier import PATIENCE_SECONDS, POLL_SECONDS, RoadCarrier
from wardgate.federation.session import Federation, Finished, OnEvent, whole_chain
from wardgate.hub.chain import Run, Steps
from wardgate.hub.exchange import Exchange
from wardgate.hub.home import Home
from wardgate.hub.study.decisions import Word, last_word
from wardgate.hub.study.folder import StudyFolder
from wardgate.hub.study.journal import Begun, Journal, read_journal
from wardgate.hub.study.journalled import Journalled
from wardgate.hub.study.post import Post
from wardgate.hub.study.proposal import Proposed, find_study, hub_signer, read_proposal
from wardgate.hub.study.shelf import Shelf
from wardgate.hub.study.state import Doing, aborted, driving, notify, resume, write_doing
from wardgate.records.errors import Aborted, Broken, CheckFailed, Invalid, WardgateError

FEWEST = 3
"""Sites of a study: the sum of two gives each the other's."""

Clock = Callable[[], datetime.datetime]
"""The time, with its zone. It dates a run and its journal; nothing is computed from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """How a driver waits.

    Attributes:
        patience_seconds: For the answers of one round, and for signatures before the first.
        sites_needed: How many must have signed before a run begins; None for all sites of the study.
        pause: Sleeps; tests move the mail meanwhile.
        clock: Seconds that only grow.
    """

    patience_seconds: float = PATIENCE_SECONDS
    sites_needed: int | None = None
    pause: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


_WAIT = Wait()


@contextmanager
def connect(
    *, hub: Path, study: str, now: Clock, wait: Wait = _WAIT, on_event: OnEvent = lambda _, __: None
) -> Iterator[Federation]:
    """Open a proposed study over the road, enrolled and introduced to each other.

    What was asked before is not asked again: ask the same in the same order, and the journal gives what came then.

    Args:
        hub: The hub's folder.
        study: Its id, or its digest, or the first 8 characters of that or more.
        now: Gives the time, e.g. `lambda: datetime.now(UTC)`.

    Raises:
        Invalid: no such study, or another process drives it.
        CheckFailed: too few hospitals signed, or can take part.
        Aborted: somebody stopped the study.
        Broken: the journal or a filed record was altered, or something else is asked than was.
    """
    with _opened(Home(hub), study, now=now, wait=wait, on_event=on_event, last="stopped") as (federation, _, _):
        federation.enrol()
        yield federation


def run_connected(
    *,
    hub: Path,
    study: str,
    now: Clock,
    wait: Wait = _WAIT,
    on_event: OnEvent = lambda _, __: None,
    course: Callable[[Run], Steps] = Run.steps,
) -> Finished:
    """Run the whole chain of a proposed study over the road; run again after anything, it goes on where it stopped.

    Args:
        hub: The hub's folder.
        study: Its id, or its digest, or the first 8 characters of that or more.
        now: Gives the time, e.g. `lambda: datetime.now(UTC)`.
        course: The steps to take, the whole chain by default.

    Raises:
        Invalid: no such study, or another process drives it; no room on the disk.
        CheckFailed: too few hospitals signed, or can take part.
        Aborted: somebody stopped the study.
        Broken: evidence does not hold, the journal was altered, or something else would be asked than was.
        StepFailed: a step broke beside patients; the hospital finds the cause under the reference.
    """
    with _opened(Home(hub), study, now=now, wait=wait, on_event=on_event, last="finished") as (
        federation,
        proposed,
        begun,
    ):
        finished = whole_chain(federation, seed=proposed.proposal.seed, issued_on=begun.issued_on, course=course)
        notify(Home(hub), proposed, "finished", reason=stamp(now))
    return finished


@contextmanager
def _opened(
    home: Home, study: str, *, now: Clock, wait: Wait, on_event: OnEvent, last: Literal["finished", "stopped"]
) -> Iterator[tuple[Federation, Proposed, Begun]]:
    proposed = read_proposal(home, find_study(home, study))
    signer = hub_signer(home)
    folder = StudyFolder(home.study(proposed.study_sha256))
    with driving(folder):
        resume(folder)
        round_number = 0

        def say(state: str, words: str) -> None:
            write_doing(
                folder, Doing.from_plain({"state": state, "round": round_number, "words": words, "at": stamp(now)})
            )

        def on_round(number: int) -> None:
            nonlocal round_number
            round_number = number

        def tell(what: str, sites: int) -> None:
            say("running", what)
            on_event(what, sites)

        try:
            begun = _begun(home, proposed, read_journal(folder), now=now, wait=wait, say=say)
            journal = read_journal(folder)
            notify(home, proposed, "running", reason=f"since {stamp(now)}")
            shelf = Shelf(folder.parcels)
            road = RoadCarrier(
                home=home,
                proposed=proposed,
                shelf=shelf,
                sites=frozenset(begun.sites),
                patience_seconds=wait.patience_seconds,
                pause=wait.pause,
                clock=wait.clock,
            )
            exchange = Exchange(
                study=proposed.study,
                study_sha256=proposed.study_sha256,
                signer=signer,
                site_keys=proposed.keys,
                simulated=False,
            )
            carrier = Journalled(journal=journal, shelf=shelf, road=road, now=lambda: stamp(now), on_round=on_round)
            yield Federation(exchange=exchange, carrier=carrier, on_event=tell), proposed, begun
        except WardgateError as error:
            if not isinstance(error, Aborted):
                say("failed", str(error))
            raise
        say(last, f"{round_number} rounds")


def _begun(
    home: Home,
    proposed: Proposed,
    journal: Journal,
    *,
    now: Clock,
    wait: Wait,
    say: Callable[[str, str], None],
) -> Begun:
    """Return with what a run goes on, or begin one when enough sites have signed."""
    if journal.begun is not None:
        if journal.begun.proposal_sha256 != proposed.sha256:
            raise Broken("the journal is of another proposal than the one that lies beside it; put it back")
        return journal.begun
    signed = _signatures(home, proposed, wait=wait, say=say)
    begun = Begun(
        study_sha256=proposed.study_sha256,
        proposal_sha256=proposed.sha256,
        sites=signed,
        issued_on=now().date().isoformat(),
        wardgate=__version__,
    )
    journal.begin(begun)
    return begun


def _signatures(home: Home, proposed: Proposed, *, wait: Wait, say: Callable[[str, str], None]) -> tuple[str, ...]:
    """Wait until enough sites have signed; return those that did, sorted."""
    sites = proposed.study.sites
    needed = len(sites) if wait.sites_needed is None else wait.sites_needed
    if not FEWEST <= needed <= len(sites):
        raise Invalid(f"{needed} sites needed, of {len(sites)} in the study; expected {FEWEST} to {len(sites)}")
    post, ends, told = Post(home), wait.clock() + wait.patience_seconds, -1
    while True:
        for site in sites:
            post.collect(site)
        words = {site: last_word(home, proposed, site) for site in sites}
        signed = tuple(sorted(site for site, word in words.items() if word.takes_part))
        out = [site for site, word in words.items() if word.outcome in ("refused", "left")]
        if len(signed) >= needed:
            return signed
        if len(sites) - len(out) < needed or wait.clock() >= ends:
            raise CheckFailed(_too_few(words, signed, needed))
        if len(signed) != told:
            told = len(signed)
            say("waiting", f"for signatures: {told} of {needed} are there")
        reason = aborted(StudyFolder(home.study(proposed.study_sha256)))
        if reason is not None:
            raise Aborted(f"the study was stopped: {reason}")
        wait.pause(max(POLL_SECONDS, 0.1))


def _too_few(words: dict[str, Word], signed: tuple[str, ...], needed: int) -> str:
    others = "; ".join(f"{site}: {word.why_not}" for site, word in words.items() if site not in signed)
    advice = f"lower the sites needed to {len(signed)}, or ask them" if len(signed) >= FEWEST else "ask them"
    return f"{len(signed)} of {len(words)} hospitals signed the study, {needed} are needed; {advice}. {others}"


def stamp(now: Clock) -> str:
    """Return the time in UTC, to the second."""
    return now().astimezone(datetime.UTC).isoformat(timespec="seconds")
