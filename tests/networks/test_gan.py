"""The networks by themselves: what is asked for is given, gradients flow, and all that is random is handed in."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_persons import FEATURES, persons
from wardgate.networks.arrays import flat, load, seeded, size
from wardgate.networks.gan.conditions import Asked, matched, only_label, own
from wardgate.networks.gan.layout import fitted_layout
from wardgate.networks.gan.networks import Sizes, build, critic_loss, draw, generator_loss, sampled, tensors
from wardgate.networks.gan.training import Moments, Steps, train
from wardgate.records.errors import Invalid, Refused

SIZES = Sizes(latent=8, hidden=16)


@pytest.fixture(scope="module")
def layout():
    return fitted_layout(FEATURES, persons(2_000, seed=3), modes=6, persons_per_mode=50, min_persons=11)


@pytest.fixture(scope="module")
def rows(layout):
    return layout.encode(persons(2_000, seed=3))


def pair_of(layout, seed=0, **settings):
    return build(layout, SIZES, draws=seeded(np.random.default_rng(seed)), **settings)


def asked_of(rows=200):
    label = np.arange(rows) % 2
    column = np.where(np.arange(rows) % 3 == 0, 3, -1)
    return Asked(label=label, column=column, value=np.where(column == 3, np.arange(rows) % 4, 0))


def test_what_is_asked_for_is_given(layout):
    pair, asked = pair_of(layout), asked_of()
    found = sampled(pair, asked, draws=seeded(np.random.default_rng(1))).codes
    assert (found[:, -1] == asked.label).all()
    told = asked.column == 3
    assert (found[told, 3] == asked.value[told]).all()
    assert len(np.unique(found[~told, 3])) > 1


def test_rows_drawn_are_whole_indicators_and_gradients_flow_through_them(layout):
    pair = pair_of(layout)
    wanted, filled = tensors(pair, asked_of())
    fake = draw(pair, wanted, filled, draws=seeded(np.random.default_rng(1)))
    whole = fake.detach().numpy()
    assert fake.shape == (200, layout.width)
    for start, width in zip(layout.starts, layout.sizes, strict=True):
        assert np.allclose(whole[:, start : start + width].sum(axis=1), 1, atol=1e-5)
        assert np.allclose(whole[:, start : start + width].max(axis=1), 1, atol=1e-5)
    generator_loss(pair, fake, wanted).backward()
    assert all(float(weights.grad.abs().max()) > 0 for weights in pair.generator.parameters())


def test_cells_that_are_not_kept_are_never_drawn(layout):
    kept = tuple(tuple(cell == 0 for cell in range(len(one))) if at == 3 else one for at, one in enumerate(layout.kept))
    pair = pair_of(replace(layout, kept=kept))
    found = sampled(pair, only_label(np.zeros(500, dtype=np.int64)), draws=seeded(np.random.default_rng(0)))
    assert (found.codes[:, 3] == 0).all()


def test_the_generator_starts_from_the_shares_handed_in(layout):
    share = np.zeros(layout.sizes[3])
    share[2] = 1.0
    pair = pair_of(layout, shares={3: share})
    found = sampled(pair, only_label(np.zeros(500, dtype=np.int64)), draws=seeded(np.random.default_rng(0)))
    assert (found.codes[:, 3] == 2).mean() > 0.95


def test_weights_go_out_and_come_back_as_one_vector(layout):
    one, other = pair_of(layout, 0).critic, pair_of(layout, 1).critic
    assert not np.array_equal(flat(one), flat(other))
    load(other, flat(one))
    assert np.array_equal(flat(one), flat(other))
    assert flat(one).shape == (size(one),)


@pytest.mark.parametrize("broken", [np.zeros(3), np.full(10_000, np.nan)])
def test_weights_that_do_not_fit_are_refused(layout, broken):
    critic = pair_of(layout).critic
    vector = np.full(size(critic), np.nan) if np.isnan(broken).any() else broken
    with pytest.raises(Invalid, match="weights"):
        load(critic, vector)


def test_nothing_is_drawn_from_weights_that_are_not_finite(layout):
    pair = pair_of(layout)
    with torch.no_grad():
        pair.generator.last.bias[0] = float("nan")
    with pytest.raises(Invalid, match="finite"):
        sampled(pair, asked_of(), draws=seeded(np.random.default_rng(0)))


def test_the_critic_judges_one_row_by_itself(layout, rows):
    pair = pair_of(layout)
    matrix = torch.from_numpy(layout.matrix(rows))[:20]
    wanted, _ = tensors(pair, own(layout, rows, np.random.default_rng(0)))
    together = critic_loss(pair.critic, matrix, wanted[:20], real=True)
    alone = torch.stack(
        [critic_loss(pair.critic, matrix[at : at + 1], wanted[at : at + 1], real=True)[0] for at in range(20)]
    )
    assert torch.allclose(together, alone, atol=1e-6)


def test_real_rows_meet_what_was_asked_for_and_are_drawn_as_often_as_their_weight_says(layout, rows):
    found, rng = matched(layout, rows), np.random.default_rng(0)
    weights = found.weights(rows.codes)
    assert weights.sum() == pytest.approx(1)
    counts = np.zeros(len(rows.codes))
    for _ in range(200):
        asked, real = found.draw(2_000, rng)
        codes = rows.codes[real]
        assert (codes[:, -1] == asked.label).all()
        told = asked.column >= 0
        assert (codes[told, asked.column[told]] == asked.value[told]).all()
        counts += np.bincount(real, minlength=len(counts))
    expected = weights * counts.sum()
    assert float(((counts - expected) ** 2 / expected).mean()) < 1.25  # mean of 2,000 chi-squared of one degree each


def test_the_distance_of_moments_is_free_of_chance_on_average(layout, rows):
    matrix, rng = torch.from_numpy(layout.matrix(rows)), np.random.default_rng(0)
    moments = Moments(matrix, torch.ones(len(matrix)))
    same = [float(moments.distance(matrix[rng.integers(len(matrix), size=100)])) for _ in range(300)]
    assert abs(np.mean(same)) < 5 * np.std(same) / np.sqrt(300)
    half = matrix[matrix[:, layout.starts[-1] + 1] == 1]
    away = [float(moments.distance(half[rng.integers(len(half), size=100)])) for _ in range(300)]
    assert np.mean(away) > np.mean(same) + 10 * np.std(same) / np.sqrt(300)


def test_training_uses_no_global_generator_and_repeats_itself(layout, rows):
    steps = Steps(most=6, batch=40)
    before = torch.get_rng_state()
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    one, _ = train(layout, rows, sizes=SIZES, steps=steps, rng=np.random.default_rng(4))
    two, _ = train(layout, rows, sizes=SIZES, steps=steps, rng=np.random.default_rng(4))
    assert np.array_equal(flat(one.generator), flat(two.generator))
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_losses_that_are_not_finite_stop_training(layout, rows):
    with pytest.raises(Refused, match="diverged"):
        train(layout, rows, sizes=SIZES, steps=Steps(most=50, batch=40, rate=1e30), rng=np.random.default_rng(0))


def test_training_stops_early_and_keeps_the_best(layout, rows):
    scores = iter([0.5, 0.9, 0.1, 0.2, 0.3, 0.4])
    seen = []

    def score(networks):
        seen.append(flat(networks.generator))
        return next(scores)

    steps = Steps(most=100, batch=40, look=2, patience=3)
    found, step = train(layout, rows, sizes=SIZES, steps=steps, rng=np.random.default_rng(0), score=score)
    assert step == 4
    assert len(seen) == 5
    assert np.array_equal(flat(found.generator), seen[1])


@pytest.mark.parametrize("settings", [{"most": 0}, {"rate": 0.0}, {"smoothing": 1.0}, {"moments": -1.0}])
def test_steps_that_make_no_sense_are_refused(settings):
    with pytest.raises(Invalid):
        Steps(**settings)


@pytest.mark.parametrize("settings", [{"hidden": 0}, {"pack": 0}, {"temperature": 0.0}])
def test_sizes_that_make_no_sense_are_refused(settings):
    with pytest.raises(Invalid):
        Sizes(**settings)
