"""Planted differences between sites are named with their cause; clean sites are not, and no few persons show."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from made_sites import FEATURES, consortium, table, told

from wardgate.computations.definitions.compare import compare_sites
from wardgate.computations.definitions.statistics import SiteStatistics, figures_of, statistics_from
from wardgate.hospital.ward.cohort.units import conversion
from wardgate.measures.unit_names import other_units, unit_for
from wardgate.records.feature import Feature
from wardgate.records.named import Named

Change = Callable[[pl.DataFrame], pl.DataFrame]

SIZES = {"a": 900, "b": 1400, "c": 2600, "d": 5200, "e": 1200, "odd": 2200}


def column(name: str, change: Callable[[pl.Expr], pl.Expr]) -> Change:
    return lambda made: made.with_columns(change(pl.col(name)).cast(made.schema[name]).alias(name))


def found(
    change: Change | None = None, *, seed: int = 11, sizes: dict[str, int] | None = None, differ: float = 1.0
) -> list[Named]:
    tables = consortium(sizes or SIZES, rng=np.random.default_rng(seed), differ=differ)
    if change is not None:
        tables["odd"] = change(tables["odd"])
    return list(compare_sites([told(site, made) for site, made in tables.items()], FEATURES))


UNITS = [
    ("creatinine", 1 / 88.4017, "mg/dL"),
    ("glucose", 1 / 18.0156, "mmol/L"),
    ("height", 1 / 2.54, "[in_i]"),
    ("pressure", 1 / 7.50061683, "kPa"),
]


@pytest.mark.parametrize(("name", "factor", "unit"), UNITS, ids=[name for name, *_ in UNITS])
def test_a_unit_swapped_at_one_site_is_named_with_the_unit_and_excludes(name: str, factor: float, unit: str) -> None:
    named = found(column(name, lambda value: value * factor))
    assert [(one.site, one.subject, one.kind, one.unit) for one in named] == [("odd", name, "unit", unit)]
    assert named[0].excludes
    assert f"probably in {unit}" in named[0].evidence


def test_fahrenheit_is_named() -> None:
    named = found(column("temperature", lambda value: value * 1.8 + 32))
    assert [(one.site, one.subject, one.unit) for one in named] == [("odd", "temperature", "[degF]")]


def test_an_inverted_label_is_one_finding_with_its_prevalence() -> None:
    named = found(column("label", lambda value: 1 - value))
    assert [(one.site, one.subject, one.kind, one.excludes) for one in named] == [("odd", "outcome", "outcome", True)]
    assert "backwards" in named[0].evidence and "prevalence 0.79" in named[0].evidence


def test_an_inverted_diagnosis_is_named() -> None:
    named = found(column("cancer", lambda value: 1 - value))
    assert [(one.site, one.subject, one.kind) for one in named] == [("odd", "cancer", "contradiction")]
    assert named[0].excludes


def test_categories_recoded_wrongly_are_named_at_large_sites() -> None:
    swap = {"emergency": "planned", "planned": "transfer", "transfer": "emergency"}
    sizes = {"a": 20_000, "b": 20_000, "c": 20_000, "d": 20_000, "e": 20_000, "odd": 20_000}
    named = found(column("admission", lambda value: value.replace(swap)), sizes=sizes, differ=0.5)
    assert {one.site for one in named} == {"odd"}
    assert {one.subject for one in named} <= {"admission=planned", "admission=transfer"}
    assert any(one.kind == "contradiction" for one in named)


def test_a_shifted_prevalence_is_named_and_only_warns() -> None:
    rng = np.random.default_rng(5)

    def more(made: pl.DataFrame) -> pl.DataFrame:
        extra = pl.Series(rng.random(made.height) < 0.8)
        return made.with_columns(pl.when(extra).then(1).otherwise(pl.col("label")).cast(pl.Int8).alias("label"))

    named = found(more)
    prevalence = [one for one in named if one.kind == "prevalence"]
    assert [(one.site, one.excludes) for one in prevalence] == [("odd", False)]
    assert "elsewhere" in prevalence[0].evidence
    assert not any(one.excludes for one in named)


def test_sites_that_merely_differ_are_not_named() -> None:
    for seed in range(12):
        assert found(seed=100 + seed) == [], seed
    for seed in range(4):
        assert found(seed=200 + seed, sizes=dict.fromkeys("abcdefghij", 300)) == [], seed


@pytest.mark.slow
def test_at_most_one_clean_study_in_a_hundred_names_anybody() -> None:
    """At twenty times the family's level, so that the level itself is tried and not only its smallness."""
    rng, alarms, studies = np.random.default_rng(31), 0, 150
    for _ in range(studies):
        sites = [told(site, made) for site, made in consortium(SIZES, rng=rng).items()]
        assert compare_sites(sites, FEATURES) == ()
        alarms += bool(compare_sites(sites, FEATURES, family_error=0.2))
    assert alarms <= 60, "binomial(150, 0.2) exceeds 60 with a chance below 1e-7"


def test_two_of_ten_do_not_hide_each_other() -> None:
    tables = consortium({f"s{place}": 1200 for place in range(10)}, rng=np.random.default_rng(3))
    for site in ("s2", "s7"):
        tables[site] = tables[site].with_columns(pl.col("glucose") / 18.0156)
    named = compare_sites([told(site, made) for site, made in tables.items()], FEATURES)
    assert {(one.site, one.unit) for one in named} == {("s2", "mmol/L"), ("s7", "mmol/L")}


