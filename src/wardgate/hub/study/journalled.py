"""A carrier that remembers: what came of a round is in the journal, and a round that closed is never asked again."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from wardgate import __version__
from wardgate.hub.study.journal import Asked, Closed, Journal, Round
from wardgate.hub.study.shelf import Shelf
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken
from wardgate.records.parcel import Parcel


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A question on the shelf.

    Attributes:
        parcel: SHA-256 of its parcel, its name there.
        question: SHA-256 of its envelope, which the answer names.
    """

    parcel: str
    question: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """What came of one round.

    Attributes:
        names: Of each answer on the shelf.
        answers: What they say.
        absent: Why the other sites are missing, in words.
        gone: Those of them that will answer nothing more of this study, sorted.
    """

    names: Mapping[str, str]
    answers: Mapping[str, Parcel]
    absent: Mapping[str, str]
    gone: tuple[str, ...] = ()


class Road(Protocol):
    """Carries one round; asked the same again, it finds what has come since and asks the others again."""

    def gather(self, sent: Mapping[str, Sent], *, computation: str) -> Gathered:
        """Bring each site its question from the shelf, and wait for the answers."""
        ...


@dataclass(slots=True, kw_only=True)
class Journalled:
    """Carries rounds over a road and keeps a journal of them.

    Attributes:
        journal: Of this run, begun.
        shelf: The run's parcels.
        road: How questions reach the sites.
        now: The time as text, for the journal's readers alone.
        on_round: Called with each round's number, replayed or asked.
        gone: Sites that will answer nothing more of this study, as the rounds so far have shown.
    """

    journal: Journal
    shelf: Shelf
    road: Road
    now: Callable[[], str]
    on_round: Callable[[int], None] = lambda _: None
    gone: set[str] = field(init=False, default_factory=set)
    _at: int = field(init=False, default=0)

    def carry(self, questions: Mapping[str, Parcel], *, computation: str) -> dict[str, Parcel]:
        """Return the answers of one round: those that came when it was asked first, or else those that come now.

        Raises:
            Broken: the round asks something else than it did before; a recorded answer is missing or altered; a site
                said that a question was forged, replayed or of another study.
            Aborted: somebody stopped the study.
            StepFailed: a step failed beside patients and could not even be refused.
        """
        self._at += 1
        recorded = self.journal.rounds[self._at - 1] if self._at <= len(self.journal.rounds) else None
        self.on_round(self._at)
        if recorded is not None and recorded.closed is not None:
            sent = _named(questions)
            self._check_same(recorded, sent, computation)
            self.gone.update(recorded.closed.gone)
            answers = recorded.closed.answers
            return {site: self.shelf.read(answers[site]) for site in questions if site in answers}
        sent = self._shelved(questions)
        if recorded is not None:
            self._check_same(recorded, sent, computation)
        else:
            asked = {site: one.parcel for site, one in sent.items()}
            self.journal.ask(Asked(round=self._at, computation=computation, questions=asked, at=self.now()))
        found = self.road.gather(sent, computation=computation)
        names, absent = dict(found.names), dict(found.absent)
        self.shelf.settle()
        self.journal.close(Closed(round=self._at, answers=names, absent=absent, gone=found.gone, at=self.now()))
        self.gone.update(found.gone)
        return {site: found.answers[site] for site in questions if site in found.answers}

    def _shelved(self, questions: Mapping[str, Parcel]) -> dict[str, Sent]:
        """Put the questions on the shelf; one that goes to many sites lies there once."""
        known: dict[bytes, Sent] = {}
        for parcel in questions.values():
            if parcel.envelope not in known:
                known[parcel.envelope] = Sent(parcel=self.shelf.put(parcel), question=sha256(parcel.envelope))
        return {site: known[parcel.envelope] for site, parcel in questions.items()}

    def _check_same(self, recorded: Round, sent: Mapping[str, Sent], computation: str) -> None:
        asked = recorded.asked
        if asked.computation == computation and asked.questions == {site: one.parcel for site, one in sent.items()}:
            return
        begun = "" if self.journal.begun is None else self.journal.begun.wardgate
        raise Broken(
            f"round {asked.round} asked '{asked.computation}' of {len(asked.questions)} sites on {asked.at}; the same"
            f" round now asks '{computation}' of {len(sent)}, in other words. Whoever asks again must ask the same: the"
            f" program that drives the study, Wardgate's version (then {begun}, now {__version__}), the hub's key or"
            " the number of threads changed. Set it back and run again, or propose the study under a new version"
        )


def _named(questions: Mapping[str, Parcel]) -> dict[str, Sent]:
    """Return what questions are called, without keeping them."""
    known: dict[bytes, Sent] = {}
    for parcel in questions.values():
        if parcel.envelope not in known:
            known[parcel.envelope] = Sent(parcel=_digest(parcel), question=sha256(parcel.envelope))
    return {site: known[parcel.envelope] for site, parcel in questions.items()}


def _digest(parcel: Parcel) -> str:
    found = hashlib.sha256()
    for piece in parcel.pieces():
        found.update(piece)
    return found.hexdigest()
