"""A table of counts, sums or means over the hospital's own rows: made safe here, judged, remembered, then shown."""

from collections.abc import Sequence
from pathlib import Path

from wardgate.hospital.ward.answering.trials.corpus import persons
from wardgate.hospital.ward.answering.trials.record import Asked, Found, Judged, judge
from wardgate.hospital.ward.cohort import described
from wardgate.hospital.ward.gate.battery.aggregates import Aggregate, measure_aggregate
from wardgate.hospital.ward.gate.cohorts import EarlierCohorts
from wardgate.measures.aggregates import Statistic
from wardgate.records.bands import band
from wardgate.records.canonical import canonical, sha256
from wardgate.records.dictionary import LABEL, Dictionary
from wardgate.records.errors import Invalid


def judge_aggregate(
    asked: Asked,
    *,
    data: Path,
    dictionary: Dictionary | None,
    by: Sequence[str],
    statistic: Statistic,
    value: str | None,
    person: str | None,
) -> Judged:
    """Make a table over real rows and judge it; what leaves is its safe form as CSV.

    Args:
        by: Group columns.
        value: What is added up or averaged.
        person: Whose a row is; absent, every row is another person.

    Raises:
        Refused: the policy is weaker than its floor or has no limits for aggregates, or the attempts are used up.
        Invalid: the file or the columns cannot be used.
        Broken: the gate's book or its memory was changed.
    """

    def found(attempt: int, seed: int) -> Found:
        del attempt, seed  # a table is what it is: there is nothing to draw
        meant = dictionary or _columns(data, [*by, *([value] if value else [])], person)
        table = described.read(data, meant)
        if asked.memory is None:
            raise Invalid("a table needs the hospital's memory of earlier answers; name its folder")
        cohorts = EarlierCohorts(
            asked.memory,
            study_sha256=None,
            persons={},
            minimum=asked.policy.aggregates.differing_min if asked.policy.aggregates else 11,
            entropy=asked.entropy,
        )
        made = measure_aggregate(
            table, by=by, statistic=statistic, person=meant.person, value=value, policy=asked.policy, memory=cohorts
        )
        return Found(
            persons_train=band(persons(table, meant)),
            measured=made.measured,
            absent=made.absent,
            name="table.csv",
            exact_sums=True,
            released=lambda: _released(made, cohorts),
        )

    return judge(asked, real=(data,), candidate=data, what=[list(by), statistic, value or ""], measure=found)


def _columns(data: Path, wanted: Sequence[str], person: str | None) -> Dictionary:
    """Infer the columns of a table, and look at no others."""
    here = described.columns_of(data)
    label = LABEL if LABEL in wanted else None
    others = [name for name in here if name not in (*wanted, person)]
    if len(others) + (label is not None) + (person in here) == len(here):  # the outcome alone is no table of columns
        raise Invalid(f"{data.name} has none of the columns {', '.join(wanted)} as a feature")
    return described.infer(
        [data], label=label, person=person, time=None, period=None, known=wanted, sensitive=(), dropped=others
    )


def _released(made: Aggregate, cohorts: EarlierCohorts) -> bytes:
    """Remember whose figures leave, then return them."""
    if made.table is None:
        raise RuntimeError("a table without a safe form has passed")
    csv = made.table.frame().write_csv()
    made.remember(cohorts, answer=sha256(canonical(csv)))
    return csv.encode()
