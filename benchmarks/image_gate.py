"""The gate on synthetic images whose leak is known, from real radiographs of 28 x 28 pixels (PneumoniaMNIST).

    make bench NAME=image_gate        (needs the real data: WARDGATE_DATA, default ../shared/data)

2,000 training images, 1,000 held out, 300 for reference, 2,000 candidates; drawn anew for each seed.
"""

import os
import resource
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from harness import ROOT, Figure, write
from shares import common, share

from wardgate.hospital.ward.gate.battery.images import measure_images
from wardgate.measures.attacks import images as looks
from wardgate.policy import decide
from wardgate.policy.common import RULES as COMMON
from wardgate.policy.images import RULES
from wardgate.records.claim import Claim
from wardgate.records.gate_policy import GatePolicy, Images
from wardgate.records.verdict import Evidence

DATA = Path(os.environ.get("WARDGATE_DATA", ROOT.parent / "shared" / "data"))
TRAIN, TUNING, HOLDOUT, CANDIDATE = 2_000, 300, 1_000, 2_000
SEEDS, COPIED = 20, 0.02
WORKERS = int(os.environ.get("WARDGATE_WORKERS", "2"))

Pictures = np.ndarray
Rng = np.random.Generator


def radiographs() -> Pictures:
    with np.load(DATA / "medmnist" / "pneumoniamnist_rebuilt.npz", allow_pickle=False) as file:
        return np.concatenate([file[name] for name in sorted(file) if name.endswith("_images")])


def _shifted(images: Pictures, rng: Rng) -> Pictures:
    wide = np.pad(images, ((0, 0), (2, 2), (2, 2)), mode="edge")
    moves = [(y, x) for y in range(5) for x in range(5) if (y, x) != (2, 2)]
    chosen = [moves[place] for place in rng.integers(0, len(moves), len(images))]
    return np.stack([one[y : y + 28, x : x + 28] for one, (y, x) in zip(wide, chosen, strict=True)])


def _other_light(images: Pictures, rng: Rng) -> Pictures:
    contrast, light = rng.uniform(0.7, 1.1, (len(images), 1, 1)), rng.uniform(-25, 25, (len(images), 1, 1))
    return contrast * (images - 128) + 128 + light


TOGETHER = "shifted, mirrored and in another light"
DISGUISES: dict[str, Callable[[Pictures, Rng], Pictures]] = {
    "whole": lambda images, rng: images,
    "shifted by 1 or 2 pixels": _shifted,
    "mirrored": lambda images, rng: images[:, :, ::-1],
    "with noise (standard deviation 10 of 255)": lambda images, rng: images + rng.normal(0, 10, images.shape),
    "in another light": _other_light,
    TOGETHER: lambda images, rng: _other_light(_shifted(images[:, :, ::-1], rng), rng),
}


def components(train: Pictures, rng: Rng, *, kept: int = 30) -> Pictures:
    """A Gaussian in thirty principal components of the training images, with noise of each pixel's own beyond."""
    flat = train.reshape(len(train), -1) / 255.0
    middle = flat.mean(axis=0)
    _, size, axes = np.linalg.svd(flat - middle, full_matrices=False)
    drawn = rng.normal(size=(CANDIDATE, kept)) * size[:kept] / np.sqrt(len(flat))
    beyond = (flat - middle - (flat - middle) @ axes[:kept].T @ axes[:kept]).std(axis=0)
    found = middle + drawn @ axes[:kept] + rng.normal(size=(CANDIDATE, flat.shape[1])) * beyond
    return 255 * found.reshape(-1, 28, 28)


def averages(train: Pictures, rng: Rng, *, of: int) -> Pictures:
    return np.stack([train[rng.choice(len(train), of, replace=False)].mean(axis=0) for _ in range(CANDIDATE)])


SAFE: dict[str, Callable[[Pictures, Rng], Pictures]] = {
    "Gaussian in 30 components": components,
    "averages of 11 patients": lambda train, rng: averages(train, rng, of=11),
}


