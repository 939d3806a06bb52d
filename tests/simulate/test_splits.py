"""Simulated hospitals out of corpora: each differs in the stated way, and no row stands twice."""

import numpy as np
import polars as pl
import pytest

from wardgate.measures.encoding import design_matrix, labels
from wardgate.records.errors import Invalid
from wardgate.records.study import Study
from wardgate.simulate.splits import SHARES, Way, principal, simulated

STUDY = Study.model_validate(
    {
        "schema": "wardgate/study/1",
        "id": "split",
        "version": 1,
        "title": "t",
        "question": "q",
        "cohort": {"entry": "e"},
        "index_date": "d",
        "label": {"name": "dead", "meaning": "m", "window_days": [0, 1]},
        "features": [
            {"name": "age", "type": "number", "unit": "a", "range": [0, 100], "missing": "refused"},
            {"name": "row", "type": "number", "unit": "1", "range": [0, 100000], "missing": "refused"},
        ],
        "acceptance": {"auroc_min": 0.5, "worst_site_auroc_min": 0.5},
        "sites": ["a", "b", "c", "d"],
    }
)


def corpora(*rows: int, share: float = 0.3) -> list[pl.DataFrame]:
    rng = np.random.default_rng(1)
    found, start = [], 0
    for count in rows:
        label = (rng.random(count) < share).astype(np.int8)
        age = np.clip(40 + 15 * label + 10 * rng.standard_normal(count), 0, 100)
        found.append(pl.DataFrame({"age": age, "row": np.arange(start, start + count, dtype=float), "label": label}))
        start += count
    return found


def whole(tables: dict[str, dict[str, pl.DataFrame]]) -> dict[str, pl.DataFrame]:
    return {site: pl.concat(splits.values()) for site, splits in tables.items()}


WAYS = [Way(kind="natural"), Way(kind="labels", alpha=0.1), Way(kind="sizes"), Way(kind="features")]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_no_row_stands_twice_and_sizes_are_kept(way: Way) -> None:
    tables = simulated(
        STUDY, corpora(400, 300, 200, 100), way, sizes=[400, 300, 200, 100], rng=np.random.default_rng(3)
    )
    rows = pl.concat(whole(tables).values())["row"]
    assert rows.n_unique() == len(rows)
    assert sorted(tables) == ["s01", "s02", "s03", "s04"]
    sizes = [table.height for table in whole(tables).values()]
    if way.kind != "sizes":
        assert np.allclose(sizes, [400, 300, 200, 100], atol=8)
    for splits in tables.values():
        height = sum(table.height for table in splits.values())
        for name, share in SHARES:
            assert abs(splits[name].height - share * height) <= 1


def test_labels_differ_more_the_smaller_alpha_is() -> None:
    def spread(alpha: float) -> float:
        found = [
            np.std([float(labels(table).mean()) for table in whole(tables).values()])
            for seed in range(10)
            for tables in [
                simulated(
                    STUDY,
                    corpora(4_000),
                    Way(kind="labels", alpha=alpha),
                    sizes=[250] * 8,
                    rng=np.random.default_rng(seed),
                )
            ]
        ]
        return float(np.mean(found))

    assert spread(0.1) > spread(1) > spread(50)


def test_sizes_differ_and_features_part_the_rows() -> None:
    rng = np.random.default_rng(2)
    by_size = whole(simulated(STUDY, corpora(4_000), Way(kind="sizes"), sizes=[400] * 8, rng=rng))
    heights = sorted(table.height for table in by_size.values())
    assert heights[-1] > 3 * heights[0]
    by_feature = whole(simulated(STUDY, corpora(4_000), Way(kind="features"), sizes=[500] * 8, rng=rng))
    mixed = whole(simulated(STUDY, corpora(4_000), Way(kind="labels", alpha=100), sizes=[500] * 8, rng=rng))

    def between(tables: dict[str, pl.DataFrame]) -> float:
        along = principal(design_matrix(STUDY.features, pl.concat(tables.values()))[:, 1:])
        ends = np.cumsum([table.height for table in tables.values()])[:-1]
        return float(np.std([piece.mean() for piece in np.split(along, ends)]))

    assert between(by_feature) > 4 * between(mixed)


def test_the_same_generator_gives_the_same_hospitals() -> None:
    first, second = (
        simulated(STUDY, corpora(900), Way(kind="features"), sizes=[300] * 3, rng=np.random.default_rng(5))
        for _ in range(2)
    )
    assert all(first[site][split].equals(second[site][split]) for site in first for split in first[site])


@pytest.mark.parametrize("text", ["", "label", "labels", "labels:", "labels:0", "labels:x", "labels:-1", "natural:1"])
def test_a_way_that_nobody_knows_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        Way.of(text)


def test_a_way_reads_back() -> None:
    assert [Way.of(way.name) for way in WAYS] == [
        *[Way(kind="natural"), Way(kind="labels", alpha=0.1), Way(kind="sizes"), Way(kind="features")]
    ]


def test_what_cannot_be_divided_is_refused_in_words() -> None:
    rng = np.random.default_rng(0)
    one = Way(kind="sizes")
    with pytest.raises(Invalid, match="three"):
        simulated(STUDY, corpora(100), one, sizes=[50, 50], rng=rng)
    with pytest.raises(Invalid, match="too few"):
        simulated(STUDY, corpora(20), one, sizes=[10, 10, 10], rng=rng)
    with pytest.raises(Invalid, match="one class"):
        simulated(STUDY, corpora(100, share=0.0), one, sizes=[30, 30, 30], rng=rng)
    with pytest.raises(Invalid, match="corpora for"):
        simulated(STUDY, corpora(100), Way(kind="natural"), sizes=[30, 30, 30], rng=rng)
    with pytest.raises(Invalid, match="lacks a column"):
        simulated(STUDY, [corpora(100)[0].drop("age")], one, sizes=[30, 30, 30], rng=rng)
