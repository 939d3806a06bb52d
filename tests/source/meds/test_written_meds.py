"""Any source written as MEDS: valid by the standard's own package, private, whole or absent, and the same when read."""

import json
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import ibis
import polars as pl
import pyarrow.parquet as pq
import pytest
from meds import CodeMetadataSchema, DataSchema, DatasetMetadataSchema

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from made_meds import START, event, written
from wardgate.hospital.ward.source.duckdb_engine import DuckEngine
from wardgate.hospital.ward.source.events import EVERY, Pick
from wardgate.hospital.ward.source.meds.opened import opened_meds
from wardgate.hospital.ward.source.meds.written import PATIENTS, Written, write_meds
from wardgate.hospital.ward.source.over_events import CODES, OverEvents
from wardgate.records.concepts import Concept
from wardgate.records.errors import Invalid
from wardgate.records.source_file import SourceFile

KINDS = {"int64": pl.Int64(), "timestamp(6)": pl.Datetime("us"), "string": pl.String(), "float64": pl.Float64()}
ABOVE = [
    ("SNOMED/1", 10, None),
    ("SNOMED/2", 20, "SNOMED/1"),
    ("SNOMED/3", 30, "SNOMED/2"),
    ("SNOMED/3", 30, "SNOMED/1"),
    ("SNOMED/9", 90, "SNOMED/1"),
    ("ICD10CM/E11.9", 40, None),
]
PICKS = [
    Pick(name="all", concepts=(Concept(vocabulary="SNOMED", code="1", descendants=True),)),
    Pick(name="id", concepts=(Concept(concept_id=10, descendants=True), Concept(concept_id=20, exclude=True))),
    Pick(name="recorded", concepts=(Concept(concept_id=40, source=True),), table="condition"),
    Pick(name="yes", concepts=(Concept(vocabulary="SNOMED", code="2", value="Answer/yes"),)),
    Pick(name="death", concepts=()),
]


def rows(people: int) -> list[dict[str, Any]]:
    """Events of every form, in no order."""
    rng = random.Random(3)
    found = [event(who, "MEDS_BIRTH", -rng.randint(1, 9)) for who in range(people)]
    found += [event(who, "Gender/F", None) for who in range(people) if who % 2]
    found += [event(who, "MEDS_DEATH", 999) for who in range(people) if who % 7 == 0]
    for _ in range(people * 10):
        hours = rng.randint(0, 90) / 3
        found.append(
            event(
                rng.randrange(people),
                f"SNOMED/{rng.choice('123')}",
                hours,
                end=rng.choice([None, START + timedelta(hours=hours + 5)]),
                source_code=rng.choice([None, "ICD10CM/E11.9", "ICD10CM/A"]),
                numeric_value=rng.choice([None, 0.1, 1e300, 7.0]),
                text_value=rng.choice([None, "héllo\n"]),
                value_code=rng.choice([None, "Answer/yes"]),
                unit=rng.choice([None, "mg/dL"]),
                visit=rng.choice([None, 2**53 + 1]),
                table=rng.choice([None, "condition", "visit"]),
            )
        )
    rng.shuffle(found)
    return found


def source_of(events: list[dict[str, Any]]) -> OverEvents:
    """A source in the memory of a DuckDB."""
    connection = duckdb.connect(config={"threads": 1})
    tables = {
        "events": pl.DataFrame(events, schema={name: KINDS[kind] for name, kind in EVERY.items()}),
        "codes": pl.DataFrame(ABOVE, schema={name: KINDS[kind] for name, kind in CODES.items()}, orient="row"),
    }
    for name, table in tables.items():
        connection.register("given", table.to_arrow())
        connection.execute(f"CREATE TABLE {name} AS SELECT * FROM given")
    return OverEvents(
        name="a test",
        kind="tables",
        engine=DuckEngine(name="a test", connection=connection),
        events=ibis.table(dict(EVERY), name="events"),
        code_rows=ibis.table(dict(CODES), name="codes"),
        found=tuple,
        unchanged=lambda: None,
    )


def read(source: OverEvents, expression: Any) -> list[tuple[Any, ...]]:
    """All rows of an expression, sorted by all columns."""
    frames = [*source.engine.batches(expression)]
    return pl.concat(frames).sort(pl.all()).rows() if frames else []


def answers(source: OverEvents) -> dict[str, list[tuple[Any, ...]]]:
    """What a source answers to everything that a cohort asks."""
    return {
        "every": read(source, source.every()),
        "picked": read(source, source.picked(PICKS)),
        "persons": read(source, source.persons()),
        "periods": read(source, source.periods()),
    }


@contextmanager
def back(target: Path) -> Iterator[OverEvents]:
    """Open what was written."""
    with opened_meds(target.parent, SourceFile(kind="meds", place=target.name), threads=1) as source:
        yield source


