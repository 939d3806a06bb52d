"""Counts of people are shown in bands, and never below eleven (CMS cell-size policy, 2024)."""

from itertools import pairwise

EDGES = (11, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000)


def band(count: int) -> str:
    """Return the band of a count of persons: `<11`, `11-49`, ..., `1000000+`.

    >>> band(0), band(10), band(11), band(7200)
    ('<11', '<11', '11-49', '5000-9999')
    """
    if count < EDGES[0]:
        return f"<{EDGES[0]}"
    for low, high in pairwise(EDGES):
        if count < high:
            return f"{low}-{high - 1}"
    return f"{EDGES[-1]}+"


def shown(count: int, *, minimum: int = 11) -> str:
    """Return a count for people, or `<11`. Zero is shown as `<11` too: zeros can disclose.

    >>> shown(10), shown(11)
    ('<11', '11')
    """
    return str(count) if count >= minimum else f"<{minimum}"


def at_least(text: str) -> int:
    """Return the smallest count that a band can mean.

    >>> at_least("<11"), at_least("50-99"), at_least("1000000+")
    (0, 50, 1000000)
    """
    if text.startswith("<"):
        return 0
    return int(text.removesuffix("+").split("-")[0])


def at_most(text: str) -> int:
    """Return the largest count that a band can mean; the open band ends at a thousand million.

    >>> at_most("<11"), at_most("50-99"), at_most("1000000+")
    (10, 99, 1000000000)
    """
    if text.startswith("<"):
        return int(text[1:]) - 1
    return 1_000_000_000 if text.endswith("+") else int(text.split("-")[1])
