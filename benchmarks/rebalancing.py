"""How often does augmentation pass the no-harm rule, and does what passes do no harm?

    python benchmarks/rebalancing.py

The International Stroke Trial by country, from the folder WARDGATE_DATA (default ../shared/data): death within 14 days
(9 %), and death or dependency at six months (60 %). Countries of 500 to 5,000 persons; in each of five seeds 60 % of
the persons train, 15 % tune and 25 % are a locked test that decides nothing. Each request is judged by `rebalance` on
training and tuning persons, generators being fitted anew in each of three folds; then both models are tested on the
locked persons. Gains are paired; their intervals draw countries-and-seeds again, all requests of one together. The
same persons stand in several seeds. Where the private generator refuses so few persons, nothing is tried.

Two uses: `augmentation` (a hospital's own persons with added rows, against its own persons alone) and `corpus` (a model
of the rebalanced corpus against one of the natural corpus, for those who never see a person).
"""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from harness import ROOT, Figure, write
from numpy.typing import NDArray
from synth import features_of, read

from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.answering.synthesis.rebalanced import Rebalanced
from wardgate.hospital.ward.answering.synthesis.rebalancing import Refit, enriched, rebalance, taught
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.generators import Fitted, MarginalTree, SequentialCart
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.logistic import probability
from wardgate.measures.no_harm import Decision, benefits, predicted
from wardgate.measures.rebalancing import Wanted, design_of
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Refused

DATA = (ROOT / os.environ.get("WARDGATE_DATA", "../shared/data")).resolve()
EPSILON, DELTA = 1.0, 1e-6
SEEDS, FIRST_SEED = 5, 300
LEAST_PERSONS, MOST_PERSONS = 500, 5_000
FOLDS = 3
GENERATORS = {"marginal-tree, epsilon 1": MarginalTree(), "sequential-cart, no privacy": SequentialCart()}
STUDIES = {
    "dead at 14 days": (
        "country-dead14.yaml",
        (0.05, 0.1, 0.2),
        {
            "deaths to 30 %": (Wanted(where={"label": 1}, share=0.3),),
            "three times as many drowsy": (Wanted(where={"consciousness": "drowsy"}, factor=3),),
            "deaths of women and of the young": (
                Wanted(where={"label": 1, "sex": "female"}, factor=3),
                Wanted(where={"label": 1, "age": (16, 69)}, factor=4),
            ),
        },
    ),
    "dead or dependent": (
        "country.yaml",
        (0.3, 0.5, 0.7),
        {
            "the old who do well, three times": (Wanted(where={"label": 0, "age": (80, 99)}, factor=3),),
            "three times as many drowsy": (Wanted(where={"consciousness": "drowsy"}, factor=3),),
            "outcomes of the drowsy and of the young": (
                Wanted(where={"label": 0, "consciousness": "drowsy"}, factor=4),
                Wanted(where={"label": 1, "age": (16, 59)}, factor=4),
            ),
        },
    ),
}
USES = ("augmentation", "corpus")

