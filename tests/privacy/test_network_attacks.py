"""Attacks of a hub on the training of networks: each works on what plain federated learning sends, and not here."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from made_attacks import (
    COLUMNS,
    SITES,
    cells,
    guessed_from_marginals,
    imprint,
    invert,
    persons,
    plain_gradient,
    plain_of,
    read_imprint,
    recovered,
    set_,
    study_of,
)

from wardgate.computations.network_gradient import NetworkGradient
from wardgate.computations.network_update import NetworkUpdate, Work
from wardgate.hub.pooling.ask import sum_ask
from wardgate.measures.layers.mlp import mlp
from wardgate.measures.layers.start import start
from wardgate.measures.layers.traps import check_traps
from wardgate.records.errors import CheckFailed

ONE_STEP = Work(steps=1, batch=1_000_000, rate=1.0, longest=1e6)
"""What an adversary likes best: one step over everybody, uncut."""


def update(architecture, weights, work):
    return NetworkUpdate(
        network="net", sha256=architecture.sha256, number=0, weights=weights, work=work, control=np.zeros(0)
    )


def summed_update(plain, architecture, weights, work=ONE_STEP):
    """The exact sum of three hospitals' changes, as the mean gradient that the hub would take it for."""
    asked = update(architecture, weights, work)
    total = plain.ask(sum_ask(asked, what="a round", study=plain.study, sites=SITES)).total
    change = asked.heard(total, study=plain.study, sites=len(SITES)).change
    return -change / (work.steps * work.rate)


def summed_gradient(plain, architecture, weights, *, noise_multiplier):
    """The sum of cut gradients of three hospitals; noise_multiplier 0 is the broken twin, which no hospital answers."""
    asked = NetworkGradient(network="net", sha256=architecture.sha256, weights=weights, longest=1.0)
    ask = sum_ask(asked, what="a step", study=plain.study, sites=SITES, noise_multiplier=max(noise_multiplier, 1e-9))
    return plain.ask(ask).total


def rows(plain):
    """The truth: rows and labels of all three hospitals."""
    parts = [plain.sites[site].part("train") for site in SITES]
    return np.concatenate([part.x[:, 1:] for part in parts]), np.concatenate([part.y for part in parts])


@pytest.fixture(scope="module")
def imprinted():
    made, weights = imprint(256)
    plain = plain_of(study_of(net=made), **{site: persons(40, 1, place) for place, site in enumerate(SITES)})
    return made, weights, plain


def test_an_imprint_reads_rows_off_one_hospitals_plain_update(imprinted):
    made, weights, plain = imprinted
    part = plain.sites["h0"].part("train")
    found = read_imprint(made, plain_gradient(made, weights, part.x[:, 1:], part.y))
    assert recovered(part.x[:, 1:], found, within=1e-6) >= 25


def test_an_imprint_is_refused_before_a_person_is_touched(imprinted):
    made, weights, plain = imprinted
    with pytest.raises(CheckFailed, match="an imprint"):
        summed_update(plain, made, weights)


def test_noise_hides_persons_from_an_imprint_without_any_check(imprinted):
    made, weights, plain = imprinted
    truth, _ = rows(plain)
    broken = summed_gradient(plain, made, weights, noise_multiplier=0.0)
    assert recovered(truth, read_imprint(made, broken)) >= 25
    hidden = summed_gradient(plain, made, weights, noise_multiplier=1.0)
    assert recovered(truth, read_imprint(made, hidden), within=0.1) == 0


def test_gradients_are_never_summed_without_noise(imprinted):
    made, weights, plain = imprinted
    asked = NetworkGradient(network="net", sha256=made.sha256, weights=weights, longest=1.0)
    with pytest.raises(CheckFailed, match="with noise or not at all"):
        plain.ask(sum_ask(asked, what="a step", study=plain.study, sites=SITES))


def test_an_imprint_blurred_until_it_passes_reads_hardly_anybody_off_a_sum(imprinted):
    _, _, plain = imprinted
    made, weights = imprint(256, spread=0.5)
    check_traps(made, weights)
    part = plain.sites["h0"].part("train")
    alone = plain_gradient(made, weights, part.x[:, 1:], part.y)
    assert recovered(part.x[:, 1:], read_imprint(made, alone)) >= 5, "one hospital's own update still shows some"
    truth, _ = rows(plain)
    assert recovered(truth, read_imprint(made, summed_update(plain, made, weights))) <= 3


LOGISTIC = mlp(COLUMNS, ())


def rare(place, events):
    """Persons of whom only so many have the outcome."""
    table = persons(200, 2, place)
    return table.with_columns(pl.Series("label", np.arange(200) < events, dtype=pl.Int8))