def write(source: OverEvents, target: Path, **more: Any) -> Written:
    """Write a source with its codes."""
    return write_meds(source, target, name="a test", codes=source.code_table(), **more)


def test_what_is_written_answers_as_its_source_row_for_row(tmp_path: Path) -> None:
    source = source_of(rows(50))
    told = write(source, tmp_path / "out", events_a_shard=100)
    assert (told.subjects, told.events, told.left_out) == (50, len(rows(50)), 0)
    assert told.shards > 4
    with back(tmp_path / "out") as again:
        assert answers(again) == answers(source)
        assert not again.noticed()
        assert again.codes(PICKS) == {"all": 3, "id": 2, "recorded": 1, "yes": 1, "death": 1}


def test_the_standards_own_package_finds_it_valid(tmp_path: Path) -> None:
    write(source_of(rows(20)), tmp_path / "out", events_a_shard=50)
    for path in (tmp_path / "out" / "data").glob("*.parquet"):
        DataSchema.validate(pq.read_table(path))
    CodeMetadataSchema.validate(pq.read_table(tmp_path / "out" / "metadata" / "codes.parquet"))
    told = json.loads((tmp_path / "out" / "metadata" / "dataset.json").read_text())
    DatasetMetadataSchema.validate(told)
    assert told["dataset_name"] == f"{PATIENTS}: a test"


def test_subjects_stand_together_in_one_shard_by_time_with_statics_first(tmp_path: Path) -> None:
    write(source_of(rows(30)), tmp_path / "out", events_a_shard=60)
    seen: set[int] = set()
    for path in sorted((tmp_path / "out" / "data").glob("*.parquet")):
        table = pl.read_parquet(path)
        changes = (table["subject_id"] != table["subject_id"].shift()).sum() or 0
        assert changes + 1 == table["subject_id"].n_unique()
        assert seen.isdisjoint(table["subject_id"].to_list())
        seen |= set(table["subject_id"].to_list())
        for part in table.partition_by("subject_id"):
            assert part["time"].is_sorted(nulls_last=False)
    assert seen == set(range(30))


def test_every_code_is_listed_with_all_that_lies_above(tmp_path: Path) -> None:
    write(source_of(rows(20)), tmp_path / "out")
    codes = pl.read_parquet(tmp_path / "out" / "metadata" / "codes.parquet")
    known = dict(codes.select("code", "parent_codes").rows())
    assert known["SNOMED/3"] == ["SNOMED/1", "SNOMED/2"]
    assert {"MEDS_BIRTH", "Gender/F", "ICD10CM/A"} <= set(known)
    assert "SNOMED/9" not in known, "no event has it, and it lies above none"


def test_the_order_of_the_source_does_not_matter(tmp_path: Path) -> None:
    events = rows(20)
    write(source_of(events), tmp_path / "one", events_a_shard=70)
    write(source_of(events[::-1]), tmp_path / "two", events_a_shard=70)
    for path in (tmp_path / "one").rglob("*.parquet"):
        assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_a_subject_is_never_divided(tmp_path: Path) -> None:
    told = write(source_of(rows(3)), tmp_path / "out", events_a_shard=1)
    assert told.shards == 3


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    write(source_of(rows(3)), tmp_path / "out")
    found = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_dir()} == {"0o700"}
    assert {oct(path.stat().st_mode & 0o777) for path in found if path.is_file()} == {"0o600"}


def test_an_existing_target_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(Invalid, match="exists"):
        write(source_of(rows(3)), tmp_path / "out")
    assert not [*(tmp_path / "out").iterdir()]


def test_a_target_in_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="does not exist; create it first"):
        write(source_of(rows(3)), tmp_path / "no" / "out")


def test_a_source_that_changed_leaves_nothing(tmp_path: Path) -> None:
    def changed() -> None:
        raise Invalid("it changed while it was read")

    with pytest.raises(Invalid, match="changed"):
        write(replace(source_of(rows(3)), unchanged=changed), tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def test_a_source_without_events_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="holds no events"):
        write(source_of([]), tmp_path / "out")
    assert not [*tmp_path.iterdir()]


def test_events_that_meds_cannot_hold_are_counted(tmp_path: Path) -> None:
    told = write(source_of([*rows(3), event(None, "a"), event(1, None)]), tmp_path / "out")
    assert (told.events, told.left_out) == (len(rows(3)), 2)


def test_a_dataset_of_others_is_written_in_our_form(tmp_path: Path) -> None:
    with back(written(tmp_path / "other")) as source:
        before = answers(source)
        write(source, tmp_path / "out")
    with back(tmp_path / "out") as again:
        assert answers(again) == before


def test_codes_are_listed_also_where_the_source_knows_none(tmp_path: Path) -> None:
    source = source_of(rows(3))
    write_meds(source, tmp_path / "out", name="a test", codes=None)
    with back(tmp_path / "out") as again:
        assert answers(again)["every"] == answers(source)["every"]
