"""This hospital's own corpus: fit, sample, measure, and to the gate, as often as the policy allows."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from wardgate.entropy import Entropy
from wardgate.hospital.ward.answering.bench import Bench
from wardgate.hospital.ward.gate.battery import Refit, measure
from wardgate.hospital.ward.gate.candidate import CorpusTry
from wardgate.hospital.ward.gate.ledger import POPULATION
from wardgate.hospital.ward.generators import Fitted, Generator, choose
from wardgate.privacy.budget import Spending
from wardgate.records.canonical import canonical
from wardgate.records.errors import Refused
from wardgate.records.messages import Question
from wardgate.records.study import Study


def enough_for_own(study: Study, *, train: int, holdout: int) -> bool:
    """Whether a site is large enough for its own corpus to be judged by attack (the policy's lowest tier)."""
    tiers = study.gate.membership.tiers
    return any(train >= tier.members and holdout >= tier.non_members for tier in tiers)


def best_try(bench: Bench, question: Question, *, entropy: Entropy, question_sha256: str = "") -> CorpusTry:
    """Return the first candidate that passes, or the last that failed; every try is in the log.

    Args:
        question_sha256: Whose answer it is, where the ward remembers questions. What an earlier try of it remembered
            as released is forgotten: the ward was killed, and it never left.

    Raises:
        Refused: as for `tries`.
    """
    bench.part("train")
    released = bench.released
    if question_sha256 and released is not None:
        released.forget(question_sha256)
    last: CorpusTry | None = None
    for candidate in tries(bench, question, entropy=entropy):
        last = candidate
        evidence, verdict = bench.door.judge(candidate)
        event = {"event": f"corpus:{verdict.outcome}", "sha256": evidence.fingerprint()}
        bench.door.log.append(canonical(event))
        bench.verdicts.append((evidence, verdict))
        if verdict.outcome == "pass":
            if released is not None:
                released.keep(candidate.table, bench.part("train").table, question_sha256=question_sha256)
            break
    if last is None:
        raise Refused(f"all {bench.study.gate.max_attempts} attempts at a corpus are used up")
    return last


def tries(bench: Bench, question: Question, *, entropy: Entropy) -> Iterator[CorpusTry]:
    """Yield candidates until the caller stops asking or the attempts are used up.

    Each attempt is a new fit and spends its epsilon before it starts. A second pass (`shares`) draws from the
    fitted generator instead: post-processing of a DP fit costs nothing.

    Raises:
        Refused: the site is too small to be judged by attack, the attempts or the budget are used up.
    """
    train, holdout, tuning = bench.part("train"), bench.part("holdout"), bench.part("tuning")
    study = bench.study
    if not enough_for_own(study, train=len(train.y), holdout=len(holdout.y)):
        raise Refused(
            "too few persons for the gate to judge a corpus by attack; the site takes part in the joint corpus"
        )
    extra: dict[str, dict[str, str]] = question.parameters.get("more_of", {})
    again = bool(question.parameters.get("again"))
    if again and bench.generator is None:
        raise Refused("there is no fitted generator to draw from again: the first corpus was refused")
    while bench.attempts < study.gate.max_attempts:
        bench.attempts += 1
        attempt = bench.attempts
        fitted = bench.generator if again and bench.generator else _fit(bench, attempt, entropy)
        bench.generator = fitted
        rng = bench.rng(f"sample/{attempt}")
        table = fitted.sample(max(fitted.persons, 1), rng=rng)
        for where in extra.values():
            rows = int(0.5 * _matching(table, where))
            if rows:
                table = pl.concat([table, fitted.sample(rows, rng=rng, where=where)])
        measured, absent = measure(
            train=train.table,
            tuning=tuning.table,
            holdout=holdout.table,
            candidate=table,
            dictionary=study.dictionary,
            policy=study.gate,
            attempt=attempt,
            rng=bench.rng(f"gate/{attempt}"),
            refit=_refit(bench, entropy),
            earlier=() if bench.released is None else bench.released.earlier(),
        )
        yield CorpusTry(
            table=table,
            generator=_generator_name(bench),
            claim=fitted.claim,
            attempt=attempt,
            measured=measured,
            absent=absent,
            cumulative_epsilon=bench.door.ledger.cumulative("train"),
            persons_train=len(train.y),
            earlier=tuple(bench.verdicts),
        )
        again = False


def _generator(bench: Bench) -> Generator:
    chosen = bench.hospital.generator
    settings = {} if chosen is None or chosen.min_leaf is None else {"min_leaf": chosen.min_leaf}
    return choose(_generator_name(bench), settings)


def _refit(bench: Bench, entropy: Entropy) -> Refit:
    """Return the hospital's generator with the candidate's settings, for rehearsals of which nothing leaves."""
    study, tuning = bench.study, bench.part("tuning").table
    generator = _generator(bench)

    def refit(table: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        fitted = generator.fit(
            table,
            study.dictionary,
            tuning=tuning,
            epsilon=study.budget.corpus,
            delta=study.budget.delta,
            entropy=entropy,
            rng=rng,
        )
        return fitted.sample(max(fitted.persons, 1), rng=rng)

    return refit


def _fit(bench: Bench, attempt: int, entropy: Entropy) -> Fitted:
    study, generator = bench.study, _generator(bench)
    promised = generator.promise(study.dictionary, epsilon=study.budget.corpus, delta=study.budget.delta)
    if promised.random:
        bench.door.ledger.commit(
            Spending(
                population=POPULATION,
                split="train",
                what=f"corpus, attempt {attempt}",
                kind="refresh" if bench.released is not None and bench.released.any else "corpus",
                gaussian=promised.gaussian,
                exponential=promised.exponential,
                sampled=promised.sampled_,
            )
        )
    return generator.fit(
        bench.part("train").table,
        study.dictionary,
        tuning=bench.part("tuning").table,
        epsilon=study.budget.corpus,
        delta=study.budget.delta,
        entropy=entropy,
        rng=bench.rng(f"fit/{attempt}"),
    )


def _matching(table: pl.DataFrame, where: dict[str, str]) -> int:
    matching = table
    for name, value in where.items():
        matching = matching.filter(pl.col(name).cast(pl.String) == value)
    return matching.height


def _generator_name(bench: Bench) -> str:
    return bench.generator_name
