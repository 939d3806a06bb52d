"""Every generator's fit can be kept, and draws afterwards what it would have drawn."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_persons import persons
from small_timelines import PLAN
from small_timelines import timelines as small_timelines
from wardgate.entropy import UnsafeEntropy
from wardgate.hospital.ward.answering.synthesis.draw import draw
from wardgate.hospital.ward.answering.synthesis.fit import fit, opened
from wardgate.hospital.ward.answering.synthesis.kinds import BY_GENERATOR, kinds
from wardgate.hospital.ward.answering.synthesis.saved import pack, unpack
from wardgate.hospital.ward.answering.synthesis.wish import Source, Wish
from wardgate.hospital.ward.generators import GENERATORS, choose, timelines
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid

QUICK = {"tabular-gan": {"steps": 20}, "autoregressive": {"most_epochs": 3}, "private-gan": {"batches": 20}}
QUICK_TIMELINES = {
    "private-timelines": {"most_rows": 30, "window_hours": 300, "grain_hours": 0.25},
    "autoregressive-timelines": {"epochs": 1},
}


def same(generator: str, fitted, count: int, **asked) -> bool:
    again = unpack(pack(fitted, types=kinds(generator)), types=kinds(generator))
    tables = [one.sample(count, rng=np.random.default_rng(5), **asked) for one in (fitted, again)]
    return again.claim == fitted.claim and tables[0].equals(tables[1])


def test_every_generator_says_what_its_fits_hold():
    assert set(BY_GENERATOR) == {*GENERATORS, *timelines.GENERATORS}
    with pytest.raises(Invalid):
        kinds("gan9")


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_kept_fit_draws_what_the_fit_itself_would(generator: str, dictionary: Dictionary):
    fitted = choose(generator, QUICK.get(generator)).fit(
        persons(1_200, seed=1),
        dictionary,
        tuning=persons(400, seed=2),
        epsilon=3.0,
        delta=1e-6,
        entropy=UnsafeEntropy("kept"),
        rng=np.random.default_rng(0),
    )
    assert same(generator, fitted, 200, where={"sex": "F"})


@pytest.mark.parametrize("generator", timelines.GENERATORS)
def test_a_kept_fit_of_timelines_does_too(generator: str):
    fitted = choose(generator, QUICK_TIMELINES[generator], among=timelines.GENERATORS).fit(
        small_timelines(1_500, seed=1),
        PLAN,
        tuning=small_timelines(300, seed=2),
        epsilon=5.0,
        delta=1e-6,
        entropy=UnsafeEntropy("kept"),
        rng=np.random.default_rng(0),
    )
    assert same(generator, fitted, 100)


def test_timelines_are_fitted_and_drawn_from_files_in_every_form_that_suits(tmp_path: Path):
    lines = small_timelines(1_500, seed=1).rename({"label": str(PLAN.label)})
    lines.write_parquet(tmp_path / "real.parquet")
    wish = Wish(
        generator="private-timelines",
        epsilon=5.0,
        settings={name: str(value) for name, value in QUICK_TIMELINES["private-timelines"].items()},
    )
    source = Source(real=tmp_path / "real.parquet", dictionary=PLAN)
    fit(source, wish, out=tmp_path / "fit", entropy=UnsafeEntropy("files"), seed=1, on="2026-01-02")
    assert opened(tmp_path / "fit").record.generator == "private-timelines"
    plain = draw(tmp_path / "fit", rows=50, out=tmp_path / "c.parquet", form="parquet", seed=1, on="2026-01-02")
    table = pl.read_parquet(tmp_path / "c.parquet")
    assert table[PLAN.person].n_unique() == 50 and table.height == plain.rows
    draw(tmp_path / "fit", rows=50, out=tmp_path / "meds", form="meds", seed=1, on="2026-01-02")
    events = pl.read_parquet(tmp_path / "meds" / "data" / "0.parquet")
    assert events["subject_id"].n_unique() == 50
    assert (tmp_path / "meds" / "metadata" / "codes.parquet").exists()
    with pytest.raises(Invalid, match="MEDS"):
        draw(tmp_path / "fit", rows=5, out=tmp_path / "omop", form="omop", seed=1, on="2026-01-02")
