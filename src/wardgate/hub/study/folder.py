"""Where everything of one study lies at the hub.

STUDY/                      named by the study's SHA-256
  proposal.parcel           as every site got it
  study.yaml                the study's text
  study.lock.json           what was locked
  decisions/SITE/NUMBER     what a site decided, as it signed it
  standings/SITE/QUESTION   why a site is not answering a question, the latest word alone
  answers/SITE/QUESTION     an answer, whether or not anybody still waited for it
  run/
    journal.jsonl           every round: what was asked of whom, whose answers closed it
    journal.head            how long the journal is, and the digest of its last line
    parcels/                questions as they were put out, and the answers that count
    state.json              what the driver does
    aborted                 is there while the study is stopped
    driver.lock             held by the one driver
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """Paths below a study's folder. Nothing here reads or writes."""

    root: Path

    @property
    def proposal(self) -> Path:
        """The proposal's parcel."""
        return self.root / "proposal.parcel"

    @property
    def text(self) -> Path:
        """The study's YAML as it was given."""
        return self.root / "study.yaml"

    @property
    def locked(self) -> Path:
        """What was locked, with its digest."""
        return self.root / "study.lock.json"

    def decisions(self, site: str) -> Path:
        """What a site decided."""
        return self.root / "decisions" / site

    def standings(self, site: str) -> Path:
        """Why a site is not answering."""
        return self.root / "standings" / site

    def answers(self, site: str) -> Path:
        """What a site answered."""
        return self.root / "answers" / site

    @property
    def run(self) -> Path:
        """The run's own folder."""
        return self.root / "run"

    @property
    def journal(self) -> Path:
        """Every round, one line when it opens and one when it closes."""
        return self.run / "journal.jsonl"

    @property
    def head(self) -> Path:
        """How long the journal is."""
        return self.run / "journal.head"

    @property
    def parcels(self) -> Path:
        """Questions, and the answers that count."""
        return self.run / "parcels"

    @property
    def state(self) -> Path:
        """What the driver does."""
        return self.run / "state.json"

    @property
    def aborted(self) -> Path:
        """Why the study is stopped, while it is."""
        return self.run / "aborted"

    @property
    def guard(self) -> Path:
        """Held by the one driver."""
        return self.run / "driver.lock"


def filed(folder: Path, number: str) -> Path:
    """Return where the parcel of a question or of a decision's number lies in one of the folders above."""
    return folder / f"{number}.parcel"
