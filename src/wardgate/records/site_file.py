"""Who a hospital is and where its data lie: `site.yaml` at the top of its folder, read and checked line by line."""

from typing import Literal

from pydantic import Field

from wardgate.records.record import Name, Record
from wardgate.records.yaml_file import check_schema, read, validate

SCHEMA = "wardgate/site/1"


class SiteFile(Record):
    """`site.yaml`. It holds no secret and no patient; ward and wire both read it.

    Attributes:
        site: The hospital's name in studies.
        source: The folder of its data, with `hospital.yaml` and `mapping.yaml` or `source.yaml`; where it is not
            absolute, from the folder of `site.yaml`.
        policy: A gate policy file: the hospital's own floor, which no study may go below. None for no floor.
        questions: `study`: a signed study covers the computations it names. `each`: a person approves every
            computation once, always or never.
    """

    schema_: Literal["wardgate/site/1"] = Field(default="wardgate/site/1", alias="schema")
    site: Name
    source: str = Field(min_length=1)
    policy: str | None = Field(default=None, min_length=1)
    questions: Literal["study", "each"] = "study"


def parse(text: str, *, name: str) -> SiteFile:
    """Read a site's file.

    Args:
        text: YAML.
        name: The file's name, for messages.

    Raises:
        Findings: everything that is wrong in it, each with its line.
    """
    parsed = read(text, name=name, what="a hospital's site file")
    check_schema(parsed, (SCHEMA,))
    return validate(parsed, SiteFile)
