"""Users' modules become documents that say exactly the same, or are refused by name."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from drawn_networks import architecture, rows, vector
from wardgate.measures.layers.forward import logits
from wardgate.measures.layers.start import start
from wardgate.networks.federated.build import load_vector, module_of, vector_of
from wardgate.networks.federated.tracing import architecture_of
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.network import (
    Activation,
    BatchNorm,
    Conv2d,
    Dropout,
    Flatten,
    GlobalMean,
    GroupNorm,
    Image,
    Linear,
    Pool2d,
    Residual,
)


def seeded(make, seed=0):
    """A module whose start weights do not hang on the other tests."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()


def says(module, made, weights, x):
    """Whether module and document agree on rows."""
    module.eval()
    with torch.no_grad():
        found = module(torch.from_numpy(x).float()).numpy().ravel()
    assert found == pytest.approx(logits(made, weights, x.reshape(len(x), -1)), abs=1e-4)


class Block(nn.Module):
    """A residual block as people write it."""

    def __init__(self, width):
        super().__init__()
        self.one, self.two, self.norm = nn.Linear(width, 9), nn.Linear(9, width), nn.LayerNorm(width)

    def forward(self, x):
        return self.norm(x + F.dropout(self.two(F.gelu(self.one(x))), 0.2, training=self.training))


class Residuals(nn.Module):
    """Nested modules, functions, and a squeezed end."""

    def __init__(self):
        super().__init__()
        self.into = nn.Linear(5, 6)
        self.blocks = nn.Sequential(Block(6), Block(6))
        self.end = nn.Linear(6, 1)

    def forward(self, x):
        return self.end(torch.relu(self.blocks(torch.tanh(self.into(x))))).squeeze(-1)


class Pictures(nn.Module):
    """A small network over images."""

    def __init__(self):
        super().__init__()
        self.one, self.norm = nn.Conv2d(1, 4, 3, padding="same"), nn.BatchNorm2d(4)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.pool, self.end = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 1)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.norm(self.one(x))), 2)
        x = self.two(x) + x
        return self.end(torch.flatten(self.pool(F.silu(x)), 1))


class Viewed(nn.Module):
    """Flattens as older code does."""

    def __init__(self):
        super().__init__()
        self.one, self.end = nn.Conv2d(2, 3, 2, stride=2), nn.Linear(3 * 2 * 3, 1)

    def forward(self, x):
        x = F.leaky_relu(self.one(x))
        return self.end(x.view(x.size(0), -1))


def test_a_residual_network_becomes_a_document():
    module = seeded(Residuals)
    made, weights = architecture_of(module, inputs=5, seed=4)
    block = (
        Residual(layers=(Linear(units=9), Activation(how="gelu"), Linear(units=6), Dropout(chance=0.2))),
        GroupNorm(),
    )
    assert made.layers == (
        Linear(units=6),
        Activation(how="tanh"),
        *block,
        *block,
        Activation(how="relu"),
        Linear(units=1),
    )
    assert made.seed == 4 and not np.array_equal(weights, start(made))
    says(module, made, weights, np.random.default_rng(0).uniform(-1, 1, (9, 5)))


def test_an_image_network_becomes_a_document():
    module = seeded(Pictures)
    module.norm.running_mean += 0.3
    made, weights = architecture_of(module, inputs=(1, 8, 7))
    assert made.inputs == 56
    assert made.layers == (
        Image(channels=1, height=8, width=7),
        Conv2d(channels=4, kernel=3, padding=1),
        BatchNorm(),
        Activation(how="relu"),
        Pool2d(how="max", size=2),
        Residual(layers=(Conv2d(channels=4, kernel=3, padding=1),)),
        Activation(how="silu"),
        GlobalMean(),
        Linear(units=1),
    )
    says(module, made, weights, np.random.default_rng(0).uniform(-1, 1, (5, 1, 8, 7)))


def test_old_ways_to_flatten_are_understood():
    for make, count in ((Viewed, (2, 4, 6)), (lambda: nn.Sequential(nn.Unflatten(1, (2, 4, 6)), Viewed()), 48)):
        module = seeded(make)
        made, _ = architecture_of(module, inputs=count)
        assert made.layers[-2:] == (Flatten(), Linear(units=1))


