"""Whether torch is there; whoever works without networks never loads it."""

from importlib.util import find_spec

from wardgate.records.errors import Unsupported


def require_torch(what: str) -> None:
    """Check that torch is installed before anything is spent.

    Raises:
        Unsupported: it is not.
    """
    if find_spec("torch") is None:
        raise Unsupported(f"{what} needs torch, which is not installed; install Wardgate with its extra 'deep'")
