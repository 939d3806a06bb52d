"""Torch and numpy give the same log-odds for every kind of layer, and weights go in and out unchanged."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drawn_networks import BENDS, architecture, rows, vector
from wardgate.measures.layers.forward import logits
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import size, tensors
from wardgate.networks.federated.build import load_vector, module_of, slots, vector_of
from wardgate.networks.federated.device import choose, repeatable
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.network import Activation, Architecture, BatchNorm, GroupNorm, Linear

DRAWN = range(60)


def judged(module, x):
    module.eval()
    with torch.no_grad():
        return module(torch.from_numpy(x).to(next(module.parameters()).dtype)).numpy()


@pytest.mark.parametrize("seed", DRAWN)
def test_torch_and_numpy_say_the_same(seed):
    made = architecture(seed)
    weights, x = vector(made, seed), rows(made, 17, seed)
    expected = logits(made, weights, x)
    double, single = module_of(made, double=True), module_of(made)
    load_vector(double, made, weights)
    load_vector(single, made, weights)
    assert judged(double, x) == pytest.approx(expected, abs=1e-10 * max(1, np.abs(expected).max()))
    assert judged(single, x) == pytest.approx(expected, abs=1e-5 * max(1, np.abs(expected).max()))


def test_the_drawn_networks_hold_every_kind_of_layer():
    kinds = {layer.kind for seed in DRAWN for layer in architecture(seed).layers}
    assert len(kinds) == 11
    bends = {layer.how for seed in DRAWN for layer in architecture(seed).layers if isinstance(layer, Activation)}
    assert bends == set(BENDS)


@pytest.mark.parametrize("seed", range(20))
def test_weights_come_out_as_they_went_in(seed):
    made = architecture(seed)
    weights = vector(made, seed)
    module = module_of(made, double=True)
    assert np.array_equal(vector_of(module, made), start(made))
    load_vector(module, made, weights)
    assert np.array_equal(vector_of(module, made), weights)
    assert [name for name, _ in slots(module)] == [tensor.name for tensor in tensors(made)]
    learnt = [slot for (_, slot), tensor in zip(slots(module), tensors(made), strict=True) if tensor.learnt]
    assert {id(slot) for slot in learnt} == {id(one) for one in module.parameters()}


def test_training_moves_running_statistics_by_a_tenth_as_the_document_says():
    made = Architecture(inputs=2, layers=(BatchNorm(), Linear(units=1)))
    module = module_of(made, double=True)
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    module.train()(x)
    found = {tensor.name: tensor.of(vector_of(module, made)) for tensor in tensors(made)}
    assert found["0.mean"] == pytest.approx(0.1 * x.mean(dim=0).numpy())
    assert found["0.variance"] == pytest.approx(0.9 + 0.1 * x.var(dim=0).numpy())


def test_building_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    module_of(architecture(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_one_persons_gradient_can_be_taken_of_every_network_without_batch_norms():
    for seed in range(6):
        made = architecture(seed, batch_norms=False)
        module = module_of(made, double=True).eval()
        parameters = {name: one.detach() for name, one in module.named_parameters()}

        def loss(given, some, module=module):
            return nn.functional.softplus(torch.func.functional_call(module, given, (some,))).sum()

        x = torch.from_numpy(rows(made, 5, seed))
        each = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x[:, None])
        together = torch.func.grad(loss)(parameters, x)
        for name in parameters:
            assert torch.allclose(each[name].sum(dim=0), together[name], atol=1e-9)


def test_another_networks_module_or_vector_is_refused():
    one = Architecture(inputs=2, layers=(Linear(units=3), Linear(units=1)))
    other = Architecture(inputs=2, layers=(Linear(units=3), GroupNorm(), Linear(units=1)))
    with pytest.raises(Invalid, match="not the one"):
        load_vector(module_of(other), one, start(one))
    with pytest.raises(Invalid, match="not the one"):
        vector_of(module_of(one), other)
    for broken in (np.zeros(size(one) - 1), np.full(size(one), np.inf)):
        with pytest.raises(Invalid, match="finite numbers"):
            load_vector(module_of(one), one, broken)


def test_a_running_variance_below_0_counts_as_0_in_torch_too():
    made = Architecture(inputs=1, layers=(BatchNorm(), Linear(units=1)))
    weights = np.array([1, 0, 0, -0.5, 1, 0.0])
    module = module_of(made, double=True)
    load_vector(module, made, weights)
    assert judged(module, np.array([[0.5]])) == pytest.approx(logits(made, weights, np.array([[0.5]])))


def test_the_device_is_a_gpu_only_where_there_is_one():
    assert choose("cpu").type == "cpu"
    assert choose().type == ("cuda" if torch.cuda.is_available() else "cpu")
    for strange in ("gpu", "cpu:1", "cuda:x", ""):
        with pytest.raises(Invalid):
            choose(strange)
    with pytest.raises(Unsupported):
        choose(f"cuda:{torch.cuda.device_count()}")


def test_repeatable_settings_end_with_their_block():
    before = torch.are_deterministic_algorithms_enabled()
    with pytest.raises(ZeroDivisionError), repeatable():
        assert torch.are_deterministic_algorithms_enabled()
        1 / 0  # noqa: B018
    assert torch.are_deterministic_algorithms_enabled() == before
