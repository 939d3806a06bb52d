"""The private generator: its claim, its noise and what an attacker sees with and without it."""

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2

from wardgate.entropy import SystemEntropy, UnsafeEntropy
from wardgate.hospital.ward.generators import MarginalTree, SequentialCart
from wardgate.hospital.ward.generators.marginal_tree import noisy_counts
from wardgate.marginals.domain import domain_of, encode
from wardgate.marginals.tree.growth import Ask, histograms
from wardgate.marginals.tree.plan import plan
from wardgate.marginals.workload import count_codes
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.errors import Invalid, Refused


def fit(table, study, *, epsilon=1.0, entropy=None, **public):
    return MarginalTree(**public).fit(
        table,
        study.dictionary,
        epsilon=epsilon,
        delta=1e-6,
        entropy=entropy or UnsafeEntropy("fit"),
        rng=np.random.default_rng(0),
    )


def test_the_claim_names_every_event_and_costs_no_more_than_asked(study, table):
    fitted = fit(table, study)
    claim = fitted.claim
    assert claim.kind == "dp"
    assert claim.epsilon <= 1.0
    assert claim.epsilon == epsilon_of(gaussian=claim.gaussian, exponential=claim.exponential, delta=claim.delta)
    assert len(claim.gaussian) == 3
    assert claim.exponential[0].count == len(study.features) - 1
    assert claim.covers
    assert claim.noise_source == "unsafe-test"
    assert fit(table, study, entropy=SystemEntropy()).claim.noise_source == "system"


def round_of(study, *, epsilon=1.0):
    domain = domain_of(study.features)
    budget = plan(domain, epsilon=epsilon, delta=1e-6, structure="chosen")
    return Ask(name="histograms", workload=histograms(domain), noise_multiplier=budget.histograms)


def noise_is_as_claimed(ask, noise):
    """Whether the spread of the noise fits what the claim says, at one in a million."""
    statistic = float((noise**2).sum()) / ask.sigma**2
    return chi2.ppf(5e-7, noise.size) < statistic < chi2.ppf(1 - 5e-7, noise.size)


def noise_of(ask, codes, *, scale=1.0, seed=0):
    exact = count_codes(ask.workload, codes)
    weak = Ask(name=ask.name, workload=ask.workload, noise_multiplier=scale * ask.noise_multiplier)
    draws = [noisy_counts(weak, codes, entropy=UnsafeEntropy(f"{seed}/{draw}")) - exact for draw in range(5)]
    return np.concatenate(draws)


def test_the_noise_has_the_scale_that_the_claim_names(study, table):
    ask, codes = round_of(study), encode(domain_of(study.features), table)
    assert noise_is_as_claimed(ask, noise_of(ask, codes))


def test_a_twin_with_half_the_noise_is_caught(study, table):
    ask, codes = round_of(study), encode(domain_of(study.features), table)
    assert not noise_is_as_claimed(ask, noise_of(ask, codes, scale=0.5))


def membership(study, table, *, scale):
    """Return how often an attacker who knows all others tells whether one person took part (balanced accuracy)."""
    ask, domain = round_of(study), domain_of(study.features)
    ask = Ask(name=ask.name, workload=ask.workload, noise_multiplier=scale * ask.noise_multiplier)
    with_person, without = encode(domain, table), encode(domain, table[1:])
    mean = count_codes(ask.workload, without)
    trace = count_codes(ask.workload, with_person) - mean
    threshold = float(trace @ trace) / 2
    told = 0
    for trial in range(400):
        codes = with_person if trial % 2 == 0 else without
        seen = noisy_counts(ask, codes, entropy=UnsafeEntropy(f"trial {trial}"))
        told += (float((seen - mean) @ trace) > threshold) == (trial % 2 == 0)
    return told / 400


def test_an_attacker_tells_who_took_part_without_noise_and_hardly_with_it(study, table):
    assert membership(study, table, scale=0.01) > 0.99
    assert membership(study, table, scale=1.0) < 0.65


def replayed(corpus, people):
    """Return the share of rows that repeat a person in every value."""
    return corpus.join(people.unique(), on=people.columns, how="semi", nulls_equal=True).height / corpus.height


def test_replaying_is_seen_in_memorising_trees_and_not_in_the_marginal_tree(study, table):
    train, holdout = table[:3_000], table[3_000:]
    rng = np.random.default_rng(0)
    memorising = SequentialCart(min_leaf=1).fit(
        train, study.dictionary, epsilon=1.0, delta=1e-6, entropy=UnsafeEntropy("none"), rng=rng
    )
    copied = memorising.sample(2_000, rng=rng)
    private = fit(train, study).sample(2_000, rng=rng)
    assert replayed(copied, train) > 0.99
    assert replayed(copied, holdout) < 0.2
    assert abs(replayed(private, train) - replayed(private, holdout)) < 0.01


def test_a_model_trained_on_the_corpus_ranks_real_persons(study, table, make_persons):
    from wardgate.measures.discrimination import auroc
    from wardgate.measures.encoding import design_matrix, labels
    from wardgate.measures.logistic import fit as logistic

    test = make_persons(4_000, seed=9)
    x, y = design_matrix(study.features, test), labels(test)

    def tested(train):
        return auroc(y, x @ logistic(design_matrix(study.features, train), labels(train), ridge=1.0)).value

    fitted = fit(table, study)
    corpus = fitted.sample(fitted.persons, rng=np.random.default_rng(0))
    assert tested(corpus) > tested(table) - 0.02


def test_the_number_of_rows_offered_is_noisy(study, table):
    offered = {fit(table, study, entropy=UnsafeEntropy(str(seed))).persons for seed in range(8)}
    assert len(offered) > 4
    assert all(abs(one - table.height) < 400 for one in offered)


def test_an_all_missing_and_a_constant_column_do_not_hurt_the_others(study, table):
    odd = table.with_columns(
        pl.lit(None, dtype=pl.Float64).alias("glucose"),
        pl.lit("M").alias("sex"),
        pl.lit(50.0).alias("age"),
    )
    rows = fit(odd, study, epsilon=3.0).sample(4_000, rng=np.random.default_rng(0))
    assert rows["glucose"].null_count() > 0.95 * rows.height
    assert (rows["sex"] == "M").mean() > 0.95
    assert rows["age"].median() == pytest.approx(50, abs=2)
    assert (rows["smoker"] == 1).mean() == pytest.approx((odd["smoker"] == 1).mean(), abs=0.05)


@pytest.mark.parametrize("persons", [0, 3, 40])
def test_few_persons_are_sent_to_the_joint_corpus(study, table, persons):
    with pytest.raises(Refused, match="joint corpus"):
        fit(table.head(persons), study)


def test_a_label_of_one_class_is_refused(study, table):
    with pytest.raises(Refused, match="class"):
        fit(table.with_columns(pl.lit(1, dtype=pl.Int8).alias("label")), study)


@pytest.mark.parametrize("epsilon", [0.0, -1.0])
def test_a_budget_of_nothing_is_refused(study, table, epsilon):
    with pytest.raises(Invalid, match="epsilon"):
        fit(table, study, epsilon=epsilon)


def test_noise_of_unknown_source_is_refused(study, table):
    class Odd(UnsafeEntropy):
        name = "dice"

    with pytest.raises(Invalid, match="dice"):
        fit(table, study, entropy=Odd("x"))
