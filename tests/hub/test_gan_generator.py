"""The joint GAN's generator: keeps what marginals say, keeps the rules, and learns what marginals do not say."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from wardgate.computations.menu import MENU
from wardgate.hospital.ward.learning.menu import ANSWERS
from wardgate.hub.pooling.ask import Told
from wardgate.hub.pooling.gan_generator import balanced
from wardgate.hub.pooling.joint_gan import GanSettings, JointGan, joint_gan
from wardgate.records.errors import Invalid
from wardgate.records.study import Study
from wardgate.records.study_file import parse

TWINS = """\
schema: wardgate/study/1
id: twins
version: 1
title: Two columns that go together
question: Does a network see it?
cohort: {entry: admitted}
index_date: admission
label: {name: worse, meaning: worse within a week, window_days: [0, 7]}
features:
  - {name: left, type: category, values: [a, b, c], missing: refused}
  - {name: right, type: category, values: [a, b, c], missing: refused}
  - {name: level, type: number, unit: mg/L, range: [0, 10]}
RULES
acceptance: {auroc_min: 0.55, worst_site_auroc_min: 0.3, oe: [0.2, 5], slope: [0.1, 5], subgroup_gap_max: 0.5}
sites: [one, two, three]
"""

RULE = "rules: [{name: same, left: right, op: '==', right: a, when: {left: [a]}}]"


def twins(count: int, *, rng: np.random.Generator) -> pl.DataFrame:
    """`right` is `left` for nine in ten, and always for `a`; `level` knows nothing; the label follows `left`."""
    left = rng.choice(["a", "b", "c"], count, p=[0.5, 0.3, 0.2])
    other = np.where(left == "a", "a", rng.choice(["b", "c"], count))
    right = np.where(rng.random(count) < 0.9, left, other)
    seen = zip(rng.random(count) < 0.2, rng.uniform(0, 10, count), strict=True)
    level = [None if missing else value for missing, value in seen]
    label = (rng.random(count) < np.where(left == "c", 0.7, 0.3)).astype(np.int8)
    return pl.DataFrame({"left": left, "right": right, "level": level, "label": label})


class OneTable:
    """All persons in one place: what only a test may have."""

    def __init__(self, study: Study, table: pl.DataFrame) -> None:
        self.study, self.table, self.kept, self.site = study, table, dict[str, Any](), "one"

    def part(self, _: str) -> "OneTable":
        return self


def fitted(table: pl.DataFrame, *, rule: bool = False, noise: float = 0.0, **settings: Any) -> JointGan:
    study = parse(TWINS.replace("RULES", RULE if rule else "rules: []"), name="study.yaml")
    bench, rng = OneTable(study, table), np.random.default_rng(0)
    steps = joint_gan(study=study, sites=study.sites, rng=rng, settings=GanSettings(**settings))
    ask = next(steps)
    while True:
        asked = MENU[ask.computation].read(ask.parameters, dict(ask.arrays))
        vector = ANSWERS[ask.computation].answer(asked, bench=bench, split="train").vector  # type: ignore[arg-type]
        try:
            ask = steps.send(Told(total=vector + noise * rng.standard_normal(len(vector)), noise=noise))
        except StopIteration as end:
            found: JointGan = end.value
            return found


SMALL = {"hidden": (16,), "generator_hidden": 32, "batch": 300, "fakes": 600}


def same(table: pl.DataFrame) -> float:
    return float((table["left"] == table["right"]).mean())  # type: ignore[arg-type]


def test_the_contest_teaches_how_columns_go_together_and_keeps_how_each_is_spread() -> None:
    rng = np.random.default_rng(1)
    table = twins(2_000, rng=rng)
    before = fitted(table, rounds=1, **SMALL).sample(4_000, rng=rng)
    after = fitted(table, rounds=100, generator_rate=0.008, **SMALL).sample(4_000, rng=rng)
    assert same(table) > 0.9
    assert same(before) < 0.5
    assert same(after) > 0.75
    for name in ("left", "right"):
        for value in "abc":
            real, drawn = float((table[name] == value).mean()), float((after[name] == value).mean())
            assert abs(real - drawn) < 0.05, (name, value)
    assert abs(after["level"].null_count() / 4_000 - 0.2) < 0.05
    assert abs(float(after["label"].mean()) - float(table["label"].mean())) < 0.05


def test_rows_keep_the_rules_and_columns_their_spread_all_the_same() -> None:
    rng = np.random.default_rng(2)
    table = twins(2_000, rng=rng)
    found = fitted(table, rule=True, rounds=10, **SMALL)
    drawn = found.sample(4_000, rng=rng)
    broken = (drawn["left"] == "a") & (drawn["right"] != "a")
    assert not broken.any()
    assert abs(float((drawn["left"] == "a").mean()) - 0.5) < 0.06, "half of what is drawn breaks the rule at the start"


def test_balancing_restores_what_the_marginals_say() -> None:
    rng = np.random.default_rng(3)
    found = fitted(twins(2_000, rng=rng), rounds=1, **SMALL).generator
    label = np.ones(4_000, dtype=np.int64)

    def gap(generator: Any) -> float:
        outs = generator.network.forward(generator.weights, generator.entering(label, rng=rng))
        drawn = generator.soft(generator.start[label] + outs[-1]).mean(axis=0)
        return float(np.abs(drawn - np.exp(generator.wanted[1])).max())

    _, bias = found.network.layers(found.weights)[-1]
    bias[:] = np.linspace(-2, 2, len(bias))
    tilted = gap(found)
    for _ in range(4):
        found = balanced(found, rows=4_000, step=0.7, rng=rng)
    assert tilted > 0.1
    assert gap(found) < 0.02


def test_rows_are_repeatable_and_conditions_hold_or_are_refused() -> None:
    rng = np.random.default_rng(4)
    found = fitted(twins(2_000, rng=rng), rounds=1, **SMALL)
    first, again = (found.sample(200, rng=np.random.default_rng(7)) for _ in range(2))
    assert first.equals(again)
    assert found.sample(0, rng=rng).height == 0
    some = found.sample(300, rng=rng, where={"left": "c", "level": (2.0, 3.0), "label": 0})
    assert some["left"].unique().to_list() == ["c"]
    assert some["level"].is_between(2.0, 3.0).all()
    assert some["label"].sum() == 0
    assert found.sample(40, rng=rng, where={"level": None})["level"].null_count() == 40
    with pytest.raises(Invalid, match="there is no column"):
        found.sample(5, rng=rng, where={"middle": 1})
    with pytest.raises(Invalid, match="widen a condition"):
        found.sample(5, rng=rng, where={"left": "d"})
    with pytest.raises(Invalid, match="from 0 up"):
        found.sample(-1, rng=rng)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"rounds": 0},
        {"marginals_share": 1.0},
        {"smoothing": 1.0},
        {"critic_decay": -0.1},
        {"critic_rate": 0.0},
        {"batch": 0},
        {"generator_steps": -1},
    ],
)
def test_settings_that_make_no_contest_are_invalid(spoilt: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        GanSettings(**spoilt)
