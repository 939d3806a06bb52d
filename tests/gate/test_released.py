"""What left before is remembered whole, under keyed names, and tells who was used, held out or away."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from wardgate.hospital.ward.gate.battery.refreshes import Was
from wardgate.hospital.ward.gate.released import Released
from wardgate.records.errors import Broken

KEY = b"k" * 32
CORPUS = pl.DataFrame({"age": [50.0, 60.0], "label": [0, 1]})


def released(folder: Path, **persons: list[str]) -> Released:
    splits = {"train": [], "tuning": [], "holdout": [], "locked_test": [], **persons}
    return Released(folder=folder / "released-one", key=KEY, persons=splits)


def test_who_was_used_held_out_or_away_is_told_for_todays_persons(tmp_path: Path) -> None:
    then = released(tmp_path, train=["ann", "bob", "cid"], holdout=["dee"], locked_test=["eve"])
    then.keep(CORPUS, pl.DataFrame({"age": [1.0, 2.0, 3.0], "label": [0, 0, 1]}))
    today = released(tmp_path, train=["eve", "bob", "fay"], holdout=["dee", "ann"])
    (earlier,) = today.earlier()
    assert earlier.corpus.equals(CORPUS)
    assert earlier.roles is not None
    assert earlier.roles.train.tolist() == [Was.HELD, Was.USED, Was.AWAY]
    assert earlier.roles.holdout.tolist() == [Was.HELD, Was.USED]
    assert earlier.roles.left["age"].to_list() == [3.0], "cid is no longer here, and still in the corpus"


def test_releases_stand_in_their_order_and_name_nobody(tmp_path: Path) -> None:
    then = released(tmp_path, train=["ann"], holdout=["dee"])
    for age in (1.0, 2.0):
        then.keep(CORPUS.with_columns(age=pl.lit(age)), pl.DataFrame({"age": [age], "label": [0]}))
    assert [one.corpus["age"][0] for one in then.earlier()] == [1.0, 2.0]
    everything = b"".join(path.read_bytes() for path in sorted(tmp_path.rglob("*")) if path.is_file())
    assert b"ann" not in everything
    assert b"dee" not in everything


def test_nothing_remembered_is_nothing_released(tmp_path: Path) -> None:
    assert released(tmp_path, train=["ann"]).earlier() == ()


def test_a_release_that_cannot_be_read_stops_the_next(tmp_path: Path) -> None:
    then = released(tmp_path, train=["ann"], holdout=["dee"])
    then.keep(CORPUS, pl.DataFrame({"age": [1.0], "label": [0]}))
    (tmp_path / "released-one" / "0001" / "used.parquet").write_bytes(b"PAR1")
    with pytest.raises(Broken, match="0001 cannot be read"):
        then.earlier()


def test_a_draft_of_a_crash_is_no_release(tmp_path: Path) -> None:
    then = released(tmp_path, train=["ann"], holdout=["dee"])
    (tmp_path / "released-one" / ".0001.draft").mkdir(parents=True)
    assert then.earlier() == ()
    then.keep(CORPUS, pl.DataFrame({"age": [1.0], "label": [0]}))
    assert len(then.earlier()) == 1
    assert np.all(then.earlier()[0].roles.train == Was.USED)
