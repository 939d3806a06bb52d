"""What a study lead does at the hub beside running a study: propose it, look at it, stop it."""

from collections.abc import Mapping
from pathlib import Path

from wardgate.federation.connect import Clock, stamp
from wardgate.hub.home import Home
from wardgate.hub.study import proposal, state
from wardgate.hub.study.folder import StudyFolder
from wardgate.hub.study.proposal import Proposed
from wardgate.hub.study.status import SiteStatus, StudyStatus, status_of
from wardgate.records.study_file import parse

__all__ = ["Proposed", "SiteStatus", "StudyStatus", "abort", "all_studies", "deliver", "propose", "status", "text_of"]


def propose(*, hub: Path, text: str, name: str, seed: int) -> Proposed:
    """Propose a study to all its sites. The same again is sent again; nothing else changes.

    Args:
        hub: The hub's folder.
        text: The study's YAML.
        name: Of its file, for messages.
        seed: For repeatable work that protects nobody; every site sees it.

    Raises:
        Invalid: the text is no study; a site is no member; the study was proposed before with something else.
    """
    return proposal.propose(Home(hub), parse(text, name=name), text, seed=seed)


def status(*, hub: Path, study: str) -> StudyStatus:
    """Return where a study is, and each of its sites.

    Args:
        study: Its id, or its digest, or the first 8 characters of that or more.

    Raises:
        Invalid: no such study.
        Broken: its journal or a filed record was altered.
    """
    home = Home(hub)
    return status_of(home, proposal.find_study(home, study))


def all_studies(*, hub: Path) -> tuple[StudyStatus, ...]:
    """Return where every proposed study is, by digest."""
    home = Home(hub)
    return tuple(status_of(home, digest) for digest in proposal.proposed_here(home))


def abort(*, hub: Path, study: str, reason: str, now: Clock) -> Proposed:
    """Stop a study: a running driver ends at its next look, and every site is told why. Running it again goes on.

    Args:
        reason: For people at the hospitals.
        now: Gives the time, e.g. `lambda: datetime.now(UTC)`.

    Raises:
        Invalid: no such study, or no reason.
    """
    home = Home(hub)
    proposed = proposal.read_proposal(home, proposal.find_study(home, study))
    state.abort(home, proposed, reason, at=stamp(now))
    return proposed


def text_of(*, hub: Path, study: str) -> str:
    """Return the YAML of a proposed study as it was given.

    Raises:
        Invalid: no such study.
    """
    home = Home(hub)
    return StudyFolder(home.study(proposal.find_study(home, study))).text.read_text(encoding="utf-8")


def deliver(*, hub: Path, study: str, files: Mapping[str, bytes], now: Clock) -> None:
    """Send every hospital of a finished study what came of it.

    Args:
        files: By name, e.g. `report.html`; small letters, and `.html` or `.json`.
        now: Gives the time.

    Raises:
        Invalid: no such study.
    """
    home = Home(hub)
    proposed = proposal.read_proposal(home, proposal.find_study(home, study))
    state.notify(home, proposed, "finished", reason=f"the results of {stamp(now)}", files=files)
