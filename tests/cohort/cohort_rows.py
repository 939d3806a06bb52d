"""Rows of plausible persons."""

from collections.abc import Callable

HEADER = "pid,age,sex,sbp,crea,dead"


def persons(count: int, **cells: Callable[[int], str]) -> list[str]:
    """Rows of plausible persons; `cells` replaces a column by a function of the person's number."""
    plain = {
        "pid": lambda i: f"p{i}",
        "age": lambda i: str(40 + i % 40),
        "sex": lambda i: str(1 + i % 2),
        "sbp": lambda i: str(110 + i % 50),
        "crea": lambda i: str(60 + i % 60),
        "dead": lambda i: str(int(i % 5 == 0)),
    } | cells
    return [",".join(plain[name](i) for name in HEADER.split(",")) for i in range(count)]
