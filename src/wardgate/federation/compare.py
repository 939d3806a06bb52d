"""Which way to learn suits a study's hospitals: tried on simulated hospitals made of the commons, before any patient.

Synthetic corpora are divided into hospitals that differ in stated ways. On each division every candidate learns by the
drivers and the answers that real hospitals would run, and is judged on held-out synthetic rows. The rule that
recommends one is `federation.choosing.RULE`; what all this cannot tell is `CANNOT_TELL`.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl

from wardgate.computations.network_update import Work
from wardgate.computations.networks import pinned
from wardgate.entropy import Entropy
from wardgate.federation.choosing import CANNOT_TELL, RULE, choose
from wardgate.federation.compare_runs import Division, Learnt, boosted, local, networked, pooled, privately, regression
from wardgate.hub.pooling.leave_out import SMALLEST_BLOCK
from wardgate.hub.pooling.networks.algorithms import ALGORITHMS, Algorithm
from wardgate.hub.pooling.networks.private import Private, PrivateChanges, PrivateSteps
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import labels
from wardgate.measures.layers.tensors import size
from wardgate.networks.installed import require_torch
from wardgate.records.comparison import Candidate, Comparison, Kind, Tried
from wardgate.records.errors import Invalid, WardgateError
from wardgate.records.study import Study
from wardgate.simulate.splits import FEWEST_ROWS, Way, simulated

COMPARED = ("fedavg", "fedprox", "scaffold", "fedadam", "fedyogi", "cyclic")
"""Algorithms whose common weights predict by themselves. What keeps norms or heads at hospitals has no common model to
judge; `ditto` has that of `fedavg`."""

PRIVATE: Mapping[str, Private] = MappingProxyType({"dp-sgd": PrivateSteps(), "dp-fedavg": PrivateChanges()})
"""Ways to train with noise. Their settings are fixed: on patients, tuning them would cost privacy."""

LABELS: Mapping[str, str] = {
    "logistic": "logistic regression",
    "boosting": "boosted trees",
    "fedavg": "FedAvg",
    "fedprox": "FedProx",
    "scaffold": "SCAFFOLD",
    "fedadam": "FedAdam",
    "fedyogi": "FedYogi",
    "cyclic": "cyclic weight transfer",
    "dp-sgd": "noisy gradients (DP-SGD)",
    "dp-fedavg": "noisy FedAvg",
    "pooled": "network on pooled rows",
    "local": "network at one site alone",
    "exact-logistic": "logistic regression without noise",
}

OnEvent = Callable[[str, int, int], None]
"""Called before each run with its words, its number from 0, and how many runs there are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much is tried. Every candidate has the same rounds, steps, divisions and menu of rates.

    Attributes:
        ways: How rows are divided into hospitals; `natural` needs three corpora and is left out with fewer.
        seeds: Divisions in each way.
        rounds: Of every network; the sums of regression and boosting are fewer or more.
        rates: Of the hospitals' steps; each algorithm takes the one that is best on the tuning rows of the first
            division, and keeps it.
        whole: Try a round of one step on all persons, too, which suits hospitals whose outcomes differ much.
        most_rows, most_sites: More rows or hospitals are drawn from, anew for each division.
        algorithms: A subset of `COMPARED`.
        bounds: Whether the network is also trained on pooled rows and at single hospitals, for comparison.
        seed: Makes divisions and training repeatable; the noise of sums is not.
    """

    ways: tuple[Way, ...] = (
        Way(kind="natural"),
        Way(kind="labels", alpha=0.3),
        Way(kind="sizes"),
        Way(kind="features"),
    )
    seeds: int = 2
    rounds: int = 20
    rates: tuple[float, ...] = (0.03, 0.1, 0.3)
    whole: bool = True
    most_rows: int = 4_000
    most_sites: int = 8
    algorithms: tuple[str, ...] = COMPARED
    bounds: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        strangers = [name for name in self.algorithms if name not in COMPARED]
        if strangers or not self.algorithms:
            raise Invalid(f"compared are {', '.join(COMPARED)}; found '{(strangers or ['none'])[0]}'")
        if not self.ways or len(set(self.ways)) != len(self.ways):
            raise Invalid("expected at least one way to divide the rows, each once")
        if not (1 <= self.seeds <= 100 and 1 <= self.rounds <= 1_000 and self.rates and self.most_sites >= 3):
            raise Invalid("expected 1 to 100 seeds, 1 to 1,000 rounds, a rate, and at least three simulated hospitals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How hospitals work in a round: at which rate, and whether in one step on all their persons."""

    rate: float
    whole: bool = False

    def of(self, algorithm: Algorithm) -> Algorithm:
        """Return the algorithm at this pace."""
        if self.whole:
            return algorithm.working(rate=self.rate, steps=1, batch=EVERYBODY)
        return algorithm.working(rate=self.rate)


