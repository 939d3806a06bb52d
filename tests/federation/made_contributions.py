"""Six hospitals in two blocks, in the open or behind their gates, for shares."""

from collections.abc import Mapping

import polars as pl
from made_networks import SITES, plain_of, study_of, table

from wardgate.federation.plain import Plain
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

BLOCKS = (("h0", "h1", "h2"), ("h3", "h4", "h5"))
LEAST = dict.fromkeys(SITES, 1_000)
Tables = dict[str, dict[SplitName, pl.DataFrame]]


def listed() -> Study:
    """The small study, which lets shares be asked."""
    return study_of(analyses="class_moments", networks="")


def persons(*, seed: int = 0, train: int = 150, sites: Mapping[str, int] | None = None) -> Tables:
    """Every hospital's persons by split; `sites` gives some other numbers of training persons."""
    sizes = {site: (sites or {}).get(site, train + 20 * place) for place, site in enumerate(SITES)}
    return {
        site: {
            "train": table(sizes[site], 31, seed, place),
            "holdout": table(200, 32, seed, place),
        }
        for place, site in enumerate(SITES)
    }


def opened(tables: Tables, study: Study | None = None) -> Plain:
    return plain_of(study or listed(), tables)
