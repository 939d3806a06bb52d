"""MEDS datasets made by others, whole and broken, as sources of events."""

import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from made_meds import PARENTS, PLAIN, ROWS, START, event, written
from wardgate.hospital.ward.source.events import EVERY, Pick
from wardgate.hospital.ward.source.meds.opened import opened_meds
from wardgate.hospital.ward.source.over_events import OverEvents
from wardgate.records.concepts import Concept
from wardgate.records.errors import Invalid
from wardgate.records.source_file import SourceFile


def read(source: OverEvents, expression: Any) -> pl.DataFrame:
    """All rows of an expression."""
    frames = [*source.engine.batches(expression)]
    return pl.concat(frames) if frames else pl.DataFrame()


def opened(root: Path, **settings: Any) -> Any:
    """Open a dataset beside its settings."""
    return opened_meds(root.parent, SourceFile(kind="meds", place=root.name, **settings), threads=1)


def every(root: Path, **settings: Any) -> list[dict[str, Any]]:
    """All events, by subject and code."""
    with opened(root, **settings) as source:
        return read(source, source.every()).sort("subject_id", "code").to_dicts()


def picked(root: Path, *concepts: Concept) -> list[int]:
    """Subjects of all events of a pick."""
    with opened(root) as source:
        found = read(source, source.picked([Pick(name="x", concepts=concepts)]))
        return sorted(found["subject_id"].to_list()) if found.height else []


def with_column(name: str, kind: pa.DataType) -> pa.Schema:
    """The plain schema with one column more, or of another type."""
    kept = [field for field in PLAIN if field.name != name]
    return pa.schema([*kept, pa.field(name, kind)])


def what(source: OverEvents) -> list[tuple[str, int]]:
    """What was noticed, and how often."""
    return [(one.what, one.count) for one in source.noticed()]


def test_a_dataset_of_others_is_read_without_our_columns(tmp_path: Path) -> None:
    rows = every(written(tmp_path / "other"))
    assert len(rows) == len(ROWS)
    assert set(rows[0]) == set(EVERY)
    creatinine = next(row for row in rows if row["code"] == "LOINC/2160-0")
    assert creatinine["numeric_value"] == 7.4, "the shortest decimal that has the 32 bits"
    assert creatinine["source_code"] == "LOINC/2160-0"
    assert (creatinine["unit"], creatinine["end"], creatinine["visit"]) == (None, None, None)


def test_what_the_data_cannot_tell_is_said(tmp_path: Path) -> None:
    root = written(tmp_path / "other")
    with opened(root) as source:
        assert [words.partition(",")[0] for words, _ in what(source)] == [
            "events without an end",
            "events without a unit",
        ]
    with opened(root, units={"LOINC/2160-0": "mg/dL"}) as source:
        assert len(what(source)) == 1


def test_parents_of_parents_are_ancestors(tmp_path: Path) -> None:
    root = written(tmp_path / "other")
    assert picked(root, Concept(vocabulary="SNOMED", code="1", descendants=True)) == [1, 2]
    assert picked(root, Concept(vocabulary="SNOMED", code="1")) == []


def test_parents_in_a_circle_end(tmp_path: Path) -> None:
    circle = {**PARENTS, "SNOMED/1": ("SNOMED/3", "SNOMED/1")}
    root = written(tmp_path / "other", parents=circle)
    assert picked(root, Concept(vocabulary="SNOMED", code="3", descendants=True)) == [1, 2]


def test_persons_and_observed_times_follow_from_the_events(tmp_path: Path) -> None:
    with opened(written(tmp_path / "other")) as source:
        persons = read(source, source.persons()).sort("subject_id").rows()
        periods = read(source, source.periods()).sort("subject_id").rows()
    assert persons == [(1, START - timedelta(hours=400_000), None), (2, None, START + timedelta(hours=30))]
    assert periods[0] == (1, START + timedelta(hours=1), START + timedelta(hours=2))


