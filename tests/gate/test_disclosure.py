"""What a corpus tells of one person: safe corpora pass, each leak is caught, odd tables are said to be odd."""

import json
from pathlib import Path

import gate_corpora as corpora
import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.gate.battery import disclosure, sample
from wardgate.hospital.ward.gate.battery.tables import Tables, checked
from wardgate.measures.disclosure import shown
from wardgate.policy.disclosure import RULES
from wardgate.policy.rule import Case, Judgement
from wardgate.records.claim import Claim
from wardgate.records.dictionary import Dictionary
from wardgate.records.feature import Feature
from wardgate.records.gate_policy import Disclosure, GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.verdict import Absent, Evidence, Kind

STUDY = corpora.study()
TRAITS = ("age", "sex", "region", "sbp", "triage")
KNOWN = STUDY.dictionary.model_copy(
    update={
        "features": tuple(
            one.model_copy(update={"quasi_identifier": one.name in TRAITS}) for one in STUDY.dictionary.features
        )
    }
)
Found = dict[str, Measured | Absent]


def tables(
    site: corpora.Hospital,
    candidate: pl.DataFrame,
    *,
    dictionary: Dictionary = KNOWN,
    policy: GatePolicy = STUDY.gate,
    attempt: int = 1,
    seed: int = 0,
) -> Tables:
    return checked(
        train=site.train,
        tuning=site.tuning,
        holdout=site.holdout,
        candidate=candidate,
        dictionary=dictionary,
        policy=policy,
        attempt=attempt,
        rng=np.random.default_rng(seed),
    )


def found_in(given: Tables) -> Found:
    drawn = sample.draw(given)
    assert drawn is not None
    found = {one.name: one for one in disclosure.measures(given, drawn)}
    assert set(found) == set(disclosure.NAMES)
    return found


def judged(
    found: Found, *, policy: GatePolicy = STUDY.gate, kind: Kind = "corpus", claim: Claim | None = None
) -> dict[str, Judgement | None]:
    evidence = Evidence(
        kind=kind,
        persons_train="2000-4999",
        attempt=1,
        claim=claim or Claim(kind="none"),
        cumulative_epsilon=0.5,
        measured=tuple(shown(one) for one in found.values() if isinstance(one, Measured)),
        absent=tuple(one for one in found.values() if isinstance(one, Absent)),
    )
    case = Case(evidence=evidence, policy=policy, accept_test_noise=False, claim_fault="")
    return {rule.name: rule.judge(case) for rule in RULES}


def refusing(found: Found) -> set[str]:
    return {name for name, ruling in judged(found).items() if ruling is None or ruling.outcome != "pass"}


@pytest.fixture(autouse=True)
def without_shared_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    """The distances that other parts of the battery share are costly, and no measure here reads them."""
    monkeypatch.setattr(sample, "surroundings", lambda **_: None)


@pytest.fixture(scope="module")
def site() -> corpora.Hospital:
    return corpora.hospital(np.random.default_rng(1), train=2750, tuning=250, holdout=1000)


@pytest.fixture(scope="module")
def safe(site: corpora.Hospital) -> pl.DataFrame:
    return corpora.fresh(site.train, np.random.default_rng(2))


@pytest.mark.parametrize("generator", corpora.SAFE.values(), ids=corpora.SAFE)
def test_a_corpus_that_leaks_nobody_passes(site: corpora.Hospital, generator: corpora.Generator) -> None:
    assert refusing(found_in(tables(site, generator(site.train, np.random.default_rng(3))))) == set()


