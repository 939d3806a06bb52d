"""What a population has left, what a plan would cost, and when time gives something back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from wardgate.privacy.accountant import epsilon_of, noise_multiplier_for
from wardgate.privacy.budget import Release, Spending
from wardgate.privacy.population import Book, Entry, counting, exact_answers_of, freeing_days, joint_epsilon
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import Invalid
from wardgate.records.gate_policy import Population

MOST_DAYS = 24
"""Days of the future that are told one by one."""

MOST_MORE = 10_000
"""Further corpora beyond which nobody counts."""

ONE_CORPUS = 1.0
"""Epsilon of the corpus by which room is told."""

KINDS: dict[str, Release] = {
    "corpus": "corpus",
    "joint-corpus": "joint-corpus",
    "sum": "sum",
    "rounds": "sum",
    "sited": "sited",
    "aggregate": "aggregate",
    "model": "model",
    "refresh": "refresh",
}
"""Words of a plan, and what they are in the book."""

_PLAN = re.compile(
    r"(?P<word>[a-z-]+)(=(?P<count>\d{1,6}))?:((?P<key>epsilon|noise)=(?P<value>[0-9.eE+-]+)|(?P<exact>exact))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What one run of one study spent.

    Attributes:
        study: Its digest, or nothing for releases that stood by themselves.
        first, last: Days of the first and the last spending.
        releases: What was released, each kind once, with how often.
        epsilon: Of this run alone, at the population's delta.
        exact: Exact answers, which no epsilon covers.
        counts: Whether some of it still counts today.
    """

    study: str | None
    first: str
    last: str
    releases: tuple[tuple[str, int], ...]
    epsilon: float
    exact: int
    counts: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One population on one day.

    Attributes:
        epsilon: Joint, of everything that counts on that day, for the unluckiest person.
        lifetime: The same of everything ever written down; no limit holds it.
        exact: Exact answers that count on that day.
        lines: Every run, oldest first.
        freed: Days ahead on which something stops counting, with the epsilon that is left then.
        room: Further corpora of epsilon 1 that fit today.
    """

    population: str
    on: str
    limits: Population
    epsilon: float
    lifetime: float
    exact: int
    lines: tuple[Line, ...]
    freed: tuple[tuple[str, float], ...]
    room: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One planned release.

    Attributes:
        words: As it was asked for.
        alone: Epsilon of it alone; 0 for exact answers.
        exact: Exact answers in it.
        total: Epsilon of the population with it, and with all steps before it that are allowed.
        allowed: Whether it fits today.
        allowed_on: The first day on which it would fit, if nothing else is spent; absent where it never does.
    """

    words: str
    alone: float
    exact: int
    total: float
    allowed: bool
    allowed_on: str | None


def state(book: Book, *, population: str, limits: Population, on: str) -> State:
    """Return where a population stands on a day."""
    every = book.of(population)
    now = counting(every, on=on, months=limits.months)
    ahead = islice((day for day in freeing_days(now, months=limits.months) if day > on), MOST_DAYS)
    return State(
        population=population,
        on=on,
        limits=limits,
        epsilon=joint_epsilon(now, delta=limits.delta),
        lifetime=joint_epsilon(every, delta=limits.delta),
        exact=exact_answers_of(now),
        lines=tuple(_line(part, now, limits.delta) for part in _runs(every)),
        freed=tuple((day, _left(every, limits, day)) for day in ahead),
        room=_room(book, population=population, limits=limits, on=on),
    )


def forecast(
    book: Book, plan: Sequence[tuple[str, Spending]], *, population: str, limits: Population, on: str
) -> tuple[Step, ...]:
    """Return what each step of a plan would cost after those before it. A step that does not fit is left out."""
    steps = []
    for place, (words, spending) in enumerate(plan):
        entry = _entry(book, spending, population=population, on=on, run=f"planned-{place}")
        total = _left((*book.of(population), entry), limits, on)
        allowed = not spending.random or total <= limits.epsilon_total
        steps.append(
            Step(
                words=words,
                alone=epsilon_of(
                    gaussian=spending.gaussian,
                    exponential=spending.exponential,
                    sampled=spending.sampled,
                    delta=limits.delta,
                ),
                exact=spending.exact,
                total=total,
                allowed=allowed,
                allowed_on=on if allowed else _first_day(book.of(population), entry, limits),
            )
        )
        if allowed:
            book = book.then(entry)
    return tuple(steps)


