"""Small words and numbers that several tellers share."""

import math

from wardgate.records.verdict import Evidence


def claim_words(evidence: Evidence) -> str:
    """Return what protects the persons behind a corpus, in words."""
    claim = evidence.claim
    if claim.kind == "dp" and claim.epsilon is not None and claim.delta is not None:
        return (
            f"differentially private: epsilon {claim.epsilon:.3g}, delta {claim.delta:.1g}, one person added or removed"
        )
    return "no privacy guarantee by design" if claim.kind == "none" else "exact"


def finite(value: float | None) -> float | None:
    """Return a finite number, or None for everything else: results hold no NaN."""
    return value if value is not None and math.isfinite(value) else None
