"""What to expect of a corpus before anything is spent."""

import math

from wardgate.records.errors import Invalid

HOPELESS = 500.0
"""Persons x epsilon below which single runs on about 20 features lose 0.05 of AUROC and more (benchmarks/synth.py)."""

WEAK = 2_500.0
"""Persons x epsilon below which runs differ from each other by more than they lose."""


def recommendation(persons: int, epsilon: float) -> str:
    """Return advice in words on a private corpus of so many training persons and about 20 features.

    The noise in a count is inverse to epsilon, so that persons x epsilon is what counts.

    Raises:
        Invalid: a number is not positive.
    """
    if persons < 1 or not (math.isfinite(epsilon) and epsilon > 0):
        raise Invalid("expected at least one person and a finite epsilon above 0")
    signal = persons * epsilon
    if signal < HOPELESS:
        return (
            f"Hopeless: {persons} persons at epsilon {epsilon:g}. The noise is as large as most counts, and a model "
            "trained on such a corpus may teach little. Take part in the joint corpus or in federation instead."
        )
    if signal < WEAK:
        return (
            f"Weak: {persons} persons at epsilon {epsilon:g}. Expect the commonest relations only, and results that "
            "differ from run to run. The joint corpus is better; federation is better still."
        )
    return (
        f"Good: {persons} persons at epsilon {epsilon:g} suit the marginal tree. Expect models trained on the corpus "
        "to keep most of what real records teach; the gate measures how much."
    )
