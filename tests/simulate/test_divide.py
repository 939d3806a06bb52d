"""A public data set is divided so that each hospital's folder holds its own rows and nobody else's."""

from pathlib import Path

import polars as pl
import pytest

from wardgate.hospital.ward.cohort.load import load
from wardgate.records.errors import Invalid
from wardgate.records.mapping import parse_hospital
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.records.study_template import template
from wardgate.simulate.divide import ROW, divide, mapping_beside

MAPPING = """\
schema: wardgate/mapping/1
files: [all.csv]
person: {each_row: true}
sites:
  my-study: {column: place, prefix: h, names: {"?": unknown, "St Mary": mary}}
fields:
  age: {column: age, unit: a}
  sex: {column: sex}
  systolic_pressure: {column: sbp, unit: "mm[Hg]"}
  creatinine: {column: crea, unit: umol/L}
labels:
  died_30d: {column: dead, positive: ["1"], negative: ["0"]}
"""

PLACES = ["1", "2", "?", "St Mary", "left-out"]


@pytest.fixture
def study() -> Study:
    text = template().replace("[hospital-a, hospital-b, hospital-c]", "[h1, mary, h2, unknown]")
    return parse(text, name="study.yaml")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [f"{PLACES[i % 5]},{40 + i % 30},{'male' if i % 2 else 'female'},{i},80,{i % 2},SECRET" for i in range(100)]
    text = "\n".join(["place,age,sex,sbp,crea,dead,unmapped", *rows]) + "\n"
    (folder / "all.csv").write_text(text, encoding="utf-8")
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    return folder


def test_each_hospital_gets_its_own_rows_in_order_and_nothing_more(data, study, tmp_path) -> None:
    out = tmp_path / "out"
    assert divide(data, study, data / "mapping.yaml", out) == study.sites
    assert sorted(path.name for path in out.iterdir()) == ["h1", "h2", "mary", "unknown"]
    for site, place in (("h1", 0), ("h2", 1), ("unknown", 2), ("mary", 3)):
        table = pl.read_parquet(out / site / "table.parquet")
        assert table["sbp"].to_list() == [str(i) for i in range(100) if i % 5 == place]
        assert table[ROW].to_list() == [i + 1 for i in range(100) if i % 5 == place]
        assert "unmapped" not in table.columns
        assert "place" not in table.columns
        assert parse_hospital((out / site / "hospital.yaml").read_text(encoding="utf-8"), name="h").id == site
        assert load(out / site, study).flow[0].persons == 20


def test_dividing_twice_gives_the_same_bytes(data, study, tmp_path) -> None:
    for name in ("a", "b"):
        divide(data, study, data / "mapping.yaml", tmp_path / name)
    for path in (tmp_path / "a").rglob("*.*"):
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".dividing") or path.name == "out"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("my-study:", "other-study:", "names no site column for study 'my-study'"),
        ("prefix: h", "prefix: x", "2 sites of the study have no row in 'place': h1, h2"),
        ("[all.csv]", "[none.csv]", "none.csv is missing"),
        ("column: crea", "column: creatinin", "cannot be divided"),
        ("column: place", "column: plaec", "cannot be divided"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused_and_leaves_nothing(old, new, words, data, study, tmp_path) -> None:
    (data / "mapping.yaml").write_text(MAPPING.replace(old, new), encoding="utf-8")
    with pytest.raises(Invalid, match=words):
        divide(data, study, data / "mapping.yaml", tmp_path / "out")
    assert leftovers(tmp_path) == []


def test_a_ragged_row_is_refused_unquoted_and_leaves_nothing(data, study, tmp_path) -> None:
    with (data / "all.csv").open("a", encoding="utf-8") as stream:
        stream.write("1,50,male,CANARY-7731\n")
    with pytest.raises(Invalid, match="cannot be divided") as caught:
        divide(data, study, data / "mapping.yaml", tmp_path / "out")
    assert "CANARY" not in str(caught.value)
    assert caught.value.__context__ is None
    assert leftovers(tmp_path) == []


def test_a_full_disk_leaves_nothing(data, study, tmp_path, monkeypatch) -> None:
    def full(*_args: object, **_kwargs: object) -> int:
        raise OSError(28, "No space left on device")

    mapping = data / "mapping.yaml"
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(Invalid, match="cannot be divided"):
        divide(data, study, mapping, tmp_path / "out")
    assert leftovers(tmp_path) == []


def test_a_folder_in_use_is_not_touched(data, study, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x", encoding="utf-8")
    with pytest.raises(Invalid, match="is not empty"):
        divide(data, study, data / "mapping.yaml", tmp_path / "out")
    assert (tmp_path / "out" / "mine").read_text(encoding="utf-8") == "x"


def test_the_mapping_beside_a_study_is_found(tmp_path) -> None:
    with pytest.raises(Invalid, match=r"found no mapping beside a\.yaml"):
        mapping_beside(tmp_path / "a.yaml")
    (tmp_path / "mapping.yaml").write_text("x", encoding="utf-8")
    assert mapping_beside(tmp_path / "a.yaml").name == "mapping.yaml"
    (tmp_path / "a.mapping.yaml").write_text("x", encoding="utf-8")
    assert mapping_beside(tmp_path / "a.yaml").name == "a.mapping.yaml"
