"""The private GAN: its claim, where its noise comes from, and what it refuses."""

import importlib.util

import numpy as np
import polars as pl
import pytest

from wardgate.entropy import SystemEntropy, UnsafeEntropy
from wardgate.hospital.ward.generators.private_gan import PrivateGan
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.logistic import fit as logistic
from wardgate.networks.gan import private_training
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Refused, Unsupported

QUICK = {"hidden": 8, "batches": 6, "probability": 0.05}


@pytest.fixture(autouse=True, scope="module")
def few_steps():
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(private_training.PrivateSteps.__init__.__kwdefaults__, "first", 20)
        yield


def fit(table, study, *, epsilon=1.0, entropy=None, seed=0, tuning=None, **settings):
    return PrivateGan(**{**QUICK, **settings}).fit(
        table,
        study.dictionary,
        tuning=tuning,
        epsilon=epsilon,
        delta=1e-6,
        entropy=entropy or UnsafeEntropy("fit"),
        rng=np.random.default_rng(seed),
    )


@pytest.fixture(scope="module")
def fitted(table, study, few_steps):
    return fit(table, study)


def rows_of(fitted, rows=300, **where):
    return fitted.sample(rows, rng=np.random.default_rng(0), where=where or None)


def test_the_claim_names_every_event_and_costs_what_was_promised(study, fitted):
    claim = fitted.claim
    assert claim.kind == "dp"
    assert claim.epsilon <= 1.0
    assert claim.epsilon == epsilon_of(gaussian=claim.gaussian, sampled=claim.sampled, delta=claim.delta)
    assert len(claim.gaussian) == 3
    assert [(event.count, event.probability) for event in claim.sampled] == [(6, 0.05)]
    assert claim.covers
    assert claim.noise_source == "unsafe-test"
    promised = PrivateGan(**QUICK).promise(study.dictionary, epsilon=1.0, delta=1e-6, noise_source="unsafe-test")
    assert claim == promised


def test_the_claim_says_where_the_noise_came_from(study, table, fitted):
    assert fitted.claim.noise_source == "unsafe-test"
    assert fit(table, study, entropy=SystemEntropy()).claim.noise_source == "system"


def test_the_critic_pays_for_every_batch_that_is_drawn(study, table, monkeypatch):
    drawn, real = [], private_training.poisson_batch

    def counted(n, *, probability, entropy):
        drawn.append(probability)
        return real(n, probability=probability, entropy=entropy)

    monkeypatch.setattr(private_training, "poisson_batch", counted)
    released, release = [], private_training.gaussian_release

    def noisy(values, *, l2, noise_multiplier, entropy):
        released.append(noise_multiplier)
        return release(values, l2=l2, noise_multiplier=noise_multiplier, entropy=entropy)

    monkeypatch.setattr(private_training, "gaussian_release", noisy)
    (event,) = fit(table, study).claim.sampled
    assert drawn == [event.probability] * event.count
    assert released == [event.noise_multiplier] * event.count


def test_a_model_trained_on_the_corpus_ranks_real_persons(study, table, make_persons, monkeypatch):
    monkeypatch.setitem(private_training.PrivateSteps.__init__.__kwdefaults__, "first", 300)
    test = make_persons(4_000, seed=9)
    x, y = design_matrix(study.features, test), labels(test)

    def tested(train):
        return auroc(y, x @ logistic(design_matrix(study.features, train), labels(train), ridge=1.0)).value

    corpus = rows_of(fit(table, study, hidden=32), 4_000)
    assert tested(corpus) > tested(table) - 0.04


def test_the_corpus_has_the_form_of_the_table(study, fitted):
    corpus = rows_of(fitted, 2_000)
    assert corpus.columns == [*(feature.name for feature in study.features), "label"]
    assert (corpus["age"] == corpus["age"].round()).all()
    assert corpus["age"].is_between(18, 99).all()
    assert corpus["glucose"].drop_nulls().is_between(0, 30).all()
    assert corpus["sex"].null_count() == 0
    assert corpus["stage"].null_count() > 0
    assert set(corpus["label"]) == {0, 1}


def test_conditions_are_met(fitted):
    corpus = rows_of(fitted, 100, stage="II", label=1, age=(50, 70))
    assert (corpus["stage"] == "II").all()
    assert (corpus["label"] == 1).all()
    assert corpus["age"].is_between(50, 70).all()


def test_the_number_of_rows_offered_is_noisy(study, table):
    offered = {fit(table, study, entropy=UnsafeEntropy(str(seed))).persons for seed in range(3)}
    assert len(offered) == 3
    assert all(abs(one - table.height) < 600 for one in offered)


def test_what_protects_comes_from_entropy_and_the_rest_from_the_seed(study, table, fitted):
    same, again = rows_of(fitted), rows_of(fit(table, study))
    other = rows_of(fit(table, study, entropy=UnsafeEntropy("other")))
    assert same.equals(again, null_equal=True)
    assert not same.equals(other, null_equal=True)


def test_tuning_persons_are_not_looked_at(study, table, fitted):
    with_tuning = rows_of(fit(table, study, tuning=table.head(200)))
    assert with_tuning.equals(rows_of(fitted), null_equal=True)


def test_all_missing_and_constant_columns_do_not_hurt(study, table):
    odd = table.with_columns(
        pl.lit(None, dtype=pl.Float64).alias("glucose"), pl.lit("M").alias("sex"), pl.lit(50.0).alias("age")
    )
    corpus = rows_of(fit(odd, study), 2_000)
    assert corpus["glucose"].null_count() > 0.9 * corpus.height
    assert (corpus["sex"] == "M").mean() > 0.9
    assert corpus["age"].median() == pytest.approx(50, abs=3)


@pytest.mark.parametrize("persons", [0, 3, 15])
def test_few_persons_are_sent_to_the_joint_corpus(study, table, persons):
    with pytest.raises(Refused, match="joint corpus"):
        fit(table.head(persons), study)


def test_a_label_of_one_class_is_refused(study, table):
    with pytest.raises(Refused, match="class"):
        fit(table.with_columns(pl.lit(1, dtype=pl.Int8).alias("label")), study)


@pytest.mark.parametrize("epsilon", [0.0, -1.0, float("inf"), float("nan")])
def test_a_budget_of_nothing_is_refused_before_anybody_is_looked_at(study, table, epsilon):
    with pytest.raises(Invalid, match="epsilon"):
        PrivateGan().promise(study.dictionary, epsilon=epsilon, delta=1e-6)
    with pytest.raises(Invalid, match="epsilon"):
        fit(table, study, epsilon=epsilon)


def test_noise_of_unknown_source_is_refused(study, table):
    class Odd(UnsafeEntropy):
        name = "dice"

    with pytest.raises(Invalid, match="dice"):
        fit(table, study, entropy=Odd("x"))


def test_a_dictionary_without_an_outcome_is_refused(study):
    with pytest.raises(Invalid, match="outcome"):
        PrivateGan().promise(Dictionary(features=study.features), epsilon=1.0, delta=1e-6)


@pytest.mark.parametrize("wrong", [{"critic_share": 0.0}, {"critic_share": 1.0}, {"batches": 0}, {"probability": 2.0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(Invalid):
        PrivateGan(**wrong)


def test_without_torch_it_says_what_to_install_before_anything_is_spent(study, table, monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr("wardgate.networks.installed.find_spec", lambda name: None if name == "torch" else real(name))

    class Untouched(UnsafeEntropy):
        def bytes(self, count):
            raise RuntimeError("noise was drawn")

    with pytest.raises(Unsupported, match="deep"):
        fit(table, study, entropy=Untouched("x"))
