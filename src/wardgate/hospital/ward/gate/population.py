"""The population's book in the hospital's memory: what all studies together spent on the same people.

Order of a spending: the lock, the whole book read again, both checks, this book on disk, the study's ledger on disk,
then noise and signature. A crash in between leaves this book ahead of the ledger: it may count what never left, and
never misses what did. A ward that remembers asks the same question again and is charged for it once.
"""

from datetime import date, timedelta
from pathlib import Path

from wardgate.entropy import Entropy
from wardgate.hospital.ward.gate.book import GrowingFile
from wardgate.privacy.budget import Spending, Split
from wardgate.privacy.population import (
    FILE,
    HEAD,
    ONE,
    Book,
    Entry,
    counting,
    exact_answers_of,
    joint_epsilon,
    read_book,
)
from wardgate.records.errors import Invalid, Refused
from wardgate.records.gate_policy import Population


class PopulationBook:
    """One ward's hand in the book. Everything it spends belongs to one run, whose splits share no person.

    The book is read at every use, and not before: a book that does not hold is then a refusal that can be signed.

    Args:
        folder: The hospital's memory over studies.
        population: The hospital's own name for these people; one folder holds one population unless it names several.
        study_sha256: The running study, or None for a release that stands by itself.
        limits: What the population may lose; None sets no limit, and everything is written down all the same.
        on: Today, as an ISO date.
        entropy: For the random name of the run.
        run: The name of the run, of a ward that goes on with it; without one it is drawn.

    Raises:
        Invalid: `on` is no day. And at every use:
        Broken: the book cannot be read to its end or its chain does not hold. Nothing more may leave then.
        Refused: today is before the last day in the book; for a ward that goes on with a run, more than a day before.
            Clocks are set back over a restart, and one day back is read as that last day.
    """

    def __init__(
        self,
        folder: Path,
        *,
        population: str | None,
        study_sha256: str | None,
        limits: Population | None,
        on: str,
        entropy: Entropy,
        run: str | None = None,
    ) -> None:
        self._file = GrowingFile(folder / FILE)
        self._population = population or ONE
        self._study = study_sha256
        self._limits = limits
        self._on = _day(on)
        self._run = run or entropy.bytes(12).hex()
        self._slack = timedelta(days=0 if run is None else 1)
        self._question: str | None = None
        self._aside: dict[int, Spending] | None = {}
        self._seen: tuple[bytes, bytes | None, Book] | None = None

    def begin(self, question_sha256: str, *, on: str) -> None:
        """Say whose spendings come now, and which day it is; what an earlier try of the question spent is set aside.

        Raises:
            Invalid: `on` is no day.
        """
        self._on = _day(on)
        self._question, self._aside = question_sha256, None

    @property
    def _book(self) -> Book:
        with self._file.held():
            return self._read()

    def check(self, spending: Spending) -> None:
        """Check that the population can afford a release.

        Raises:
            Refused: with it the population would lose more than its policy allows within the period.
            Broken: the book does not hold any more.
        """
        with self._file.held():
            self._afford(self._read(), spending)

    def commit(self, spending: Spending) -> None:
        """Spend, on disk before anything leaves.

        Raises:
            Refused, Broken: as for `check`; nothing is spent then.
        """
        with self._file.held():
            book = self._read()
            aside = self._aside or {}
            again = next((number for number, spent in aside.items() if spent == spending), None)
            if again is not None:
                del aside[again]
                return
            aside.clear()
            entry = self._afford(book, spending)
            if self._file.beside(HEAD) != (head := book.head.to_bytes()) and book.entries:
                self._file.write_beside(HEAD, head)
            self._file.append(entry.to_bytes())
            book = book.then(entry)
            self._file.write_beside(HEAD, book.head.to_bytes())

    def cumulative(self, *, delta: float, split: Split, extra: Spending | None = None) -> float:
        """Return the joint epsilon of persons in a split of this run over everything that counts today."""
        book = self._book
        if extra is not None:
            book = book.then(self._line(book, extra))
        return joint_epsilon(self._counting(book), delta=delta, of=(self._run, split))

    def spent(self) -> tuple[float, float] | None:
        """Return (epsilon, of) at the policy's delta, or nothing where it sets no limit."""
        if self._limits is None:
            return None
        return joint_epsilon(self._counting(self._book), delta=self._limits.delta), self._limits.epsilon_total

    def exact_answers(self) -> int:
        """Return the exact answers that no epsilon covers."""
        return exact_answers_of(self._counting(self._book))

    @property
    def population(self) -> str:
        """Whose book it is."""
        return self._population

    def _counting(self, book: Book) -> tuple[Entry, ...]:
        months = None if self._limits is None else self._limits.months
        counted = counting(book.of(self._population), on=self._on, months=months)
        return tuple(entry for entry in counted if entry.number not in (self._aside or {}))

    def _afford(self, book: Book, spending: Spending) -> Entry:
        entry = self._line(book, spending)
        limits = self._limits
        if limits is not None and spending.random:
            total = joint_epsilon(self._counting(book.then(entry)), delta=limits.delta)
            if not total <= limits.epsilon_total:
                raise Refused(
                    f"budget of the population exhausted: with this release everything of the last {limits.months}"
                    f" months would have cost epsilon {total:.4f} of {limits.epsilon_total:g} at delta"
                    f" {limits.delta:g}; wait until earlier releases are that old, release less, or not at all"
                )
        return entry

    def _line(self, book: Book, spending: Spending) -> Entry:
        return book.next(
            on=self._on,
            population=self._population,
            run=self._run,
            study=self._study,
            question=self._question,
            spending=spending,
        )

    def _read(self) -> Book:
        data, head = self._file.read(), self._file.beside(HEAD)
        if self._seen is None or self._seen[:2] != (data, head):
            self._seen = data, head, read_book(data, head=head)
        book = self._seen[2]
        if self._aside is None:
            self._aside = {
                entry.number: entry.spending
                for entry in book.entries
                if (entry.run, entry.question) == (self._run, self._question)
            }
        last = book.entries[-1].on if book.entries else self._on
        if self._on < last <= (date.fromisoformat(self._on) + self._slack).isoformat():
            self._on = last
        if self._on < last:
            raise Refused(
                f"today is said to be {self._on}, and the population's book was last written on"
                f" {last}; set the clock right before anything leaves"
            )
        return book


def _day(on: str) -> str:
    try:
        return date.fromisoformat(on).isoformat()
    except ValueError:
        pass
    raise Invalid("expected today as YYYY-MM-DD; the population's book counts by days")
