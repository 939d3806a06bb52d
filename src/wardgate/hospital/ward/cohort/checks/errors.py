"""What each check may spend of the one error that all have together."""

TOTAL = 0.01
"""Chance that any check finds anything in records without errors, over all checks of one hospital."""

SHARES = {
    "order": 0.0005,
    "clock": 0.0005,
    "twice": 0.0005,
    "units": 0.002,
    "values": 0.001,
    "calendar": 0.003,
    "codes": 0.001,
    "levels": 0.0015,
}
"""By check; together they are at most TOTAL. Inside a check it is divided over all that is tried (Bonferroni)."""
