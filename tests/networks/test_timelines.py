"""The network of timelines: bins without single persons, one way to see the past, and weights from one seed."""

import numpy as np
import polars as pl
import pytest
import torch

from wardgate.measures.lines import read
from wardgate.networks.timelines.bins import categories, grain_of, numbers
from wardgate.networks.timelines.coding import Coding, coded, coding_of
from wardgate.networks.timelines.drawing import draw_rows, draw_statics
from wardgate.networks.timelines.network import POWERS, Network, Sizes
from wardgate.networks.timelines.past import Batch, Past, pasts
from wardgate.networks.timelines.training import Schedule, built, train
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import NotEvaluable, Refused
from wardgate.records.feature import Feature

SMALL = Sizes(memory=16, head=8, flag=8)

PLAN = Dictionary(
    features=(
        Feature(name="age", type="integer", unit="a", range=(0, 120)),
        Feature(name="sex", type="category", values=("f", "m", "x")),
        Feature(name="pulse", type="number", unit="/min", range=(0, 300)),
        Feature(name="lactate", type="number", unit="mmol/L", range=(0, 40)),
        Feature(name="ward", type="category", values=("a", "b", "c")),
    ),
    label="died",
    person="who",
    time="hours",
    static=("age", "sex"),
)


def walks(persons: int, seed: int, *, most: int = 8) -> pl.DataFrame:
    """Persons whose pulse wanders around a level of their own."""
    rng = np.random.default_rng(seed)
    rows = rng.integers(1, most + 1, size=persons)
    whose = np.repeat(np.arange(persons), rows)
    level = rng.normal(size=persons)
    return pl.DataFrame(
        {
            "who": whose,
            "hours": np.concatenate([np.cumsum(rng.integers(1, 5, size=size)) for size in rows]).astype(float),
            "age": np.round(60 + 10 * level)[whose],
            "sex": rng.choice(["f", "m"], size=persons)[whose],
            "pulse": np.round(80 + 12 * level[whose] + 4 * rng.normal(size=len(whose))),
            "lactate": np.where(rng.random(len(whose)) < 0.3, np.round(np.exp(0.3 * level[whose]), 2), np.nan),
            "ward": rng.choice(["a", "b"], size=len(whose)),
            "label": (level + rng.normal(size=persons) > 1).astype(np.int8)[whose],
        }
    ).with_columns(pl.col("lactate").fill_nan(None))


@pytest.fixture(scope="module")
def coding() -> Coding:
    return coding_of(read(walks(400, 0), PLAN), bins=8, floor=11, most_rows=50)


@pytest.fixture(scope="module")
def network(coding: Coding) -> Network:
    network = Network(coding, SMALL)
    network.settle(torch.Generator().manual_seed(1))
    with torch.no_grad():
        for weight in network.parameters():
            weight.uniform_(-0.5, 0.5, generator=torch.Generator().manual_seed(weight.numel()))
    return network


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("floor", [1, 11, 40])
def test_no_bin_holds_fewer_persons_than_the_floor(seed: int, floor: int) -> None:
    rng = np.random.default_rng(seed)
    persons = rng.integers(0, 200, size=2000)
    values = (np.exp(rng.normal(size=2000)), rng.normal(size=2000), np.round(rng.normal(size=2000), 1))[seed % 3]
    bins = numbers(values, persons, bins=16, floor=floor)
    codes = bins.encode(values)
    assert codes.min() >= 1
    for code in range(1, bins.count + 1):
        assert len(np.unique(persons[codes == code])) >= floor


def test_one_persons_extreme_is_not_kept() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=1000), [1e6] * 5, [-1e6] * 5])
    persons = np.concatenate([np.arange(1000), np.full(5, 2000), np.full(5, 2001)])
    bins = numbers(values, persons, bins=16, floor=11)
    assert bins.high.max() < 10
    assert bins.low.min() > -10
    drawn = bins.decode(bins.encode(values), rng=rng)
    assert np.abs(drawn).max() < 10


def test_values_come_back_to_their_bin_and_on_their_step() -> None:
    rng = np.random.default_rng(1)
    values = np.round(np.exp(rng.normal(1, 1, size=5000)), 1)
    bins = numbers(values, np.arange(5000), bins=16, floor=11)
    codes = bins.encode(values)
    drawn = bins.decode(codes, rng=rng)
    assert bins.grain == 0.1
    assert np.abs(drawn * 10 - np.round(drawn * 10)).max() < 1e-6
    assert np.mean(bins.encode(drawn) == codes) > 0.97
    assert np.isnan(bins.decode(np.zeros(3, dtype=np.int64), rng=rng)).all()
    assert (np.diff(bins.place) > 0).all()