EVERYBODY = 1_000_000
"""A batch of so many is everybody."""

WHOLE = Pace(rate=1.0, whole=True)
"""One long step on all persons: with plain averaging that is gradient descent on everybody's rows together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """One way to learn; with several paces, it is tuned."""

    name: str
    kind: Kind
    learn: Callable[[Division, Pace | None], Sequence[Learnt]]
    paces: tuple[Pace, ...] = ()


def compare(
    study: Study,
    corpora: Sequence[pl.DataFrame],
    *,
    network: str,
    entropy: Entropy,
    sizes: Sequence[int] | None = None,
    epsilon: float | None = None,
    settings: Settings | None = None,
    digests: Sequence[str] = (),
    on_event: OnEvent = lambda _, __, ___: None,
) -> Comparison:
    """Try every candidate on simulated hospitals and recommend one.

    Args:
        corpora: Of the commons, in table form, with labels. Patients' tables are not meant: nothing here is a release.
        network: Its name in the study.
        entropy: For noise, with `epsilon`.
        sizes: Persons of each hospital, as their bands say; by default the corpora's own rows, or equal ones where
            there are fewer than three corpora.
        epsilon: Compare ways whose sums bear noise that costs so much at the study's delta; exact sums without.
        digests: SHA-256 of each corpus's file, for the record.

    Raises:
        Invalid: a network that the study does not lock, or corpora that do not fit it, are too small or of one class.
        NotEvaluable: no network could be trained.
        Unsupported: torch is not installed.
    """
    require_torch("comparing ways to train a network")
    settings = settings or Settings()
    found = study.networks.get(network)
    architecture = pinned(study, network=network, sha256="" if found is None else found.sha256)
    divisions = list(_divisions(study, network, corpora, sizes, settings, entropy))
    first, *later = divisions
    hospitals = min(len(at.tables) for at in divisions)
    needed = (size(architecture) + 3) / study.gate.small_cells.max_numbers_per_person
    travels = hospitals >= 2 * SMALLEST_BLOCK and _smallest_block(study, corpora, sizes) >= needed
    candidates = list(_candidates(settings, epsilon, study.budget.delta, travels=travels))
    total = sum((len(one.paces) or 1) + len(later) for one in candidates)
    tried: list[Tried] = []
    done = 0
    for one in candidates:
        label = LABELS[one.name]
        best: tuple[float, Tried] | None = None
        for pace in one.paces or (None,):
            on_event(f"{label}, {first.way}" + ("" if pace is None else f", rate {pace.rate:g}"), done, total)
            done += 1
            cost, here = _run(first, one, pace)
            best = (cost, here) if best is None or cost < best[0] else best
        if best is None:
            raise RuntimeError("a candidate ran at least once")
        tried.append(best[1])
        for at in later:
            on_event(f"{label}, {at.way}", done, total)
            done += 1
            tried.append(_run(at, one, _pace_of(best[1]))[1])
    ways = tuple(dict.fromkeys(at.way for at in divisions))
    choice = choose(
        tried, labels={one.name: LABELS[one.name] for one in candidates}, acceptance=study.acceptance, ways=len(ways)
    )
    return Comparison(
        study_id=study.id,
        study_version=study.version,
        study_sha256=study.fingerprint(),
        network=network,
        network_sha256=architecture.sha256,
        network_numbers=size(architecture),
        corpora=tuple(digests),
        rows=sum(table.height for splits in first.tables.values() for table in splits.values()),
        sites=len(first.tables),
        epsilon=epsilon,
        rounds=settings.rounds,
        ways=ways,
        seeds=tuple(range(settings.seed, settings.seed + settings.seeds)),
        tried=tuple(tried),
        candidates=choice.candidates,
        recommended=choice.recommended.name,
        algorithm=choice.algorithm.name,
        rate=choice.algorithm.rate,
        whole=choice.algorithm.whole,
        rule=RULE,
        reason=choice.reason,
        cannot_tell=CANNOT_TELL,
    )


def recommend(
    study: Study,
    corpora: Sequence[pl.DataFrame],
    *,
    network: str,
    entropy: Entropy,
    sizes: Sequence[int] | None = None,
    settings: Settings | None = None,
    on_event: OnEvent = lambda _, __, ___: None,
) -> tuple[Algorithm, Comparison]:
    """Return the algorithm that trains the network best on simulated hospitals, with its rate, and the evidence.

    It is one of `ALGORITHMS` also where something simpler than the network does as well; `Comparison.recommended` and
    `reason` then say so. Raises as `compare`.
    """
    found = compare(study, corpora, network=network, entropy=entropy, sizes=sizes, settings=settings, on_event=on_event)
    return algorithm_of(found), found


def algorithm_of(found: Comparison) -> Algorithm:
    """Return the algorithm that a comparison without noise names, with its rate.

    Raises:
        Invalid: it names a way with noise, or none that is known here.
    """
    if found.algorithm not in ALGORITHMS:
        raise Invalid(f"'{found.algorithm}' is no algorithm of exact sums; train with an epsilon")
    return paced(ALGORITHMS[found.algorithm], found)


def paced(algorithm: Algorithm, found: Tried | Candidate | Comparison) -> Algorithm:
    """Return an algorithm at the pace that was found for it."""
    pace = _pace_of(found)
    return algorithm if pace is None else pace.of(algorithm)


def _pace_of(found: Tried | Candidate | Comparison) -> Pace | None:
    return None if found.rate is None else Pace(rate=found.rate, whole=found.whole)


def _run(at: Division, one: _Candidate, pace: Pace | None) -> tuple[float, Tried]:
    """Return the loss on tuning rows, and the figures on held-out ones."""
    rate, whole = (None, False) if pace is None else (pace.rate, pace.whole)
    try:
        learnt = one.learn(at, pace)
    except WardgateError as error:
        return np.inf, at.failed(one.name, one.kind, error)
    return at.tuning_loss(learnt), at.judged(one.name, one.kind, learnt, rate=rate, whole=whole)


def _candidates(settings: Settings, epsilon: float | None, delta: float, *, travels: bool) -> Iterator[_Candidate]:
    rounds, rates = settings.rounds, settings.rates
    steady = tuple(Pace(rate=rate) for rate in rates)
    paces = (*steady, WHOLE) if settings.whole else steady
    yield _Candidate(
        name="logistic", kind="regression", learn=lambda at, _: [regression(at, epsilon=epsilon, delta=delta)]
    )
    yield _Candidate(name="boosting", kind="boosting", learn=lambda at, _: [boosted(at, epsilon=epsilon, delta=delta)])
    for name in settings.algorithms if epsilon is None else ():
        if ALGORITHMS[name].cyclic and not travels and settings.algorithms != (name,):
            continue  # one block alone would be FedAvg, and hospitals refuse exact sums over too few persons
        yield _Candidate(name=name, kind="network", paces=paces, learn=_networked(ALGORITHMS[name], rounds))
    if epsilon is not None:
        for name, how in PRIVATE.items():
            yield _Candidate(name=name, kind="network", learn=_privately(how, rounds, epsilon))
        yield _Candidate(name="exact-logistic", kind="bound", learn=lambda at, _: [regression(at)])
    if not settings.bounds:
        return
    yield _Candidate(
        name="pooled", kind="bound", learn=lambda at, _: [pooled(at, work=Work(), rounds=rounds, rates=rates)]
    )
    yield _Candidate(
        name="local", kind="bound", paces=steady, learn=lambda at, pace: local(at, work=_worked(pace), rounds=rounds)
    )


def _networked(algorithm: Algorithm, rounds: int) -> Callable[[Division, Pace | None], Sequence[Learnt]]:
    def learn(at: Division, pace: Pace | None) -> Sequence[Learnt]:
        return [networked(at, algorithm if pace is None else pace.of(algorithm), rounds=rounds)]

    return learn


def _privately(how: Private, rounds: int, epsilon: float) -> Callable[[Division, Pace | None], Sequence[Learnt]]:
    return lambda at, _: [privately(at, how, rounds=rounds, epsilon=epsilon)]


def _worked(pace: Pace | None) -> Work:
    return Work() if pace is None else Work(rate=pace.rate)


MOST_TOLD_BY_CORPUS = 0.8
"""AUROC of a corpus's own outcome rate over all rows; 48 regions of the International Stroke Trial have 0.66."""


