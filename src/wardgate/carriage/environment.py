"""What the engine's processes find in their environment, at either end."""

from collections.abc import Mapping
from pathlib import Path


def engine_environment(inherited: Mapping[str, str], *, scratch: Path) -> dict[str, str]:
    """Return the environment of an engine's process: few threads, little memory, its own scratch folder, no chatter.

    Args:
        inherited: Of the process that starts it.
        scratch: Made here where it is missing, for its owner alone.
    """
    scratch.mkdir(mode=0o700, exist_ok=True)
    return {
        **inherited,
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "TMPDIR": str(scratch.resolve()),
        "GRPC_VERBOSITY": "ERROR",
    }
