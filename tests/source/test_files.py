"""Broken hospital files are refused with a clear message that quotes no cell; whole ones are read as text."""

import gzip
import traceback
from pathlib import Path

import duckdb
import polars as pl
import pytest

from wardgate.hospital.ward.source.files import ROW, opened
from wardgate.records.errors import Invalid

CANARY = "CANARY-7731"


def csv(*rows: str) -> bytes:
    return ("\n".join(rows) + "\n").encode()


def many(rows: int) -> bytes:
    return csv("p,x", *(f"{number},{number * 7919 % 1000}" for number in range(rows)))


def parquet(path: Path, rows: int = 50_000) -> bytes:
    pl.DataFrame({"p": range(rows), "x": [number * 0.5 for number in range(rows)]}).write_parquet(path)
    return path.read_bytes()


def test_every_cell_is_read_as_it_is_written(tmp_path: Path, read) -> None:
    (tmp_path / "a.csv").write_bytes(csv("p,x,unread", "007,1e3,z", '8,"a,b",z', "9,,z"))
    table = read("a.csv")
    assert table["p"].to_list() == ["007", "8", "9"]
    assert table["x"].to_list() == ["1e3", "a,b", None]
    assert table[ROW].to_list() == [1, 2, 3]
    assert "unread" not in table.columns


def test_csv_gzip_and_parquet_say_the_same(tmp_path: Path, read) -> None:
    (tmp_path / "a.csv").write_bytes(many(300))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(many(300)))
    pl.read_csv(tmp_path / "a.csv").write_parquet(tmp_path / "a.parquet")
    assert read("a.csv").equals(read("a.csv.gz"))
    assert read("a.csv").equals(read("a.parquet"))


def test_several_files_are_one_table(tmp_path: Path, read) -> None:
    (tmp_path / "a.csv").write_bytes(csv("p,x", "1,2"))
    (tmp_path / "b.csv").write_bytes(csv("p,x", "3,4"))
    assert read("a.csv", "b.csv")[ROW].to_list() == [1, 2]
    (tmp_path / "c.csv").write_bytes(csv("x,p", "3,4"))
    with pytest.raises(Invalid, match=r"c\.csv has other columns than a\.csv"):
        read("a.csv", "c.csv")


def test_other_encodings_read_where_the_mapping_names_them(tmp_path: Path, read) -> None:
    (tmp_path / "a.csv").write_bytes("p,x\n1,é\n".encode("latin-1"))
    assert read("a.csv", encoding="latin-1")["x"].to_list() == ["é"]
    (tmp_path / "b.csv").write_bytes("\ufeffp,x\n1,é\n".encode())
    assert read("b.csv")["x"].to_list() == ["é"]


MUSEUM = {
    "ragged-long.csv": (csv("p,x", "1,2", f"2,3,{CANARY}", "4,5"), "line 3: found 3 cells, expected 2"),
    "ragged-short.csv": (csv("p,x", f"{CANARY},2", "2", "4,5"), "line 3: found 1 cells, expected 2"),
    "cut-off-in-a-row.csv": (b"p,x\n1,2\n" + CANARY.encode(), "found 1 cells"),
    "open-quote.csv": (csv("p,x", f'1,"{CANARY}', "2,3"), "line 2"),
    "wrong-encoding.csv": (b"p,x\n1,2\n2,\xe9" + CANARY.encode() + b"\n", "is not utf-8"),
    "wrong-encoding-far-down.csv": (many(300_000) + b"1,\xe9" + CANARY.encode() + b"\n", "300002: found bytes of an"),
    "wrong-encoding-in-the-header.csv": (b"p,x\xe9\n1,2\n", "is not utf-8"),
    "empty.csv": (b"", "is empty"),
    "blank.csv": (b"\n\n", "no column names"),
    "empty.parquet": (b"", "is empty"),
    "duplicate-header.csv": (csv("p,x,P", f"1,2,{CANARY}"), "one name over columns 1 and 3"),
    "missing-column.csv": (csv("p,xx", f"1,{CANARY}"), r"'x'"),
    "no-header.csv": (csv(f"{CANARY},{CANARY}9", "2,3"), "first line holds the column names"),
    "cut-off.csv.gz": (gzip.compress(many(200_000))[:200_000], "cut off"),
    "damaged.csv.gz": (gzip.compress(many(5000))[:500] + b"\0" * 900, "cut off or"),
    "not-gzip.csv.gz": (many(10), "not gzip"),
    "not-parquet.parquet": (many(100), "not Parquet"),
    "a.xlsx": (b"PK\x03\x04", r"ends in '.xlsx', expected"),
}


