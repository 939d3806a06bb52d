"""What this hospital has spent, opened and answered. Append-only; checked first, committed then."""

import json
from pathlib import Path
from typing import Any

from wardgate.hospital.ward.gate.book import GrowingFile
from wardgate.hospital.ward.gate.population import PopulationBook
from wardgate.privacy.budget import Ledger, Spending, Split, afford, cost
from wardgate.records.canonical import canonical
from wardgate.records.errors import Broken, Invalid, Refused
from wardgate.records.messages import SplitName
from wardgate.records.study import Budget


class PrivateLedger:
    """The hospital's own book. With a path, every entry is on disk before the answer leaves, and is read again.

    Args:
        budget: The study's budget.
        exact_ration: Exact answers that one split may give.
        path: File to append to, or None to keep it in memory (simulations).
        population: The book of the same people over all studies; None where the hospital keeps no memory, and the
            budget is then of this study alone.

    Raises:
        Broken: the file cannot be read to its end. What was spent is then unknown, so nothing more may be.
    """

    def __init__(
        self,
        *,
        budget: Budget,
        exact_ration: int,
        path: Path | None = None,
        population: PopulationBook | None = None,
    ) -> None:
        self._population = population
        self._budget = budget
        self._exact_ration = exact_ration
        self._path = path
        self._ledger = Ledger(entries=())
        self._question: str | None = None
        self._all: list[tuple[Spending, str | None]] = []
        self._aside: list[Spending] = []
        self._rosters: dict[SplitName, set[frozenset[str]]] = {}
        self._openings: list[str] = []
        if path is not None and path.exists():
            self._read(path.read_bytes())

    def begin(self, question_sha256: str, *, on: str) -> None:
        """Say whose spendings come now, and which day it is.

        What an earlier try of the same question spent, whose answer never left, is set aside: spent once more, the
        same is written once. What is not spent once more stays spent.
        """
        self._question = question_sha256
        self._aside = [spending for spending, question in self._all if question == question_sha256]
        others = (spending for spending, question in self._all if question != question_sha256)
        self._ledger = Ledger(entries=tuple(others))
        if self._population is not None:
            self._population.begin(question_sha256, on=on)

    def check(self, spending: Spending) -> Ledger:
        """Return the ledger as it would be.

        Raises:
            Refused: the budget or the ration is exhausted, of this study or of the population.
        """
        if self._population is not None:
            self._population.check(spending)
        return self._own(spending)

    def _own(self, spending: Spending) -> Ledger:
        return afford(
            self._ledger,
            spending,
            epsilon_total=self._budget.epsilon_total,
            delta=self._budget.delta,
            exact_ration=self._exact_ration,
        )

    def commit(self, spending: Spending) -> None:
        """Spend: first in the population's book, then here, so that a crash in between never under-counts.

        Raises:
            Refused: the budget or the ration is exhausted; nothing is spent then.
        """
        again = spending in self._aside
        if self._aside and not again:
            self._ledger = Ledger(entries=(*self._ledger.entries, *self._aside))
            self._aside = []
        after = self._own(spending)
        if self._population is not None:
            self._population.commit(spending)
        if again:
            self._aside.remove(spending)
        else:
            named = {} if self._question is None else {"question": self._question}
            self._write({"spending": spending.plain()} | named)
            self._all.append((spending, self._question))
        self._ledger = after

    def epsilon(self, split: Split, *, extra: Spending | None = None) -> float:
        """Return the joint epsilon of everything spent on a split, with `extra` if given."""
        entries = self._ledger.entries if extra is None else (*self._ledger.entries, extra)
        return cost(Ledger(entries=entries), population=POPULATION, split=split, delta=self._budget.delta)

    def cumulative(self, split: Split, *, extra: Spending | None = None) -> float:
        """Return what persons of a split lost over all studies that count, or in this one where nothing is remembered.

        At the study's delta, so that it can stand beside the study's claims.
        """
        here = self.epsilon(split, extra=extra)
        if self._population is None:
            return here
        return max(here, self._population.cumulative(delta=self._budget.delta, split=split, extra=extra))

    @property
    def population(self) -> PopulationBook | None:
        """The population's book, or None: then the budget is of this study alone, and certificates say so."""
        return self._population

    def exact_answers(self, split: SplitName) -> int:
        """Return how many exact answers a split has given."""
        return sum(entry.exact for entry in self._ledger.entries if entry.split == split)

    def parts(self, split: SplitName) -> tuple[str, ...]:
        """Return what was spent on a split, in words, oldest first."""
        return tuple(entry.what for entry in self._ledger.entries if entry.split == split)

    def rosters(self, split: SplitName) -> frozenset[frozenset[str]]:
        """Return the rosters of all exact sums that a split took part in."""
        return frozenset(self._rosters.get(split, set()))

    def note_roster(self, split: SplitName, roster: frozenset[str]) -> None:
        """Remember the roster of an exact sum."""
        if roster not in self._rosters.setdefault(split, set()):
            self._write({"roster": sorted(roster), "split": split})
            self._rosters[split].add(roster)

    def open_locked_test(self, models_sha256: str, *, limit: int) -> int:
        """Open the locked test for one fixed list of models, and return the number of the opening.

        The same list may ask several questions within its opening; another list is another opening.

        Raises:
            Refused: the study's openings are used up.
        """
        if models_sha256 in self._openings:
            return self._openings.index(models_sha256) + 1
        if len(self._openings) >= limit:
            raise Refused(f"the locked test may be opened {limit} time(s), and that is used up")
        self._write({"opening": models_sha256})
        self._openings.append(models_sha256)
        return len(self._openings)

    @property
    def openings(self) -> int:
        """How often the locked test was opened."""
        return len(self._openings)

    def _write(self, event: dict[str, Any]) -> None:
        if self._path is None:
            return
        GrowingFile(self._path).append(canonical(event))

    def _read(self, data: bytes) -> None:
        if data and not data.endswith(b"\n"):
            raise Broken("the ledger ends inside a line: nothing was answered after it. Remove that line to go on")
        for number, line in enumerate(data.splitlines(), start=1):
            try:
                self._enter(json.loads(line))
            except (ValueError, KeyError, TypeError, Invalid) as error:
                raise Broken(
                    f"line {number} of the ledger cannot be read; restore it before anything leaves"
                ) from error

    def _enter(self, event: dict[str, Any]) -> None:
        if "spending" in event:
            entry = Spending.from_plain(event["spending"])
            self._all.append((entry, event.get("question")))
            self._ledger = Ledger(entries=(*self._ledger.entries, entry))
        elif "roster" in event:
            self._rosters.setdefault(event["split"], set()).add(frozenset(event["roster"]))
        else:
            self._openings.append(event["opening"])


POPULATION = "study-population"
"""One site holds one population in a study; a person is in exactly one split of it."""