def traits_copied(*more: str) -> corpora.Generator:
    """The traits of all training persons, and columns of `more`; everything else is another patient's."""

    def generate(train: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
        return corpora.fresh(train, rng).with_columns(train.select(*TRAITS, *more))

    return generate


LEAKS = {
    "a memorising generator": (corpora.replayed, {*disclosure.NAMES}),
    "30 % copies, every number moved a little": (
        corpora.jittered(0.3),
        {"disclosure.attribute", "disclosure.linkability", "disclosure.singling_out"},
    ),
    "a sensitive column copied beside the traits": (
        traits_copied("creatinine"),
        {"disclosure.attribute", "disclosure.identity", "disclosure.k_map"},
    ),
    "traits alone copied": (traits_copied(), {"disclosure.k_map"}),
}


@pytest.mark.parametrize(("generator", "expected"), LEAKS.values(), ids=LEAKS)
def test_a_leak_is_refused_by_the_rules_made_for_it(
    site: corpora.Hospital, generator: corpora.Generator, expected: set[str]
) -> None:
    assert refusing(found_in(tables(site, generator(site.train, np.random.default_rng(4))))) >= expected


def test_with_wide_open_limits_the_same_leak_leaves(site: corpora.Hospital) -> None:
    found = found_in(tables(site, corpora.replayed(site.train, np.random.default_rng(4))))
    wide = Disclosure(attribute_max=1.1, linkability_max=1.1, singling_out_max=1.1, identity_max=1.1, k_map_min=0)
    open_ = STUDY.gate.model_copy(update={"disclosure": wide})
    assert {ruling.outcome for ruling in judged(found, policy=open_).values() if ruling} == {"pass"}
    assert refusing(found) == set(disclosure.NAMES)


def test_what_is_known_of_everybody_is_no_leak(site: corpora.Hospital, safe: pl.DataFrame) -> None:
    """A corpus lets strangers be guessed too; only the control keeps that apart from a leak."""
    told = {name: table.with_columns(diabetes=pl.col("sex")) for name, table in _each(site).items()}
    found = found_in(tables(corpora.Hospital(**told), safe.with_columns(diabetes=pl.col("sex"))))
    assert refusing(found) == set()


def _each(site: corpora.Hospital) -> dict[str, pl.DataFrame]:
    return {"train": site.train, "tuning": site.tuning, "holdout": site.holdout}


def _with(*features: Feature, **more: object) -> Dictionary:
    return Dictionary.model_validate({"schema": "wardgate/dictionary/1", "features": features, **more})


def absent(found: Found) -> set[str]:
    return {name for name, one in found.items() if isinstance(one, Absent)}


def test_a_table_of_numbers_without_declared_traits_has_no_rule_by_traits(
    site: corpora.Hospital, safe: pl.DataFrame
) -> None:
    numbers = [one.model_copy(update={"quasi_identifier": False}) for one in KNOWN.features if one.unit is not None]
    found = found_in(tables(site, safe, dictionary=_with(*numbers)))
    assert absent(found) == {"disclosure.identity", "disclosure.k_map"}


def test_a_table_without_sensitive_columns_has_nothing_to_guess(site: corpora.Hospital, safe: pl.DataFrame) -> None:
    found = found_in(tables(site, safe, dictionary=KNOWN.model_copy(update={"sensitive": ()})))
    assert absent(found) == {"disclosure.attribute", "disclosure.identity"}


def test_a_table_of_one_column_cannot_be_split(site: corpora.Hospital, safe: pl.DataFrame) -> None:
    found = found_in(tables(site, safe, dictionary=_with(KNOWN.feature("region"))))
    assert absent(found) == {"disclosure.attribute", "disclosure.linkability", "disclosure.identity"}
    assert {"disclosure.singling_out", "disclosure.k_map"} <= set(found) - refusing(found)


def test_a_table_without_an_outcome_is_measured_whole(site: corpora.Hospital, safe: pl.DataFrame) -> None:
    found = found_in(tables(site, safe, dictionary=KNOWN.model_copy(update={"label": None})))
    assert absent(found) == set()
    assert refusing(found) == set()


@pytest.mark.parametrize("value", [7.0, None], ids=["constant", "missing"])
def test_columns_that_say_nothing_are_no_leak_and_no_crash(
    site: corpora.Hospital, safe: pl.DataFrame, value: float | None
) -> None:
    names = [one.name for one in KNOWN.features if one.unit is not None]
    same = pl.lit(value, dtype=pl.Float64)
    dull = {
        name: table.with_columns(
            *(same.alias(each) for each in names), region=pl.lit(None if value is None else "north", dtype=pl.String)
        )
        for name, table in (*_each(site).items(), ("safe", safe))
    }
    candidate = dull.pop("safe")
    found = found_in(tables(corpora.Hospital(**dull), candidate))
    assert absent(found) == set()
    assert refusing(found) == set()


def test_a_corpus_of_one_row_is_measured(site: corpora.Hospital, safe: pl.DataFrame) -> None:
    assert absent(found_in(tables(site, safe[:1]))) == set()


def test_fewer_persons_than_any_tier_are_not_evaluable() -> None:
    rng = np.random.default_rng(5)
    small = corpora.hospital(rng, train=500, tuning=200, holdout=200)
    found = found_in(tables(small, corpora.fresh(small.train, rng)))
    assert absent(found) == set(disclosure.NAMES)
    assert {ruling.outcome for ruling in judged(found).values() if ruling} == {"not_evaluable"}


def test_a_policy_signed_before_these_limits_rules_nothing(site: corpora.Hospital, safe: pl.DataFrame) -> None:
    earlier = STUDY.gate.model_copy(update={"disclosure": None})
    found = found_in(tables(site, safe, policy=earlier))
    assert absent(found) == set(disclosure.NAMES)
    assert set(judged(found, policy=earlier).values()) == {None}


def test_a_joint_corpus_without_noise_is_not_evaluable_and_a_missing_measure_fails() -> None:
    assert {one.outcome for one in judged({}, kind="joint-corpus").values() if one} == {"not_evaluable"}
    assert {one.outcome for one in judged({}).values() if one} == {"fail"}


def test_a_further_attempt_widens_every_interval(site: corpora.Hospital, safe: pl.DataFrame) -> None:
    first, second = (found_in(tables(site, safe, attempt=attempt)) for attempt in (1, 3))
    for name in ("disclosure.attribute", "disclosure.linkability", "disclosure.identity"):
        one, other = first[name], second[name]
        assert isinstance(one, Measured) and isinstance(other, Measured)
        assert other.level > one.level
        assert other.high - other.low > one.high - one.low


def test_the_same_seed_gives_the_same_measures(site: corpora.Hospital, safe: pl.DataFrame) -> None:
    assert found_in(tables(site, safe)) == found_in(tables(site, safe))


def test_no_value_and_no_small_count_of_persons_is_told(site: corpora.Hospital) -> None:
    marked = site.train.with_columns(
        sodium=pl.when(pl.int_range(site.train.height) < 30).then(137.123457).otherwise(pl.col("sodium"))
    )
    found = found_in(tables(corpora.Hospital(train=marked, tuning=site.tuning, holdout=site.holdout), marked))
    assert "137.12" not in json.dumps([one.plain() for one in found.values()])
    for one in found.values():
        assert isinstance(one, Measured)
        assert all(size % 50 == 0 for size in one.n)


def test_every_rule_has_its_measure_and_its_page(root: Path) -> None:
    assert tuple(rule.name for rule in RULES) == disclosure.NAMES
    page = (root / "docs" / "gate" / "disclosure.md").read_text(encoding="utf-8")
    for name in (*disclosure.NAMES, *(f"disclosure.{field}" for field in Disclosure.model_fields)):
        assert f"`{name}`" in page


def test_a_wide_table_searches_fewer_persons_but_still_every_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disclosure, "WORK", 1.0)
    rng = np.random.default_rng(6)
    features = tuple(
        Feature(name=f"x{place}", type="number", unit="1", range=(-9, 9), quasi_identifier=place < 3)
        for place in range(30)
    )
    many = {f"x{place}": rng.normal(size=9000) for place in range(30)}
    people = pl.DataFrame(many)
    one = corpora.Hospital(train=people[:3000], tuning=people[3000:3200], holdout=people[3200:6200])
    leaking = people[6000:9000].with_columns(one.train.select("x0", "x1", "x2", "x29"))
    given = tables(one, leaking, dictionary=_with(*features))
    found = found_in(given)
    attribute = found["disclosure.attribute"]
    assert isinstance(attribute, Measured)
    assert attribute.n == (disclosure.LEAST_SEARCHED, disclosure.LEAST_SEARCHED)
    assert attribute.low > 0.5
    assert "disclosure.attribute" in refusing(found)
