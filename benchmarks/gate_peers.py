"""The gate beside its peers: the planted leaks and the safe corpora of benchmarks/gate.py, judged by everybody.

    make bench NAME=gate_peers
    python benchmarks/gate_peers.py --seeds 3 --safe-seeds 5 --work FOLDER      (goes on where it was stopped)

2,000 members and 2,000 non-members out of 5,500 training, 500 tuning and 2,000 holdout persons. Every peer is given
what it documents: members and as many holdout persons, a corpus of that size, reference persons where it knows them.
Peers run in environments of their own, named by WARDGATE_SDMETRICS, WARDGATE_MOSTLYAI_QA, WARDGATE_SYNTHEVAL,
WARDGATE_ANONYMETER and WARDGATE_SYNTH_MIA (the path of a Python each); without one its figures are absent.

Where a peer says from when on a table may not leave, that is its verdict. Beside it, and for peers that say nothing, a
second one: some score is worse than on every safe corpus of the same run. That is generous to the peers: it knows
what safe looks like, which a user with one table does not. On safe corpora it is taken with that one left out.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "gate"))

from gate_corpora import SAFE, Generator, hospital, study
from harness import Figure, Value, write

import gate
from wardgate.hospital.ward.gate.battery import measure
from wardgate.policy import decide
from wardgate.records.bands import band
from wardgate.records.claim import Claim
from wardgate.records.verdict import Evidence

HERE = Path(__file__).resolve().parent
TRAIN, TUNING, HOLDOUT = 5_500, 500, 2_000
OWN = "wardgate"
LEAKS = (
    "2 % copied",
    "2 % copied with noise",
    "2 % copied, outliers only, with noise",
    "0.5 % copied",
    "0.5 % copied with noise",
    "all training rows",
    "all training rows, a constant added",
    "unique values re-used in independent columns",
    "SMOTE",
    "columns permuted",
    "one subgroup copied with noise",
    "40 noisy copies of one person's record",
)
"""Leaks of benchmarks/gate.py that everybody is asked about. Seeds go by the order: add to the end."""

PEERS = {
    "sdmetrics": ("WARDGATE_SDMETRICS", "sdmetrics_scores.py"),
    "mostlyai-qa": ("WARDGATE_MOSTLYAI_QA", "mostlyai_qa_report.py"),
    "syntheval": ("WARDGATE_SYNTHEVAL", "syntheval_privacy.py"),
    "anonymeter": ("WARDGATE_ANONYMETER", "anonymeter_risks.py"),
    "synth-mia": ("WARDGATE_SYNTH_MIA", "synth_mia_attacks.py"),
}
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"), "1"
) | {"LOKY_MAX_CPU_COUNT": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """One corpus on disk.

    Attributes:
        kind: As it is called in benchmarks/gate.py.
        safe: Whether it leaks nobody.
    """

    kind: str
    safe: bool
    seed: int
    folder: Path

    def said(self, judge: str) -> dict[str, object] | None:
        """Return what a judge wrote down about it, if it did."""
        file = self.folder / f"{judge}.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    def keep(self, judge: str, answer: Mapping[str, object]) -> None:
        """Write a judge's answer down."""
        (self.folder / f"{judge}.json").write_text(json.dumps(answer), encoding="utf-8")


def generators() -> Iterator[tuple[str, bool, Generator]]:
    """Yield safe and leaking generators."""
    leaking = gate.leaks(study())
    yield from ((kind, True, generator) for kind, generator in SAFE.items())
    yield from ((kind, False, leaking[kind][0]) for kind in LEAKS)


def made(work: Path, *, seeds: int, safe_seeds: int) -> Iterator[Corpus]:
    """Yield all corpora, writing those that are not there yet; the first seed of every kind comes first."""
    every = list(generators())
    for step in range(max(seeds, safe_seeds)):
        for place, (kind, safe, generator) in enumerate(every):
            if step < (safe_seeds if safe else seeds):
                seed = 70_000 + 100 * place + step
                folder = work / f"{seed}"
                corpus = Corpus(kind=kind, safe=safe, seed=seed, folder=folder)
                if (corpus.said(OWN) or {}).get("kind") != kind:
                    shutil.rmtree(folder, ignore_errors=True)
                    folder.mkdir(parents=True)
                    judged(corpus, generator)
                yield corpus


