"""Files that a command is given or writes: whole, or a message that says what was expected."""

import json
from pathlib import Path

from wardgate.hub.commons.durable import write_whole
from wardgate.records.errors import Invalid


def write_out(target: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file, whole or not at all.

    Args:
        private: For its owner's eyes alone.

    Raises:
        Invalid: it cannot be written.
    """
    problem = ""
    try:
        write_whole(target, content)
        if private:
            target.chmod(0o600)
    except OSError as error:
        problem = error.strerror or "unknown reason"
    if problem:
        raise Invalid(f"{target} cannot be written ({problem}); nothing was left half-written")


def bytes_in(file: Path, what: str) -> bytes:
    """Return the bytes of a file.

    Args:
        what: What it should be, in words.

    Raises:
        Invalid: no such file.
    """
    if not file.is_file():
        raise Invalid(f"{file} is not a file, expected {what}")
    return file.read_bytes()


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