@pytest.mark.parametrize("name", MUSEUM)
def test_the_museum_of_broken_files_is_refused_and_never_quoted(name: str, tmp_path: Path, read) -> None:
    content, words = MUSEUM[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Invalid, match=words) as caught:
        read(name)
    told = "".join(traceback.format_exception(caught.value))
    assert CANARY not in told
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_duckdb_itself_would_have_quoted_the_row(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(MUSEUM["ragged-long.csv"][0])
    types = "auto_detect=false, columns={'p': 'TEXT', 'x': 'TEXT'}"
    with pytest.raises(duckdb.Error, match=CANARY):
        duckdb.sql(f"SELECT * FROM read_csv('{tmp_path / 'a.csv'}', {types})").fetchall()


@pytest.mark.parametrize("share", [0.2, 0.5, 0.999])
def test_truncated_parquet_is_refused(share: float, tmp_path: Path, read) -> None:
    whole = parquet(tmp_path / "whole.parquet")
    (tmp_path / "cut.parquet").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(Invalid, match="cut off or not Parquet"):
        read("cut.parquet")


def test_parquet_damaged_inside_is_refused(tmp_path: Path, read) -> None:
    whole = bytearray(parquet(tmp_path / "a.parquet"))
    whole[4:200] = bytes(196)
    (tmp_path / "a.parquet").write_bytes(whole)
    with pytest.raises(Invalid, match="cut off or damaged"):
        read("a.parquet")


def test_a_missing_file_a_folder_and_a_way_out_are_refused(tmp_path: Path, read) -> None:
    with pytest.raises(Invalid, match=r"a\.csv is missing"):
        read("a.csv")
    (tmp_path / "b.csv").mkdir()
    with pytest.raises(Invalid, match=r"b\.csv is a folder"):
        read("b.csv")
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "c.csv").write_bytes(csv("p,x", "1,2"))
    (inside / "link.csv").symlink_to(tmp_path / "c.csv")
    with pytest.raises(Invalid, match="leads out"), opened(inside, ["link.csv"], wanted=["p"]):
        pass


def test_nearest_columns_are_named(tmp_path: Path, read) -> None:
    (tmp_path / "a.csv").write_bytes(csv("patient_id,systolic,Age", "1,2,3"))
    with pytest.raises(Invalid) as caught:
        read("a.csv", wanted=["patientid", "age", "weight"])
    words = str(caught.value)
    assert "lacks 3 of the columns" in words
    assert "'patientid' (nearest: 'patient_id')" in words
    assert "'age' (nearest: 'Age')" in words
    assert "'weight';" in words


def test_a_header_alone_has_no_rows(tmp_path: Path, read) -> None:
    (tmp_path / "a.csv").write_bytes(csv("p,x"))
    assert read("a.csv").height == 0


def test_the_connection_opens_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv("p,x", "1,2"))
    (tmp_path / "secret.csv").write_bytes(csv("p", CANARY))
    with opened(tmp_path, ["a.csv"], wanted=["p"]) as source:
        for sql in (
            f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')",
            f"COPY (SELECT 1) TO '{tmp_path / 'out.csv'}'",
            "INSTALL httpfs",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                source.connection.execute(sql)
    assert not (tmp_path / "out.csv").exists()


def test_an_unknown_query_is_our_mistake_and_quotes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(csv("p,x", f"1,{CANARY}"))
    with opened(tmp_path, ["a.csv"], wanted=["x"]) as source, pytest.raises(RuntimeError) as caught:
        list(source.batches("SELECT CAST(x AS DOUBLE) FROM source"))
    assert CANARY not in "".join(traceback.format_exception(caught.value))
