"""What a curious hub can read off boosting's sums: everything of one person without noise, next to nothing with it."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import norm

from wardgate.computations.boosting import Grown
from wardgate.computations.boosting_histograms import BoostingHistograms
from wardgate.computations.boosting_leaves import BoostingLeaves
from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.learning import boosting_histograms, boosting_leaves
from wardgate.measures.histograms import Bins, every_feature, fine_edges, unpacked
from wardgate.measures.random_trees import random_splits
from wardgate.measures.trees import Trees
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.privacy.noise import gaussian_release
from wardgate.records.study import Study

Make = Callable[..., pl.DataFrame]
MakeWards = Callable[..., Any]
Array = np.ndarray[Any, Any]

EPSILON, DELTA = 1.0, 1e-6


def root_of(study: Study) -> tuple[BoostingHistograms, Bins]:
    bins = every_feature(study.features, fine_edges(study.features, most=16))
    grown = Grown.of(study, bins, Trees.none(base=-0.2, depth=3))
    return BoostingHistograms(grown=grown, growing=np.zeros(0), level=0, nodes=(0,)), bins


def read_off(difference: Array, bins: Bins) -> tuple[list[int], int]:
    """The bins and the label of the person by whom two histograms differ: where the Hessian is, and its sign."""
    gradient, hessian = unpacked(bins, difference, 1)[:, 0]
    parts = [slice(int(s), int(s + n)) for s, n in zip(bins.starts, bins.sizes, strict=True)]
    return [int(np.argmax(hessian[part])) for part in parts], int(sum(gradient[part].sum() for part in parts) > 0)


def test_two_cohorts_that_differ_by_one_person_give_every_bin_and_the_label_away_unless_there_is_noise(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    table, (asked, bins) = make_persons(400), root_of(study)
    shape = asked.shape(study)
    multiplier = noise_multiplier_for(epsilon=EPSILON, delta=DELTA)
    codes, y = bins.codes(table), table["label"].to_numpy()

    def told(rows: pl.DataFrame, *, noise: bool) -> Array:
        exact = boosting_histograms.answer(asked, bench=make_wards(study, [rows]).wards[0], split="train").vector
        if not noise:
            return exact
        return gaussian_release(exact, l2=shape.l2, noise_multiplier=multiplier, entropy=SystemEntropy())

    right: dict[bool, list[float]] = {False: [], True: []}
    for noise in (False, True):
        for person in range(40):
            without = table[:person].vstack(table[person + 1 :])
            found, label = read_off(told(table, noise=noise) - told(without, noise=noise), bins)
            right[noise].append(float(found == codes[person].tolist() and label == y[person]))
    assert np.mean(right[False]) == 1.0, "without noise everybody is read off whole"
    assert np.mean(right[True]) <= 0.1


def test_a_tree_made_to_isolate_one_person_reads_the_outcome_unless_there_is_noise(
    study: Study, make_persons: Make, make_wards: MakeWards
) -> None:
    """A hub may ask for any node; exact sums are for consortia that trust it with cells of one person."""
    table, (_, bins) = make_persons(300), root_of(study)
    codes, y = bins.codes(table), table["label"].to_numpy()
    age, ward = bins.place_of("age"), bins.place_of("ward")
    alone = [p for p in range(300) if np.sum((codes[:, [age, ward]] == codes[p, [age, ward]]).all(axis=1)) == 1]
    assert alone, "somebody is the only one of an age band in a ward"
    multiplier = noise_multiplier_for(epsilon=EPSILON, delta=DELTA)
    grown = Grown.of(study, bins, Trees.none(base=0.0, depth=1))
    right: dict[bool, list[bool]] = {False: [], True: []}
    for person in alone * (200 // len(alone) + 1):
        splits = np.array([2.0 * ward, float(1 << int(codes[person, ward]))])  # this ward left, the others right
        asked = BoostingHistograms(
            grown=Grown(edges_of=grown.edges_of, edges=grown.edges, depth=2, trees=grown.trees),
            growing=splits,
            level=1,
            nodes=(0,),
        )
        exact = boosting_histograms.answer(asked, bench=make_wards(study, [table]).wards[0], split="train")
        noisy = gaussian_release(exact.vector, l2=exact.shape.l2, noise_multiplier=multiplier, entropy=SystemEntropy())
        for noise, vector in ((False, exact.vector), (True, noisy)):
            cell = unpacked(bins, vector, 1)[0, 0, int(bins.starts[age] + codes[person, age])]
            right[noise].append(bool(cell > 0) == bool(y[person]))
    assert np.mean(right[False]) == 1.0
    assert np.mean(right[True]) < 0.7


def told_apart(scores_in: Array, scores_out: Array) -> float:
    """AUROC of a membership attack."""
    return float(np.mean(scores_in[:, None] > scores_out[None, :]))


@pytest.mark.parametrize(("share", "caught"), [(1.0, False), (0.5, True), (0.0, True)])
def test_the_best_membership_attack_on_leaf_sums_stays_within_the_claim_and_less_noise_is_caught(
    study: Study, make_persons: Make, make_wards: MakeWards, share: float, caught: bool
) -> None:
    """The attacker knows everybody else and the person's own vector: the likelihood ratio of one batch.

    With noise multiplier z its AUROC is Phi(1 / (z sqrt 2)) for a person who reaches the bound, and less for others.
    """
    bins = every_feature(study.features, fine_edges(study.features, most=8))
    batch = random_splits(bins, trees=2, depth=1, features=1, first=0, rng=np.random.default_rng(0))
    asked = BoostingLeaves.of(Grown.of(study, bins, Trees.none(base=-6.0, depth=1)), batch, weight=2.8)
    table = make_persons(100)
    target = table.filter(pl.col("label") == 1)[:1]
    own = boosting_leaves.answer(asked, bench=make_wards(study, [target]).wards[0], split="train").vector
    rest = boosting_leaves.answer(asked, bench=make_wards(study, [table]).wards[0], split="train").vector - own
    shape, trials = asked.shape(study), 6000
    multiplier = noise_multiplier_for(epsilon=EPSILON, delta=DELTA)

    def scores(present: bool) -> Array:
        exact = np.tile(rest + own * present, (trials, 1))
        if share == 0.0:
            return (exact - rest) @ own + np.random.default_rng(0).normal(0, 1e-9, trials)
        # One release of all trials at once: the noise of an entry depends on l2 and multiplier alone.
        noisy = gaussian_release(exact, l2=shape.l2, noise_multiplier=multiplier * share, entropy=SystemEntropy())
        return (noisy - rest) @ own

    found = told_apart(scores(True), scores(False))
    bound = float(norm.cdf(1 / (multiplier * np.sqrt(2))))
    spread = np.sqrt(bound * (1 - bound) / trials)
    assert (found > bound + 4 * spread) == caught
