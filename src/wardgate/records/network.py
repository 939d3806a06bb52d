"""A neural network as a document: layers and nothing that could run. The study locks it, so everybody trains the same.

Any torch module made of these layers can be written so (`wardgate.networks.federated.tracing`); no module's code ever
travels. What goes in are the columns of the study's design without the intercept, all in [-1, 1]; what comes out is
one number, the log-odds of the label.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from wardgate.records.canonical import sha256
from wardgate.records.record import Number, Record

SCHEMA = "wardgate/network/1"

MOST_LAYERS = 64
MOST_UNITS = 16_384

Units = Annotated[int, Field(ge=1, le=MOST_UNITS)]
Small = Annotated[int, Field(ge=1, le=64)]


class Linear(Record):
    """Every output is a weighted sum of all inputs, plus a bias."""

    kind: Literal["linear"] = "linear"
    units: Units


class Conv2d(Record):
    """A convolution over images, channels first, with a bias; `padding` zeros on every side."""

    kind: Literal["conv2d"] = "conv2d"
    channels: Units
    kernel: Small
    stride: Small = 1
    padding: Annotated[int, Field(ge=0, le=64)] = 0


class Pool2d(Record):
    """The largest or the mean of each `size` x `size` field of an image, without overlap; what is over is dropped."""

    kind: Literal["pool2d"] = "pool2d"
    how: Literal["max", "mean"]
    size: Small


class GlobalMean(Record):
    """The mean of each channel of an image."""

    kind: Literal["global_mean"] = "global_mean"


class Activation(Record):
    """A bend, the same for every number. `leaky_relu` has a slope of 0.01 below 0; `gelu` is the exact form."""

    kind: Literal["activation"] = "activation"
    how: Literal["relu", "leaky_relu", "tanh", "sigmoid", "silu", "gelu", "elu"]


class BatchNorm(Record):
    """Batch normalisation with running statistics; momentum 0.1, epsilon 1e-5."""

    kind: Literal["batch_norm"] = "batch_norm"


class GroupNorm(Record):
    """Group normalisation, which needs no batch; on flat numbers with one group it is layer normalisation."""

    kind: Literal["group_norm"] = "group_norm"
    groups: Units = 1


class Dropout(Record):
    """Leaves out each number with this chance while training."""

    kind: Literal["dropout"] = "dropout"
    chance: Annotated[Number, Field(ge=0, lt=1)]


class Image(Record):
    """Lays flat numbers out as an image: channels, height, width."""

    kind: Literal["image"] = "image"
    channels: Units
    height: Units
    width: Units


class Flatten(Record):
    """Lays an image out as flat numbers."""

    kind: Literal["flatten"] = "flatten"


class Residual(Record):
    """Adds what goes in to what its layers make of it; both have one shape."""

    kind: Literal["residual"] = "residual"
    layers: "tuple[Layer, ...]"


Layer = Annotated[
    Linear | Conv2d | Pool2d | GlobalMean | Activation | BatchNorm | GroupNorm | Dropout | Image | Flatten | Residual,
    Field(discriminator="kind"),
]
Residual.model_rebuild()


class Architecture(Record):
    """A whole network. Its canonical bytes have one SHA-256, which every question about it names.

    Attributes:
        inputs: Columns of the study's design without the intercept.
        layers: From input to output; the last one gives a single number. Shapes: `measures.layers.tensors`.
        seed: From which the start weights follow, at every party alike (`measures.layers.start`).
    """

    schema_: Literal["wardgate/network/1"] = Field(default="wardgate/network/1", alias="schema")
    inputs: Units
    layers: tuple[Layer, ...]
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0

    @model_validator(mode="after")
    def _some(self) -> Self:
        count = _count(self.layers)
        if not 1 <= count <= MOST_LAYERS:
            raise ValueError(f"expected 1 to {MOST_LAYERS} layers, found {count}")
        return self

    @property
    def sha256(self) -> str:
        """Digest of the canonical bytes."""
        return sha256(self.to_bytes())


def _count(layers: tuple[Layer, ...]) -> int:
    return sum(1 + (_count(layer.layers) if isinstance(layer, Residual) else 0) for layer in layers)
