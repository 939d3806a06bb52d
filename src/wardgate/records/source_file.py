"""`source.yaml`: where one hospital's records lie and what they leave unsaid. Local: it never leaves the hospital."""

from typing import Literal, Self

from pydantic import Field, model_validator

from wardgate.records.record import Record
from wardgate.records.yaml_file import check_schema, read, validate

SCHEMA = "wardgate/source/1"
NAME_OF_FILE = "source.yaml"


class Postgres(Record):
    """A database on this machine, reached through a Unix socket and never over a network.

    Attributes:
        socket: Folder of the socket, an absolute path, e.g. `/run/postgresql`.
        tables: The schema that holds the tables.
    """

    socket: str = Field(pattern=r"^/")
    database: str = Field(min_length=1)
    user: str | None = None
    port: int = Field(default=5432, ge=1, le=65535)
    tables: str = "public"


class SourceFile(Record):
    """Where one hospital's records lie.

    Attributes:
        kind: `omop` (CDM 5.3 or 5.4), `meds` (0.4), `fhir` (R4 bulk export, ndjson) or `tables` (the hospital's own
            tables, with `mapping` saying how their rows become events).
        place: Folder, or DuckDB file, relative to the folder of `source.yaml`.
        postgres: The database, instead of `place`; OMOP only.
        timezone: IANA name, e.g. `Europe/Vienna`, of the hospital's clocks. Times with an offset become local times of
            this zone; without it they are refused.
        units: UCUM unit of numbers that come without one, by code, e.g. `LOINC/2160-0: mg/dL`.
        unit_names: The source's own spellings to UCUM, e.g. `mg/dl: mg/dL`.
        codes: CSV files that map the hospital's own codes to standard ones, each line with its provenance.
        mapping: For `tables`: the file that says how rows become events.
    """

    schema_: Literal["wardgate/source/1"] = Field(default="wardgate/source/1", alias="schema")
    kind: Literal["omop", "meds", "fhir", "tables"]
    place: str = "."
    postgres: Postgres | None = None
    timezone: str | None = None
    units: dict[str, str] = Field(default_factory=dict)
    unit_names: dict[str, str] = Field(default_factory=dict)
    codes: tuple[str, ...] = ()
    mapping: str | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.postgres is not None and (self.kind != "omop" or self.place != "."):
            raise ValueError("'postgres' stands instead of 'place', and holds OMOP tables")
        if (self.mapping is not None) != (self.kind == "tables"):
            raise ValueError("'mapping' belongs to kind 'tables', which needs it")
        for file in (*self.codes, *([] if self.mapping is None else [self.mapping])):
            if file.startswith(("/", "\\")) or ".." in file.replace("\\", "/").split("/") or ":" in file:
                raise ValueError("files are named relative to source.yaml, inside its folder")
        return self


def parse(text: str, *, name: str) -> SourceFile:
    """Read `source.yaml`.

    Raises:
        Findings: everything that is wrong in it, each with its line.
    """
    parsed = read(text, name=name, what="a source")
    check_schema(parsed, (SCHEMA,))
    return validate(parsed, SourceFile)
