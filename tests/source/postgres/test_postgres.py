"""A real PostgreSQL on a Unix socket: one moment, read only, and nothing kept when it goes away."""

import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import ibis
import psycopg
import pytest

from wardgate.hospital.ward.source.postgres import PostgresEngine, opened_postgres
from wardgate.records.errors import Invalid
from wardgate.records.source_file import Postgres

CANARY = "CANARY-7731"
TABLE = ibis.table({"n": "int64", "word": "string", "amount": "float64"}, "many", database="here")


@pytest.fixture(scope="module")
def admin(postgres_server) -> Iterator[psycopg.Connection]:
    """A connection that may do everything, beside those that are tested."""
    with psycopg.connect(
        host=str(postgres_server.socket), dbname="postgres", user="postgres", autocommit=True
    ) as found:
        found.execute("CREATE SCHEMA here")
        found.execute(
            f"CREATE TABLE here.many AS SELECT n::integer, '{CANARY} %s' AS word, 0.5::numeric AS amount "
            "FROM generate_series(1, 160000) AS n"
        )
        yield found


@pytest.fixture
def place(postgres_server, admin: psycopg.Connection) -> Postgres:
    return Postgres(socket=str(postgres_server.socket), database="postgres", user="postgres", tables="here")


def total(engine: PostgresEngine) -> int:
    return sum(batch.height for batch in engine.batches(TABLE))


def refused(place: Postgres) -> str:
    with pytest.raises(Invalid) as caught, opened_postgres(place) as engine:
        total(engine)
    assert CANARY not in "".join(traceback.format_exception(caught.value))
    return str(caught.value)


def test_rows_come_in_batches_with_the_types_that_were_asked(place: Postgres) -> None:
    with opened_postgres(place) as engine:
        summed = TABLE.aggregate(n=TABLE.n.sum(), mean=TABLE.amount.mean(), last=TABLE.word.max())
        (batch,) = engine.batches(summed)
        assert batch.rows() == [(160_000 * 160_001 // 2, 0.5, f"{CANARY} %s")]
        assert [str(kind) for kind in batch.dtypes] == ["Int64", "Float64", "String"]
        sizes = [batch.height for batch in engine.batches(TABLE)]
        assert sum(sizes) == 160_000
        assert max(sizes) <= 50_000


def test_all_answers_are_of_one_moment(place: Postgres, admin: psycopg.Connection) -> None:
    with opened_postgres(place) as engine:
        before = total(engine)
        admin.execute("INSERT INTO here.many VALUES (-1, 'later', 1)")
        assert total(engine) == before
    with opened_postgres(place) as engine:
        assert total(engine) == before + 1
    admin.execute("DELETE FROM here.many WHERE n = -1")


def test_nothing_can_be_written(place: Postgres) -> None:
    with opened_postgres(place) as engine, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        engine.connection.execute("INSERT INTO here.many VALUES (-2, 'x', 1)")


def test_a_database_that_goes_away_gives_nothing(place: Postgres, admin: psycopg.Connection) -> None:
    rows = 0
    with opened_postgres(place) as engine:
        pid = engine.connection.info.backend_pid
        with pytest.raises(Invalid, match="went away while it was read; nothing was kept") as caught:
            for batch in engine.batches(TABLE):
                rows += batch.height
                admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert 0 < rows < 160_000
        assert CANARY not in "".join(traceback.format_exception(caught.value))
        with pytest.raises(Invalid, match="went away"):
            total(engine)


def test_a_reading_that_is_stopped_gives_nothing(place: Postgres, admin: psycopg.Connection) -> None:
    admin.execute("CREATE ROLE hurried LOGIN")
    admin.execute("GRANT USAGE ON SCHEMA here TO hurried")
    admin.execute("GRANT SELECT ON ALL TABLES IN SCHEMA here TO hurried")
    with opened_postgres(place.model_copy(update={"user": "hurried"})) as engine:
        engine.connection.execute("SET LOCAL statement_timeout = 1")
        left, right = TABLE, TABLE.view()
        slow = left.cross_join(right).aggregate(n=left.n.sum() + right.n.sum())
        with pytest.raises(Invalid, match="stopped the reading; nothing was kept"):
            list(engine.batches(slow))


def test_what_may_not_be_read_is_said(place: Postgres, admin: psycopg.Connection) -> None:
    admin.execute("CREATE ROLE outsider LOGIN")
    assert "may not read all of the tables" in refused(place.model_copy(update={"user": "outsider"}))


def test_a_wrong_password_is_said(place: Postgres, admin: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    admin.execute(f"CREATE ROLE keeper LOGIN PASSWORD '{CANARY}'")
    rules = Path(place.socket) / "data" / "pg_hba.conf"
    before = rules.read_text()
    try:
        rules.write_text("local all keeper scram-sha-256\n" + before)
        admin.execute("SELECT pg_reload_conf()")
        monkeypatch.setenv("PGPASSWORD", "wrong")
        keeper = place.model_copy(update={"user": "keeper"})
        for _ in range(50):  # the server takes a moment to read its rules again
            try:
                with opened_postgres(keeper):
                    pass
            except Invalid:
                break
        assert "a right password" in refused(keeper)
    finally:
        rules.write_text(before)
        admin.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"database": "nowhere"}, "does not exist"),
        ({"user": "nobody-here"}, "does not exist"),
        ({"port": 5999}, "no PostgreSQL socket for port 5999"),
        ({"socket": "/nonexistent"}, "no PostgreSQL socket"),
        ({"socket": "/tmp,database.example.org"}, "no network is used"),
        ({"socket": "database.example.org"}, "no network is used"),
    ],
)
def test_a_place_that_is_no_database_here_is_refused(place: Postgres, change: dict[str, object], words: str) -> None:
    assert words in refused(place.model_copy(update=change))


def test_the_environment_leads_nowhere_else(place: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")
    monkeypatch.setenv("PGHOST", "database.example.org")
    with opened_postgres(place) as engine:
        assert total(engine) == 160_000
        assert not engine.connection.info.hostaddr


def test_without_psycopg_the_extra_is_named(place: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(Invalid, match=r"wardgate\[postgres\]"), opened_postgres(place):
        pass
