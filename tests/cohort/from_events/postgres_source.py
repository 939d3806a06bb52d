"""The same records in a PostgreSQL."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from plain_source import TABLES, PlainSource, Records

from wardgate.hospital.ward.source.postgres import PostgresEngine

_TYPES: Mapping[str, str] = {
    "int64": "bigint",
    "timestamp(6)": "timestamp(6)",
    "string": "text",
    "float64": "double precision",
}


@contextmanager
def postgres_source(records: Records, server: Any) -> Iterator[PlainSource]:
    """The records in tables of one transaction, which is taken back afterwards."""
    import psycopg

    with psycopg.connect(host=str(server.socket), user=server.user, dbname=server.database) as connection:
        for name, frame in records.frames().items():
            columns = ", ".join(f'"{column}" {_TYPES[kind]}' for column, kind in TABLES[name].items())
            connection.execute(f"CREATE TEMPORARY TABLE {name} ({columns})")
            with connection.cursor() as cursor, cursor.copy(f"COPY {name} FROM STDIN") as copy:
                for row in frame.rows():
                    copy.write_row(row)
        yield PlainSource(engine=PostgresEngine(name="a test", connection=connection))
        connection.rollback()
