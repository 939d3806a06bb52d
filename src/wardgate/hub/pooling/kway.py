"""A joint model from adaptively chosen k-way tables over hospitals, all of them noisy sums."""

from collections.abc import Generator
from dataclasses import dataclass

from wardgate.computations.tables import Tables
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.marginals.equals.adaptive import Adapted, adapt, budgeted
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

Columns = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """A fitted joint model, from which `marginals.equals.adaptive.synthesise` draws rows.

    Attributes:
        adapted: The model with the events that it cost.
        rounds, bytes_moved: Sums asked for, and bytes both ways.
    """

    adapted: Adapted
    rounds: int
    bytes_moved: int


def adaptive(
    *,
    study: Study,
    sites: tuple[str, ...],
    epsilon: float,
    ways: int = 3,
    tables: int | None = None,
    columns: Columns | None = None,
    split: SplitName = "train",
) -> Generator[Ask, Told, Synthesis]:
    """Measure every column, sketches of every pair, then `tables` chosen ones; all together cost `epsilon`.

    What the hub learns is what one curator's DP release of the same tables would say; which tables are measured
    follows from earlier noisy sums alone.

    Args:
        ways: Columns of a chosen table at most, 2 to 4.
        tables: How many; as many as columns by default.

    Raises:
        Invalid: as `adapt`.
        Refused: too few persons for this budget.
    """
    count = len(columns) if columns is not None else len(study.features) + 1
    budget = budgeted(epsilon=epsilon, delta=study.budget.delta, rounds=tables if tables is not None else count)
    road = adapt(study.features, ways=ways, budget=budget, columns=columns)
    rounds = moved = 0
    asked = next(road)
    try:
        while True:
            over = f" over {' x '.join(asked.tables[0])}" if asked.name == "table" else ""
            told = yield sum_ask(
                Tables(tables=asked.tables, cuts=asked.cuts),
                what=f"joint model: {asked.name}{over}",
                study=study,
                sites=sites,
                split=split,
                noise_multiplier=asked.noise_multiplier,
            )
            rounds, moved = rounds + 1, moved + told.bytes_moved
            asked = road.send((told.sum(), told.noise))
    except StopIteration as end:
        return Synthesis(adapted=end.value, rounds=rounds, bytes_moved=moved)
