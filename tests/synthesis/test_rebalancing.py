"""A corpus with more of the few, audited, and used only where it does no harm."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_persons import FEATURES, persons
from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.answering.synthesis.rebalanced import Rebalanced
from wardgate.hospital.ward.answering.synthesis.rebalancing import enriched, rebalance, taught
from wardgate.hospital.ward.generators import MarginalTree, SequentialCart
from wardgate.measures.encoding import design_matrix
from wardgate.measures.logistic import linear, probability
from wardgate.measures.rebalancing import Wanted, design_of, meets
from wardgate.records.claim import Claim
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.feature import Subgroup

DICTIONARY = Dictionary(
    features=FEATURES, label="label", subgroups=(Subgroup(feature="sex"), Subgroup(feature="stage"))
)
OLD_SMOKERS = {"smoker": 1, "stage": "IV", "label": 1}


def fitted_tree(table: pl.DataFrame, rng: np.random.Generator):
    return MarginalTree().fit(
        table, DICTIONARY, epsilon=3.0, delta=1e-6, entropy=UnsafeEntropy(seed=str(rng.integers(1 << 30))), rng=rng
    )


@dataclass(frozen=True)
class Replaying:
    """A generator that replays persons, perhaps with their outcomes turned round in one group."""

    pool: pl.DataFrame
    wrong: bool = False
    claim: Claim = field(default_factory=lambda: Claim(kind="none"))

    @property
    def persons(self) -> int:
        return 1_500

    def sample(self, rows, *, rng, where=None):
        pool = self.pool.filter(pl.Series(meets(where, self.pool))) if where else self.pool
        found = pool[rng.integers(pool.height, size=rows)]
        if self.wrong and where:
            found = found.with_columns(pl.lit(1, dtype=pl.Int8).alias("label"))
        return found


@pytest.fixture(scope="module")
def split():
    table = persons(4_000, seed=1)
    return table[:3_000], table[3_000:]


@pytest.fixture(scope="module")
def found(split) -> Rebalanced:
    real, tuning = split
    rng = np.random.default_rng(2)
    return rebalance(
        fitted_tree(real, rng),
        [Wanted(where=OLD_SMOKERS, factor=2), Wanted(where={"sex": "F"}, share=0.6)],
        real=real,
        tuning=tuning,
        dictionary=DICTIONARY,
        rng=rng,
    )


def test_the_added_rows_come_last_and_meet_their_request(found):
    assert found.table.height == found.natural.height + sum(found.added)
    assert found.table[: found.natural.height].equals(found.natural)
    start = found.natural.height
    for one, count in zip(found.design.wanted, found.added, strict=True):
        assert meets(one.where, found.table[start : start + count]).all()
        start += count


def test_targets_are_reached(found):
    twice = meets(OLD_SMOKERS, found.table).sum() / meets(OLD_SMOKERS, found.natural).sum()
    assert twice == pytest.approx(2, abs=0.1)
    assert meets({"sex": "F"}, found.table).mean() == pytest.approx(0.6, abs=0.01)


def test_the_audit_shows_what_changed(found):
    before, after = ({one.name: one for one in side} for side in found.representation)
    assert after["sex=F"].share > before["sex=F"].share + 0.05
    assert abs(after["sex=F"].difference.value) > abs(before["sex=F"].difference.value)
    assert {one.name for one in found.service[0]} == {"everybody", *before}


def test_the_record_is_json_and_the_page_is_text(found):
    record = json.loads(json.dumps(found.plain(), allow_nan=False))
    assert record["rows"]["rebalanced"] == found.table.height
    assert record["corpus"]["accepted"] == found.corpus.accepted
    page = found.text()
    assert "2 times as many" in page and "60% of all" in page
    assert ("accepted." in page) and "everybody" in page
    assert page.isascii()


def test_what_is_used_is_the_natural_corpus_unless_accepted(found):
    assert found.accepted is (found.table if found.corpus.accepted else found.natural)


def test_a_private_claim_covers_the_added_rows_and_none_does_not(split, found):
    assert found.protected
    real, tuning = split
    rng = np.random.default_rng(3)
    cart = SequentialCart().fit(real, DICTIONARY, epsilon=1.0, delta=1e-6, entropy=UnsafeEntropy(seed="1"), rng=rng)
    open_one = rebalance(
        cart,
        [Wanted(where={"stage": "IV"}, factor=2)],
        real=real,
        tuning=tuning,
        dictionary=DICTIONARY,
        rng=rng,
        rows=800,
    )
    assert not open_one.protected
    assert open_one.natural.height == 800
    assert "the gate has to judge" in open_one.text()


def test_without_refits_only_persons_whom_the_generator_never_saw_are_judged_on(split, found):
    _, tuning = split
    assert found.validated == "tuning"
    assert found.corpus.events + found.corpus.non_events == tuning.height


def test_with_refits_everybody_is_judged_on_and_nobody_by_his_own_generator(split):
    real, tuning = split[0][:600], split[1][:200]
    seen = []

    def refit(table, rng):
        seen.append(table)
        return fitted_tree(table, rng)

    rng = np.random.default_rng(4)
    found = rebalance(
        fitted_tree(real, rng),
        [Wanted(where={"label": 1}, share=0.6)],
        real=real,
        tuning=tuning,
        dictionary=DICTIONARY,
        rng=rng,
        refit=refit,
        folds=2,
    )
    assert found.augmentation.events + found.augmentation.non_events == 800
    assert [one.height for one in seen] == [pytest.approx(400, abs=3)] * 2


def test_rows_that_teach_something_false_are_not_accepted(split):
    """Whoever is added has the outcome, as the generator would have it; real persons know better."""
    real, tuning = split
    rng = np.random.default_rng(5)
    wrong = Replaying(pool=persons(4_000, seed=6), wrong=True)
    found = rebalance(
        wrong, [Wanted(where={"sex": "F"}, share=0.8)], real=real, tuning=tuning, dictionary=DICTIONARY, rng=rng
    )
    assert not found.corpus.accepted and not found.augmentation.accepted
    assert found.accepted is found.natural


def test_rows_that_know_better_than_miscoded_persons_are_accepted():
    """The rule can say yes: here the outcomes of the hospital's training persons are in another's row."""
    rng = np.random.default_rng(7)
    real = persons(600, seed=12)
    found = rebalance(
        Replaying(pool=persons(20_000, seed=8)),
        [Wanted(where={"sex": sex}, factor=5) for sex in ("F", "M")],
        real=real.with_columns(real["label"].shuffle(seed=1)),
        tuning=persons(800, seed=13),
        dictionary=DICTIONARY,
        rng=rng,
        thresholds=(0.3, 0.4, 0.5),
    )
    assert found.augmentation.accepted
    assert not found.corpus.accepted, "a corpus of the same rows twice is no better than once"


def test_a_model_of_the_rebalanced_corpus_foretells_natural_risks(split):
    """The broken twin, untold of the design, does not."""
    real, tuning = split
    rng = np.random.default_rng(9)
    source = fitted_tree(real, rng)
    natural = source.sample(4_000, rng=rng)
    wanted = [Wanted(where={"label": 1}, share=0.8)]
    table, _ = enriched(source, wanted, natural, rng=rng)
    x = design_matrix(FEATURES, tuning)
    told = taught(table, DICTIONARY, design=design_of(wanted, natural, table))
    untold = taught(table, DICTIONARY)
    real_rate = float(tuning["label"].mean())
    assert float(probability(linear(x, told)).mean()) == pytest.approx(real_rate, abs=0.06)
    assert float(probability(linear(x, untold)).mean()) > real_rate + 0.2


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ([], "at least one request"),
        ([Wanted(where={"shoe": 1}, factor=2)], "no column"),
        ([Wanted(where={"stage": "V"}, factor=2)], "expects one of"),
        ([Wanted(where={"sex": "F"}, share=0.6), Wanted(where={"sex": "M"}, share=0.6)], "add up to"),
        ([Wanted(where={"age": (18, 18), "stage": "IV", "smoker": 0, "cough": None, "label": 1}, factor=2)], "nobody"),
    ],
)
def test_requests_that_cannot_be_met_say_why(split, wanted, message):
    real, tuning = split
    rng = np.random.default_rng(10)
    with pytest.raises(Invalid, match=message):
        rebalance(fitted_tree(real, rng), wanted, real=real, tuning=tuning, dictionary=DICTIONARY, rng=rng, rows=300)


def test_without_an_outcome_there_is_no_net_benefit(split):
    real, tuning = split
    rng = np.random.default_rng(11)
    with pytest.raises(Invalid, match="needs an outcome"):
        rebalance(
            fitted_tree(real, rng),
            [Wanted(where={"sex": "F"}, factor=2)],
            real=real,
            tuning=tuning,
            dictionary=Dictionary(features=FEATURES),
            rng=rng,
        )


def test_timelines_are_not_rebalanced(split):
    real, tuning = split
    rng = np.random.default_rng(14)
    timelines = Dictionary(features=FEATURES, label="label", person="who", time="when")
    with pytest.raises(Unsupported, match="one row a person"):
        rebalance(
            Replaying(pool=real),
            [Wanted(where={"sex": "F"}, factor=2)],
            real=real,
            tuning=tuning,
            dictionary=timelines,
            rng=rng,
        )