Vector = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One request at one country in one seed, for one use.

    Attributes:
        gain: On the locked test: net benefit (mean over thresholds), Brier score, log-loss; above 0 is better.
        by_value: Whether all three gains were above 0 in cross-validation, certain or not.
    """

    unit: str
    study: str
    use: str
    generator: str
    request: str
    accepted: bool
    by_value: bool
    gain: tuple[float, float, float]


def countries(study_file: str) -> tuple[Dictionary, dict[str, pl.DataFrame]]:
    study, mapping = read("ist", study_file)
    whole = pl.read_csv(DATA / "ist_stroke" / "IST.csv", infer_schema_length=0, encoding="utf8-lossy")
    found = {}
    for name, part in whole.group_by("COUNTRY", maintain_order=True):
        if LEAST_PERSONS <= part.height <= MOST_PERSONS:
            with tempfile.TemporaryDirectory() as scratch:
                part.write_csv(Path(scratch) / "IST.csv")
                found[str(name[0])] = features_of(study, load(Path(scratch), study, mapping=mapping).table)
    return study.dictionary, found


def gains(
    y: NDArray[np.int8], before: Vector, after: Vector, thresholds: Sequence[float]
) -> tuple[float, float, float]:
    benefit = benefits(y, after, thresholds).mean() - benefits(y, before, thresholds).mean()
    brier = np.mean((probability(before) - y) ** 2) - np.mean((probability(after) - y) ** 2)
    loss = np.mean(np.logaddexp(0, before) - y * before) - np.mean(np.logaddexp(0, after) - y * after)
    return float(benefit), float(brier), float(loss)


def by_value(decision: Decision) -> bool:
    found = (decision.net_benefit, decision.brier, decision.miscalibration)
    return all(one is not None and one.value > 0 for one in found)


def trials(study: str, name: str, table: pl.DataFrame, dictionary: Dictionary, seed: int) -> Iterator[Trial]:
    """Yield all requests with all generators at one country in one seed."""
    order = np.random.default_rng(seed).permutation(table.height)
    cuts = (round(0.6 * table.height), round(0.75 * table.height))
    real, tuning, locked = table[order[: cuts[0]]], table[order[cuts[0] : cuts[1]]], table[order[cuts[1] :]]
    x, y = design_matrix(dictionary.features, locked), labels(locked)
    for generator, maker in GENERATORS.items():
        kept: dict[int, Fitted] = {}

        def refit(
            part: pl.DataFrame, rng: np.random.Generator, maker: object = maker, kept: dict[int, Fitted] = kept
        ) -> Fitted:
            """Fit once for all requests: they share their folds."""
            key = int(part.hash_rows().sum())
            if key not in kept:
                kept[key] = maker.fit(  # type: ignore[attr-defined]
                    part, dictionary, epsilon=EPSILON, delta=DELTA, entropy=SystemEntropy(), rng=rng
                )
            return kept[key]

        for request in STUDIES[study][2]:
            try:
                yield from tried(study, name, generator, request, refit, real, tuning, (x, y), dictionary, seed)
            except (Refused, Invalid) as refusal:
                print(name, seed, generator, request, "not tried:", refusal, flush=True)


def tried(
    study: str,
    name: str,
    generator: str,
    request: str,
    refit: Refit,
    real: pl.DataFrame,
    tuning: pl.DataFrame,
    locked: tuple[Vector, NDArray[np.int8]],
    dictionary: Dictionary,
    seed: int,
) -> Iterator[Trial]:
    _, thresholds, requests = STUDIES[study]
    wanted = requests[request]
    rng = np.random.default_rng([seed, len(name)])
    fitted = refit(real, rng)
    found: Rebalanced = rebalance(
        fitted,
        wanted,
        real=real,
        tuning=tuning,
        dictionary=dictionary,
        rng=rng,
        thresholds=thresholds,
        refit=refit,
        folds=FOLDS,
    )
    known = pl.concat([real, tuning])
    more, _ = enriched(fitted, wanted, known, rng=rng)
    pairs = {
        "augmentation": (
            taught(known, dictionary),
            taught(more, dictionary, design=design_of(wanted, known, more)),
            found.augmentation,
        ),
        "corpus": (
            taught(found.natural, dictionary),
            taught(found.table, dictionary, design=found.design),
            found.corpus,
        ),
    }
    x, y = locked
    for use, (before, after, decision) in pairs.items():
        yield Trial(
            unit=f"{name} {seed}",
            study=study,
            use=use,
            generator=generator,
            request=request,
            accepted=decision.accepted,
            by_value=by_value(decision),
            gain=gains(y, predicted(x, before), predicted(x, after), thresholds),
        )


def interval(chosen: Sequence[Trial], place: int, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the mean gain with its interval over countries-and-seeds drawn again, in thousandths."""
    units = sorted({one.unit for one in chosen})
    by_unit = [np.array([one.gain[place] for one in chosen if one.unit == unit]) for unit in units]
    sums, sizes = np.array([part.sum() for part in by_unit]), np.array([len(part) for part in by_unit])
    drawn = rng.multinomial(len(units), np.full(len(units), 1 / len(units)), size=2_000)
    low, high = np.quantile((drawn @ sums) / (drawn @ sizes), [0.025, 0.975])
    return tuple(round(1_000 * float(value), 3) for value in (sums.sum() / sizes.sum(), low, high))  # type: ignore[return-value]