def _told_by_corpus(corpora: Sequence[pl.DataFrame]) -> float:
    """Return how well the corpus that a row is in tells its outcome, as an AUROC; a half where there is one corpus."""
    y = np.concatenate([labels(corpus) for corpus in corpora])
    if not 0 < float(y.sum()) < len(y):
        return 0.5
    return auroc(y, np.concatenate([np.full(one.height, float(labels(one).mean())) for one in corpora])).value


def _smallest_block(study: Study, corpora: Sequence[pl.DataFrame], sizes: Sequence[int] | None) -> float:
    """Return how many training persons the smallest block of hospitals may have, by bands or by the corpora's rows."""
    if sizes is not None:
        return sum(sorted(sizes)[:SMALLEST_BLOCK]) * study.splits.train
    if len(corpora) >= SMALLEST_BLOCK:
        return float(sum(sorted(corpus.height for corpus in corpora)[:SMALLEST_BLOCK]))
    return sum(corpus.height for corpus in corpora) * SMALLEST_BLOCK / max(len(study.sites), SMALLEST_BLOCK)


def _divisions(
    study: Study,
    network: str,
    corpora: Sequence[pl.DataFrame],
    sizes: Sequence[int] | None,
    settings: Settings,
    entropy: Entropy,
) -> Iterator[Division]:
    """Divide the corpora in every way, once a seed.

    Raises:
        Invalid: no corpus, or one that does not fit.
    """
    large = [corpus for corpus in corpora if corpus.height >= FEWEST_ROWS]
    if not large:
        raise Invalid(f"no corpus has {FEWEST_ROWS} rows or more; give corpora of the commons")
    told = _told_by_corpus(large)
    if told > MOST_TOLD_BY_CORPUS:
        raise Invalid(
            f"which corpus a row is in tells its outcome (AUROC {told:.2f}, at most {MOST_TOLD_BY_CORPUS:g}): corpora"
            " of nearly one class hold too little of the other to learn from. Compare on the joint corpus instead"
        )
    natural = len(large) >= 3
    equal = max(3, min(len(study.sites), settings.most_sites))
    rows = sum(corpus.height for corpus in large)
    known = list(sizes or ([corpus.height for corpus in large] if natural else [rows // equal] * equal))
    if len(known) < 3:
        raise Invalid(f"expected the sizes of at least three hospitals, found {len(known)}")
    ways = [way for way in settings.ways if natural or way.kind != "natural"]
    if not ways:
        raise Invalid(
            f"'natural' needs three corpora of {FEWEST_ROWS} rows or more, one a hospital; found {len(large)}"
        )
    for way in ways:
        for seed in range(settings.seed, settings.seed + settings.seeds):
            rng = np.random.default_rng([settings.seed, seed, zlib.crc32(way.name.encode())])
            here = [corpus.height for corpus in large] if way.kind == "natural" else known
            chosen = np.sort(rng.permutation(len(here))[: settings.most_sites])
            share = min(1.0, settings.most_rows / sum(here[k] for k in chosen))
            tables = simulated(
                study,
                [large[k] for k in chosen] if way.kind == "natural" else large,
                way,
                sizes=[max(FEWEST_ROWS, int(here[k] * share)) for k in chosen],
                rng=rng,
            )
            yield Division(study=study, network=network, way=way.name, seed=seed, tables=tables, entropy=entropy)
