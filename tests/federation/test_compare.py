"""Comparing on simulated hospitals: what is recommended, what is refused, and what it rests on."""

import math

import numpy as np
import polars as pl
import pytest
from tests.federation.made_comparison import corpora, study

from wardgate.entropy import UnsafeEntropy
from wardgate.federation.compare import COMPARED, PRIVATE, Pace, Settings, algorithm_of, compare, recommend
from wardgate.federation.compare_runs import Division, alone, local, loss, networked, pooled, privately, regression
from wardgate.hub.pooling.networks.algorithms import ALGORITHMS
from wardgate.hub.pooling.networks.private import PrivateSteps
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.logistic import fit
from wardgate.records.comparison import Comparison
from wardgate.records.errors import Invalid
from wardgate.simulate.splits import Way, simulated

pytest.importorskip("torch")

SMALL = Settings(
    ways=(Way(kind="natural"), Way(kind="labels", alpha=1.0)),
    seeds=1,
    rounds=8,
    rates=(0.3,),
    algorithms=("fedavg", "scaffold"),
    bounds=False,
)


def entropy() -> UnsafeEntropy:
    return UnsafeEntropy("compare")


def division(rows: int = 150, *, crossed: bool = False) -> Division:
    made = study(epsilon_total=20.0)
    tables = simulated(
        made, corpora(rows=rows, crossed=crossed), Way(kind="natural"), sizes=[rows] * 4, rng=np.random.default_rng(0)
    )
    return Division(study=made, network="mlp", way="natural", seed=1, tables=tables, entropy=entropy())


@pytest.fixture(scope="module")
def straight() -> Comparison:
    return compare(study(), corpora(rows=120, crossed=False), network="mlp", entropy=entropy(), settings=SMALL)


@pytest.fixture(scope="module")
def crossed() -> Comparison:
    return compare(study(), corpora(rows=300, crossed=True), network="mlp", entropy=entropy(), settings=SMALL)


def test_where_a_line_is_enough_the_page_says_so_and_auto_still_has_an_algorithm(straight: Comparison) -> None:
    assert straight.recommended == "logistic"
    assert any("is enough" in words for words in straight.reason)
    assert straight.algorithm in SMALL.algorithms
    chosen = algorithm_of(straight).work
    assert chosen.rate == straight.rate
    assert (chosen.steps == 1) == straight.whole


def test_where_only_a_network_can_tell_one_is_recommended(crossed: Comparison) -> None:
    assert crossed.recommended in (*SMALL.algorithms, "boosting")
    assert crossed.of(crossed.algorithm).auroc > crossed.of("logistic").auroc + 0.2
    assert not crossed.of("logistic").equal


def test_the_record_names_what_was_tried_and_reads_back(straight: Comparison) -> None:
    assert straight.ways == ("natural", "labels:1")
    assert {(one.candidate, one.way) for one in straight.tried} >= {("fedavg", "natural"), ("fedavg", "labels:1")}
    assert straight.sites == 4
    assert Comparison.from_plain(straight.plain()) == straight


def test_the_same_corpora_and_seed_give_the_same_record(straight: Comparison) -> None:
    again = compare(study(), corpora(rows=120, crossed=False), network="mlp", entropy=entropy(), settings=SMALL)
    assert again.to_bytes() == straight.to_bytes()


def test_auto_takes_an_algorithm_of_the_menu_with_its_rate() -> None:
    found, evidence = recommend(
        study(),
        corpora(rows=60, crossed=False),
        network="mlp",
        entropy=entropy(),
        sizes=[0, 11, 50, 50],
        settings=Settings(
            ways=(Way(kind="sizes"),), seeds=1, rounds=1, rates=(0.1,), whole=False, algorithms=("fedavg",)
        ),
    )
    assert found == ALGORITHMS["fedavg"].working(rate=0.1)
    assert [one.kind for one in evidence.candidates].count("bound") == 2


@pytest.mark.parametrize(("persons", "compared"), [(1_000, True), (30, False)])
def test_weights_travel_only_where_hospitals_would_answer_a_block(persons: int, compared: bool) -> None:
    found = compare(
        study(),
        corpora(rows=60, crossed=False, count=6),
        network="mlp",
        entropy=entropy(),
        sizes=[persons] * 6,
        settings=Settings(
            ways=(Way(kind="sizes"),), seeds=1, rounds=1, rates=(0.1,), algorithms=("fedavg", "cyclic"), bounds=False
        ),
    )
    assert ("cyclic" in {one.name for one in found.candidates}) is compared


def test_with_an_epsilon_only_ways_with_noise_may_be_recommended() -> None:
    found = compare(
        study(epsilon_total=8.0),
        corpora(rows=150, crossed=False),
        network="mlp",
        entropy=entropy(),
        epsilon=8.0,
        settings=Settings(ways=(Way(kind="natural"),), seeds=1, rounds=5, rates=(0.1,), bounds=False),
    )
    kinds = {one.name: one.kind for one in found.candidates}
    assert {name for name, kind in kinds.items() if kind == "network"} == set(PRIVATE)
    assert kinds["exact-logistic"] == "bound"
    assert found.algorithm in PRIVATE
    with pytest.raises(Invalid, match="epsilon"):
        algorithm_of(found)


