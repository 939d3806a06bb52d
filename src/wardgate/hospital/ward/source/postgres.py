"""PostgreSQL behind a Unix socket of this machine: one read-only transaction, so that all answers are of one moment.

psycopg 3 is loaded only here, and only when a database is asked for; it is LGPL and an extra of its own (ADR 0025).
Nothing that the server says is passed on: its messages may quote a row.
"""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from wardgate.hospital.ward.source.duckdb_engine import statement
from wardgate.hospital.ward.source.events import Expression
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.source_file import Postgres

_BATCH_ROWS = 50_000
_DTYPES: dict[str, pl.DataType] = {
    "int8": pl.Int8(),
    "int16": pl.Int16(),
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float64": pl.Float64(),
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One table of a schema.

    Attributes:
        columns: Name and type of each, as PostgreSQL calls them.
        readable: Whether the user may read it.
    """

    schema: str
    table: str
    columns: tuple[tuple[str, str], ...]
    readable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresEngine:
    """Runs expressions in one transaction of one database.

    Attributes:
        name: The source, for messages.
        connection: Of psycopg; read only, all in one snapshot.
    """

    name: str
    connection: Any
    dialect: Literal["postgres"] = field(default="postgres", init=False)
    _numbers: Iterator[int] = field(default_factory=itertools.count, init=False, repr=False)

    def once(self, expression: Expression) -> Expression:
        """Return the table as it is: whoever may only read can make no view."""
        return expression

    def batches(self, expression: Expression) -> Iterator[pl.DataFrame]:
        """Run an expression and yield its rows in batches, an empty one where there are none.

        One is held at a time, here and by the server.

        Raises:
            Invalid: the database went away, or cannot answer.
        """
        psycopg = _psycopg()
        schema = {name: _dtype(kind) for name, kind in expression.schema().items()}
        sql = statement(expression, dialect="postgres")
        found: Exception | None = None
        try:
            with closing(self.connection.cursor(name=f"wardgate_{next(self._numbers)}", binary=True)) as cursor:
                cursor.execute(sql)
                some = False
                while (rows := cursor.fetchmany(_BATCH_ROWS)) or not some:
                    some = True
                    yield pl.DataFrame(rows, schema=schema, orient="row", infer_schema_length=None)
        except psycopg.Error as error:
            found = _problem(self.name, psycopg, error, gone=self.connection.closed)
        if found is not None:
            raise found


@contextmanager
def opened_postgres(settings: Postgres, *, timezone: str | None = None) -> Iterator[PostgresEngine]:
    """Open a database and begin the one transaction in which everything is read.

    A password is found where PostgreSQL's own programs look for it (`~/.pgpass`); none stands in a file of ours.

    Args:
        timezone: Zone in which times of a zone are given.

    Raises:
        Invalid: psycopg is not installed, the socket is none of this machine, or the database does not let us in.
    """
    psycopg = _psycopg()
    name = f"the database {settings.database}"
    folder = Path(settings.socket)
    if not folder.is_absolute() or "," in settings.socket:
        raise Invalid("expected the absolute folder of one Unix socket, as /run/postgresql; no network is used")
    if not (folder / f".s.PGSQL.{settings.port}").exists():
        raise Invalid(
            f"there is no PostgreSQL socket for port {settings.port} in {settings.socket}; start the server, or "
            "correct 'postgres.socket' and 'postgres.port'"
        )
    found: Exception | None = None
    connection: Any = None
    try:
        connection = psycopg.connect(
            host=settings.socket,
            hostaddr="",
            port=settings.port,
            dbname=settings.database,
            user=settings.user,
            sslmode="disable",
            gssencmode="disable",
            connect_timeout=10,
            application_name="wardgate",
            options="",
            client_encoding="utf8",
        )
        if connection.info.hostaddr or not connection.info.host.startswith("/"):
            raise psycopg.OperationalError  # something in the environment led elsewhere
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        connection.execute("SET LOCAL search_path = pg_catalog")
        connection.execute("SET LOCAL cursor_tuple_fraction = 1")
        connection.execute("SET LOCAL statement_timeout = 0")
        connection.execute("SELECT set_config('timezone', %s, true)", [timezone or "UTC"])
    except psycopg.Error as error:
        found = _refused(name, settings, psycopg, error)
    if found is not None:
        if connection is not None:
            connection.close()
        raise found
    try:
        yield PostgresEngine(name=name, connection=connection)
    finally:
        connection.close()


def listed(engine: PostgresEngine, schemas: Sequence[str]) -> tuple[Listed, ...]:
    """Return the tables and views of schemas, in the order of the schemas.

    Raises:
        Invalid: the database went away.
    """
    psycopg = _psycopg()
    found: Exception | None = None
    rows: list[tuple[str, str, str, str, bool]] = []
    try:
        rows = engine.connection.execute(
            """
            SELECT n.nspname, c.relname, a.attname, t.typname,
                   has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            JOIN pg_type t ON t.oid = a.atttypid
            WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
            ORDER BY array_position(%s::text[], n.nspname::text), c.relname, a.attnum
            """,
            [list(schemas), list(schemas)],
        ).fetchall()
    except psycopg.Error as error:
        found = _problem(engine.name, psycopg, error, gone=engine.connection.closed)
    if found is not None:
        raise found
    tables: dict[tuple[str, str], list[tuple[str, str]]] = {}
    readable: dict[tuple[str, str], bool] = {}
    for schema, table, column, kind, may in rows:
        tables.setdefault((schema, table), []).append((column, kind))
        readable[schema, table] = may
    return tuple(
        Listed(schema=schema, table=table, columns=tuple(columns), readable=readable[schema, table])
        for (schema, table), columns in tables.items()
    )


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise Invalid(
            "psycopg, which speaks to PostgreSQL, is not installed; install the extra wardgate[postgres]"
        ) from None
    return psycopg


def _dtype(kind: Any) -> pl.DataType:
    found = _DTYPES.get("timestamp" if kind.is_timestamp() else str(kind).removeprefix("!"))
    if found is None:
        raise Unsupported(f"no way to read a column of type {kind} from PostgreSQL")
    return found


def _problem(name: str, psycopg: Any, error: Exception, *, gone: bool) -> Exception:
    """Say what happened without the server's words, which may quote a row."""
    errors = psycopg.errors
    if isinstance(error, errors.InsufficientPrivilege):
        return Invalid(f"{name}: this user may not read all of the tables; GRANT SELECT ON them")
    if isinstance(error, errors.QueryCanceled):
        return Invalid(f"{name} stopped the reading; nothing was kept. Raise its time limits for this user")
    if gone or isinstance(error, (errors.AdminShutdown, errors.CrashShutdown, psycopg.OperationalError)):
        return Invalid(f"{name} went away while it was read; nothing was kept. Read it again")
    if isinstance(error, psycopg.DataError):
        return Invalid(f"{name} holds a value that is out of every range (a time or number); correct it there")
    return RuntimeError(f"the reading of {name} failed: {type(error).__name__}")


def _refused(name: str, settings: Postgres, psycopg: Any, error: Exception) -> Exception:
    """Say why a connection was not made; the server's words are told by their kind alone."""
    words, user = str(error), settings.user or "this user"
    if "password" in words:
        return Invalid(f"{name} wants a right password of {user}; put it into ~/.pgpass")
    if "does not exist" in words:
        return Invalid(f"{name}, or the user {user}, does not exist on that server; correct source.yaml")
    if "ermission denied" in words or "authentication failed" in words or "pg_hba" in words:
        return Invalid(f"{name} does not let {user} in; let the server trust this user on its socket (pg_hba.conf)")
    if isinstance(error, psycopg.errors.InvalidParameterValue):
        return Invalid("the server does not know the zone of 'timezone' in source.yaml; give an IANA name")
    return Invalid(f"{name} cannot be reached through {settings.socket}; start the server, or correct source.yaml")
