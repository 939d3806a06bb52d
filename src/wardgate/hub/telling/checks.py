"""What the consortium sees of all hospitals' data, side by side: their own checks, and what was found between them."""

from wardgate.hub.chain import Run
from wardgate.records.data_check import DataCheck
from wardgate.records.named import Named


def checks_of(run: Run) -> tuple[DataCheck, ...]:
    """Return the data check that each hospital signed with its review; those that brought none are left out."""
    said = [run.reviews[site].statement.get("data_check") for site in run.study.sites if site in run.reviews]
    return tuple(DataCheck.from_plain(plain) for plain in said if plain is not None)


def named_of(run: Run) -> tuple[Named, ...]:
    """Return everything that the comparison of definitions found, what excludes first."""
    found = {one for site in run.definitions for one in site.findings}
    return tuple(sorted(found, key=lambda one: (not one.excludes, one.chance, one.site, one.subject)))
