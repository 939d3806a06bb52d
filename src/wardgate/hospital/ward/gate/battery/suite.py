"""The clinical rules that come with Wardgate."""

from functools import lru_cache
from importlib.resources import files

from wardgate.records.clinical_rules import Suite, parse

NAME = "clinical_rules.yaml"


@lru_cache(maxsize=1)
def starter() -> Suite:
    """Return the suite that comes with Wardgate."""
    return parse(files("wardgate.hospital.ward.gate.battery").joinpath(NAME).read_text(encoding="utf-8"), name=NAME)
