"""Where a network is trained: on a GPU when there is one, in single precision, the same way each time."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from wardgate.records.errors import Invalid, Unsupported


def choose(wanted: str | None = None) -> torch.device:
    """Return the device to compute on: the first GPU if there is one, else the CPU.

    Args:
        wanted: 'cpu', 'cuda' or 'cuda:1' takes that one instead.

    Raises:
        Invalid: no such word.
        Unsupported: a GPU is wanted and none is there.
    """
    if wanted is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, number = wanted.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not (number.isascii() and number.isdigit()))):
        raise Invalid(f"expected the device 'cpu', 'cuda' or 'cuda:NUMBER', found '{wanted}'")
    if kind == "cuda" and int(number or "0") >= torch.cuda.device_count():
        raise Unsupported(f"this machine has no '{wanted}' that torch can use; leave the device out or name 'cpu'")
    return torch.device(wanted)


@contextmanager
def repeatable() -> Iterator[None]:
    """Compute without what makes two runs differ on one machine: tuned kernels, shortened floats, unordered sums.

    Torch warns of an operation that has no repeatable form on a GPU, and goes on. What held before holds again after.
    """
    backends = torch.backends
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        backends.cudnn.deterministic,
        backends.cudnn.benchmark,
        torch.get_float32_matmul_precision(),
    )
    torch.use_deterministic_algorithms(True, warn_only=True)
    backends.cudnn.deterministic, backends.cudnn.benchmark = True, False
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        backends.cudnn.deterministic, backends.cudnn.benchmark = before[2], before[3]
        torch.set_float32_matmul_precision(before[4])