def figures(found: Sequence[Trial], seeds: int) -> Iterator[Figure]:
    rng = np.random.default_rng(1)
    for use in USES:
        everything = [one for one in found if one.use == use]
        passed = [one for one in everything if one.accepted]
        yield locked_gain(f"IST, {use}, all requests and generators", passed, everything, rng, seeds)
        for generator in GENERATORS:
            for study, (_, _, requests) in STUDIES.items():
                here = [one for one in everything if one.generator == generator and one.study == study]
                if here:
                    yield accepted(f"IST, {study}, {use}, {generator}", here, requests, rng, seeds)


def accepted(
    title: str, here: Sequence[Trial], requests: Mapping[str, object], rng: np.random.Generator, seeds: int
) -> Figure:
    """How often, by request, and what it did to locked persons."""
    passed = [one for one in here if one.accepted]
    told = {}
    for request in requests:
        mine = [one for one in here if one.request == request]
        told[request] = f"{sum(one.accepted for one in mine)} of {len(mine)}"
    return Figure(
        name=f"{title}: share of requests accepted",
        value=round(len(passed) / len(here), 3),
        seeds=seeds,
        peers={
            **told,
            "countries": len({one.unit.split()[0] for one in here}),
            "better in cross-validation by value alone": round(float(np.mean([one.by_value for one in here])), 3),
            "Brier gain on locked tests, accepted (thousandths)": words(passed, 1, rng),
            "accepting always": words(here, 1, rng),
        },
    )


def words(chosen: Sequence[Trial], place: int, rng: np.random.Generator) -> str:
    return "{} ({} to {})".format(*interval(chosen, place, rng)) if chosen else "none"


def locked_gain(
    title: str, passed: Sequence[Trial], here: Sequence[Trial], rng: np.random.Generator, seeds: int
) -> Figure:
    """The gain in Brier score on locked persons of what was accepted, beside accepting always."""
    name = f"{title}: gain in Brier score on locked tests where accepted, thousandths"
    always = {
        f"accepting always, {what}": words(here, place, rng)
        for place, what in enumerate(("net benefit", "Brier score", "log-loss"))
    }
    worse = {"accepting always, share worse by Brier": round(float(np.mean([one.gain[1] < 0 for one in here])), 3)}
    if not passed:
        return Figure(
            name=name,
            value=None,
            goal="no harm",
            seeds=seeds,
            peers={**always, **worse},
            reason="nothing was accepted, so nothing was harmed and nothing gained",
        )
    value, low, high = interval(passed, 1, rng)
    benefit, loss = interval(passed, 0, rng), interval(passed, 2, rng)
    harmless = high >= 0 and benefit[2] >= 0
    return Figure(
        name=name,
        value=value,
        goal="no harm: neither Brier score nor net benefit below 0 by more than the interval",
        met=harmless,
        seeds=seeds,
        peers={
            "low": low,
            "high": high,
            "net benefit": "{} ({} to {})".format(*benefit),
            "log-loss": "{} ({} to {})".format(*loss),
            "accepted": f"{len(passed)} of {len(here)}",
            "share worse by Brier": round(float(np.mean([one.gain[1] < 0 for one in passed])), 3),
            "countries and seeds behind it": len({one.unit for one in passed}),
            **always,
            **worse,
        },
        reason="" if harmless else "what helped in cross-validation harmed locked persons",
    )


def main() -> None:
    """Measure seed by seed and write after each."""
    tables = {study: countries(file) for study, (file, _, _) in STUDIES.items()}
    found: list[Trial] = []
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
        for study, (dictionary, sites) in tables.items():
            for name, table in sites.items():
                before = len(found)
                found.extend(trials(study, name, table, dictionary, seed))
                new = found[before:]
                print(seed, study, name, table.height, sum(one.accepted for one in new), "of", len(new), flush=True)
        done = list(figures(found, seed - FIRST_SEED + 1))
        for one in done:
            print(one.name, one.value, dict(one.peers), flush=True)
        write("rebalancing", done, "make bench NAME=rebalancing")


if __name__ == "__main__":
    main()
