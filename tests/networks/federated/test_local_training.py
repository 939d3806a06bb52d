"""A round at one hospital: the algorithms as their papers have them, what stays, and a word for what goes wrong."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drawn_networks import BENDS
from drawn_networks import architecture as drawn
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import size, tensors
from wardgate.networks.federated import descent
from wardgate.networks.federated.build import load_vector, module_of, vector_of
from wardgate.networks.federated.by_hand import ByHand, bent, possible, steepness
from wardgate.networks.federated.by_torch import ByTorch
from wardgate.networks.federated.descent import Learner, Steps, batches
from wardgate.networks.federated.local import Own, Plan, shortened, train
from wardgate.records.errors import Invalid
from wardgate.records.network import Activation, Architecture, BatchNorm, Dropout, Linear

CPU = torch.device("cpu")
LINE = Architecture(inputs=5, layers=(Linear(units=1),))
MLP = Architecture(inputs=5, layers=(Linear(units=8), Activation(how="relu"), Linear(units=1)), seed=3)
NORMED = Architecture(
    inputs=5,
    layers=(Linear(units=8), BatchNorm(), Activation(how="relu"), Dropout(chance=0.2), Linear(units=1)),
    seed=4,
)


def persons(n, *, seed=0, inputs=5):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, inputs))
    return x, (rng.random(n) < 1 / (1 + np.exp(-3 * x[:, 0] + x[:, 1]))).astype(np.int8)


def steps(**settings):
    return Steps(**{"count": 10, "batch": 32, "optimiser": "sgd", "rate": 0.2} | settings)


def plan(architecture, *, stays=(), **settings):
    shared = np.ones(size(architecture), dtype=bool)
    for tensor in tensors(architecture):
        if tensor.role in stays:
            shared[tensor.place] = False
    return Plan(**{"steps": steps(), "shared": shared, "longest": 100.0, "largest": 1e4, "loss_cut": 10.0} | settings)


def round_of(architecture, chosen, x, y, *, own=None, seed=1, common=None):
    common = start(architecture) if common is None else common
    return train(architecture, common, x, y, plan=chosen, own=own or Own(), rng=np.random.default_rng(seed), device=CPU)


# The slow oracle: logistic regression in numpy, everybody in every batch.


def slope(weights, x, y):
    chance = 1 / (1 + np.exp(-(x @ weights[:-1] + weights[-1])))
    return np.append(x.T @ (chance - y), (chance - y).sum()) / len(y)


def test_a_step_with_everybody_is_the_gradient_of_their_mean_loss():
    x, y = persons(200)
    found = round_of(LINE, plan(LINE, steps=steps(count=1, batch=200)), x, y)
    assert found.change == pytest.approx(-0.2 * slope(start(LINE), x, y), abs=1e-6)


def test_weights_decay_as_their_square_in_the_loss_would_have_it():
    x, y = persons(200)
    common = np.linspace(-2, 3, size(LINE))
    found = round_of(LINE, plan(LINE, steps=steps(count=1, batch=200, decay=0.5)), x, y, common=common)
    assert found.change == pytest.approx(-0.2 * (slope(common, x, y) + 0.5 * common), abs=1e-6)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_takes_the_steps_of_torch(momentum):
    compared(lambda weights: torch.optim.SGD(weights, lr=0.2, momentum=momentum, weight_decay=0.01), momentum=momentum)


def test_adam_takes_the_steps_of_torch():
    compared(lambda weights: torch.optim.Adam(weights, lr=0.2, weight_decay=0.01), optimiser="adam")


def compared(optimiser_of, **settings):
    x, y = persons(120)
    module = module_of(MLP)
    optimiser = optimiser_of(module.parameters())
    rows, labels = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    for _ in range(10):
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(module(rows), labels).backward()
        optimiser.step()
    found = round_of(MLP, plan(MLP, steps=steps(batch=120, decay=0.01, **settings)), x, y)
    assert start(MLP) + found.change == pytest.approx(vector_of(module, MLP), abs=2e-4)


@pytest.mark.parametrize("how", BENDS)
@pytest.mark.parametrize("weight", [0.3, 3.0])
def test_slopes_by_hand_are_those_of_torch(how, weight):
    architecture = Architecture(
        inputs=5, layers=(Linear(units=7), Activation(how=how), Linear(units=4), Activation(how=how), Linear(units=1))
    )
    x, y = persons(80)
    rows, labels = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    vector = np.random.default_rng(0).normal(size=size(architecture)) * weight
    hand, auto = ByHand(architecture), ByTorch(architecture, device=CPU)
    for one in (hand, auto):
        one.load(vector)
        one.begin(seed=0, alone=False)
        one.slope(rows, labels)
    assert hand.vector() == pytest.approx(auto.vector())
    assert hand.gradient.numpy() == pytest.approx(auto.gradient.numpy(), rel=1e-4, abs=1e-6)
    assert hand.losses(rows, labels) == pytest.approx(auto.losses(rows, labels), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("how", BENDS)
def test_bends_by_hand_stay_numbers_far_away(how):
    far = np.array([-1e30, -1e4, -88.0, 0.0, 88.0, 1e4, 1e30], dtype=np.float32)
    with np.errstate(all="ignore"):
        for found in (bent(how, far), steepness(how, far)):
            assert found.dtype == np.float32
            assert np.isfinite(found).all()


def test_by_hand_is_for_linear_layers_and_bends_alone():
    assert possible(MLP)
    assert not possible(NORMED)
    with pytest.raises(Invalid, match="bends"):
        ByHand(NORMED)
    for wrong in (np.zeros(3), np.full(size(MLP), np.nan)):
        with pytest.raises(Invalid, match="finite"):
            ByHand(MLP).load(wrong)


def test_every_person_is_in_one_batch_of_an_epoch_and_batches_are_full():
    order = batches(70, 32, np.random.default_rng(0))
    found = [next(order) for _ in range(35)]
    assert {len(batch) for batch in found} == {32}
    for epoch in np.concatenate(found).reshape(16, 70):
        assert sorted(epoch) == list(range(70))


@pytest.mark.parametrize("architecture", [MLP, NORMED, drawn(2), drawn(5)], ids=["mlp", "normed", "image", "flat"])
def test_the_same_seed_gives_the_same_bytes_and_torchs_own_generator_is_left_alone(architecture):
    x, y = persons(60, inputs=architecture.inputs)
    chosen = plan(architecture, personal=0.1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again = (round_of(architecture, chosen, x, y) for _ in range(2))
    other = round_of(architecture, chosen, x, y, seed=2)
    assert torch.equal(before, torch.get_rng_state())
    assert first.outcome == "trained"
    assert first.change.tobytes() == again.change.tobytes()
    assert first.own.personal.tobytes() == again.own.personal.tobytes()
    assert not np.array_equal(first.change, other.change)


def test_dropout_follows_the_seed_and_rests_while_judging():
    architecture = Architecture(inputs=5, layers=(Linear(units=8), Dropout(chance=0.5), Linear(units=1)))
    x, y = persons(60)
    learner = Learner(architecture, x, y, device=CPU)
    assert np.array_equal(learner.losses(), learner.losses())
    everybody = plan(architecture, steps=steps(batch=60))
    first, again, other = (round_of(architecture, everybody, x, y, seed=seed).change for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other), "with everybody in the batch, only dropout tells seeds apart"


def test_fedprox_without_a_pull_is_fedavg_and_a_larger_pull_moves_less():
    x, y = persons(100)
    moved = [round_of(MLP, plan(MLP, steps=steps(pull=pull)), x, y).change for pull in (0.0, 0.5, 5.0, 1e4)]
    plain = round_of(MLP, plan(MLP), x, y).change
    assert np.array_equal(moved[0], plain)
    lengths = [np.linalg.norm(change) for change in moved]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < 1e-3


def test_fedprox_goes_to_where_loss_and_pull_are_in_balance():
    x, y = persons(150)
    common = np.linspace(-1, 1, size(LINE))
    found = round_of(LINE, plan(LINE, steps=steps(count=3_000, batch=150, pull=0.3)), x, y, common=common)
    assert slope(common + found.change, x, y) + 0.3 * found.change == pytest.approx(np.zeros(6), abs=1e-5)


def test_scaffold_is_option_two_of_its_paper():
    """Two hospitals, three rounds, beside a numpy oracle; the hub's variate is then the mean of the hospitals'."""
    sites = [persons(80, seed=1), persons(50, seed=2)]
    count, rate = 4, 0.2
    common, c = start(LINE), np.zeros(6)
    oracle_common, oracle_c, oracle_own = common.copy(), c.copy(), [np.zeros(6), np.zeros(6)]
    own = [Own(), Own()]
    for _ in range(3):
        moved, turned = [], []
        for at, (x, y) in enumerate(sites):
            found = round_of(
                LINE, plan(LINE, steps=steps(count=count, batch=80), control=c), x, y, own=own[at], common=common
            )
            own[at] = found.own
            moved.append(found.change)
            turned.append(found.control)
        oracle_moved, oracle_turned = [], []
        for at, (x, y) in enumerate(sites):
            weights = oracle_common.copy()
            for _ in range(count):
                weights -= rate * (slope(weights, x, y) - oracle_own[at] + oracle_c)
            new = oracle_own[at] - oracle_c + (oracle_common - weights) / (count * rate)
            oracle_moved.append(weights - oracle_common)
            oracle_turned.append(new - oracle_own[at])
            oracle_own[at] = new
        assert np.array(moved) == pytest.approx(np.array(oracle_moved), abs=1e-5)
        assert np.array(turned) == pytest.approx(np.array(oracle_turned), abs=1e-5)
        common, c = common + np.mean(moved, axis=0), c + np.mean(turned, axis=0)
        oracle_common, oracle_c = (
            oracle_common + np.mean(oracle_moved, axis=0),
            oracle_c + np.mean(oracle_turned, axis=0),
        )
        assert c == pytest.approx(np.mean([one.control for one in own], axis=0), abs=1e-9)


def test_a_control_variate_that_is_cut_is_kept_as_it_was_cut():
    x, y = persons(80)
    found = round_of(MLP, plan(MLP, control=np.zeros(size(MLP)), longest=0.01), x, y)
    assert np.linalg.norm(found.control) == pytest.approx(0.01)
    assert np.array_equal(found.own.control, found.control)


def test_ditto_without_a_pull_is_local_training_and_with_a_huge_one_the_common_model():
    x, y = persons(90)
    own = Own()
    common = start(MLP)
    for seed in range(3):
        found = round_of(MLP, plan(MLP, personal=0.0), x, y, own=own, seed=seed, common=common)
        alone = round_of(MLP, plan(MLP), x, y, seed=seed, common=common if own.personal is None else own.personal)
        expected = (common if own.personal is None else own.personal) + alone.change
        assert found.own.personal == pytest.approx(expected, abs=1e-6)
        own, common = found.own, common + 0.5 * found.change
    pulled = round_of(MLP, plan(MLP, personal=1e4), x, y, own=own, common=common)
    assert pulled.own.personal == pytest.approx(common, abs=1e-3)
    assert np.abs(own.personal - common).max() > 0.01


def test_the_personal_model_does_not_touch_the_round():
    x, y = persons(90)
    without, beside = (round_of(NORMED, plan(NORMED, personal=pull), x, y) for pull in (None, 0.3))
    assert np.array_equal(without.change, beside.change)
    assert without.own.personal is None


@pytest.mark.parametrize("stays", [("scale", "shift", "mean", "variance"), ("mean", "variance")])
def test_what_stays_never_enters_the_sum_and_is_taken_up_again(stays):
    x, y = persons(90)
    chosen = plan(NORMED, stays=stays)
    first = round_of(NORMED, chosen, x, y)
    assert not first.change[~chosen.shared].any()
    assert first.change[chosen.shared].any()
    own = first.own.stays
    assert own.shape == ((~chosen.shared).sum(),)
    assert not np.array_equal(own, start(NORMED)[~chosen.shared])
    # A round without a step leaves what it began with: the common weights where shared, its own where they stay.
    still = replace(chosen, steps=steps(rate=1e-12, count=1))
    moved = start(NORMED) + 0.1
    again = round_of(NORMED, still, x, y, own=first.own, common=moved)
    learnt = np.concatenate([np.full(one.size, one.learnt) for one in tensors(NORMED)])[~chosen.shared]
    assert again.own.stays[learnt] == pytest.approx(own[learnt], abs=1e-6)
    assert again.before == pytest.approx(
        judged(NORMED, np.where(chosen.shared, moved, filled(chosen, own)), x, y), rel=1e-5
    )


def filled(chosen, own):
    found = np.zeros(len(chosen.shared))
    found[~chosen.shared] = own
    return found


def judged(architecture, vector, x, y):
    module = module_of(architecture)
    load_vector(module, architecture, vector)
    module.eval()
    with torch.no_grad():
        found = functional.binary_cross_entropy_with_logits(
            module(torch.from_numpy(x).float()), torch.from_numpy(y).float(), reduction="sum"
        )
    return float(found)


@pytest.mark.parametrize("longest", [1e-6, 0.05, 0.2])
def test_a_change_is_cut_to_its_longest_and_says_so(longest):
    x, y = persons(90)
    free = round_of(MLP, plan(MLP), x, y)
    found = round_of(MLP, plan(MLP, longest=longest), x, y)
    assert not free.cut
    assert np.linalg.norm(free.change) > 0.3
    assert found.cut
    assert longest * (1 - 1e-6) < np.linalg.norm(found.change) <= longest
    assert found.change / longest == pytest.approx(free.change / np.linalg.norm(free.change), abs=1e-6)


def test_a_short_vector_is_left_as_it_is():
    vector = np.array([0.3, -0.4])
    assert shortened(vector, 0.6) == (pytest.approx(vector), False)
    assert np.linalg.norm(shortened(vector, 0.5)[0]) <= 0.5


def test_losses_are_summed_over_persons_and_each_is_cut():
    x, y = persons(40)
    found = round_of(LINE, plan(LINE), x, y)
    assert found.before == pytest.approx(judged(LINE, start(LINE), x, y), rel=1e-5)
    assert found.after == pytest.approx(judged(LINE, start(LINE) + found.change, x, y), rel=1e-4)
    sure = np.zeros(6)
    sure[-1] = 50.0
    cut = round_of(LINE, plan(LINE, steps=steps(rate=1e-9)), x, y, common=sure)
    assert cut.before == pytest.approx(10.0 * (y == 0).sum(), rel=1e-6)


# What can go wrong, each with its word.


def sat_out(found, outcome, own):
    assert found.outcome == outcome
    assert not found.change.any()
    assert not found.control.any()
    assert (found.before, found.after, found.own) == (0.0, 0.0, own)


KEPT = Own(control=np.ones(size(MLP)), stays=None, personal=np.full(size(MLP), 0.1))


def test_nobody_there_is_no_persons():
    sat_out(round_of(MLP, plan(MLP), np.zeros((0, 5)), np.zeros(0, dtype=np.int8), own=KEPT), "no-persons", KEPT)


def test_a_loss_that_is_no_number_is_not_finite():
    deep = Architecture(inputs=5, layers=(*(Linear(units=5) for _ in range(14)), Linear(units=1)))
    x, y = persons(30)
    found = round_of(deep, plan(deep), x, y, common=np.random.default_rng(0).choice([-1e4, 1e4], size(deep)))
    sat_out(found, "not-finite", Own())


def test_a_rate_that_leads_to_infinity_is_not_finite():
    x, y = persons(30)
    curved = Architecture(inputs=5, layers=(*(Linear(units=16) for _ in range(5)), Linear(units=1)))
    found = round_of(curved, plan(curved, steps=steps(rate=1e10, count=40)), x, y)
    sat_out(found, "not-finite", Own())


def test_a_loss_far_above_where_it_began_is_diverged():
    x, y = persons(30)
    sat_out(round_of(MLP, plan(MLP, steps=steps(rate=100.0, count=2)), x, y, own=KEPT), "diverged", KEPT)


def test_a_weight_beyond_the_largest_is_diverged():
    x, y = persons(30)
    sat_out(round_of(LINE, plan(LINE, steps=steps(count=400), largest=1.5), x, y), "diverged", Own())


def fails(error):
    def made(*_, **__):
        raise error

    return made


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_does_not_suffice_is_out_of_memory(monkeypatch, error):
    monkeypatch.setattr(descent, "at_work", fails(error))
    x, y = persons(30)
    sat_out(round_of(MLP, plan(MLP), x, y, own=KEPT), "out-of-memory", KEPT)


def test_any_other_error_is_no_outcome(monkeypatch):
    monkeypatch.setattr(descent, "at_work", fails(RuntimeError("shapes cannot be multiplied")))
    with pytest.raises(RuntimeError, match="shapes"):
        round_of(MLP, plan(MLP), *persons(30))


def test_a_personal_model_that_goes_wrong_stays_as_it_was():
    x, y = persons(30)
    far = Own(personal=np.full(size(MLP), 9_999.0))
    found = round_of(MLP, plan(MLP, personal=0.0, steps=steps(rate=5.0, batch=30), largest=9_999.5), x, y, own=far)
    assert found.outcome == "trained"
    assert np.array_equal(found.own.personal, far.personal)


@pytest.mark.parametrize("n", [1, 2, 33])
def test_one_person_or_a_batch_of_one_is_enough_even_with_batch_norms(n):
    x, y = persons(n)
    for batch in (1, 32):
        found = round_of(NORMED, plan(NORMED, steps=steps(batch=batch)), x, y)
        assert found.outcome == "trained"
        assert np.isfinite(found.change).all()


def test_one_class_is_trained_on_like_any_other():
    x, _ = persons(40)
    found = round_of(MLP, plan(MLP), x, np.ones(40, dtype=np.int8))
    assert found.outcome == "trained"
    assert found.after < found.before


@pytest.mark.parametrize("seed", range(12))
def test_every_kind_of_network_trains_and_its_running_statistics_move(seed):
    architecture = drawn(seed)
    x, y = persons(50, inputs=architecture.inputs)
    found = round_of(architecture, plan(architecture), x, y)
    assert found.outcome == "trained"
    for tensor in tensors(architecture):
        if not tensor.learnt:
            assert found.change[tensor.place].any()