def test_values_that_many_share_stay_exact() -> None:
    rng = np.random.default_rng(2)
    values = np.where(rng.random(4000) < 0.4, 0.0, rng.gamma(2, 50, size=4000))
    bins = numbers(values, np.arange(4000), bins=16, floor=11)
    drawn = bins.decode(bins.encode(values), rng=rng)
    assert np.mean(drawn == 0) == pytest.approx(np.mean(values == 0), abs=1e-3)
    coarse = rng.integers(3, 16, size=4000).astype(float)
    bins = numbers(coarse, np.arange(4000), bins=16, floor=11)
    assert (bins.decode(bins.encode(coarse), rng=rng) == coarse).all()


def test_the_step_of_a_column_is_found() -> None:
    rng = np.random.default_rng(3)
    assert grain_of(np.round(rng.normal(80, 20, size=900))) == 1.0
    assert grain_of(np.round(rng.normal(37, 1, size=900), 1)) == 0.1
    assert grain_of(rng.integers(0, 3000, size=900) / 60) == pytest.approx(1 / 60)
    assert grain_of(rng.normal(size=900)) == 0.0


def test_a_rare_category_and_a_column_of_few_persons_are_never_drawn() -> None:
    codes = np.array([0] * 50 + [1] * 10 + [2] * 30)
    assert categories(codes, np.arange(90), 4, floor=11).atoms.tolist() == [0.0, 2.0]
    assert numbers(np.arange(10.0), np.arange(10), bins=8, floor=11).count == 0
    assert numbers(np.zeros(0), np.zeros(0, dtype=np.int64), bins=8, floor=11).count == 0


def test_extreme_lengths_are_cut_where_enough_persons_reach() -> None:
    table = walks(300, 1)
    longest = pl.DataFrame({name: table[name][:1].extend_constant(table[name][0], 199) for name in table.columns})
    longest = longest.with_columns(who=pl.lit(10**6), hours=pl.int_range(200).cast(pl.Float64))
    lines = read(pl.concat([table, longest.select(table.columns)], how="vertical_relaxed"), PLAN)
    coding = coding_of(lines, bins=8, floor=11, most_rows=500)
    assert coding.most_rows == 8
    assert coding.span < 40
    found = coded(lines, coding)
    assert found.values.shape[1] == 8
    assert not found.ends[-1]


def test_fewer_of_one_outcome_than_the_floor_is_refused() -> None:
    table = walks(200, 2).with_columns(label=(pl.col("who") < 5).cast(pl.Int8))
    with pytest.raises(Refused, match="outcomes"):
        coding_of(read(table, PLAN), bins=8, floor=11, most_rows=50)


def test_the_past_is_the_same_seen_whole_or_row_by_row(coding: Coding, network: Network) -> None:
    batch = Batch.of(coded(read(walks(30, 3), PLAN), coding))
    seen, place = network.ranks(batch.values)
    whole = pasts(seen, place, batch.hours)
    past = Past.empty((30, 3))
    for row in range(batch.values.shape[1]):
        now = batch.hours[:, row, None]
        assert torch.equal(past.summary(now, 10.0), whole.at(slice(None), row).summary(now, 10.0))
        past = past.after(seen[:, row], place[:, row], now)


def test_a_person_is_judged_the_same_alone_and_beside_longer_ones(coding: Coding, network: Network) -> None:
    codes = coded(read(walks(40, 4), PLAN), coding)
    together = network.row_nats(Batch.of(codes))
    alone = torch.cat([network.row_nats(Batch.of(codes, np.array([one]))) for one in range(40)])
    assert torch.allclose(together, alone, atol=1e-4)


def test_no_distribution_sees_what_comes_later(coding: Coding, network: Network) -> None:
    """The loss of a person who is cut short is that of the first rows: nothing later leaks into them."""
    codes = coded(read(walks(200, 5).filter(pl.len().over("who") == 6), PLAN), coding)
    batch = Batch.of(codes)
    changed = Batch.of(codes)
    changed.values[:, 4:] = (changed.values[:, 4:] + 1) % 2
    changed.hours[:, 5:] += 3
    short = [
        Batch(b.statics, b.values[:, :4], b.steps[:, :4], b.hours[:, :4], b.rows * 0 + 4, b.ends & False)
        for b in (batch, changed)
    ]
    assert torch.equal(network.row_nats(short[0]), network.row_nats(short[1]))
    with_grad = batch.values.shape[1]
    assert with_grad == 6
    full = [
        network.row_nats(Batch(b.statics, b.values, b.steps, b.hours, b.rows * 0 + 4, b.ends & False))
        for b in (batch, changed)
    ]
    assert torch.allclose(full[0], full[1], atol=1e-5)