def test_units_come_from_the_settings_where_the_data_have_none(tmp_path: Path) -> None:
    rows = [
        event(1, "LOINC/1", numeric_value=1.0, unit=" mg/dl "),
        event(2, "LOINC/1", numeric_value=2.0, unit=None),
        event(3, "LOINC/1", numeric_value=None, unit=""),
        event(4, "LOINC/2", numeric_value=4.0, unit="mmol/L"),
    ]
    root = written(tmp_path / "other", rows, schema=with_column("unit", pa.string()))
    found = every(root, units={"LOINC/1": "g/L"}, unit_names={"mg/dl": "mg/dL"})
    assert [row["unit"] for row in found] == ["mg/dL", "g/L", None, "mmol/L"]


def test_no_number_is_none(tmp_path: Path) -> None:
    rows = every(
        written(tmp_path / "other", [event(1, "a", numeric_value=float("nan")), event(2, "a", numeric_value=None)])
    )
    assert [row["numeric_value"] for row in rows] == [None, None]


def test_numbers_of_64_bits_stay_as_they_are(tmp_path: Path) -> None:
    root = written(
        tmp_path / "other", [event(1, "a", numeric_value=1 / 3)], schema=with_column("numeric_value", pa.float64())
    )
    assert every(root)[0]["numeric_value"] == 1 / 3


def test_rows_without_subject_or_code_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [*ROWS, event(None, "a"), event(1, None), event(None, None)]
    with opened(written(tmp_path / "other", rows)) as source:
        assert read(source, source.every()).height == len(ROWS)
        assert what(source)[:2] == [("rows without a subject, left out", 2), ("rows without a code, left out", 1)]
        assert all(one.of == len(rows) for one in source.noticed())


def test_times_with_a_zone_become_the_hospitals_own(tmp_path: Path) -> None:
    root = written(tmp_path / "other", [event(1, "a", 24 * 200)], schema=with_column("time", pa.timestamp("us", "UTC")))
    with pytest.raises(Invalid, match="set 'timezone'"):
        every(root)
    assert every(root, timezone="Europe/Vienna")[0]["time"] == START + timedelta(hours=24 * 200 + 2)


def test_an_unknown_zone_is_refused(tmp_path: Path) -> None:
    root = written(tmp_path / "other", [event(1, "a")], schema=with_column("time", pa.timestamp("us", "UTC")))
    with pytest.raises(Invalid, match="timezone"):
        every(root, timezone="Europe/Atlantis")


def test_a_mixture_of_zones_is_refused(tmp_path: Path) -> None:
    root = written(tmp_path / "other")
    zoned = pa.Table.from_pylist([event(4, "a")], schema=with_column("time", pa.timestamp("us", "UTC")))
    pq.write_table(zoned, root / "data" / "2.parquet")
    with pytest.raises(Invalid, match=r"data/2\.parquet has a time zone and time in data/1\.parquet has none"):
        every(root, timezone="UTC")


def test_code_maps_give_standard_codes(tmp_path: Path) -> None:
    root = written(tmp_path / "other", [event(1, "Lab/CREA", numeric_value=1.0)])
    header = "vocabulary,code,standard_vocabulary,standard_code,relation,mapped_by,mapped_on,from,unit"
    (tmp_path / "codes.csv").write_text(f"{header}\nLab,CREA,LOINC,2160-0,exact,Somebody,2024-01-01,the lab,mg/dL\n")
    found = every(root, codes=("codes.csv",))[0]
    assert (found["code"], found["source_code"], found["unit"]) == ("LOINC/2160-0", "Lab/CREA", "mg/dL")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("time", pa.timestamp("ns")),
        ("time", pa.timestamp("ms")),
        ("subject_id", pa.int32()),
        ("subject_id", pa.decimal128(38, 0)),
    ],
)
def test_near_types_as_warehouses_export_them_are_read_and_said(tmp_path: Path, name: str, kind: pa.DataType) -> None:
    plain = written(tmp_path / "other")
    near = written(tmp_path / "near", schema=with_column(name, kind))
    assert every(near) == every(plain)
    with opened(near) as source:
        assert what(source)[0][0].startswith(f"column '{name}' holds {kind}, not the type of MEDS")


def test_files_in_an_unknown_form_are_named(tmp_path: Path) -> None:
    root = written(tmp_path / "other")
    (root / "data" / "more.csv").write_text("subject_id,time,code\n")
    (root / "data" / ".hidden").write_text("")
    with opened(root) as source:
        assert what(source)[0] == ("files in 'data' that are no Parquet", 1)
        assert source.noticed()[0].where == ("data/more.csv",)


