"""What one person, with all their rows, can do to the sums over timelines: what is stated, whatever they hold."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.entropy import UnsafeEntropy
from wardgate.marginals.timelines.counts import Bands, category_counts, gap_counts, gap_edges
from wardgate.marginals.timelines.levels import Ruler, ruler, together
from wardgate.marginals.timelines.people import SHARES, Shape, bounded, people
from wardgate.marginals.timelines.scale import Scale, columns, histograms, numbers
from wardgate.marginals.timelines.transitions import bound, contributions, courses, measurements, ratios, stays
from wardgate.measures.lines import Lines
from wardgate.privacy.noise import gaussian_release
from wardgate.records.feature import Feature

SHAPE = Shape(
    statics=(Feature(name="age", type="number", unit="a", range=(0, 120)),),
    features=(
        Feature(name="pulse", type="number", unit="/min", range=(0, 300)),
        Feature(name="score", type="integer", unit="1", range=(3, 15)),
        Feature(name="oxygen", type="boolean"),
        Feature(name="ward", type="category", values=("general", "step-down", "intensive")),
    ),
    most_rows=30,
    window_hours=100.0,
)
CUTS = Bands(pace=(1.0, 4.0), visits=(3.0, 10.0))
EDGES = gap_edges(0.25, 100.0)
SCALES = tuple(
    Scale(column=column, share=np.full(column.present, 1 / column.present)) for column in columns(SHAPE.features)
)


def person(seed: int, rows: int, *, stretch: float, missing: float, constant: bool, label: int) -> Lines:
    rng = np.random.default_rng(seed)
    values = np.column_stack(
        (
            rng.normal(80, 10 * stretch, rows),
            rng.integers(3, 16, rows),
            rng.integers(0, 2, rows),
            rng.integers(0, 3, rows),
        )
    ).astype(np.float64)
    values = np.repeat(values[:1], rows, axis=0) if constant else values
    values[rng.random(values.shape) < missing] = np.nan
    return Lines(
        statics=SHAPE.statics,
        features=SHAPE.features,
        people=pl.DataFrame({"age": [float(rng.uniform(-10, 200))], "label": pl.Series([label], dtype=pl.Int8)}),
        rows=np.array([rows]),
        time=np.cumsum(rng.exponential(2 * stretch, rows)),
        values=values,
    )


def joined(*parts: Lines) -> Lines:
    return Lines(
        statics=SHAPE.statics,
        features=SHAPE.features,
        people=pl.concat([part.people for part in parts]),
        rows=np.concatenate([part.rows for part in parts]),
        time=np.concatenate([part.time for part in parts]),
        values=np.concatenate([part.values for part in parts]),
    )


def others(count: int = 12) -> Lines:
    return joined(
        *(
            person(100 + seed, 2 + seed % 9, stretch=1.0, missing=0.3, constant=False, label=seed % 2)
            for seed in range(count)
        )
    )


def some_ruler(lines: Lines) -> Ruler:
    return ruler(SHAPE, people(lines, SHAPE, SCALES))


def sums(lines: Lines) -> dict[str, tuple[np.ndarray, float]]:
    """Return every sum that is released of timelines, with what one person may move it by."""
    kept = bounded(lines, SHAPE)
    own = people(kept, SHAPE, SCALES)
    by = some_ruler(OTHERS)
    groups = {
        "courses": courses(kept, SCALES),
        "measurements": measurements(kept, CUTS),
        "stays": stays(kept),
        "levels": together(own, by),
    }
    found = {
        name: (contributions(parts).sum(axis=0), bound(sum(one.shape[1] for one, _ in parts.values())))
        for name, parts in groups.items()
    }
    found["histograms"] = (histograms(kept), float(np.sqrt(len(numbers(SHAPE.features)))))
    found["gaps"] = (gap_counts(kept, CUTS, EDGES, grain_hours=0.25), 1.0)
    found["categories"] = (category_counts(kept), 1.0)
    return found


OTHERS = others()


@given(
    seed=st.integers(0, 10_000),
    rows=st.one_of(st.integers(1, 6), st.integers(7, 400)),
    stretch=st.sampled_from([0.01, 1.0, 50.0]),
    missing=st.sampled_from([0.0, 0.5, 0.95, 1.0]),
    constant=st.booleans(),
    label=st.integers(0, 1),
)
def test_a_whole_person_moves_every_sum_by_at_most_what_is_stated(
    seed: int, rows: int, stretch: float, missing: float, constant: bool, label: int
) -> None:
    one = person(seed, rows, stretch=stretch, missing=missing, constant=constant, label=label)
    with_person, without = sums(joined(OTHERS, one)), sums(OTHERS)
    for name, (total, l2) in with_person.items():
        assert np.linalg.norm(total - without[name][0]) <= l2 * (1 + 1e-9), name


def test_the_rows_of_one_person_say_nothing_of_another() -> None:
    alone = people(bounded(OTHERS, SHAPE), SHAPE, SCALES)
    long = person(7, 400, stretch=50, missing=0.0, constant=False, label=1)
    beside = people(bounded(joined(OTHERS, long), SHAPE), SHAPE, SCALES)
    assert beside[: alone.height].equals(alone)


def test_bounded_keeps_everybody_and_nothing_beyond_cap_and_window() -> None:
    late = person(3, 400, stretch=50, missing=0.0, constant=False, label=0)
    found = bounded(joined(late, OTHERS), SHAPE)
    assert found.persons == OTHERS.persons + 1
    assert found.rows.max() <= SHAPE.most_rows and found.rows.min() >= 1
    assert found.time.max() <= SHAPE.window_hours


def test_flags_that_are_never_or_always_are_told_from_those_that_are_rarely_or_often() -> None:
    rows = np.array([200, 200, 200])
    flags = np.zeros(600)
    flags[200:201] = 1
    flags[400:] = 1
    lines = Lines(
        statics=(),
        features=(Feature(name="oxygen", type="boolean"),),
        people=pl.DataFrame({"label": pl.Series([0, 1, 0], dtype=pl.Int8)}),
        rows=rows,
        time=np.tile(np.arange(200.0), 3),
        values=flags[:, None],
    )
    shape = Shape(statics=(), features=lines.features, most_rows=200, window_hours=1000)
    assert people(lines, shape, ())["oxygen.share"].to_list() == [0, 1, SHARES]


def test_a_figure_that_drowns_in_the_noise_says_nothing() -> None:
    found = ratios(np.array([5.0, 0.5, 2.0, 0.1]), {"a": 2}, sigma=0.05)
    assert found.mean["a"].tolist() == [0.5, 0.0]
    assert np.isinf(found.deviation["a"][1]) and np.isfinite(found.deviation["a"][0])


def told_apart(exact: np.ndarray, without: np.ndarray, *, l2: float, noise_multiplier: float) -> float:
    """Return how often an attacker who knows all others tells whether a person took part (balanced accuracy)."""
    trace = exact - without
    threshold, told = float(trace @ trace) / 2, 0
    for trial in range(300):
        seen = gaussian_release(
            exact if trial % 2 == 0 else without,
            l2=l2,
            noise_multiplier=noise_multiplier,
            entropy=UnsafeEntropy(f"trial {trial}"),
        )
        told += (float((seen - without) @ trace) > threshold) == (trial % 2 == 0)
    return told / 300


def raw_gaps(lines: Lines) -> np.ndarray:
    """The broken twin: every gap of a person adds 1, and nobody is cut."""
    whose = lines.whose
    later = np.flatnonzero(whose[1:] == whose[:-1]) + 1
    hours = lines.time[later] - lines.time[later - 1]
    return np.bincount(np.searchsorted(EDGES * 0.25, hours), minlength=len(EDGES) + 1).astype(np.float64)


@pytest.mark.parametrize("multiplier", [4.0])
def test_a_long_timeline_is_seen_in_plain_counts_and_not_in_bounded_ones(multiplier: float) -> None:
    long = person(5, 5_000, stretch=0.5, missing=0.0, constant=False, label=1)
    crowd = joined(OTHERS, long)
    assert told_apart(raw_gaps(crowd), raw_gaps(OTHERS), l2=1.0, noise_multiplier=multiplier) > 0.99
    without = sums(OTHERS)
    for name, (total, l2) in sums(crowd).items():
        if np.any(total != without[name][0]):
            assert told_apart(total, without[name][0], l2=l2, noise_multiplier=multiplier) < 0.65, name
