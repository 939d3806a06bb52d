"""Choosing one of several candidates by a score of the data, at a stated pure-DP cost."""

import math

import numpy as np
from numpy.typing import ArrayLike

from wardgate.entropy import Entropy
from wardgate.privacy.noise import bernoulli_exp, uniform_integers
from wardgate.records.errors import Invalid


def exponential_choice(scores: ArrayLike, *, epsilon: float, sensitivity: float, entropy: Entropy) -> int:
    """Choose the index of a high score by permute-and-flip.

    Guarantee: `epsilon`-DP (pure) when one person changes no score by more than `sensitivity`; it costs
    ExponentialEvent(epsilon, count=1) and its expected score is never below that of the exponential mechanism.
    Every candidate flips a coin of probability exp(epsilon (score - best) / (2 sensitivity)), the best always
    wins its own; one winner is taken uniformly, which equals flipping in random order until the first success.

    Floating point: scores must be computed in the same order for the same data, and their own rounding belongs
    in `sensitivity`. Each coin is off by at most 2^-50, so m candidates add at most m x 2^-50 to delta.

    Args:
        scores: Shape (m,), finite, higher is better.
        epsilon: Cost of this choice.
        sensitivity: How far one person added or removed can move a score.
        entropy: Where the random bytes come from.

    Raises:
        Invalid: no scores, a score that is not finite, or a parameter that is not positive and finite.

    Reference: McKenna, Sheldon (2020), Permute-and-Flip: A new mechanism for differentially private selection,
        arXiv:2010.12603.
    """
    quality = np.asarray(scores, dtype=np.float64)
    if quality.ndim != 1 or quality.size == 0:
        raise Invalid(f"expected a list of at least one score, found shape {quality.shape}")
    if not np.all(np.isfinite(quality)):
        raise Invalid("a score is NaN or infinite; drop that candidate by a public rule before choosing")
    for name, number in (("epsilon", epsilon), ("sensitivity", sensitivity)):
        if not (math.isfinite(number) and number > 0):
            raise Invalid(f"expected a finite {name} above 0, found {number}")
    gaps = (quality.max() - quality) * (epsilon / (2 * sensitivity))
    winners = np.flatnonzero(bernoulli_exp(gaps, entropy=entropy))
    return int(winners[uniform_integers(len(winners), size=1, entropy=entropy)[0]])