@pytest.mark.parametrize(("name", "kind", "value"), [("visit", pa.string(), "A1"), ("end", pa.date32(), None)])
def test_a_column_with_our_name_and_another_meaning_is_not_read(
    tmp_path: Path, name: str, kind: pa.DataType, value: Any
) -> None:
    root = written(tmp_path / "other", [event(1, "a", **{name: value})], schema=with_column(name, kind))
    assert every(root)[0][name] is None
    with opened(root) as source:
        assert what(source)[0][0].startswith(f"column '{name}' holds")


def test_tables_that_we_do_not_know_are_no_tables(tmp_path: Path) -> None:
    rows = [event(1, "a", table="labevents"), event(2, "a", table="condition")]
    found = every(written(tmp_path / "other", rows, schema=with_column("table", pa.string())))
    assert [row["table"] for row in found] == [None, "condition"]


@pytest.mark.parametrize("told", [{}, {"meds_version": "0.4"}, {"meds_version": "0.4.0rc1"}])
def test_versions_of_0_4_are_read(tmp_path: Path, told: dict[str, str]) -> None:
    with opened(written(tmp_path / "other", told=told)) as source:
        assert any("names no version" in words for words, _ in what(source)) == (not told)


def _broken(root: Path, how: str) -> None:
    """Break a dataset in one way."""
    data, metadata = root / "data" / "1.parquet", root / "metadata"
    if how == "cut off":
        data.write_bytes(data.read_bytes()[:-20])
    elif how == "empty file":
        data.write_bytes(b"")
    elif how == "text":
        data.write_text("subject_id,time,code\n")
    elif how == "no data":
        for path in root.glob("data/**/*.parquet"):
            path.unlink()
    elif how == "no data folder":
        _broken(root, "no data")
        (root / "data" / "train").rmdir()
        (root / "data").rmdir()
    elif how == "no dataset.json":
        (metadata / "dataset.json").unlink()
    elif how == "no codes":
        (metadata / "codes.parquet").unlink()
    elif how == "codes cut off":
        (metadata / "codes.parquet").write_bytes(b"PAR1")
    elif how == "dataset.json is a list":
        (metadata / "dataset.json").write_text("[]")
    elif how == "dataset.json is cut off":
        (metadata / "dataset.json").write_text('{"meds_version": ')
    elif how == "dataset.json is huge":
        (metadata / "dataset.json").write_text('{"a": "' + "x" * 1_000_001 + '"}')
    elif how in ("0.3", "0.40", "1.0", "dev"):
        (metadata / "dataset.json").write_text(json.dumps({"meds_version": how}))
    elif how == "codes without code":
        pl.DataFrame({"name": ["a"]}).write_parquet(metadata / "codes.parquet")
    elif how == "parents as text":
        pl.DataFrame({"code": ["a"], "parent_codes": ["b"]}).write_parquet(metadata / "codes.parquet")
    elif how == "splits of another form":
        pl.DataFrame({"subject_id": ["a"], "split": ["train"]}).write_parquet(metadata / "subject_splits.parquet")
    elif how == "leads out":
        data.rename(root.parent / "elsewhere.parquet")
        data.symlink_to(root.parent / "elsewhere.parquet")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("cut off", r"data/1\.parquet is cut off or not Parquet"),
        ("empty file", r"data/1\.parquet is cut off or not Parquet"),
        ("text", r"data/1\.parquet is cut off or not Parquet"),
        ("no data", "holds no Parquet file"),
        ("no data folder", "no folder 'data'"),
        ("no dataset.json", r"dataset\.json is missing"),
        ("no codes", r"codes\.parquet is missing"),
        ("codes cut off", r"codes\.parquet is cut off"),
        ("dataset.json is a list", "no JSON object"),
        ("dataset.json is cut off", "no JSON object"),
        ("dataset.json is huge", "no JSON object"),
        ("0.3", "MEDS '0.3', expected 0.4"),
        ("0.40", "MEDS '0.40', expected 0.4"),
        ("1.0", "expected 0.4"),
        ("dev", "expected 0.4"),
        ("codes without code", "lacks column 'code'"),
        ("parents as text", "'parent_codes' holds large_string, expected list<string>"),
        ("splits of another form", "'subject_id' of int64"),
        ("leads out", r"data/1\.parquet leads out"),
    ],
)
def test_a_broken_dataset_is_refused_by_what_is_broken(tmp_path: Path, how: str, words: str) -> None:
    root = written(tmp_path / "other")
    _broken(root, how)
    with pytest.raises(Invalid, match=words):
        every(root)


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("subject_id", pa.float64(), "'subject_id' holds double, expected int64"),
        ("subject_id", pa.string(), "'subject_id' holds string"),
        ("time", pa.date32(), r"'time' holds date32\[day\], expected timestamp\[us\]"),
        ("time", pa.string(), "'time' holds string"),
        ("code", pa.int64(), "'code' holds int64, expected string"),
        ("numeric_value", pa.string(), "'numeric_value' holds string, expected float"),
        ("text_value", pa.int64(), "'text_value' holds int64"),
    ],
)
def test_a_column_of_another_type_is_refused(tmp_path: Path, name: str, kind: pa.DataType, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        every(written(tmp_path / "other", [], schema=with_column(name, kind)))


@pytest.mark.parametrize("name", ["subject_id", "time", "code"])
def test_a_file_without_a_needed_column_is_refused(tmp_path: Path, name: str) -> None:
    schema = pa.schema([field for field in PLAIN if field.name != name])
    with pytest.raises(Invalid, match=f"lacks column '{name}'"):
        every(written(tmp_path / "other", [], schema=schema))


def test_a_page_that_is_damaged_gives_no_partial_reading(tmp_path: Path) -> None:
    root = written(tmp_path / "other", [event(2 * at, f"Code/{at}") for at in range(1, 5000)])
    path = root / "data" / "1.parquet"
    raw = bytearray(path.read_bytes())
    raw[200:2_000] = b"\xff" * 1_800
    path.write_bytes(raw)
    with pytest.raises(Invalid, match="cut off or damaged"):
        every(root)


def _grow(root: Path) -> None:
    pq.write_table(pa.Table.from_pylist([event(8, "a")], schema=PLAIN), root / "data" / "2.parquet")


def _shrink(root: Path) -> None:
    (root / "data" / "1.parquet").unlink()


def _rewrite(root: Path) -> None:
    path = root / "data" / "1.parquet"
    raw = path.read_bytes()
    path.unlink()
    path.write_bytes(raw)


@pytest.mark.parametrize(
    "change", [_grow, _shrink, _rewrite, lambda root: (root / "metadata" / "codes.parquet").touch()]
)
def test_a_dataset_that_changes_while_it_is_read_is_told(tmp_path: Path, change: Any) -> None:
    root = written(tmp_path / "other")
    with opened(root) as source:
        source.check_unchanged()
        change(root)
        with pytest.raises(Invalid, match="changed while it was read"):
            source.check_unchanged()


def test_no_message_quotes_a_cell(tmp_path: Path) -> None:
    root = written(tmp_path / "other", [event(1, "a", visit=2**62)], schema=with_column("visit", pa.uint64()))
    assert every(root)[0]["visit"] is None
    with opened(root) as source:
        assert not any(str(2**62) in words for words, _ in what(source))


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    assert len(every(written(tmp_path / "old [2019] it's *"))) == len(ROWS)


def test_columns_may_differ_between_files(tmp_path: Path) -> None:
    root = written(tmp_path / "other", [event(2, "a", numeric_value=1.5)])
    more = pa.schema(
        [
            ("subject_id", pa.int64()),
            ("time", pa.timestamp("us")),
            ("code", pa.large_string()),
            ("unit", pa.string()),
            ("numeric_value", pa.float64()),
        ]
    )
    pq.write_table(
        pa.Table.from_pylist([event(4, "b", numeric_value=0.1, unit="mg")], schema=more), root / "data" / "2.parquet"
    )
    found = every(root)
    assert [(row["numeric_value"], row["unit"]) for row in found] == [(1.5, None), (0.1, "mg")]
