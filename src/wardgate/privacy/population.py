"""What one population has lost over all studies: the hospital's book, read and recomposed. Bytes in, values out.

A person is in one split of one run of a study, and may be in any split of any other. So within a run splits compose
in parallel, and over runs everything composes sequentially: the figure is that of the unluckiest person, who sat in
the dearest split every time. The book is a chain: each line holds the digest of the line before, and a small file
beside it the number of lines, so that a line that was changed, moved, put in or cut off is noticed. The chain has no
key: whoever holds the hospital's folder can write another book. It protects against accidents and careless hands.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from pydantic import field_validator

from wardgate.privacy.accountant import epsilon_of
from wardgate.privacy.budget import SPLITS, Spending, Split
from wardgate.records.canonical import canonical, sha256
from wardgate.records.certificate import months_after
from wardgate.records.claim import ExponentialEvent, GaussianEvent, SampledGaussianEvent
from wardgate.records.errors import Broken, Invalid
from wardgate.records.record import Digest, Name, Record

START = "0" * 64
"""What the first line names as the line before it."""

FILE, HEAD = "population.jsonl", "population.head"
"""The book in a hospital's memory, and what its last line must be."""

ONE = "one"
"""The name of a hospital's population where it names none."""

COMBINATIONS = 64
"""Combinations of splits over runs that are told apart; beyond, all splits of a further run count for everybody."""


class Entry(Record):
    """One line of the book.

    Attributes:
        number: From 1 on.
        before: SHA-256 of the line before.
        on: Day of the release, as an ISO date.
        population: Whose book it is, by the hospital's own opaque name.
        run: One ward in one study; its splits do not share a person. Random.
        study: Digest of the locked study; absent for a release that stands by itself.
        question: Digest of the question that it was spent for; absent where the ward remembers no questions.
        spending: What was spent.
    """

    number: int
    before: Digest
    on: str
    population: Name
    run: Name
    study: Digest | None = None
    question: Digest | None = None
    spending: Spending

    @field_validator("on")
    @classmethod
    def _day(cls, value: str) -> str:
        if date.fromisoformat(value).isoformat() != value:
            raise ValueError("expected a day as YYYY-MM-DD")
        return value


class Head(Record):
    """How far the book goes. Written after each line, so it may lag behind by one."""

    lines: int
    sha256: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """Everything that the hospital wrote down, in order, and the digest of the last line."""

    entries: tuple[Entry, ...] = ()
    last: str = START

    def of(self, population: str) -> tuple[Entry, ...]:
        """Return the entries of one population."""
        return tuple(entry for entry in self.entries if entry.population == population)

    def next(
        self,
        *,
        on: str,
        population: str,
        run: str,
        study: str | None,
        spending: Spending,
        question: str | None = None,
    ) -> Entry:
        """Return the line that would follow."""
        return Entry(
            number=len(self.entries) + 1,
            before=self.last,
            on=on,
            population=population,
            run=run,
            study=study,
            question=question,
            spending=spending,
        )

    def then(self, entry: Entry) -> "Book":
        """Return the book with one more line."""
        return Book(entries=(*self.entries, entry), last=sha256(entry.to_bytes()))

    @property
    def head(self) -> Head:
        """How far it goes."""
        return Head(lines=len(self.entries), sha256=self.last)


def read_book(data: bytes, *, head: bytes | None) -> Book:
    """Read `population.jsonl` and check its chain against `population.head`.

    A book that is one line longer than its head is whole: the head is written after the line.

    Raises:
        Broken: a line was cut off, changed, moved, put in or left out. What was spent is then unknown.
    """
    if data and not data.endswith(b"\n"):
        raise Broken("the population's book ends inside a line: nothing was answered after it. Remove that line")
    entries: list[Entry] = []
    digests = [START]
    for number, line in enumerate(data.split(b"\n")[:-1], start=1):
        entry = _entry(line, number)
        if entry.number != number or entry.before != digests[-1] or canonical(entry.plain()) != line:
            raise Broken(f"line {number} of the population's book does not follow from the line before it; restore it")
        if entries and entry.on < entries[-1].on:
            raise Broken(f"line {number} of the population's book is older than the line before it; restore the book")
        entries.append(entry)
        digests.append(sha256(line))
    said = _head(head)
    if said.lines not in (len(entries), len(entries) - 1) or said.sha256 != digests[said.lines]:
        raise Broken(
            f"the population's book has {len(entries)} lines, the file beside it tells of {said.lines} or of others;"
            " lines were cut off or put in. Restore both before anything leaves"
        )
    return Book(entries=tuple(entries), last=digests[-1])


def _entry(line: bytes, number: int) -> Entry:
    try:
        return Entry.from_plain(json.loads(line))
    except (ValueError, RecursionError, Invalid):
        pass
    raise Broken(f"line {number} of the population's book cannot be read; restore it before anything leaves")


