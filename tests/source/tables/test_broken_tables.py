"""A museum of broken tables: each is refused or counted, and no message quotes a cell."""

import gzip
import os
from pathlib import Path

import pytest
from tests.source.tables.conftest import HEADER, See

from wardgate.hospital.ward.source.tables.opened import opened_tables
from wardgate.records.errors import Invalid
from wardgate.records.source_file import SourceFile

CANARY = "CANARY-7391"
MAPPING = """
    tables:
      rows:
        files: [rows.csv]
        person: pid
        events:
          - { code: x, time: { column: t }, value: v }
"""
ROWS = f"pid,t,v\n{CANARY},2020-01-01 10:00,1\n{CANARY},2020-01-01 11:00,2\n"


def refused(see: See, files: dict[str, str | bytes], mapping: str = MAPPING, **settings: str) -> str:
    with pytest.raises(Invalid) as caught:
        see(mapping, files, **settings)
    assert CANARY not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_is_named(see: See) -> None:
    assert "rows.csv is missing" in refused(see, {})


def test_a_missing_column_is_named_with_the_nearest(see: See) -> None:
    assert "lacks 1 of the columns" in refused(see, {"rows.csv": ROWS.replace("pid,t,v", "pid,t,w")})


def test_an_empty_file_is_refused(see: See) -> None:
    assert "is empty" in refused(see, {"rows.csv": b""})


def test_a_header_without_rows_is_counted(see: See) -> None:
    assert see(MAPPING, {"rows.csv": "pid,t,v\n"}).count("no rows") == 1


def test_a_wrong_encoding_is_refused(see: See) -> None:
    told = refused(see, {"rows.csv": ROWS.encode() + f"{CANARY}\xe4,2020-01-01,3\n".encode("latin-1")})
    assert "encoding" in told


def test_the_right_encoding_and_delimiter_are_read(see: See) -> None:
    mapping = MAPPING.replace("person: pid", "person: pid\n        encoding: latin-1\n        delimiter: ';'")
    rows = "pid;t;v\nM\xfcller;2020-01-01 10:00;1\n".encode("latin-1")
    assert see(mapping, {"rows.csv": rows}).events.height == 1