def judged(corpus: Corpus, generator: Generator) -> None:
    """Draw a corpus, let Wardgate's gate judge it, and write down everything that peers read."""
    plan, rng = study(), np.random.default_rng(corpus.seed)
    site = hospital(rng, train=TRAIN, tuning=TUNING, holdout=HOLDOUT)
    candidate = generator(site.train, rng)
    shuffled = rng.permutation(TRAIN)
    tables = {
        "members": site.train[shuffled[:HOLDOUT]],
        "holdout": site.holdout,
        "reference": pl.concat((site.train[shuffled[HOLDOUT:]], site.tuning)),
        "synthetic": candidate,
    }
    for name, table in tables.items():
        table.write_csv(corpus.folder / f"{name}.csv")
    numbers = [feature.name for feature in plan.features if feature.type in ("number", "integer")]
    columns = {
        "numbers": numbers,
        "categories": [name for name in site.train.columns if name not in numbers],
        "known": [feature.name for feature in plan.features if feature.quasi_identifier],
        "label": "label",
    }
    (corpus.folder / "columns.json").write_text(json.dumps(columns), encoding="utf-8")
    start = time.process_time()
    measured, absent = measure(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=candidate,
        dictionary=plan.dictionary,
        policy=plan.gate,
        attempt=1,
        rng=rng,
    )
    evidence = Evidence(
        kind="corpus",
        persons_train=band(TRAIN),
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0,
        measured=measured,
        absent=absent,
    )
    verdict = decide(evidence, plan.gate)
    spent = time.process_time() - start
    # As benchmarks/gate.py counts: a rule on use refuses nobody here, and what only a chain of releases knows (earlier
    # corpora, a refit) is not held against a single table.
    refused = [
        ruling.rule
        for ruling in verdict.rulings
        if not ruling.rule.startswith(gate.USE)
        and (ruling.outcome == "fail" or (ruling.outcome != "pass" and ruling.rule.startswith(gate.SHOWN)))
    ]
    corpus.keep(OWN, {"kind": corpus.kind, "caught": bool(refused), "seconds": spent, "rules": refused, "scores": {}})


def asked(peer: str, corpora: Sequence[Corpus], *, limit_seconds: float) -> str:
    """Let one peer judge every corpus that it has not judged yet; return what went wrong, or nothing."""
    variable, runner = PEERS[peer]
    python = os.environ.get(variable)
    if not python:
        return f"{variable} names no Python that has it"
    waiting = [corpus for corpus in corpora if corpus.said(peer) is None]
    if not waiting:
        return ""
    with tempfile.TemporaryFile() as trouble:
        process = subprocess.Popen(
            [python, str(HERE / "peers" / runner), *(str(corpus.folder) for corpus in waiting)],
            stdout=subprocess.PIPE,
            stderr=trouble,
            text=True,
            env={**os.environ, **ONE_THREAD},
        )
        with ThreadPoolExecutor(1) as clock:
            stopping = clock.submit(_stopped_after, process, limit_seconds)
            left = iter(waiting)
            for line in process.stdout or ():
                if line.startswith("{"):
                    next(left).keep(peer, json.loads(line))
                    print(f"{peer}: {line[:150].strip()}", flush=True)
            process.wait()
            late = stopping.result()
        if late:
            return f"stopped after {limit_seconds:.0f} s"
        if process.returncode:
            trouble.seek(0)
            last = trouble.read().decode(errors="replace").strip().splitlines()[-1:]
            return f"ended with {process.returncode}: {' '.join(last)[:200]}"
    return ""


def _stopped_after(process: subprocess.Popen[str], seconds: float) -> bool:
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.terminate()
        return True
    return False


Call = Callable[[Corpus], bool | None]


def own_verdict(judge: str) -> Call:
    """What the judge itself says, by a threshold that it documents."""

    def call(corpus: Corpus) -> bool | None:
        answer = corpus.said(judge)
        return None if answer is None or answer["caught"] is None else bool(answer["caught"])

    return call


