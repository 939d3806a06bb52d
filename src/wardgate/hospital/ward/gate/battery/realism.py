"""What a corpus is good for, compared with persons whom the generator never saw."""

from collections.abc import Iterator

from wardgate.hospital.ward.gate.battery.sample import LEAST
from wardgate.hospital.ward.gate.battery.tables import Tables
from wardgate.measures.disclosure import coarse
from wardgate.measures.realism import fidelity
from wardgate.measures.realism.rules import clinical_rules
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent

NAMES = ("realism.marginal_error", "realism.pairwise_error", "realism.clinical_rules", "realism.tstr_loss")


def measures(tables: Tables) -> Iterator[Measured | Absent]:
    """Yield every measure of realism, or why there is none."""
    found = [part.model_copy(update={"n": tuple(coarse(size) for size in part.n)}) for part in _taken(tables)]
    yield from found
    reason = f"fewer than {LEAST} holdout persons, or one outcome only among training or holdout persons"
    missing = set(NAMES) - {part.name for part in found}
    yield from (Absent(name=name, reason=reason) for name in NAMES if name in missing)


def _taken(tables: Tables) -> Iterator[Measured]:
    dictionary, candidate, holdout, level = tables.dictionary, tables.candidate, tables.holdout, tables.level
    yield clinical_rules(dictionary.rules, dictionary.features, candidate, level=level)
    if holdout.height < LEAST:
        return
    yield fidelity.marginal_error(tables.columns, holdout, candidate, level=level, rng=tables.rng)
    yield fidelity.pairwise_error(tables.columns, holdout, candidate, level=level, rng=tables.rng)
    if dictionary.label is None:
        return
    loss = fidelity.tstr_loss(
        dictionary.features, tables.train, candidate, holdout, ridge=dictionary.ridge, level=level
    )
    if loss is not None:
        yield loss