def test_a_cut_off_gz_is_refused(see: See) -> None:
    whole = gzip.compress(ROWS.encode() + b"".join(b"9,2020-01-01 10:00,%d\n" % n for n in range(20_000)))
    mapping = MAPPING.replace("rows.csv", "rows.csv.gz")
    assert "cut off" in refused(see, {"rows.csv.gz": whole[: len(whole) // 2]}, mapping)


def test_a_row_of_another_length_is_refused_by_its_line(see: See) -> None:
    assert "line 4" in refused(see, {"rows.csv": ROWS + f"{CANARY},2020-01-01\n"})


def test_mostly_unreadable_times_are_refused(see: See) -> None:
    rows = "pid,t,v\n" + f"1,{CANARY},1\n" * 3 + "1,2020-01-01,1\n" * 8
    assert "tables.rows.events[0]: more than 20% of the times" in refused(see, {"rows.csv": rows})


def test_few_unreadable_times_are_counted(see: See) -> None:
    rows = "pid,t,v\n" + f"1,{CANARY},1\n" * 3 + "1,2020-01-01,1\n" * 12
    seen = see(MAPPING, {"rows.csv": rows})
    assert seen.events.height == 12
    assert seen.count("times that cannot be read") == 3


def test_times_with_an_offset_need_a_zone(see: See) -> None:
    rows = {"rows.csv": ROWS + f"{CANARY},2020-01-01T10:00:00+02:00,3\n"}
    assert "set 'timezone'" in refused(see, rows)
    assert see(MAPPING, rows, timezone="Europe/Vienna").events.height == 3


def test_a_clock_with_an_offset_needs_a_zone(see: See) -> None:
    mapping = MAPPING.replace("person: pid", "person: pid\n        clock: { column: t }").replace(
        "{ column: t }, value", "{ plus: 0 h }, value"
    )
    assert "tables.rows.clock: found times with an offset" in refused(
        see, {"rows.csv": f"pid,t,v\n{CANARY},2020-01-01T10:00:00Z,3\n"}, mapping
    )


def test_an_unknown_zone_is_refused(see: See) -> None:
    assert "no time zone is called 'Vienna'" in refused(see, {"rows.csv": ROWS}, timezone="Vienna")


def test_a_table_of_nobody_is_refused(see: See) -> None:
    assert "'person' names nobody" in refused(see, {"rows.csv": f"pid,t,v\n,2020-01-01,{CANARY}\n"})


PARENT = """
    tables:
      stays: { files: [stays.csv], key: stay, person: pid, clock: { date: "2000-01-01" } }
      rows:
        files: [rows.csv]
        parent: { table: stays, column: stay }
        events:
          - { code: x, time: { offset: m, unit: min } }
"""


def test_a_key_that_stands_twice_is_refused(see: See) -> None:
    stays = f"stay,pid\n{CANARY},1\n{CANARY},2\n"
    told = refused(see, {"stays.csv": stays, "rows.csv": f"stay,m\n{CANARY},1\n"}, PARENT)
    assert "tables.stays.key" in told
    assert " 1 rows" not in told, "counts below 11 are not told"


def test_a_child_that_finds_no_parent_is_refused(see: See) -> None:
    told = refused(see, {"stays.csv": "stay,pid\n1,1\n", "rows.csv": "stay,m\n2,1\n"}, PARENT)
    assert "'parent' finds no row" in told


def test_texts_for_the_sex_that_nobody_named_are_counted_or_refused(see: See) -> None:
    mapping = """
    tables:
      rows: { files: [rows.csv], person: pid, birth: { time: { column: b } }, sex: { column: s, codes: { m: M } } }
    """
    rows = "pid,b,s\n" + "".join(f"{n},1950-01-01,m\n" for n in range(1, 20))
    assert see(mapping, {"rows.csv": rows + f"77,1950-01-01,{CANARY}\n"}).count("texts for the sex") == 1
    assert "texts for the sex" in refused(see, {"rows.csv": rows + f"77,1950-01-01,{CANARY}\n" * 9}, mapping)


def test_ages_beyond_belief_are_refused(see: See) -> None:
    mapping = """
    tables:
      rows: { files: [rows.csv], person: pid, clock: { date: "2000-01-01" }, birth: { age: a } }
    """
    rows = "pid,a\n" + "".join(f"{n},{n * 100}\n" for n in range(2, 20))
    assert "ages or dates of birth" in refused(see, {"rows.csv": rows}, mapping)


def test_a_bad_code_map_is_refused_by_its_line(see: See, tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"codes.csv:2: relation: found 'like'"):
        see(MAPPING, {"rows.csv": ROWS}, codes="LOCAL,x,LOINC,1-8,like,A,2026-01-01,book\n")


def test_a_missing_code_map_is_named(tmp_path: Path, see: See) -> None:
    see(MAPPING, {"rows.csv": ROWS}, codes="LOCAL,x,LOINC,1-8,exact,A,2026-01-01,book\n")
    (tmp_path / "codes.csv").unlink()
    settings = SourceFile(kind="tables", mapping="events.yaml", codes=("codes.csv",))
    with pytest.raises(Invalid, match=r"the code map codes.csv is missing"), opened_tables(tmp_path, settings):
        pass


@pytest.mark.parametrize("raw", [b"\xff\xfe", f"{HEADER}\nLOCAL,\xe4\n".encode("latin-1")])
def test_a_code_map_of_another_encoding_is_refused(see: See, tmp_path: Path, raw: bytes) -> None:
    see(MAPPING, {"rows.csv": ROWS}, codes="LOCAL,x,LOINC,1-8,exact,A,2026-01-01,book\n")
    (tmp_path / "codes.csv").write_bytes(raw)
    settings = SourceFile(kind="tables", mapping="events.yaml", codes=("codes.csv",))
    with pytest.raises(Invalid, match="not UTF-8"), opened_tables(tmp_path, settings):
        pass


@pytest.mark.parametrize("how", ["longer", "touched", "gone", "replaced"])
def test_a_file_that_changes_while_it_is_read_is_noticed(see: See, tmp_path: Path, how: str) -> None:
    see(MAPPING, {"rows.csv": ROWS})
    file = tmp_path / "rows.csv"
    with opened_tables(tmp_path, SourceFile(kind="tables", mapping="events.yaml")) as source:
        if how == "longer":
            file.write_text(ROWS + "1,2020-01-01,1\n")
        elif how == "touched":
            os.utime(file, ns=(1, 1))
        elif how == "replaced":
            stat = file.stat()
            (tmp_path / "other").write_text(ROWS)
            os.utime(tmp_path / "other", ns=(stat.st_atime_ns, stat.st_mtime_ns))
            (tmp_path / "other").rename(file)
        else:
            file.unlink()
        with pytest.raises(Invalid, match="changed while it was read"):
            source.check_unchanged()


def test_a_mapping_outside_the_folder_cannot_be_named() -> None:
    with pytest.raises(ValueError, match="inside its folder"):
        SourceFile(kind="tables", mapping="../events.yaml")


def test_values_that_look_like_sql_are_values(see: See) -> None:
    evil = "x'); DROP TABLE t0; --"
    mapping = MAPPING.replace("{ code: x,", f'{{ code: "{evil}", when: {{ v: ["1\'"] }},')
    seen = see(mapping, {"rows.csv": "pid,t,v\n1,2020-01-01,1'\n1,2020-01-01,2\n"})
    assert seen.events["code"].to_list() == [f"LOCAL/{evil}"]