def drawn(name: str, seed: int) -> tuple[list[Pictures], Rng]:
    """Return training, tuning, held-out and candidate images of one case."""
    rng = np.random.default_rng(70_000 + seed)
    every = rng.permutation(radiographs())
    ends = np.cumsum((TRAIN, TUNING, HOLDOUT, CANDIDATE))
    train, tuning, holdout, candidate, _ = np.split(every.astype(np.float64), ends)
    if name in SAFE:
        candidate = SAFE[name](train, rng)
    if name in DISGUISES:
        count = round(COPIED * CANDIDATE)
        candidate[:count] = DISGUISES[name](train[rng.choice(TRAIN, count, replace=False)], rng)
    return [np.clip(part, 0, 255).astype(np.uint8) for part in (train, tuning, holdout, candidate)], rng


def vetoed(case: tuple[str, int]) -> tuple[str, ...]:
    """Return which of the two vetoes refused a leaking candidate; the other rules could only refuse it as well."""
    (train, tuning, holdout, candidate), _ = drawn(*case)
    real, reference, images = (
        looks.pictures(part, name="benchmark") for part in (np.concatenate((train, holdout)), tuning, candidate)
    )
    eyes = looks.Eyes.of(np.concatenate((reference, images)))
    person = np.arange(len(real))
    found = looks.matches(eyes, real, eyes.spaces(real), person, images)
    chances = {way: looks.tail_p(one, person, person < len(train)) for way, one in found.items()}
    copied = chances.pop("copies")
    near = min(1.0, len(chances) * min(chances.values()))
    limits = Images()
    refused = {"images.near": near < limits.near_copy_level, "images.copied": copied < limits.copied_level}
    return tuple(rule for rule, wrong in refused.items() if wrong)


def judged(case: tuple[str, int]) -> tuple[str, ...]:
    """Return the rules that refused one candidate."""
    (train, tuning, holdout, candidate), rng = drawn(*case)
    measured, absent = measure_images(
        train=train, tuning=tuning, holdout=holdout, candidate=candidate, policy=GatePolicy(), attempt=1, rng=rng
    )
    evidence = Evidence(
        kind="images",
        persons_train="2000-4999",
        attempt=1,
        claim=Claim(kind="none"),
        cumulative_epsilon=0.0,
        measured=measured,
        absent=absent,
    )
    verdict = decide(evidence, GatePolicy(), rules=(*COMMON, *RULES))
    return tuple(ruling.rule for ruling in verdict.rulings if ruling.outcome != "pass")


def speed() -> list[Figure]:
    """5,000 training images, 2,500 held out and 5,000 candidates; shifted halves of real ones, for time alone."""
    rng = np.random.default_rng(1)
    every = np.concatenate([_shifted(radiographs(), rng) for _ in range(3)])
    train, tuning, holdout, candidate, _ = np.split(rng.permutation(every), np.cumsum((5_000, 500, 2_500, 5_000)))
    start = time.process_time()
    measure_images(
        train=train, tuning=tuning, holdout=holdout, candidate=candidate, policy=GatePolicy(), attempt=1, rng=rng
    )
    spent = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"5,000 images: {spent:.1f} CPU-s, peak {peak:.2f} GiB", flush=True)
    words = "5,000 training, 2,500 held out, 5,000 candidates of 28 x 28, rehearsal included"
    return [
        Figure(name="images, time", value=round(spent, 1), unit="CPU-s", goal="< 30", met=spent < 30, reason=words),
        Figure(name="images, memory of the whole process at its peak", value=round(peak, 2), unit="GiB", reason=words),
    ]


def shares(names: Sequence[str], pool: ProcessPoolExecutor, *, leak: bool) -> list[Figure]:
    figures = []
    for name in names:
        refusals = list(pool.map(vetoed if leak else judged, [(name, seed) for seed in range(SEEDS)]))
        hits = sum(bool(rules) == leak for rules in refusals)
        title = f"2 % copies refused by the two vetoes: {name}" if leak else f"safe images pass all rules: {name}"
        goal = 0.9 if name != TOGETHER else None
        figures.append(share(title, hits, SEEDS, goal=goal, words=common(refusals)))
    return figures


def main() -> None:
    figures = speed()
    with ProcessPoolExecutor(WORKERS) as pool:
        figures += shares(list(DISGUISES), pool, leak=True)
        figures += shares(["real images of other patients", *SAFE], pool, leak=False)
    write("image_gate", figures, "make bench NAME=image_gate")


if __name__ == "__main__":
    main()
