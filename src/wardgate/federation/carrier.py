"""How one round of questions reaches the hospitals, and what comes back: by links in this process, or over the road."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from wardgate.records.errors import Absent
from wardgate.records.parcel import Parcel


class Link(Protocol):
    """One hospital."""

    @property
    def public_key(self) -> bytes:
        """The ward's long-term public key."""
        ...

    def send(self, parcel: Parcel) -> None:
        """Hand a question to the hospital."""
        ...

    def receive(self) -> Parcel:
        """Wait for the answer to the last question."""
        ...

    def close(self) -> None:
        """Let the hospital go."""
        ...


class Carrier(Protocol):
    """Carries one round."""

    @property
    def gone(self) -> AbstractSet[str]:
        """Sites that will answer nothing more of this study, as rounds so far have shown."""
        ...

    def carry(self, questions: Mapping[str, Parcel], *, computation: str) -> dict[str, Parcel]:
        """Bring each site its question and return the answers of those that gave one.

        A site that does not answer in time is left out. Asked the same again, a carrier that remembers gives the same.

        Args:
            questions: By site.
            computation: What is asked, for whoever plans the work.

        Raises:
            Broken: a site said that a question was forged, replayed or of another study.
            StepFailed: a step failed beside patients and could not even be refused.
        """
        ...


@dataclass(slots=True)
class Links:
    """Hospitals on this machine.

    Attributes:
        links: The roads, by site.
        pool: Hospitals that work at the same time.
    """

    links: Mapping[str, Link]
    pool: ThreadPoolExecutor

    @property
    def gone(self) -> AbstractSet[str]:
        return frozenset()

    def carry(self, questions: Mapping[str, Parcel], *, computation: str) -> dict[str, Parcel]:
        if computation in ("corpus", "review"):
            answers = dict(
                zip(questions, self.pool.map(lambda site: self._one(site, questions), questions), strict=True)
            )
        else:
            answers = self._together(questions)
        return {site: answer for site, answer in answers.items() if answer is not None}

    def _one(self, site: str, questions: Mapping[str, Parcel]) -> Parcel | None:
        try:
            self.links[site].send(questions[site])
            return self.links[site].receive()
        except Absent:
            return None

    def _together(self, questions: Mapping[str, Parcel]) -> dict[str, Parcel | None]:
        """Send all before waiting for any: wards that are processes of their own then work at the same time."""
        found: dict[str, Parcel | None] = {}
        for site, parcel in questions.items():
            try:
                self.links[site].send(parcel)
            except Absent:
                found[site] = None
        for site in questions:
            if site not in found:
                try:
                    found[site] = self.links[site].receive()
                except Absent:
                    found[site] = None
        return found
