"""The GAN without a guarantee: what it teaches, what it never draws, and what it refuses."""

import importlib.util

import numpy as np
import polars as pl
import pytest

from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.generators import tabular_gan
from wardgate.hospital.ward.generators.tabular_gan import TabularGan
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.logistic import fit as logistic
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Refused, Unsupported
from wardgate.records.feature import ClinicalRule, Feature

QUICK = {"steps": 40, "hidden": 16, "batch": 100, "early_stopping": False}


def fit(table, dictionary, *, seed=0, tuning=None, **settings):
    return TabularGan(**{**QUICK, **settings}).fit(
        table,
        dictionary,
        tuning=tuning,
        epsilon=1.0,
        delta=1e-6,
        entropy=UnsafeEntropy("none"),
        rng=np.random.default_rng(seed),
    )


@pytest.fixture(scope="module")
def people(make_persons):
    return make_persons(2_500, seed=5)


@pytest.fixture(scope="module")
def trained(people, study):
    return fit(people, study.dictionary, steps=250, hidden=48, batch=150)


def rows_of(fitted, rows=400, seed=0, **where):
    return fitted.sample(rows, rng=np.random.default_rng(seed), where=where or None)


def test_a_model_trained_on_the_corpus_ranks_real_persons(trained, people, study, make_persons):
    test = make_persons(4_000, seed=9)
    x, y = design_matrix(study.features, test), labels(test)

    def tested(train):
        return auroc(y, x @ logistic(design_matrix(study.features, train), labels(train), ridge=1.0)).value

    assert tested(rows_of(trained, people.height)) > tested(people) - 0.03


def test_the_corpus_has_the_form_and_the_shares_of_the_table(trained, people, study):
    corpus = rows_of(trained, 3_000)
    assert corpus.columns == [*(feature.name for feature in study.features), "label"]
    assert corpus.schema["label"] == pl.Int8
    assert corpus.schema["sex"] == pl.String
    assert (corpus["age"] == corpus["age"].round()).all()
    assert corpus["age"].is_between(18, 99).all()
    assert corpus["label"].mean() == pytest.approx(people["label"].mean(), abs=0.01)
    for name in ("glucose", "stage", "cough"):
        assert corpus[name].null_count() / 3_000 == pytest.approx(people[name].null_count() / people.height, abs=0.08)
    assert corpus["sex"].null_count() == 0


def test_its_claim_promises_nothing_and_names_the_device(trained, study):
    promised = TabularGan().promise(study.dictionary, epsilon=1.0, delta=1e-6)
    assert trained.claim == promised
    assert promised.kind == "none"
    assert promised.excludes
    assert trained.device == "cpu"


def test_one_seed_gives_one_corpus(people, study):
    one, two, other = (rows_of(fit(people, study.dictionary, seed=seed)) for seed in (3, 3, 4))
    assert one.equals(two, null_equal=True)
    assert not one.equals(other, null_equal=True)


@pytest.mark.parametrize(
    ("where", "meets"),
    [
        ({"label": 1}, pl.col("label") == 1),
        ({"stage": "IV"}, pl.col("stage") == "IV"),
        ({"stage": None, "label": 0}, pl.col("stage").is_null() & (pl.col("label") == 0)),
        ({"smoker": 1, "sex": "M"}, (pl.col("smoker") == 1) & (pl.col("sex") == "M")),
        ({"age": (70, 80), "label": 1}, pl.col("age").is_between(70, 80) & (pl.col("label") == 1)),
        ({"glucose": (5.0, 6.0)}, pl.col("glucose").is_between(5, 6)),
    ],
)
def test_every_row_meets_the_conditions(trained, where, meets):
    corpus = rows_of(trained, 150, **where)
    assert corpus.height == 150
    assert corpus.select(meets.all()).item()


def test_the_label_follows_from_the_value_asked_for(trained, people):
    wanted = people.filter(pl.col("stage") == "IV")["label"].mean()
    assert rows_of(trained, 400, stage="IV")["label"].mean() == pytest.approx(wanted, abs=0.1)


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ({"nobody": 1}, "no column"),
        ({"stage": "V"}, "does not name"),
        ({"sex": None}, "never missing"),
        ({"age": (10, 5)}, "low <= high"),
        ({"age": (18, 18.5), "glucose": (29.9, 30.0)}, "too few"),
    ],
)
def test_conditions_that_nobody_meets_or_that_make_no_sense_are_refused(trained, where, words):
    with pytest.raises(Invalid, match=words):
        rows_of(trained, 20, **where)


def test_no_rows_are_none_and_fewer_are_refused(trained):
    assert rows_of(trained, 0).height == 0
    with pytest.raises(Invalid, match="from 0 up"):
        rows_of(trained, -1)