def test_an_epsilon_beyond_the_studys_budget_leaves_no_network_and_says_so() -> None:
    from wardgate.records.errors import NotEvaluable

    with pytest.raises(NotEvaluable, match="epsilon"):
        compare(
            study(epsilon_total=2.0),
            corpora(rows=60, crossed=False),
            network="mlp",
            entropy=entropy(),
            epsilon=8.0,
            settings=Settings(ways=(Way(kind="natural"),), seeds=1, rounds=2, rates=(0.1,), bounds=False),
        )


def test_regression_over_simulated_hospitals_is_that_of_the_pooled_rows() -> None:
    at = division()
    pooled_rows = pl.concat([at.tables[name]["train"] for name in at.names])
    beta = fit(design_matrix(at.study.features, pooled_rows), labels(pooled_rows), ridge=at.study.model.ridge)
    expected = design_matrix(at.study.features, at.held_out) @ beta
    assert np.allclose(regression(at).held_out, expected, atol=1e-6)


def test_every_compared_algorithm_learns_something() -> None:
    at = division(150)
    y = labels(at.held_out)
    for name in COMPARED:
        learnt = networked(at, ALGORITHMS[name].working(rate=0.3), rounds=5)
        assert auroc(y, learnt.held_out).value > 0.7, name
        assert learnt.rounds == 5
        assert learnt.moved > 0


def test_pooled_training_and_single_hospitals_stand_on_their_own_sides() -> None:
    at = division(120)
    y = labels(at.held_out)
    work = ALGORITHMS["fedavg"].work
    together = auroc(y, pooled(at, work=work, rounds=6, rates=(0.1, 0.3)).held_out).value
    apart = [auroc(y, one.held_out).value for one in local(at, work=work, rounds=6)]
    assert len(apart) == 4
    assert together > np.mean(apart) - 0.02


def test_training_alone_keeps_the_best_round_on_tuning_rows() -> None:
    at = division(60)
    plain = at.plain()
    part = plain.sites["s01"].part("tuning")
    weights = [alone(at, plain, "s01", work=ALGORITHMS["fedavg"].work, rounds=rounds) for rounds in (1, 12)]
    losses = []
    for found in weights:
        assert found is not None
        from wardgate.measures.layers.forward import logits

        losses.append(loss(logits(at.architecture, found, part.x[:, 1:]), part.y))
    assert losses[1] <= losses[0]


def test_noise_costs_accuracy_and_less_of_it_costs_less() -> None:
    at = division(200)
    y = labels(at.held_out)
    found = [
        auroc(y, privately(at, PrivateSteps(), rounds=20, epsilon=epsilon).held_out).value for epsilon in (0.02, 15.0)
    ]
    assert found[1] > 0.75
    assert found[1] > found[0]


def test_the_worst_hospital_is_told_only_where_both_classes_are() -> None:
    at = division(150)
    found = at.judged("x", "network", [regression(at)])
    assert found.worst is not None
    assert 0.5 < found.worst <= (found.auroc or 0) + 0.1
    small = division(40)
    assert math.isnan(small.judged("x", "network", [regression(small)]).worst or math.nan)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"network": "other"}, "no network 'other'"),
        ({"corpora": []}, "no corpus"),
        ({"corpora": corpora(rows=30, crossed=False, count=1), "ways": ("natural",)}, "three corpora"),
        ({"sizes": [30, 30]}, "at least three"),
        ({"corpora": [one.drop("third") for one in corpora(rows=30, crossed=False)]}, "lacks a column"),
    ],
    ids=["a network that is not there", "no corpus", "one corpus", "two sizes", "a column is missing"],
)
def test_what_cannot_be_compared_is_refused_in_words(given: dict, words: str) -> None:
    settings = Settings(ways=tuple(Way.of(name) for name in given.get("ways", ("sizes",))), seeds=1, rounds=1)
    with pytest.raises(Invalid, match=words):
        compare(
            study(),
            given.get("corpora", corpora(rows=30, crossed=False)),
            network=given.get("network", "mlp"),
            entropy=entropy(),
            sizes=given.get("sizes"),
            settings=settings,
        )


@pytest.mark.parametrize(
    "settings",
    [{"algorithms": ("fedbn",)}, {"algorithms": ()}, {"ways": ()}, {"seeds": 0}, {"rates": ()}, {"most_sites": 2}],
    ids=str,
)
def test_settings_out_of_range_are_refused(settings: dict) -> None:
    with pytest.raises(Invalid):
        Settings(**settings)


def test_corpora_of_nearly_one_class_each_are_not_compared_on() -> None:
    first, *others = corpora(rows=200, crossed=False)
    ends = [
        one.with_columns(pl.lit(place % 2, dtype=pl.Int8).alias("label")).vstack(one.head(8))
        for place, one in enumerate((first, *others))
    ]
    with pytest.raises(Invalid, match="Compare on the joint corpus instead"):
        compare(study(), ends, network="mlp", entropy=entropy(), settings=SMALL)


def test_one_step_on_everybody_is_an_algorithm_at_another_pace() -> None:
    found = Pace(rate=1.0, whole=True).of(ALGORITHMS["fedadam"])
    assert (found.work.steps, found.work.batch, found.work.rate) == (1, 1_000_000, 1.0)
    assert found.server == ALGORITHMS["fedadam"].server