def test_of_two_sites_nobody_is_named_and_of_three_one_can_be() -> None:
    change = column("creatinine", lambda value: value / 88.4)
    assert found(change, sizes={"a": 2000, "odd": 2000}) == []
    assert [one.site for one in found(change, sizes={"a": 2000, "b": 2000, "odd": 2000})] == ["odd"]


def test_the_order_of_sites_does_not_matter() -> None:
    tables = consortium(SIZES, rng=np.random.default_rng(8))
    tables["odd"] = tables["odd"].with_columns(pl.col("creatinine") / 88.4)
    sites = [told(site, made) for site, made in tables.items()]
    assert compare_sites(sites, FEATURES) == compare_sites(sites[::-1], FEATURES)


def test_figures_carry_the_statistics_there_and_back() -> None:
    site = told("a", table(2000, rng=np.random.default_rng(2)))
    figures = {name: round(value, 12) for name, value in figures_of(site, FEATURES).items()}
    assert all(abs(value / 0.01 - round(value / 0.01)) < 1e-6 for value in figures.values()), "the gate rounds to 0.01"
    back = statistics_from("a", figures, FEATURES, persons_at_least=site.persons_at_least)
    assert back is not None
    for here, there in zip(site.features, back.features, strict=True):
        assert here.shares == there.shares and here.associations == there.associations
        assert here.centre == pytest.approx(there.centre) and here.spread == pytest.approx(there.spread)
    assert statistics_from("a", {"0": 0.0, "1": 0.4}, FEATURES, persons_at_least=500) is None


def test_figures_outside_their_bounds_are_not_believed() -> None:
    figures = {"prevalence": 0.2, "coverage.age": 7.0, "association.age=value": -3.0, "centre.age": float("inf")}
    back = statistics_from("a", figures, FEATURES, persons_at_least=500)
    assert isinstance(back, SiteStatistics)
    assert (back.features[0].coverage, back.features[0].centre, back.features[0].associations) == (None, None, {})


def events_of_the_rest(shares: dict[str, float], links: dict[str, float], prevalence: float, persons: int) -> float:
    """The attack: how many of the level that nobody tells of have the outcome, from what is told of the others."""
    left = prevalence * persons
    for level, share in shares.items():
        spread = np.sqrt(share * (1 - share) * prevalence * (1 - prevalence))
        left -= persons * (links[level] * spread + share * prevalence)
    return float(left)


def test_the_events_of_the_level_not_told_cannot_be_worked_out() -> None:
    """Of 300 persons 4 of the first level have the outcome; the others' cells are all large."""
    cells = {"emergency": (4, 96), "planned": (40, 60), "transfer": (40, 60)}
    made = table(300, rng=np.random.default_rng(1)).with_columns(
        admission=pl.Series([name for name, (yes, no) in cells.items() for _ in range(yes + no)]),
        label=pl.Series([one for yes, no in cells.values() for one in [1] * yes + [0] * no], dtype=pl.Int8),
    )
    bare = {level: sum(cells[level]) / 300 for level in ("planned", "transfer")}
    y = made["label"].to_numpy()
    links = {level: float(np.corrcoef((made["admission"] == level).to_numpy(), y)[0, 1]) for level in bare}
    rounded = {level: round(value, 2) for level, value in links.items()}
    assert round(events_of_the_rest({k: round(v, 2) for k, v in bare.items()}, rounded, 0.28, 300)) == 4, "it works"
    admission = next(one for one in told("a", made).features if one.feature == "admission")
    assert not admission.shares and not admission.associations


def test_centres_are_nobodys_value_and_rest_on_many() -> None:
    made = table(43, rng=np.random.default_rng(4)).with_columns(pl.lit(None, pl.Float64).alias("height"))
    few = {one.feature: one for one in told("a", made).features}
    assert few["age"].centre is None, "a quarter of 43 is fewer than 11"
    assert few["height"].centre is None and few["height"].coverage == 0.0
    lone = table(60, rng=np.random.default_rng(4)).with_columns(
        glucose=pl.Series([1400.0] + [100.0] * 29 + [110.0] * 30)
    )
    glucose = next(one for one in told("a", lone).features if one.feature == "glucose")
    assert glucose.centre == pytest.approx(105.0, abs=0.2), "one extreme patient does not move it"


def test_names_of_units_follow_the_wards_own_table() -> None:
    for feature in (
        *(one for one in FEATURES if one.unit is not None),
        Feature(name="bilirubin", type="number", unit="mg/dL", range=(0, 50)),
        Feature(name="bun", type="number", unit="mmol/L", range=(0, 80)),
        Feature(name="platelets", type="number", unit="10*9/L", range=(0, 1500)),
    ):
        ways = other_units(feature)
        assert ways or feature.unit in ("Cel", "a", "mm[Hg]") or feature.name == "base_excess", feature.name
        for unit, factor in ways.items():
            way = conversion(unit, feature)
            assert way is not None and way.offset == 0, (feature.name, unit)
            assert way.factor * factor == pytest.approx(1.0, rel=1e-6), (feature.name, unit)


@pytest.mark.parametrize("ratio", [1.0, 1.2, 0.8, float("nan"), 0.0, -3.0, 40.0])
def test_a_ratio_near_no_factor_has_no_unit(ratio: float) -> None:
    assert unit_for(FEATURES[1], ratio) is None
