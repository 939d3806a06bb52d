"""Files that a command is given, read whole, with a message that says what was expected."""

import json
from pathlib import Path

from wardgate.records.errors import Invalid


def json_in(file: Path) -> object:
    """Return what a JSON file holds.

    Raises:
        Invalid: no such file, or not JSON.
    """
    found: object = None
    try:
        found = json.loads(text_in(file, "a JSON record"))
    except ValueError:
        found = None
    if found is None:
        raise Invalid(f"{file} is not JSON")
    return found


def text_in(file: Path, what: str) -> str:
    """Return the text of a file.

    Args:
        what: What it should be, in words.

    Raises:
        Invalid: no such file, or not UTF-8.
    """
    if not file.is_file():
        raise Invalid(f"{file} is not a file, expected {what}")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        pass
    raise Invalid(f"{file} is not UTF-8 text; save it as UTF-8")