def fished(architecture, gradient):
    """The one row that a fishing adversary reads: weights over bias of the last layer."""
    return gradient[None, :COLUMNS] / gradient[COLUMNS]


def hospitals(*events):
    return plain_of(study_of(net=LOGISTIC), **{s: rare(p, events[p]) for p, s in enumerate(SITES)})


def test_fishing_reads_the_only_person_with_the_outcome_off_one_hospitals_plain_update():
    plain, weights = hospitals(1, 60, 60), set_(LOGISTIC, t0_bias=-12.0)
    part = plain.sites["h0"].part("train")
    x = part.x[:, 1:]
    found = fished(LOGISTIC, plain_gradient(LOGISTIC, weights, x, part.y))
    assert recovered(x[:1], found) == 1
    with pytest.raises(CheckFailed, match="fishing by label"):
        summed_update(plain, LOGISTIC, weights)


def test_fishing_with_weights_that_pass_reads_nobody_off_a_sum_with_many_events():
    plain, weights = hospitals(1, 60, 60), set_(LOGISTIC, t0_bias=-9.0)
    check_traps(LOGISTIC, weights)
    part = plain.sites["h0"].part("train")
    alone = fished(LOGISTIC, plain_gradient(LOGISTIC, weights, part.x[:, 1:], part.y))
    assert recovered(part.x[:1, 1:], alone, within=0.1) == 1, "one hospital's own update would still show the person"
    truth, _ = rows(plain)
    assert recovered(truth, fished(LOGISTIC, summed_update(plain, LOGISTIC, weights)), within=0.1) == 0


def test_an_exact_sum_over_few_persons_is_not_private_and_noise_is_what_hides_them():
    """Three hospitals, one event among 600 persons, weights that pass the check: what no check can hold back."""
    plain, weights = hospitals(1, 0, 0), set_(LOGISTIC, t0_bias=-9.0)
    check_traps(LOGISTIC, weights)
    truth = plain.sites["h0"].part("train").x[:1, 1:]
    assert recovered(truth, fished(LOGISTIC, summed_update(plain, LOGISTIC, weights)), within=0.1) == 1
    hidden = summed_gradient(plain, LOGISTIC, weights, noise_multiplier=1.0)
    assert recovered(truth, fished(LOGISTIC, hidden), within=0.1) == 0


LEAKING = mlp(COLUMNS, (64,), activation="gelu", seed=1)


def test_inversion_reads_cells_off_one_hospitals_small_batch():
    study, weights = study_of(net=LEAKING), start(LEAKING)
    right, guess = [], []
    for seed in range(2):
        part = plain_of(study, h0=persons(4, seed)).sites["h0"].part("train")
        x, rng = part.x[:, 1:], np.random.default_rng(seed)
        gradient = plain_gradient(LEAKING, weights, x, part.y)
        right.append(cells(study, x, invert(study, LEAKING, weights, gradient, part.y, rng=rng, steps=400)).all)
        guess.append(guessed_from_marginals(study, x, rng=rng).all)
    assert np.mean(right) > 0.85 and np.mean(guess) < 0.75


def test_inversion_of_a_sum_of_local_steps_is_no_better_than_guessing():
    plain, weights = (
        plain_of(study_of(net=LEAKING), **{s: persons(24, 3, p) for p, s in enumerate(SITES)}),
        start(LEAKING),
    )
    (truth, labels), rng = rows(plain), np.random.default_rng(0)
    seen = summed_update(plain, LEAKING, weights, Work(steps=10, batch=8, rate=0.5))
    found = invert(plain.study, LEAKING, weights, seen, labels, rng=rng, steps=250, tries=1)
    assert cells(plain.study, truth, found).all <= guessed_from_marginals(plain.study, truth, rng=rng).all + 0.03


@pytest.mark.slow
def test_inversion_of_a_small_batch_with_noise_is_no_better_than_guessing():
    study, weights = study_of(net=LEAKING), start(LEAKING)
    right, guess, without = [], [], []
    for seed in range(2):
        tables = {site: persons(2, 4, seed, place) for place, site in enumerate(SITES)}
        plain, rng = plain_of(study, **tables), np.random.default_rng(seed)
        truth, labels = rows(plain)
        for noise, found in ((1.0, right), (0.0, without)):
            seen = summed_gradient(plain, LEAKING, weights, noise_multiplier=noise)
            guessed = invert(study, LEAKING, weights, seen, labels, rng=rng, steps=300, tries=1)
            found.append(cells(study, truth, guessed).all)
        guess.append(guessed_from_marginals(study, truth, rng=rng).all)
    assert np.mean(right) <= np.mean(guess) + 0.03
    assert np.mean(without) > np.mean(right) + 0.05, "the broken twin: the same sum without noise"
