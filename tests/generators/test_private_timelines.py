"""The private generator of timelines: what it claims, what it keeps, what it refuses."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from small_timelines import PLAN, timelines
from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.generators.timelines import GENERATORS
from wardgate.hospital.ward.generators.timelines.private import FittedPrivateTimelines, PrivateTimelines
from wardgate.marginals.timelines import calibration
from wardgate.measures.attacks.persons import typed
from wardgate.measures.lines import read
from wardgate.measures.realism import timelines as measured
from wardgate.measures.realism.within import within_person
from wardgate.measures.study_rules import rule_breakers
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Refused

SETTINGS = PrivateTimelines(
    most_rows=30, window_hours=300, grain_hours=0.25, rising=("stage",), ending=("dead",), clocks=("age",)
)


def fit(
    table: pl.DataFrame, plan: Dictionary = PLAN, *, epsilon: float = 5.0, seed: str = "a"
) -> FittedPrivateTimelines:
    return SETTINGS.fit(
        table, plan, epsilon=epsilon, delta=1e-6, entropy=UnsafeEntropy(seed), rng=np.random.default_rng(0)
    )


@pytest.fixture(scope="module")
def fitted() -> FittedPrivateTimelines:
    return fit(timelines(3_000, seed=1))


@pytest.fixture(scope="module")
def corpus(fitted: FittedPrivateTimelines) -> pl.DataFrame:
    return fitted.sample(4_000, rng=np.random.default_rng(2))


def test_it_is_known_by_its_name() -> None:
    assert isinstance(GENERATORS["private-timelines"], PrivateTimelines)


def test_the_claim_costs_what_was_promised_and_no_more_than_asked(fitted: FittedPrivateTimelines) -> None:
    promised = SETTINGS.promise(PLAN, epsilon=5.0, delta=1e-6, noise_source="unsafe-test")
    assert fitted.claim == promised
    assert promised.epsilon is not None and 4.99 <= promised.epsilon <= 5.0
    assert epsilon_of(gaussian=promised.gaussian, exponential=promised.exponential, delta=1e-6) == promised.epsilon
    assert promised.unit == "person" and promised.covers and promised.excludes


def test_a_corpus_is_made_of_timelines_in_order(corpus: pl.DataFrame) -> None:
    lines = read(corpus, PLAN)
    assert lines.persons == 4_000
    assert corpus["patient"].unique().sort().to_list() == list(range(4_000))
    gaps = corpus.select((pl.col("hours") - pl.col("hours").shift()).over("patient"))["hours"].drop_nulls()
    assert float(gaps.min()) > 0 and float(corpus["hours"].max()) <= 300
    assert np.allclose(corpus["hours"] * 4, (corpus["hours"] * 4).round())
    real = measured.arranged(typed(timelines(1_000, seed=3), PLAN, "real"), PLAN)
    synthetic = measured.arranged(typed(corpus, PLAN, "corpus"), PLAN)
    assert measured.order(real, synthetic, PLAN, level=0.9, suite=None).value == 0


def test_what_rises_never_falls_and_the_dead_have_no_later_row(corpus: pl.DataFrame) -> None:
    known = corpus.filter(pl.col("stage").is_not_null())
    assert (known.select((pl.col("stage") - pl.col("stage").shift()).over("patient"))["stage"].drop_nulls() >= 0).all()
    last = corpus["patient"] != corpus["patient"].shift(-1)
    assert corpus.filter((pl.col("dead") == 1) & ~last.fill_null(True)).is_empty()
    assert corpus.filter(pl.col("dead") == 1).height > 100


def test_an_age_runs_with_the_clock(corpus: pl.DataFrame) -> None:
    known = corpus.filter(pl.col("age").is_not_null())
    years = known.select((pl.col("age") - pl.col("age").first()).over("patient"))["age"]
    hours = known.select((pl.col("hours") - pl.col("hours").first()).over("patient"))["hours"]
    assert np.allclose(years, hours / 8766, atol=1e-9)


def test_rules_hold_in_every_row_integers_are_whole_and_ranges_are_kept(corpus: pl.DataFrame) -> None:
    assert not rule_breakers(PLAN.rules, PLAN.columns, corpus).any()
    for feature in PLAN.features:
        if feature.range is not None:
            values = corpus[feature.name].drop_nulls()
            assert feature.range[0] <= float(values.min()) and float(values.max()) <= feature.range[1]
            assert feature.type != "integer" or bool((values == values.round()).all())


def test_persons_stay_themselves(corpus: pl.DataFrame) -> None:
    rng = np.random.default_rng(0)
    held = timelines(5_000, seed=9).drop("age", "stage", "dead")
    plan = PLAN.model_copy(update={"features": tuple(one for one in PLAN.features if one.name in held.columns)})
    real, synthetic = (measured.arranged(typed(part, plan, "part"), plan) for part in (held, corpus))
    within = within_person(real, synthetic, plan, level=0.9, rng=rng)
    assert within is not None and within.value < 0.15
    assert measured.visits(real, synthetic, level=0.9, rng=rng).value < 0.05
    found = measured.gaps(real, synthetic, level=0.9, rng=rng)
    assert found is not None and found.value < 0.1


def test_the_outcome_keeps_its_tie_to_the_persons(corpus: pl.DataFrame) -> None:
    def apart(table: pl.DataFrame) -> float:
        means = table.group_by("patient").agg(pl.col("sbp").mean(), pl.col("label").first()).group_by("label")
        by = dict(means.agg(pl.col("sbp").mean()).rows())
        return float(by[1] - by[0])

    assert 0.7 < apart(corpus) / apart(timelines(4_000, seed=9)) < 1.3


def test_conditions_are_met_on_static_columns_and_the_label(fitted: FittedPrivateTimelines) -> None:
    rng = np.random.default_rng(0)
    found = fitted.sample(200, rng=rng, where={"sex": "female", "label": 1, "entry": (70.0, 90.0)})
    assert found["sex"].unique().to_list() == ["female"] and found["label"].min() == 1
    assert float(found["entry"].min()) >= 70 and float(found["entry"].max()) <= 90
    assert found["patient"].n_unique() == 200
    for where in ({"sbp": (100.0, 120.0)}, {"sex": "CANARY"}, {"nothing": 1}):
        with pytest.raises(Invalid):
            fitted.sample(5, rng=rng, where=where)
    with pytest.raises(Invalid, match="persons"):
        fitted.sample(-1, rng=rng)
    assert fitted.sample(0, rng=rng).height == 0


def test_the_same_seeds_give_the_same_corpus_and_other_noise_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "ROUNDS", 2)
    table = timelines(800, seed=4)
    one, again, other = (fit(table, seed=seed) for seed in ("x", "x", "y"))
    first, second, third = (part.sample(50, rng=np.random.default_rng(1)) for part in (one, again, other))
    assert first.equals(second) and not first.equals(third)


def test_persons_of_one_row_and_a_person_of_a_hundred_thousand_can_be_fitted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calibration, "ROUNDS", 2)
    single = timelines(800, seed=5).group_by("patient", maintain_order=True).first()
    assert fit(single).sample(300, rng=np.random.default_rng(0)).height < 330
    whose = np.full(100_000, 10**6)
    many = (
        timelines(2, seed=6)[:1]
        .select(pl.all().repeat_by(100_000).explode())
        .with_columns(patient=pl.Series(whose), hours=pl.Series(np.arange(100_000) * 0.25))
    )
    found = fit(pl.concat((timelines(800, seed=6), many.select(timelines(2, seed=6).columns))))
    assert int(found.sample(300, rng=np.random.default_rng(0)).group_by("patient").len()["len"].max()) <= 30


TABLE = timelines(60, seed=7)

REFUSED: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "no person": (lambda: fit(TABLE.drop("patient")), Invalid, "patient"),
    "no time": (lambda: fit(TABLE.drop("hours")), Invalid, "hours"),
    "no label in the table": (lambda: fit(TABLE.drop("label")), Invalid, "label"),
    "no label at all": (lambda: fit(TABLE, PLAN.model_copy(update={"label": None})), Invalid, "outcome"),
    "no static columns named": (lambda: fit(TABLE, PLAN.model_copy(update={"static": None})), Invalid, "static"),
    "a static column changes": (lambda: fit(TABLE.with_columns(entry=pl.col("sbp"))), Invalid, "entry"),
    "negative hours": (lambda: fit(TABLE.with_columns(pl.col("hours") - 5)), Invalid, "negative"),
    "no rows": (lambda: fit(TABLE.clear()), Invalid, "no rows"),
    "epsilon 0": (lambda: fit(TABLE, epsilon=0.0), Invalid, "epsilon"),
    "epsilon below 0": (lambda: fit(TABLE, epsilon=-1.0), Invalid, "epsilon"),
    "epsilon without end": (lambda: fit(TABLE, epsilon=float("inf")), Invalid, "epsilon"),
    "too few persons for the budget": (lambda: fit(TABLE, epsilon=0.1), Refused, "epsilon"),
    "a rising category": (lambda: _promise(PrivateTimelines(rising=("ward",))), Invalid, "ward"),
    "an ending number": (lambda: _promise(PrivateTimelines(ending=("sbp",))), Invalid, "sbp"),
    "an unknown clock": (lambda: _promise(PrivateTimelines(clocks=("years",))), Invalid, "years"),
    "a cap of one row": (lambda: _promise(PrivateTimelines(most_rows=1)), Invalid, "cap"),
    "no window": (lambda: _promise(PrivateTimelines(window_hours=0)), Invalid, "grain"),
    "a grain beyond the window": (lambda: _promise(PrivateTimelines(grain_hours=1e5)), Invalid, "grain"),
}


def _promise(generator: PrivateTimelines) -> object:
    return generator.promise(PLAN, epsilon=1.0, delta=1e-6)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused(name: str) -> None:
    attempt, kind, word = REFUSED[name]
    with pytest.raises(kind, match=word):
        attempt()


def test_noise_that_is_neither_system_nor_test_is_refused() -> None:
    class Odd:
        name = "odd"

        def bytes(self, count: int) -> bytes:
            return bytes(count)

    with pytest.raises(Invalid, match="noise"):
        SETTINGS.fit(TABLE, PLAN, epsilon=1.0, delta=1e-6, entropy=Odd(), rng=np.random.default_rng(0))
