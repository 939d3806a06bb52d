"""DuckDB in the ward: several answers at a time, typed as asked, within the limit, and nothing but the named files."""

from collections.abc import Iterator
from pathlib import Path

import duckdb
import ibis
import pytest

from wardgate.hospital.ward.source.duckdb_engine import DuckEngine, closed_connection, opened_database
from wardgate.records.errors import Invalid


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[DuckEngine]:
    (tmp_path / "open.csv").write_text("n\n1\n")
    with closed_connection([tmp_path / "open.csv"], memory_limit_mb=200, threads=1, ordered=False) as connection:
        connection.execute("CREATE TABLE many AS SELECT range AS n, range % 7 AS k FROM range(300000)")
        yield DuckEngine(name="the source", connection=connection)


MANY = ibis.table({"n": "int64", "k": "int64"}, "many")


def test_two_answers_can_be_read_at_a_time(engine: DuckEngine) -> None:
    left, right = engine.batches(MANY), engine.batches(MANY.filter(MANY.k == 0))
    first, second = next(left).height, next(right).height
    assert first + sum(batch.height for batch in left) == 300_000
    assert second + sum(batch.height for batch in right) == 42_858


def test_answers_have_the_types_that_were_asked(engine: DuckEngine) -> None:
    (batch,) = engine.batches(MANY.aggregate(total=MANY.n.sum(), small=MANY.k.max().cast("int16")))
    assert [str(kind) for kind in batch.dtypes] == ["Int64", "Int16"]
    (nothing,) = engine.batches(MANY.filter(MANY.n < 0))
    assert nothing.columns == ["n", "k"]


def test_what_does_not_fit_the_memory_is_refused(engine: DuckEngine) -> None:
    wide = MANY.cross_join(MANY.view().limit(2_000).rename(m="n", l="k"))
    sorted_ = wide.select("n", "m", text=wide.n.cast("string").lpad(60, "x")).order_by("text", "m")
    with pytest.raises(Invalid, match="do not fit the memory limit"):
        list(engine.batches(sorted_))


def test_nothing_but_the_named_files_can_be_opened(engine: DuckEngine, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("n\n1\n")
    hidden = secret  # a variable of this name is no table either
    for sql in (
        f"SELECT * FROM read_csv('{secret}')",
        f"COPY many TO '{tmp_path / 'out.csv'}'",
        f"ATTACH '{tmp_path / 'other.duckdb'}' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SELECT * FROM hidden",
    ):
        with pytest.raises(duckdb.Error):
            engine.connection.execute(sql).fetchall()
    assert hidden.exists()
    assert engine.connection.execute(f"SELECT n FROM read_csv('{tmp_path / 'open.csv'}')").fetchall() == [(1,)]


def test_a_database_is_opened_read_only_with_what_its_writer_left(tmp_path: Path) -> None:
    file = tmp_path / "cdm.duckdb"
    with duckdb.connect(str(file)) as writer:
        writer.execute("CREATE TABLE kept AS SELECT 1 AS n")
    with opened_database(file, memory_limit_mb=200, threads=1) as connection:
        assert connection.sql("SELECT n FROM source.kept").fetchall() == [(1,)]
        with pytest.raises(duckdb.Error):
            connection.execute("INSERT INTO source.kept VALUES (2)")
    missing = opened_database(tmp_path / "missing.duckdb", memory_limit_mb=200, threads=1)
    with pytest.raises(Invalid, match=r"missing\.duckdb is missing"), missing:
        pass