def beyond_safe(peer: str, corpora: Sequence[Corpus]) -> Call:
    """Whether some score is worse than on every safe corpus of this run, itself left out."""
    safe = [(corpus, answer["scores"]) for corpus in corpora if corpus.safe and (answer := corpus.said(peer))]

    def call(corpus: Corpus) -> bool | None:
        answer = corpus.said(peer)
        others = [scores for other, scores in safe if other != corpus]
        if answer is None or not others:
            return None
        return any(value > max(scores[name] for scores in others) for name, value in answer["scores"].items())

    return call


def calls(corpora: Sequence[Corpus]) -> dict[str, Call]:
    """Return every verdict by its name, Wardgate's first."""
    found: dict[str, Call] = {OWN: own_verdict(OWN)}
    for peer in PEERS:
        if any(own_verdict(peer)(corpus) is not None for corpus in corpora):
            found[f"{peer}, by its own threshold"] = own_verdict(peer)
        if any(beyond_safe(peer, corpora)(corpus) is not None for corpus in corpora):
            found[f"{peer}, worse than every safe corpus"] = beyond_safe(peer, corpora)
    return found


def share(call: Call, corpora: Sequence[Corpus]) -> tuple[float | None, int]:
    """Return the share refused among those judged, and how many were."""
    said = [answer for corpus in corpora if (answer := call(corpus)) is not None]
    return (round(sum(said) / len(said), 3) if said else None), len(said)


def figures(corpora: Sequence[Corpus], faults: Mapping[str, str]) -> Iterator[Figure]:
    """Yield one figure for each kind of corpus, the seconds, and what could not be run."""
    verdicts = calls(corpora)
    groups: dict[str, list[Corpus]] = {}
    for corpus in corpora:
        groups.setdefault("safe corpora refused" if corpus.safe else f"caught: {corpus.kind}", []).append(corpus)
    for name, group in groups.items():
        found = {verdict: share(call, group) for verdict, call in verdicts.items()}
        fewest = {verdict: count for verdict, (_, count) in found.items() if count < len(group)}
        yield Figure(
            name=name,
            value=found[OWN][0],
            unit="share",
            seeds=len(group),
            peers={verdict: value for verdict, (value, _) in found.items() if verdict != OWN},
            reason="; ".join(f"{verdict}: {count} corpora" for verdict, count in fewest.items()),
        )
    seconds: dict[str, Value] = {}
    for judge in (OWN, *PEERS):
        spent = [float(str(answer["seconds"])) for corpus in corpora if (answer := corpus.said(judge))]
        if spent:
            seconds[judge] = round(median(spent), 1)
    own = seconds.pop(OWN)
    yield Figure(name="one corpus judged", value=own, unit="CPU-s", seeds=len(corpora), peers=seconds, reason="median")
    for peer, fault in faults.items():
        if fault:
            judged_by = sum(corpus.said(peer) is not None for corpus in corpora)
            reason = f"{fault}; {judged_by} of {len(corpora)} corpora judged"
            yield Figure(name=f"{peer}: not everything was run", value=None, reason=reason)


def main() -> None:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--seeds", type=int, default=2, help="corpora of each leak")
    given.add_argument("--safe-seeds", type=int, default=4, help="corpora of each safe generator")
    given.add_argument("--work", type=Path, help="keeps corpora and answers; a second call goes on there")
    given.add_argument("--limit-seconds", type=float, default=3600, help="wall-clock for each peer")
    given.add_argument("--at-once", type=int, default=2, help="peers run side by side")
    options = given.parse_args()
    with tempfile.TemporaryDirectory() as away:
        work = options.work or Path(away)
        corpora = list(made(work, seeds=options.seeds, safe_seeds=options.safe_seeds))
        with ThreadPoolExecutor(options.at_once) as pool:
            waiting = {peer: pool.submit(asked, peer, corpora, limit_seconds=options.limit_seconds) for peer in PEERS}
            faults = {peer: answer.result() for peer, answer in waiting.items()}
        found = list(figures(corpora, faults))
    for figure in found:
        print(f"{figure.name}: {figure.value} {dict(figure.peers)} {figure.reason}", flush=True)
    write("gate_peers", found, "make bench NAME=gate_peers")


if __name__ == "__main__":
    main()
