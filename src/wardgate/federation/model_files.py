"""Models on disk: plain JSON, whole or not at all. Reading one runs no code of its own."""

from pathlib import Path

from wardgate.hub.commons.durable import write_whole
from wardgate.models.saving import MAX_BYTES, Model, from_bytes, to_bytes
from wardgate.records.errors import Invalid


def save_model(model: Model, path: Path) -> None:
    """Write a model; an earlier file at `path` is replaced at once, or stays as it was.

    Raises:
        Invalid: the file cannot be written.
    """
    try:
        write_whole(path, to_bytes(model))
    except OSError as error:
        raise Invalid(f"the model cannot be written to {path}: {error.strerror}; nothing was left there") from error


def load_model(path: Path) -> Model:
    """Read what `save_model` wrote.

    Raises:
        Invalid: no such file, or it holds no model.
    """
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise Invalid(f"{path} has {size} bytes; a model has at most {MAX_BYTES}")
        return from_bytes(path.read_bytes())
    except OSError as error:
        raise Invalid(f"no model can be read from {path}: {error.strerror}") from error
