"""Weights that were made to hold single persons, as far as they can be told without a person.

Whoever chooses the weights at which hospitals compute a gradient can choose them so that the gradient is a person's
row: many units of one layer that look along the same direction with stepped thresholds (imprint), units that hardly any
row wakes (trap weights), or log-odds so far from 0 that only a person who is unlike the others has a gradient at all
(fishing). Here the network is run on random rows that are no persons, and what no ordinary training gives is refused.

The verdict follows from document, weights and a public number alone, so a refusal tells nothing of a person. It is a
fence and no guarantee: weights between ordinary ones and these pass and still tell something. Noise is the guarantee.

References: Fowl et al. (2022), Robbing the Fed, arXiv:2110.13057; Boenisch et al. (2023), When the Curious Abandon
    Honesty, arXiv:2112.02918; Wen et al. (2022), Fishing for User Data in Large-Batch Federated Learning,
    arXiv:2202.00580.
"""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from scipy.special import betainc

from wardgate.measures.layers.forward import Rows, logits
from wardgate.measures.layers.start import reach_of
from wardgate.measures.layers.tensors import Tensor, Vector, tensors
from wardgate.records.errors import Refused
from wardgate.records.network import Activation, Architecture, Conv2d, Layer, Linear

ROWS = 200
"""Random rows of each kind; see `rows_of`."""

SPOTS = 8
"""Of an image between two layers so many fields are looked at, the same of every row."""

ALIKE = ((0.98, 0.0), (0.9, 1.0 / 3.0))
"""Units whose inputs correlate so over random rows look along one direction; so large a share of a layer may."""

BEHIND = 0.5
"""Such a share of a layer that sees no rows but other units: in ordinary training many of them come to agree."""

STEPS = 8
"""So many thresholds along one direction may differ beside that share; in few columns more, see `_most_steps`."""

FEWEST_UNITS = 8
"""Smaller layers are not searched for sleeping units: chance alone could put most of them to sleep."""

CHANCE = 8.0
"""And so many times what units would share by chance."""

ASLEEP, SLEEPING = 0.01, 0.75
"""A unit that fewer of the rows of one kind wake, but some of any kind, is asleep; so many of a layer are a trap."""

FARTHEST, FAR = 100.0, 0.5
"""Log-odds beyond this leave a gradient to the misjudged alone; more rows than this may not have such."""

CERTAIN, NEARLY_ALL = 10.0, 0.99
"""Where nearly all rows have log-odds beyond this on one side, only persons of the other label have a gradient."""

STEEPEST = 100.0
"""A number may be so many times as large as its layer's weights where they start; scales and shifts, as 1."""

SATURATED = 5.0
"""Beyond this a tanh, a sigmoid or the lower side of an elu hardly moves."""


def check_traps(architecture: Architecture, vector: Vector, *, persons: int | None = None) -> None:
    """Check weights before they meet a person.

    Args:
        vector: All numbers of the network, shape (size,).
        persons: A public lower bound on the persons of the whole sum; no layer may then have more units than these.
            Not a count of this hospital's own: the refusal would tell it.

    Raises:
        Refused: they would hold single persons; names the layer.
        Invalid: they do not fit the network.
    """
    found = _first(architecture, np.asarray(vector, dtype=np.float64).tobytes(), persons)
    if found:
        raise Refused(
            f"{found}; such weights show single persons, so nothing is trained on them. Begin from the network's own"
            " start weights, or ask with noise"
        )


@lru_cache(maxsize=2)
def _first(architecture: Architecture, raw: bytes, persons: int | None) -> str:
    """Return the first trap; simulated hospitals ask about the same weights one after the other."""
    return next(traps(architecture, np.frombuffer(raw, dtype=np.float64), persons=persons), "")


def traps(architecture: Architecture, vector: Vector, *, persons: int | None = None) -> Iterator[str]:
    """Give every trap that is found, in words.

    Raises:
        Invalid: the weights do not fit the network.
    """
    entered = [_Entered() for _ in _KINDS]
    odds = [logits(architecture, vector, rows_of(architecture, kind), see=seen) for kind, seen in enumerate(entered)]
    yield from _wide(architecture, persons)
    yield from _steep(architecture, vector)
    for name, before in entered[0].before.items():
        for alike, share in ALIKE:
            steps = _steps(before, alike)
            may = max(share, BEHIND) if name in entered[0].behind else share
            if steps > _most_steps(entered[0].directions[name], before.shape[1], alike, may):
                yield f"layer {name}: {steps} units have different thresholds along the same direction (an imprint)"
                break
    for name, (layer, units) in entered[0].bends.items():
        awake = np.array([_awake(layer, one.before[name]) for one in entered[:_FLAT]])
        # A unit that nothing wakes is dead, as training leaves some; it holds nobody.
        share = float(np.max(np.mean((awake < ASLEEP) & (awake > 0).any(axis=0), axis=1)))
        if units >= FEWEST_UNITS and share > SLEEPING:
            yield f"layer {name}: {share:.0%} of the units sleep for nearly every row (trap weights)"
    far = float(np.mean(np.abs(odds[0]) > FARTHEST))
    if far > FAR:
        yield f"the last layer: {far:.0%} of all rows have log-odds beyond {FARTHEST:g} (fishing for who is misjudged)"
    certain = max(min(float(np.mean(side * one > CERTAIN)) for one in odds) for side in (-1, 1))
    if certain > NEARLY_ALL:
        yield f"the last layer: {certain:.0%} of rows have log-odds beyond {CERTAIN:g} to one side (fishing by label)"


