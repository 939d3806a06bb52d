import numpy as np
import polars as pl
import pytest

from wardgate.marginals.domain import domain_of
from wardgate.marginals.sampling import keep_rules, sample
from wardgate.marginals.tree.growth import grow
from wardgate.marginals.tree.plan import plan
from wardgate.marginals.workload import count
from wardgate.measures.study_rules import rule_breakers
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature


def model_of(study, table):
    domain = domain_of(study.features)
    road = grow(domain, plan(domain, epsilon=50.0, delta=1e-6, structure="summed"), rules=study.rules)
    ask = next(road)
    while True:
        try:
            ask = road.send(count(ask.workload, table))
        except StopIteration as end:
            return end.value


@pytest.fixture(scope="module")
def model(study, table):
    return model_of(study, table)


@pytest.fixture(scope="module")
def drawn(model):
    return sample(model, 20_000, rng=np.random.default_rng(5))


def test_rows_have_the_form_of_the_table(drawn, table):
    assert drawn.columns == table.columns
    assert drawn.schema == table.schema
    assert drawn.height == 20_000


def test_missing_shares_are_kept_and_refused_missingness_never_appears(drawn, table):
    for name in table.columns:
        real = table[name].null_count() / table.height
        assert drawn[name].null_count() / drawn.height == pytest.approx(real, abs=0.01), name


def test_missingness_follows_the_label(drawn, table):
    for label in (0, 1):
        shares = [one.filter(pl.col("label") == label)["cough"].is_null().mean() for one in (table, drawn)]
        assert shares[1] == pytest.approx(shares[0], abs=0.02)


def test_integers_stay_integers_and_numbers_stay_in_range(drawn):
    assert (drawn["age"] % 1 == 0).all()
    assert drawn["age"].is_between(18, 99).all()
    assert drawn["glucose"].drop_nulls().is_between(0, 30).all()


def test_numbers_are_not_values_of_real_persons(drawn, table):
    assert not drawn["glucose"].drop_nulls().is_in(table["glucose"].drop_nulls().implode()).any()


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(model):
    first, again, other = (sample(model, 100, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


@pytest.mark.parametrize(
    ("where", "meets"),
    [
        ({"sex": "F"}, pl.col("sex") == "F"),
        ({"label": 1}, pl.col("label") == 1),
        ({"stage": None}, pl.col("stage").is_null()),
        ({"age": (80, 99)}, pl.col("age").is_between(80, 99)),
        ({"age": 70}, pl.col("age") == 70),
        ({"glucose": (10.0, 12.5)}, pl.col("glucose").is_between(10.0, 12.5)),
        ({"smoker": 1, "stage": "IV", "label": 0}, (pl.col("smoker") == 1) & (pl.col("stage") == "IV")),
    ],
)
def test_conditions_hold_in_every_row(model, where, meets):
    rows = sample(model, 500, rng=np.random.default_rng(0), where=where)
    assert rows.height == 500
    assert rows.filter(meets).height == 500


def test_conditional_rows_are_what_filtering_would_leave(model, drawn):
    filtered = drawn.filter(pl.col("stage") == "III")
    rows = sample(model, 5_000, rng=np.random.default_rng(6), where={"stage": "III"})
    for name in ("smoker", "cough", "label", "age"):
        spread = float(filtered[name].std())
        assert abs(rows[name].mean() - filtered[name].mean()) < 0.1 * spread, name


@pytest.mark.parametrize(
    "where",
    [{"name": "x"}, {"sex": "X"}, {"sex": None}, {"sex": 1}, {"age": "old"}, {"age": (90, 80)}, {"glucose": (50, 60)}],
)
def test_conditions_that_nobody_can_meet_are_refused(model, where):
    with pytest.raises(Invalid):
        sample(model, 5, rng=np.random.default_rng(0), where=where)


def test_no_rows_are_no_rows_and_fewer_are_refused(model, table):
    assert sample(model, 0, rng=np.random.default_rng(0)).schema == table.schema
    with pytest.raises(Invalid):
        sample(model, -1, rng=np.random.default_rng(0))


RULE = ClinicalRule(name="iv-coughs", left="cough", op="==", right="true", when={"stage": ("IV",)})


def test_clinical_rules_hold_in_every_row(make_study, study, table):
    ruled = make_study(*study.features, rules=(RULE,))
    kept = sample(model_of(ruled, table), 3_000, rng=np.random.default_rng(0))
    free = sample(model_of(study, table), 3_000, rng=np.random.default_rng(0))
    assert kept.height == 3_000
    assert not rule_breakers(ruled.rules, ruled.features, kept).any()
    assert rule_breakers(ruled.rules, ruled.features, free).any()


def test_rules_that_few_rows_keep_are_kept_by_drawing_on_and_no_row_is_repeated(make_study, study, table):
    rare = ClinicalRule(name="rare", left="age", op=">=", right="90")
    ruled = make_study(*study.features, rules=(rare,))
    rows = sample(model_of(ruled, table), 1_000, rng=np.random.default_rng(0))
    assert rows.height == 1_000
    assert (rows["age"] >= 90).all()
    measured = rows.filter(pl.col("glucose").is_not_null())
    assert measured["glucose"].n_unique() == measured.height


def test_a_rule_that_hardly_any_row_keeps_ends_in_words_and_not_in_copies(features_and_rows):
    features, draw = features_and_rows
    hardly = ClinicalRule(name="hardly", left="share", op=">", right="0.99999")
    with pytest.raises(Invalid, match=r"'hardly'.*fewer rows"):
        keep_rules(draw, 1_000, rules=(hardly,), features=features, rng=np.random.default_rng(0))


def test_the_rule_that_stands_in_the_way_is_the_one_that_is_named(features_and_rows):
    features, draw = features_and_rows
    easy = ClinicalRule(name="easy", left="share", op="<", right="0.9")
    hard = ClinicalRule(name="impossible", left="share", op=">", right="2")
    with pytest.raises(Invalid, match="'impossible'"):
        keep_rules(draw, 10, rules=(easy, hard), features=features, rng=np.random.default_rng(0))


@pytest.fixture
def features_and_rows():
    rng = np.random.default_rng(1)
    feature = Feature(name="share", type="number", unit="1", range=(0, 1), missing="refused")
    return (feature,), lambda count: pl.DataFrame({"share": rng.random(count)})


def test_rules_that_nothing_satisfies_are_named(make_study, study, table):
    none = ClinicalRule(name="none", left="age", op=">", right="200")
    ruled = make_study(*study.features, rules=(none,))
    with pytest.raises(Invalid, match="clinical rules"):
        sample(model_of(ruled, table), 50, rng=np.random.default_rng(0))
