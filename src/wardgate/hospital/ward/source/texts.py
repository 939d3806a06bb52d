"""Small files that people write, such as mappings, read whole."""

from pathlib import Path

from wardgate.records.errors import Invalid


def text_in(path: Path) -> str:
    """Return the text of a file.

    Raises:
        Invalid: it is not UTF-8. The bytes are not quoted.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        pass
    raise Invalid(f"{path.name} is not UTF-8 text; save it as UTF-8")