@pytest.mark.parametrize("seed", range(20))
def test_a_module_built_from_a_document_is_read_as_that_document(seed):
    made = architecture(seed)
    module = module_of(made)
    load_vector(module, made, vector(made, seed).astype(np.float32).astype(np.float64))
    found, weights = architecture_of(module, inputs=made.inputs, seed=made.seed)
    assert np.array_equal(weights, vector_of(module, made))
    assert logits(found, weights, rows(made, 5, seed)) == pytest.approx(logits(made, weights, rows(made, 5, seed)))
    assert found == made


def test_a_single_layer_and_a_double_one_are_read_too():
    made, weights = architecture_of(seeded(lambda: nn.Linear(3, 1)), inputs=3)
    assert made.layers == (Linear(units=1),) and weights.shape == (4,)
    deep = nn.Sequential(nn.Sequential(nn.Linear(3, 2), nn.Identity()), nn.Sequential(nn.Tanh(), nn.Linear(2, 1)))
    assert architecture_of(deep.double(), inputs=3)[0].layers == (
        Linear(units=2),
        Activation(how="tanh"),
        Linear(units=1),
    )


def test_a_module_is_left_as_it_was():
    module = seeded(Pictures)
    module.norm.eval()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    modes = [part.training for part in module.modules()]
    architecture_of(module, inputs=(1, 8, 7))
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


class Odd(nn.Module):
    """A module with one odd way of forward."""

    def __init__(self, how):
        super().__init__()
        self.one, self.two, self.end, self.how = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 1), how

    def forward(self, x):
        return self.how(self, x)


def in_place(m, x):
    h = m.one(x)
    return m.end(m.two(F.relu_(h)) + h)


ODD = {
    "asks what the numbers are": (lambda m, x: m.end(m.two(m.one(x))) if x.sum() > 0 else m.end(x), "without data"),
    "goes through a layer twice": (lambda m, x: m.end(m.two(m.one(m.one(x)))), "'one' is gone through twice"),
    "leaves a layer out": (lambda m, x: m.end(m.one(x)), "'two.weight' belongs to no"),
    "uses weights by hand": (lambda m, x: m.end(m.two(x @ m.one.weight)), "matmul"),
    "multiplies": (lambda m, x: m.end(m.one(x) * m.two(x)), "'mul'"),
    "adds two branches": (lambda m, x: m.end(m.one(x) + m.two(x)), "no chain of layers"),
    "adds a constant": (lambda m, x: m.end(m.two(m.one(x) + 1.0)), "adds something else"),
    "adds with a factor": (lambda m, x: m.end(torch.add(m.two(m.one(x)), x, alpha=2)), "adds something else"),
    "drops in use too": (lambda m, x: m.end(m.two(F.dropout(m.one(x), 0.5))), "training=self.training"),
    "differs in training": (lambda m, x: m.end(m.two(m.one(x) if m.training else F.relu(m.one(x)))), "in training"),
    "changes in place what it uses again": (in_place, "relu_"),
    "gives two things": (lambda m, x: (m.end(m.two(m.one(x))), x), "more than one"),
    "gives probabilities": (lambda m, x: torch.sigmoid(m.end(m.two(m.one(x)))), "ends in a sigmoid"),
    "squeezes what may be the rows": (lambda m, x: m.end(m.two(m.one(x))).squeeze(), "'squeeze'"),
    "softmax": (lambda m, x: m.end(torch.softmax(m.two(m.one(x)), 1)), "'softmax'"),
    "calls numpy": (lambda m, x: m.end(torch.from_numpy(np.tanh(m.two(m.one(x)).numpy()))), "without data"),
    "mixes up rows": (lambda m, x: m.end(m.two(m.one(x)).view(1, -1)), "gives rows another number"),
}


@pytest.mark.parametrize("name", ODD)
def test_code_that_no_document_says_is_refused_by_name(name):
    how, why = ODD[name]
    with pytest.raises(Unsupported, match=why):
        architecture_of(seeded(lambda: Odd(how)), inputs=3)


def test_numbers_changed_in_place_and_used_again_are_noticed():
    class Changed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.bend, self.end = nn.Linear(3, 3), nn.ReLU(inplace=True), nn.Linear(3, 1)

        def forward(self, x):
            h = self.one(x)
            return self.end(self.bend(h) + h)

    with pytest.raises(Unsupported, match="other log-odds than its layers say"):
        architecture_of(seeded(Changed), inputs=3)


