"""What went wrong beside patients: the cause into the private log, a reference to everybody else."""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from wardgate.entropy import Entropy
from wardgate.records.errors import Broken, StepFailed

T = TypeVar("T")


def privately(step: str, run: Callable[[], T], *, log: Path, entropy: Entropy) -> T:
    """Run a step; whatever nobody foresaw leaves as a reference only.

    The public error is raised outside the `except` block, so that no context clings to it.

    Raises:
        StepFailed: the step failed for a reason that nobody foresaw.
        Broken, OSError: as the step raised it.
    """
    try:
        return run()
    except (Broken, StepFailed, OSError):
        raise
    except Exception:  # noqa: BLE001 - whatever it is, its text may quote a patient and must stay here
        cause = traceback.format_exc()
    reference = entropy.bytes(6).hex()
    with log.open("ab") as file:
        file.write(f"{reference} {step}\n{cause}\n".encode(errors="backslashreplace"))
    raise StepFailed(step, reference)