def test_columns_of_a_row_see_only_the_columns_before_them(coding: Coding, network: Network) -> None:
    powers = torch.rand(5, 3, POWERS)
    start, last = torch.rand(5, SMALL.head), torch.rand(5)
    for at in range(3):
        other = powers.clone()
        other[:, at:] = 7.0
        assert torch.equal(network.value_logits(at, start, last, powers), network.value_logits(at, start, last, other))
    flags = torch.rand(5, 3, SMALL.flag)
    seen = torch.tensor([[1.0, 0.0, 1.0]]).expand(5, 3)
    whole = network.flag_logits(flags, seen)
    for at in range(3):
        assert torch.allclose(whole[:, at], network.flag_logit(at, flags, seen), atol=1e-6)


def test_fitting_lowers_the_loss_and_one_seed_gives_one_network(coding: Coding) -> None:
    learning, stopping = (coded(read(walks(200, seed), PLAN), coding) for seed in (6, 7))

    def fit(seed: int):
        return train(
            coding,
            learning,
            stopping,
            sizes=SMALL,
            schedule=Schedule(epochs=4, batch=32),
            rng=np.random.default_rng(seed),
        )

    state = torch.random.get_rng_state()
    one, same, other = fit(0), fit(0), fit(1)
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator was used"
    assert all(np.array_equal(one.weights[name], same.weights[name]) for name in one.weights)
    assert not all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)
    fresh = Network(coding, SMALL)
    fresh.settle(torch.Generator().manual_seed(0))
    before = float(fresh.row_nats(Batch.of(stopping)).sum().detach() / stopping.rows.sum())
    assert one.tuning_loss < before - 0.5


def test_stopping_comes_when_tuning_persons_gain_nothing(coding: Coding) -> None:
    learning, stopping = coded(read(walks(60, 8), PLAN), coding), coded(read(walks(200, 9), PLAN), coding)
    schedule = Schedule(epochs=200, patience=2, batch=16, rate=1e-2)
    found = train(coding, learning, stopping, sizes=SMALL, schedule=schedule, rng=np.random.default_rng(0))
    assert found.epochs < 100


def test_a_loss_that_is_no_number_is_said(coding: Coding, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = coded(read(walks(50, 10), PLAN), coding)
    original = Network.row_nats
    monkeypatch.setattr(Network, "row_nats", lambda *given, **named: original(*given, **named) * float("nan"))
    with pytest.raises(NotEvaluable, match="no number"):
        train(coding, codes, codes, sizes=SMALL, schedule=Schedule(epochs=1), rng=np.random.default_rng(0))


def test_drawn_rows_follow_the_codes_they_may_have(coding: Coding, network: Network) -> None:
    weights = {name: weight.detach().numpy() for name, weight in network.named_parameters()}
    assert torch.equal(built(coding, weights, sizes=SMALL).flag_out, network.flag_out)
    allowed = tuple(np.arange(one.count + 1) > 0 for one in coding.statics)
    rng = np.random.default_rng(0)
    codes, chance = draw_statics(coding, weights, 300, sizes=SMALL, allowed=allowed, rng=rng)
    assert codes.min() == 1
    assert ((chance > 0) & (chance <= 1)).all()
    drawn = draw_rows(coding, weights, codes, sizes=SMALL, rng=rng)
    assert drawn.rows.min() >= 1
    assert drawn.rows.max() <= coding.most_rows
    whose = np.repeat(np.arange(300), drawn.rows)
    assert (np.diff(drawn.time)[whose[1:] == whose[:-1]] > 0).all()
    assert 0 <= drawn.time.min() <= drawn.time.max() <= coding.span
    assert not np.isnan(drawn.values).all(axis=1).any()


def test_a_row_that_breaks_a_rule_is_drawn_again_or_left_unmeasured(coding: Coding, network: Network) -> None:
    weights = {name: weight.detach().numpy() for name, weight in network.named_parameters()}
    codes = np.ones((200, 3), dtype=np.int64)

    def high(persons, values):
        out = np.zeros(values.shape, dtype=bool)
        out[:, 0] = values[:, 0] > 80
        return out

    def never(persons, values):
        out = np.zeros(values.shape, dtype=bool)
        out[:, 0] = True
        return out

    free = draw_rows(coding, weights, codes, sizes=SMALL, rng=np.random.default_rng(0))
    kept = draw_rows(coding, weights, codes, sizes=SMALL, broken=high, rng=np.random.default_rng(0))
    none = draw_rows(coding, weights, codes, sizes=SMALL, broken=never, rng=np.random.default_rng(0))
    assert np.nanmax(free.values[:, 0]) > 80 >= np.nanmax(kept.values[:, 0])
    assert np.isnan(none.values[:, 0]).all()
    assert np.isnan(kept.values[:, 0]).mean() < np.isnan(free.values[:, 0]).mean() + 0.1