_KINDS = ((-1.0, 1.0), (0.0, 1.0), (-1.0, 0.0), (-1.0, 1.0))
_FLAT = 3


def rows_of(architecture: Architecture, kind: int) -> Rows:
    """Return random rows that are no persons, shape (ROWS, inputs): over the whole range, its upper or its lower half.

    The last kind has one number all along each row, as an empty image has. They are the same for everybody: drawn from
    the raw bits of PCG64 by a fixed seed.
    """
    low, high = _KINDS[kind]
    columns = 1 if kind == _FLAT else architecture.inputs
    even = (np.random.PCG64(kind).random_raw(ROWS * columns) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return np.repeat((low + (high - low) * even).reshape(ROWS, columns), architecture.inputs // columns, axis=1)


class _Entered:
    """What entered every bend while rows went through.

    Attributes:
        before: By layer, shape (rows or rows x fields, units).
        bends: By layer, the layer and its units.
        behind: Layers whose units see what other units make of rows.
        directions: By layer, in about how many directions rows differ where the weights before it look at them.
    """

    def __init__(self) -> None:
        self.before: dict[str, Rows] = {}
        self.bends: dict[str, tuple[Activation, int]] = {}
        self.directions: dict[str, float] = {}
        self.behind: set[str] = set()
        self._seen: float | None = None
        self._weighed = 0

    def __call__(self, name: str, layer: Layer, x: Rows) -> None:
        if isinstance(layer, Linear | Conv2d):
            self._weighed += 1
            self._seen = float(x[0].size) if self._seen is None or x.ndim == 4 else _directions(x)
        if not isinstance(layer, Activation):
            return
        if x.ndim == 4:
            flat = x.reshape(len(x), x.shape[1], -1)
            spots = np.linspace(0, flat.shape[2] - 1, min(SPOTS, flat.shape[2])).astype(int)
            x = flat[:, :, spots].transpose(0, 2, 1).reshape(-1, x.shape[1])
        self.before[name] = np.concatenate([self.before[name], x]) if name in self.before else x
        self.bends[name] = layer, x.shape[1]
        if self._weighed > 1:
            self.behind.add(name)
        self.directions[name] = x.shape[1] if self._seen is None else self._seen


def _wide(architecture: Architecture, persons: int | None) -> Iterator[str]:
    for tensor in tensors(architecture):
        if persons is not None and tensor.role == "weight" and tensor.shape[0] > persons:
            yield f"layer {_layer(tensor)}: {tensor.shape[0]} units for a sum over {persons} persons or somewhat more"


def _steep(architecture: Architecture, vector: Vector) -> Iterator[str]:
    start = reach_of(architecture)
    for tensor in tensors(architecture):
        if tensor.role in ("mean", "variance"):
            continue
        most = STEEPEST * start.get(_layer(tensor), 1.0)
        largest = float(np.abs(tensor.of(vector)).max(initial=0.0))
        if largest > most:
            yield f"layer {_layer(tensor)}: a {tensor.role} of {largest:.3g}, and ordinary ones stay below {most:.3g}"


def _steps(before: Rows, level: float) -> int:
    """Return the most different thresholds that units have along one direction."""
    even = before - before.mean(axis=0)
    length = np.linalg.norm(even, axis=0)
    moving = length > 1e-9 * max(1.0, float(np.abs(before).max(initial=0.0)))
    even, before = even[:, moving] / length[moving], before[:, moving]
    alike = even.T @ even
    most = 0
    for row in np.unique(np.abs(alike) > level, axis=0):
        first = int(np.argmax(row))
        awake = (before[:, row] > 0) ^ (alike[first, row] < 0)
        shares = awake.sum(axis=0)
        most = max(most, len(np.unique(shares[(shares > 0) & (shares < len(before))])))
    return most


def _directions(x: Rows) -> float:
    """Return in about how many directions rows differ: 1 where all lie on a line, their columns where all are alike."""
    even = x - x.mean(axis=0)
    square = float(np.sum(even**2))
    return square**2 / float(np.sum((even @ even.T) ** 2)) if square > 0 else 1.0


def _most_steps(directions: float, units: int, level: float, share: float) -> float:
    """Return how many thresholds along one direction honest units may have: of few directions many units share one."""
    chance = 1.0 if directions <= 1.0 else float(betainc((directions - 1) / 2, 0.5, 1.0 - level**2))
    return STEPS + (share + CHANCE * chance) * units


def _awake(layer: Activation, before: Rows) -> Vector:
    """Return the share of rows that move each unit, shape (units,)."""
    match layer.how:
        case "tanh" | "sigmoid":
            moved = np.abs(before) < SATURATED
        case "elu":
            moved = before > -SATURATED
        case _:
            moved = before > 0
    return np.asarray(moved.mean(axis=0))


def _layer(tensor: Tensor) -> str:
    return tensor.name.rpartition(".")[0]