def _head(data: bytes | None) -> Head:
    if data is None:
        return Head(lines=0, sha256=START)
    try:
        found = Head.from_plain(json.loads(data))
    except (ValueError, RecursionError, Invalid):
        found = None
    if found is None or found.lines < 0:
        raise Broken("the file beside the population's book cannot be read; restore both before anything leaves")
    return found


def counting(entries: Iterable[Entry], *, on: str, months: int | None) -> tuple[Entry, ...]:
    """Return the entries that count on a day: those of the last `months`, or all where there is no such limit."""
    return tuple(entry for entry in entries if months is None or on < months_after(entry.on, months))


@dataclass(frozen=True, slots=True)
class _Load:
    """What one person met: the sum of 1 / multiplier^2, the choices, and batches by multiplier and probability."""

    inverse_variance: float = 0.0
    choices: tuple[tuple[float, int], ...] = ()
    sampled: tuple[tuple[tuple[float, float], int], ...] = ()

    def plus(self, other: "_Load") -> "_Load":
        counts = Counter(dict(self.choices)) + Counter(dict(other.choices))
        batches = Counter(dict(self.sampled)) + Counter(dict(other.sampled))
        return _Load(
            self.inverse_variance + other.inverse_variance,
            tuple(sorted(counts.items())),
            tuple(sorted(batches.items())),
        )

    def within(self, other: "_Load") -> bool:
        """Whether the other met at least as much of everything."""
        theirs, batches = dict(other.choices), dict(other.sampled)
        return (
            self.inverse_variance <= other.inverse_variance
            and all(count <= theirs.get(epsilon, 0) for epsilon, count in self.choices)
            and all(count <= batches.get(kind, 0) for kind, count in self.sampled)
        )

    def cost(self, delta: float) -> float:
        noise = (1 / math.sqrt(self.inverse_variance),) if self.inverse_variance > 0 else ()
        return epsilon_of(
            gaussian=[GaussianEvent(noise_multiplier=one, count=1, what="all releases") for one in noise],
            exponential=[ExponentialEvent(epsilon=e, count=count, what="choices") for e, count in self.choices],
            sampled=[
                SampledGaussianEvent(noise_multiplier=noise, probability=share, count=count, what="batches")
                for (noise, share), count in self.sampled
            ],
            delta=delta,
        )


def joint_epsilon(entries: Sequence[Entry], *, delta: float, of: tuple[str, Split] | None = None) -> float:
    """Return the joint epsilon of everything random in `entries`, for the unluckiest person.

    One privacy loss distribution for each combination of splits over runs that another does not outdo; epsilons are
    not added. Exact answers are outside this figure; see `exact_answers_of`.

    Args:
        entries: Of one population.
        of: A run and a split: then only persons of that split of that run.

    Raises:
        Invalid: `delta` is not in (0, 1).
    """
    runs: dict[str, list[Entry]] = {}
    for entry in entries:
        runs.setdefault(entry.run, []).append(entry)
    loads = [_Load()]
    for run, spent in sorted(runs.items()):
        splits = [of[1]] if of is not None and of[0] == run else list(SPLITS)
        here = _outermost([_load(entry.spending for entry in spent if _meets(entry, split)) for split in splits])
        if len(here) * len(loads) > COMBINATIONS:
            here = [_load(entry.spending for entry in spent)]
        loads = _outermost([one.plus(other) for one in loads for other in here])
    return max(load.cost(delta) for load in loads)


def exact_answers_of(entries: Iterable[Entry]) -> int:
    """Return how many exact answers were given. Above zero, the epsilon does not cover everything."""
    return sum(entry.spending.exact for entry in entries)


def _meets(entry: Entry, split: Split) -> bool:
    return entry.spending.split in (split, "all")


def _load(spendings: Iterable[Spending]) -> _Load:
    inverse, choices, batches = 0.0, Counter[float](), Counter[tuple[float, float]]()
    for spending in spendings:
        inverse += math.fsum(event.count / event.noise_multiplier**2 for event in spending.gaussian)
        for event in spending.exponential:
            choices[event.epsilon] += event.count
        for batch in spending.sampled:
            batches[batch.noise_multiplier, batch.probability] += batch.count
    return _Load(inverse, tuple(sorted(choices.items())), tuple(sorted(batches.items())))


def _outermost(loads: Sequence[_Load]) -> list[_Load]:
    """Leave out what another load outdoes."""
    kept: list[_Load] = []
    for load in loads:
        if not any(load.within(other) for other in kept):
            kept = [other for other in kept if not other.within(load)] + [load]
    return kept


def freeing_days(entries: Iterable[Entry], *, months: int) -> Iterator[str]:
    """Yield the days on which something leaves the window, earliest first."""
    yield from sorted({months_after(entry.on, months) for entry in entries})
