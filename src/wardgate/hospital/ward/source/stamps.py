"""Whether files are still what they were when a source was opened: by size, time of change and inode."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wardgate.records.errors import Invalid

Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """Files as they were.

    Attributes:
        listed: Names the files of the source, also those that have come since.
        then: Each file's stamp when it was opened; None where there was none.
    """

    listed: Callable[[], Iterable[Path]]
    then: Mapping[Path, Stamp | None]

    @classmethod
    def of(cls, listed: Callable[[], Iterable[Path]]) -> "Stamps":
        """Return the files as they are now."""
        return cls(listed=listed, then={path: _stamp(path) for path in listed()})

    def check(self) -> None:
        """Say whether nothing changed.

        Raises:
            Invalid: a file changed, came or went; the message names it.
        """
        now = {path: _stamp(path) for path in (*self.then, *self._there())}
        changed = sorted({path.name for path, stamp in now.items() if self.then.get(path, ()) != stamp})
        if changed:
            names = f"{', '.join(changed[:3])}{' and others' if len(changed) > 3 else ''}"
            raise Invalid(f"{names} changed while it was read; nothing was kept. Read it again when it rests")

    def _there(self) -> tuple[Path, ...]:
        """The files of the source now; none where they cannot even be listed, which the stamps then tell."""
        try:
            return tuple(self.listed())
        except (OSError, Invalid):
            return ()


def _stamp(path: Path) -> Stamp | None:
    try:
        now = path.stat()
    except OSError:
        return None
    return now.st_size, now.st_mtime_ns, now.st_ino
