"""What can go wrong, by who has to act. Each kind has one documented exit code."""


class WardgateError(Exception):
    """Base of every error that Wardgate raises on purpose.

    Messages say what was found, what was expected and what to do.
    """

    exit_code = 1


class CheckFailed(WardgateError):
    """A check ran and its answer was no."""

    exit_code = 1


class Vanished(CheckFailed):
    """A sum stayed closed because hospitals did not answer; it may be asked again when they are back.

    Attributes:
        sites: Who did not answer, where that is known.
    """

    def __init__(self, words: str, *, sites: tuple[str, ...] = ()) -> None:
        super().__init__(words)
        self.sites = sites


class Aborted(CheckFailed):
    """Somebody at the hub stopped the study; running it again goes on where it stopped."""


class NotEvaluable(WardgateError):
    """There is too little evidence to tell; that never counts as a pass."""

    exit_code = 2


class Refused(WardgateError):
    """A policy said no."""

    exit_code = 3


class Broken(WardgateError):
    """Evidence does not hold: a signature, digest, proof or decision is wrong."""

    exit_code = 4


class Invalid(WardgateError):
    """The caller's input cannot be used."""

    exit_code = 5


class Unsupported(WardgateError):
    """We do not know how to do this safely."""

    exit_code = 5


class StepFailed(WardgateError):
    """Something broke beside patients.

    Carries a random reference and never the cause's text: the cause may quote a patient.
    The hospital finds the cause under the reference in its private log.
    """

    exit_code = 6

    def __init__(self, step: str, reference: str) -> None:
        super().__init__(
            f"step '{step}' failed inside the hospital; the cause is in its private log under reference {reference}"
        )
        self.step = step
        self.reference = reference


class Absent(WardgateError):
    """A hospital did not answer in time, or cannot be reached. The others may go on without it."""

    exit_code = 1