def test_every_row_keeps_the_clinical_rules(people, study):
    rule = ClinicalRule(name="old-smokers", left="age", op=">=", right="50", when={"smoker": ("1",)})
    bound = study.dictionary.model_copy(update={"rules": (rule,)})
    corpus = rows_of(fit(people, bound))
    assert corpus.filter((pl.col("smoker") == 1) & (pl.col("age") < 50)).height == 0


def test_a_rare_category_is_never_drawn(people, study):
    rare = people.with_columns(
        pl.when(pl.int_range(people.height) < 5)
        .then(pl.lit("IV"))
        .otherwise(pl.col("stage").replace("IV", "I"))
        .alias("stage")
    )
    fitted = fit(rare, study.dictionary)
    assert (rows_of(fitted, 2_000)["stage"].drop_nulls() != "IV").all()
    with pytest.raises(Invalid, match="too rare"):
        rows_of(fitted, 10, stage="IV")


def test_all_missing_and_constant_columns_do_not_hurt(people, study):
    odd = people.with_columns(
        pl.lit(None, dtype=pl.Float64).alias("glucose"), pl.lit("M").alias("sex"), pl.lit(50.0).alias("age")
    )
    corpus = rows_of(fit(odd, study.dictionary))
    assert corpus["glucose"].null_count() == corpus.height
    assert (corpus["sex"] == "M").all()
    assert (corpus["age"] == 50).all()


def test_more_columns_than_persons_are_fitted():
    rng = np.random.default_rng(0)
    features = tuple(Feature(name=f"f{at}", type="boolean") for at in range(150))
    table = pl.DataFrame(
        {feature.name: rng.integers(2, size=120).astype(float) for feature in features}
        | {"label": rng.integers(2, size=120).astype(np.int8)}
    )
    corpus = rows_of(fit(table, Dictionary(features=features, label="label"), steps=10), 50)
    assert corpus.shape == (50, 151)


@pytest.mark.parametrize("wrong", [{"modes": 0}, {"pack": 0}, {"batch": 1}, {"moments": -1.0}, {"min_persons": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(Invalid, match="at least"):
        TabularGan(**wrong)


@pytest.mark.parametrize("persons", [0, 20])
def test_few_persons_are_sent_to_the_joint_corpus(people, study, persons):
    with pytest.raises(Refused, match="joint corpus"):
        fit(people.head(persons), study.dictionary)


def test_a_label_of_one_class_is_refused(people, study):
    with pytest.raises(Refused, match="class"):
        fit(people.with_columns(pl.lit(1, dtype=pl.Int8).alias("label")), study.dictionary)


def test_a_table_without_an_outcome_is_refused(people, study):
    bare = Dictionary(features=study.features)
    with pytest.raises(Invalid, match="outcome"):
        fit(people, bare)


def test_without_torch_it_says_what_to_install(people, study, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr("wardgate.networks.installed.find_spec", lambda name: None if name == "torch" else real(name))
    with pytest.raises(Unsupported, match="deep"):
        fit(people, study.dictionary)


def test_an_interrupted_fit_leaves_nothing_and_can_be_repeated(people, study, monkeypatch):
    before = people.clone()

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("wardgate.networks.gan.training.draw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fit(people, study.dictionary)
    assert people.equals(before, null_equal=True)
    assert rows_of(fit(people, study.dictionary)).height == 400


def test_only_tuning_persons_judge_when_to_stop(people, study, make_persons, monkeypatch):
    seen = []
    real = tabular_gan._score
    monkeypatch.setattr(
        tabular_gan,
        "_score",
        lambda layout, dictionary, tuning, *rest, **more: (
            seen.append(tuning),
            real(layout, dictionary, tuning, *rest, **more),
        )[1],
    )
    tuning = make_persons(300, seed=77)
    settings = {"steps": 100, "early_stopping": True}
    assert fit(people, study.dictionary, tuning=tuning, **settings).steps <= 100
    fit(people, study.dictionary, **settings)
    assert seen[0].equals(tuning, null_equal=True)
    assert seen[1].height == round(0.1 * people.height)


def replayed(corpus, people):
    """Return the share of rows that repeat a person in every column but the number."""
    columns = [name for name in people.columns if name != "glucose"]
    return corpus.join(people.select(columns).unique(), on=columns, how="semi", nulls_equal=True).height / corpus.height


def test_training_persons_are_not_replayed_more_than_others(trained, people, make_persons):
    corpus = rows_of(trained, 4_000)
    others = make_persons(people.height, seed=123)
    assert abs(replayed(corpus, people) - replayed(corpus, others)) < 0.05
    assert replayed(people, people) - replayed(people, others) > 0.4