def planned(text: str, *, delta: float) -> tuple[str, Spending]:
    """Read one step of a plan: `corpus:epsilon=1`, `rounds=20:noise=5` or `sum=3:exact`.

    A release of a stated epsilon is taken as one Gaussian release of that epsilon at `delta`; one of a stated noise
    as that noise over the reach of one person. Everything touches the same persons.

    Raises:
        Invalid: it is no such step; the message says what one looks like.
    """
    found = _PLAN.fullmatch(text)
    if found is None or found["word"] not in KINDS:
        raise Invalid(
            f"found '{text[:60]}', expected WORD[=COUNT]:epsilon=E, :noise=MULTIPLIER or :exact, e.g. corpus:epsilon=1"
            f" or rounds=20:noise=5; words are {', '.join(KINDS)}"
        )
    count = int(found["count"] or 1)
    if count < 1:
        raise Invalid(f"found '{text}', expected a count of at least 1")
    kind = KINDS[found["word"]]
    if found["exact"]:
        return text, Spending(population="plan", split="all", what=text, kind=kind, exact=count)
    try:
        value = float(found["value"])
    except ValueError:
        value = 0.0
    if not 0.001 <= value <= 1e6:
        raise Invalid(f"found '{text}', expected a {found['key']} from 0.001 to 1000000")
    multiplier = noise_multiplier_for(epsilon=value, delta=delta) if found["key"] == "epsilon" else value
    event = GaussianEvent(noise_multiplier=multiplier, count=count, what=text)
    return text, Spending(population="plan", split="all", what=text, kind=kind, gaussian=(event,))


def _runs(entries: Sequence[Entry]) -> list[list[Entry]]:
    runs: dict[str, list[Entry]] = {}
    for entry in entries:
        runs.setdefault(entry.run, []).append(entry)
    return list(runs.values())


def _line(entries: Sequence[Entry], now: Sequence[Entry], delta: float) -> Line:
    kinds: dict[str, int] = {}
    for entry in entries:
        name = entry.spending.kind or "not named"
        kinds[name] = kinds.get(name, 0) + 1
    return Line(
        study=entries[0].study,
        first=entries[0].on,
        last=entries[-1].on,
        releases=tuple(kinds.items()),
        epsilon=joint_epsilon(entries, delta=delta),
        exact=exact_answers_of(entries),
        counts=any(entry in now for entry in entries),
    )


def _left(entries: Sequence[Entry], limits: Population, on: str) -> float:
    return joint_epsilon(counting(entries, on=on, months=limits.months), delta=limits.delta)


def _room(book: Book, *, population: str, limits: Population, on: str) -> int:
    """Return how many corpora of epsilon 1 fit beside what is there; bisection, since each one only adds."""
    multiplier = noise_multiplier_for(epsilon=ONE_CORPUS, delta=limits.delta)

    def fits(count: int) -> bool:
        event = GaussianEvent(noise_multiplier=multiplier, count=count, what="corpora")
        spending = Spending(population="plan", split="all", what="corpora", kind="corpus", gaussian=(event,))
        entry = _entry(book, spending, population=population, on=on, run="planned")
        return _left((*book.of(population), entry), limits, on) <= limits.epsilon_total

    low, high = 0, 1
    while high <= MOST_MORE and fits(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _first_day(entries: Sequence[Entry], entry: Entry, limits: Population) -> str | None:
    for day in freeing_days(entries, months=limits.months):
        moved = entry.model_copy(update={"on": day})
        if day > entry.on and _left((*entries, moved), limits, day) <= limits.epsilon_total:
            return day
    return None


def _entry(book: Book, spending: Spending, *, population: str, on: str, run: str) -> Entry:
    return book.next(on=on, population=population, run=run, study=None, spending=spending)
