"""The gate over tables and fits: what is safe passes, what gives somebody away does not, what left is kept."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from wardgate.entropy import SystemEntropy
from wardgate.hospital.ward.gate.battery.aggregates import NAMES, Aggregate, measure_aggregate, measure_fit
from wardgate.hospital.ward.gate.cohorts import EarlierCohorts
from wardgate.policy import aggregates, common
from wardgate.policy.decision import decide
from wardgate.privacy.accountant import dp_claim, noise_multiplier_for
from wardgate.records.claim import Claim, GaussianEvent
from wardgate.records.errors import Broken, Invalid, Refused
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.verdict import Absent, Evidence, Verdict

POLICY = GatePolicy()
EXACT = Claim(kind="exact")


def hospital(count: int = 2_000, *, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "person": [f"patient-{number}" for number in range(count)],
            "region": rng.choice(["north", "east", "south", "west", "islands"], count, p=[0.4, 0.3, 0.2, 0.09, 0.01]),
            "sex": rng.choice(["F", "M"], count),
            "cost": np.round(rng.lognormal(6, 0.6, count), 2),
        }
    )


def memory(folder: Path | None) -> EarlierCohorts:
    return EarlierCohorts(folder, study_sha256=None, persons={}, minimum=11, entropy=SystemEntropy())


def asked(table: pl.DataFrame, *by: str, statistic: str = "count", of: EarlierCohorts | None) -> Aggregate:
    return measure_aggregate(
        table,
        by=by,
        statistic=statistic,  # type: ignore[arg-type]
        person="person",
        value=None if statistic == "count" else "cost",
        policy=POLICY,
        memory=of,
    )


def judged(found: Aggregate, *, policy: GatePolicy = POLICY, claim: Claim = EXACT, leave: str = "") -> Verdict:
    evidence = Evidence(
        kind="aggregate",
        persons_train="1000-1999",
        attempt=1,
        claim=claim,
        cumulative_epsilon=claim.epsilon or 0.0,
        measured=tuple(part for part in found.measured if part.name != leave),
        absent=found.absent,
    )
    return decide(evidence, policy, rules=(*common.RULES, *aggregates.RULES))


def against(verdict: Verdict) -> set[str]:
    return {ruling.rule for ruling in verdict.rulings if ruling.outcome not in ("pass", "covered_by_dp")}


@pytest.mark.parametrize("statistic", ["count", "sum", "mean"])
def test_a_safe_table_passes_and_every_measure_is_told_or_absent(tmp_path: Path, statistic: str) -> None:
    found = asked(hospital(), "region", "sex", statistic=statistic, of=memory(tmp_path))
    assert judged(found).outcome == "pass"
    names = [part.name for part in (*found.measured, *found.absent)]
    assert sorted(names) == sorted(NAMES)
    assert found.table is not None and found.table.frame().height == 6 * 3 - (5 - len(found.table.levels[0])) * 3


def test_a_safe_fit_passes_and_one_with_as_many_numbers_as_patients_does_not(tmp_path: Path) -> None:
    people = hospital()["person"].to_list()
    good = measure_fit({"a": 0.123456, "b": -7.0}, parameters=2, persons=people, policy=POLICY, memory=memory(tmp_path))
    assert good.figures == {"a": 0.123, "b": -7.0}
    assert judged(good).outcome == "pass"
    bad = measure_fit({"a": 1.0}, parameters=1_995, persons=people, policy=POLICY, memory=memory(tmp_path))
    assert against(judged(bad)) == {"aggregate.degrees_of_freedom"}
    sizes = [part.value for part in bad.measured if part.name == "aggregate.degrees_of_freedom"]
    assert sizes == [0.0], "how few is not told"


@pytest.mark.parametrize(
    ("figures", "parameters"),
    [({}, 1), ({"a": float("nan")}, 1), ({"a": 1.0}, 0), ({str(n): 1.0 for n in range(99)}, 2)],
)
def test_a_fit_that_is_none_is_refused(figures: dict[str, float], parameters: int) -> None:
    with pytest.raises(Invalid):
        measure_fit(figures, parameters=parameters, persons=["p"], policy=POLICY, memory=None)


def test_subtracting_two_tables_names_a_patients_cost_and_the_memory_stops_it(tmp_path: Path) -> None:
    """Asked for everybody, then for everybody but one: with exact sums the difference is that patient."""
    table = hospital()
    without = table.filter(pl.col("person") != "patient-7")
    true = float(table["cost"][7])
    first, second = (float(part["cost"].sum()) for part in (table, without))
    assert first - second == pytest.approx(true), "the attack on exact sums"
    for folder, expected in ((None, None), (tmp_path, 1.0)):
        remembered = memory(folder)
        one = asked(table, "region", statistic="sum", of=remembered)
        if folder is not None:
            assert judged(one).outcome == "pass"
            one.remember(remembered, answer="first")
        two = asked(without, "region", statistic="sum", of=memory(folder))
        [told] = [part for part in (*two.measured, *two.absent) if part.name == "aggregate.differencing"]
        assert isinstance(told, Absent) if expected is None else getattr(told, "value", None) == expected
        assert against(judged(two)) == {"aggregate.differencing"}
        assert judged(two).outcome == ("not_evaluable" if expected is None else "fail")


def test_the_same_table_again_and_other_columns_of_the_same_patients_are_welcome(tmp_path: Path) -> None:
    table = hospital()
    for number, by in enumerate([("region",), ("region",), ("sex",), ("region", "sex"), ()]):
        here = memory(tmp_path)
        found = asked(table, *by, statistic="mean", of=here)
        assert judged(found).outcome == "pass"
        found.remember(here, answer=str(number))


def test_two_wards_at_once_do_not_both_answer(tmp_path: Path) -> None:
    table = hospital()
    hands = [memory(tmp_path), memory(tmp_path)]
    found = [
        asked(part, "sex", of=hand)
        for hand, part in zip(hands, (table, table.filter(pl.col("person") != "patient-7")), strict=True)
    ]
    assert [judged(one).outcome for one in found] == ["pass", "pass"], "neither has left yet"
    found[0].remember(hands[0], answer="first")
    with pytest.raises(Refused, match="give fewer persons away"):
        found[1].remember(hands[1], answer="second")


def test_studies_splits_and_tables_share_one_memory(tmp_path: Path) -> None:
    table = hospital()
    people = table["person"].to_list()

    def study(names: list[str], digest: str) -> EarlierCohorts:
        return EarlierCohorts(
            tmp_path, study_sha256=digest * 64, persons={"train": names}, minimum=11, entropy=SystemEntropy()
        )

    first = study(people, "a")
    first.check("train")
    first.note("train")
    assert "aggregate.differencing" in against(judged(asked(table.head(-3), "sex", of=memory(tmp_path))))
    here = memory(tmp_path)
    asked(table.head(1_000), "sex", of=here).remember(here, answer="half")
    with pytest.raises(Refused, match="nearly the same persons"):
        study(people[:997], "b").check("train")
    study(people[:500], "c").check("train")
    with pytest.raises(Refused, match="nearly the same persons"):
        study(people[:-1], "a").check("train"), "the same study over changed data"


def test_a_combination_of_three_answers_is_refused(tmp_path: Path) -> None:
    table = hospital()
    south = table.filter(pl.col("region") == "south")
    north = table.filter(pl.col("region") == "north")
    both = pl.concat([south, north])
    for number, part in enumerate([pl.concat([south, table.filter(pl.col("region") == "east")]), north]):
        here = memory(tmp_path)
        asked(part, of=here).remember(here, answer=str(number))
    here = memory(tmp_path)
    assert judged(asked(both, of=here)).outcome == "pass"
    asked(both, of=here).remember(here, answer="both")
    last = pl.concat([table.filter(pl.col("region") == "east"), south.head(-4)])
    assert against(judged(asked(last, of=memory(tmp_path)))) == {"aggregate.differencing"}


def test_what_cannot_be_made_safe_stays_without_a_table(tmp_path: Path) -> None:
    table = hospital(60).with_columns(region=pl.lit("north"))
    cost = table["cost"].to_numpy().copy()
    cost[0] = 1e9
    found = asked(table.with_columns(cost=pl.Series(cost)), "sex", statistic="sum", of=memory(tmp_path))
    assert found.table is None
    assert judged(found).outcome == "not_evaluable"
    assert "1000000000" not in str(found.absent)


def test_noise_that_counts_covers_what_could_not_be_tested_and_weak_noise_does_not(tmp_path: Path) -> None:
    found = asked(hospital(5), "sex", of=memory(tmp_path))

    def claim(epsilon: float) -> Claim:
        event = GaussianEvent(noise_multiplier=noise_multiplier_for(epsilon=epsilon, delta=1e-6), count=1, what="table")
        return dp_claim(gaussian=(event,), delta=1e-6, covers=(), excludes=(), noise_source="system")

    assert judged(found, claim=claim(1.0)).outcome == "pass"
    assert judged(found, claim=claim(3.0)).outcome == "not_evaluable"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "aggregate.degrees_of_freedom"])
def test_a_measure_that_is_not_there_is_no_pass(tmp_path: Path, name: str) -> None:
    found = asked(hospital(), "region", statistic="sum", of=memory(tmp_path))
    assert judged(found, leave=name).outcome == "fail"


def test_policies_that_deny_exact_answers_or_know_no_aggregates_refuse(tmp_path: Path) -> None:
    found = asked(hospital(), "sex", of=memory(tmp_path))
    denied = POLICY.model_copy(update={"dp": POLICY.dp.model_copy(update={"exact_sums": "deny"})})
    assert against(judged(found, policy=denied)) == {"aggregate.protection"}
    open_ = POLICY.model_copy(update={"profile": "public-open"})
    assert {"claim.kind", "aggregate.protection"} <= against(judged(found, policy=open_))
    old = POLICY.model_copy(update={"aggregates": None})
    assert against(judged(found, policy=old)) == {"aggregate.form"}
    with pytest.raises(Refused, match="before aggregates"):
        measure_aggregate(hospital(), by=(), statistic="count", person=None, policy=old, memory=None)


def test_evidence_tells_no_count_of_a_few() -> None:
    for seed in range(5):
        found = asked(hospital(400, seed=seed), "region", "sex", statistic="sum", of=None)
        told = {part.name: part.value for part in found.measured}
        assert told["aggregate.smallest_count"] in (0, 11)
        assert round(told["aggregate.dominance"] * 100, 9) == round(told["aggregate.dominance"] * 100)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda data: data[:-9],
    "no end": lambda data: data[:-1],
    "a place that nobody has": lambda data: data.replace(b'"shown":[[', b'"shown":[[999999,'),
    "no persons": lambda data: data.replace(b'"persons"', b'"people"'),
    "not JSON": lambda data: data + b"nothing\n",
    "a list": lambda data: data + b"[]\n",
    "a study without split": lambda data: data + b'{"persons":[],"study":"a"}\n',
    "a nest without end": lambda data: data + b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_memory_stops_everything(tmp_path: Path, damage: str) -> None:
    here = memory(tmp_path)
    asked(hospital(300), "sex", of=here).remember(here, answer="first")
    path = tmp_path / "cohorts.jsonl"
    whole = path.read_bytes()
    path.write_bytes(DAMAGE[damage](whole))
    assert path.read_bytes() != whole
    with pytest.raises(Broken, match="memory of earlier cohorts"):
        memory(tmp_path)


def test_the_memory_names_nobody_and_reads_what_earlier_versions_wrote(tmp_path: Path) -> None:
    here = memory(tmp_path)
    asked(hospital(300), "sex", of=here).remember(here, answer="first")
    data = (tmp_path / "cohorts.jsonl").read_bytes()
    assert b"patient" not in data
    old = {"study": "b" * 64, "split": "train", "persons": json.loads(data)["persons"][:-2]}
    (tmp_path / "cohorts.jsonl").write_bytes(json.dumps(old).encode() + b"\n")
    assert "aggregate.differencing" in against(judged(asked(hospital(300), "sex", of=memory(tmp_path))))


def test_a_memory_that_shrinks_while_it_is_used_is_noticed(tmp_path: Path) -> None:
    here = memory(tmp_path)
    found = asked(hospital(300), "sex", of=here)
    found.remember(here, answer="first")
    (tmp_path / "cohorts.jsonl").write_bytes(b"")
    with pytest.raises(Broken, match="shorter than it was"):
        here.isolates(found.cohorts)
