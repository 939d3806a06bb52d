"""Several generators on the same persons, by the gate's own measures. Nothing leaves, so nothing is counted.

The persons to compare with are half of the tuning table; a private or neural generator may stop by the other half.
The gate's holdout is not touched: who chooses a generator by it has used it up.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from wardgate.entropy import Entropy
from wardgate.hospital.ward.answering.synthesis.wish import Read, Source, Wish, chosen
from wardgate.hospital.ward.answering.trials.corpus import Persons, of_lines
from wardgate.hospital.ward.gate.battery import measure
from wardgate.policy import decide
from wardgate.records.bands import band
from wardgate.records.claim import Claim
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, NotEvaluable, Refused, Unsupported
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.verdict import Evidence

SHOWN = (
    "realism.tstr_loss",
    "realism.marginal_error",
    "realism.pairwise_error",
    "realism.detection",
    "membership.auc",
)
"""Measures that a comparison lists; the gate looks at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One generator, over seeds.

    Attributes:
        values: Mean of each shown measure over the seeds that gave one.
        passed: Seeds whose corpus the policy would let out.
        seeds: Seeds that gave a corpus.
        failing: Rules that refused, most often refusing first.
        seconds: Of fitting and drawing, mean.
        words: Why there is none, where there is none.
    """

    generator: str
    claim: Claim | None
    values: dict[str, float]
    passed: int
    seeds: int
    failing: tuple[str, ...]
    seconds: float
    words: str = ""

    def plain(self) -> dict[str, Any]:
        """Return the comparison as JSON-ready data."""
        return {
            "generator": self.generator,
            "claim": None if self.claim is None else self.claim.plain(),
            "measures": {name: f"{value:.4g}" for name, value in self.values.items()},
            "passed": self.passed,
            "seeds": self.seeds,
            "failing": list(self.failing),
            "seconds": f"{self.seconds:.3g}",
            "words": self.words,
        }


def compare(
    source: Source,
    wishes: Sequence[Wish],
    *,
    policy: GatePolicy,
    seeds: int,
    entropy: Entropy,
    tell: Callable[[str], None] = lambda words: None,
) -> tuple[Compared, ...]:
    """Fit each generator `seeds` times, draw a corpus each time and measure it.

    A generator that cannot be fitted here stands in the list with the reason.

    Raises:
        Invalid: there is no tuning table, no seed, or a table cannot be read.
    """
    if source.tuning is None:
        raise Invalid("a comparison needs persons that no generator saw and no gate will use: give --tuning")
    if seeds < 1 or not wishes:
        raise Invalid("expected at least one seed and one generator")
    read = source.read()
    if read.tuning is None:
        raise RuntimeError("a tuning table was named and not read")
    stopping, unseen = _halves(read.tuning, read.dictionary)
    found = []
    for wish in wishes:
        tell(f"'{wish.generator}', {seeds} seed(s)")
        found.append(_one(replace(read, tuning=stopping), unseen, wish, policy=policy, seeds=seeds, entropy=entropy))
    return tuple(found)


def _halves(table: pl.DataFrame, dictionary: Dictionary) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Part persons at random, always alike."""
    rng = np.random.default_rng(0)
    if dictionary.person is None or dictionary.person not in table.columns:
        first = np.zeros(table.height, dtype=np.bool_)
        first[rng.permutation(table.height)[: table.height // 2]] = True
        return table.filter(first), table.filter(~first)
    whose = table[dictionary.person].unique().sort()
    first_persons = whose[rng.permutation(len(whose))[: len(whose) // 2]]
    here = table[dictionary.person].is_in(first_persons.implode())
    return table.filter(here), table.filter(~here)


def _one(read: Read, unseen: pl.DataFrame, wish: Wish, *, policy: GatePolicy, seeds: int, entropy: Entropy) -> Compared:
    values: dict[str, list[float]] = {}
    failing: dict[str, int] = {}
    passed, times = 0, []
    claim = None
    name = wish.generator
    try:
        generator, _, _ = chosen(wish, read)
        name = generator.name
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            start = time.perf_counter()
            fitted = generator.fit(
                read.features,
                read.dictionary,
                tuning=read.tuned,
                epsilon=1.0 if wish.epsilon is None else wish.epsilon,
                delta=wish.delta,
                entropy=entropy,
                rng=rng,
            )
            corpus = fitted.sample(max(fitted.persons, 1), rng=rng)
            times.append(time.perf_counter() - start)
            claim = fitted.claim
            evidence = _evidence(read, unseen, corpus, claim, policy, rng)
            verdict = decide(evidence, policy)
            passed += verdict.outcome == "pass"
            for ruling in verdict.rulings:
                if ruling.outcome in ("fail", "not_evaluable"):
                    failing[ruling.rule] = failing.get(ruling.rule, 0) + 1
            for one in evidence.measured:
                if one.name in SHOWN:
                    values.setdefault(one.name, []).append(one.value)
    except (Invalid, NotEvaluable, Refused, Unsupported) as error:
        return Compared(
            generator=name,
            claim=claim,
            values={},
            passed=passed,
            seeds=len(times),
            failing=(),
            seconds=0.0,
            words=str(error),
        )
    return Compared(
        generator=name,
        claim=claim,
        values={one: float(np.mean(values[one])) for one in SHOWN if one in values},
        passed=passed,
        seeds=seeds,
        failing=tuple(sorted(failing, key=lambda rule: (-failing[rule], rule))),
        seconds=float(np.mean(times)),
    )


def _evidence(
    read: Read, unseen: pl.DataFrame, corpus: pl.DataFrame, claim: Claim, policy: GatePolicy, rng: np.random.Generator
) -> Evidence:
    tuning = read.tuning if read.tuning is not None else read.table.clear()
    judged = Persons(train=read.table, tuning=tuning, holdout=unseen, candidate=corpus, dictionary=read.dictionary)
    if read.dictionary.time is not None:
        judged = of_lines(judged)
    measured, absent = measure(
        train=judged.train,
        tuning=judged.tuning,
        holdout=judged.holdout,
        candidate=judged.candidate,
        dictionary=judged.dictionary,
        policy=policy,
        attempt=1,
        rng=rng,
        lines=judged.lines,
    )
    return Evidence(
        kind="corpus",
        persons_train=band(read.persons),
        attempt=1,
        claim=claim,
        cumulative_epsilon=claim.epsilon or 0.0,
        measured=measured,
        absent=absent,
    )