LAYERS = {
    "no bias": (nn.Sequential(nn.Linear(6, 4, bias=False), nn.Linear(4, 1)), 6, "bias=False"),
    "recurrent": (nn.Sequential(nn.LSTM(6, 4), nn.Linear(4, 1)), 6, "LSTM|without data"),
    "embedding": (nn.Sequential(nn.Embedding(6, 4), nn.Linear(4, 1)), 6, "Embedding"),
    "attention": (nn.Sequential(nn.TransformerEncoderLayer(6, 2), nn.Linear(6, 1)), 6, "Transformer"),
    "other slope": (nn.Sequential(nn.Linear(6, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1)), 6, "negative_slope=0.2"),
    "gelu by tanh": (nn.Sequential(nn.Linear(6, 4), nn.GELU("tanh"), nn.Linear(4, 1)), 6, "approximate=tanh"),
    "other momentum": (
        nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, momentum=0.01), nn.Linear(4, 1)),
        6,
        "momentum=0.01",
    ),
    "other epsilon": (nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, eps=1e-3), nn.Linear(4, 1)), 6, "eps=0.001"),
    "no statistics": (
        nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 1)),
        6,
        "track_running_stats=False",
    ),
    "spectral norm": (
        nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(6, 4)), nn.Linear(4, 1)),
        6,
        "buffer",
    ),
    "grouped": (
        nn.Sequential(nn.Conv2d(2, 4, 2, groups=2), nn.Flatten(), nn.Linear(36, 1)),
        (2, 4, 4),
        "groups=2",
    ),
    "dilated": (
        nn.Sequential(nn.Conv2d(2, 4, 2, dilation=2), nn.Flatten(), nn.Linear(16, 1)),
        (2, 4, 4),
        "dilation=2",
    ),
    "oblong": (
        nn.Sequential(nn.Conv2d(2, 4, (2, 3)), nn.Flatten(), nn.Linear(24, 1)),
        (2, 4, 4),
        "same whole number",
    ),
    "reflecting": (
        nn.Sequential(nn.Conv2d(2, 1, 3, padding=1, padding_mode="reflect"), nn.Flatten(), nn.Linear(16, 1)),
        (2, 4, 4),
        "padding_mode=reflect",
    ),
    "overlapping pool": (
        nn.Sequential(nn.MaxPool2d(2, stride=1), nn.Flatten(), nn.Linear(18, 1)),
        (2, 4, 4),
        "stride=1",
    ),
    "two outputs": (nn.Sequential(nn.Linear(6, 2)), 6, "one number"),
    "another width": (nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 1)), 6, "must have shape"),
    "nothing to train": (nn.Sequential(nn.ReLU()), 1, "no weights"),
    "kernel beyond reason": (
        nn.Sequential(nn.Conv2d(1, 1, 65), nn.Flatten(), nn.Linear(36, 1)),
        (1, 70, 70),
        "outside of what a document says",
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_settings_that_no_document_says_are_refused_by_name(name):
    module, inputs, why = LAYERS[name]
    with pytest.raises(Unsupported, match=why):
        architecture_of(module, inputs=inputs)


def test_hooks_buffers_frozen_and_tied_weights_are_refused_by_name():
    def plain():
        return nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3), nn.Linear(3, 1))

    hooked, buffered, frozen, tied, half = (seeded(plain) for _ in range(5))
    hooked[0].register_forward_hook(lambda *_: None)
    buffered[0].register_buffer("mask", torch.ones(3))
    frozen[2].bias.requires_grad_(False)
    tied[2].weight = tied[0].weight
    half[2].half()
    for module, why in (
        (hooked, "'0' has hooks"),
        (buffered, "'0' has a buffer 'mask'"),
        (frozen, "'2.bias' is frozen"),
        (tied, "'2.weight' and '0.weight' are the same"),
        (half, "float16"),
    ):
        with pytest.raises(Unsupported, match=why):
            architecture_of(module, inputs=3)
    for wrong in ((3, 2), (0, 1, 1), 0):
        with pytest.raises(Invalid):
            architecture_of(seeded(plain), inputs=wrong)
