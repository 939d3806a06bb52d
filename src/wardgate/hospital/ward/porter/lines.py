"""A file of JSON lines that only grows, written by the porter and by people's commands at the same time."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wardgate.hospital.ward.gate.book import GrowingFile
from wardgate.records.canonical import canonical
from wardgate.records.errors import Broken, Invalid
from wardgate.records.record import Record

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class Lines:
    """One object a line, on disk before `append` returns.

    A line that a crash cut short never counted; the next writer takes it away.
    """

    path: Path

    def read(self) -> list[dict[str, Any]]:
        """Return every whole line.

        Raises:
            Broken: a line is no object; nobody may then decide by this file.
        """
        whole, _, _ = GrowingFile(self.path).read().rpartition(b"\n")
        found = []
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                one = json.loads(line)
            except (ValueError, RecursionError):
                one = None
            if not isinstance(one, dict):
                raise self._unreadable(number)
            found.append(one)
        return found

    def records(self, kind: type[R]) -> list[R]:
        """Return every whole line as a record.

        Raises:
            Broken: a line is no such record.
        """
        found = []
        for number, line in enumerate(self.read(), start=1):
            try:
                found.append(kind.from_plain(line))
            except Invalid as error:
                raise self._unreadable(number) from error
        return found

    def _unreadable(self, number: int) -> Broken:
        return Broken(f"line {number} of {self.path.name} cannot be read; restore the file from its backup")

    def append(self, plain: dict[str, Any]) -> None:
        """Add a line."""
        with self.held() as add:
            add(plain)

    @contextmanager
    def held(self) -> Iterator[Callable[[dict[str, Any]], None]]:
        """Hold the file against every other writer; yields what appends to it."""
        file = GrowingFile(self.path)
        with file.held():
            if not self._whole():
                file.mend()
            yield lambda plain: file.append(canonical(plain))

    def _whole(self) -> bool:
        try:
            with self.path.open("rb") as file:
                if file.seek(0, os.SEEK_END) == 0:
                    return True
                file.seek(-1, os.SEEK_END)
                return file.read(1) == b"\n"
        except FileNotFoundError:
            return True

    @property
    def state(self) -> tuple[int, int]:
        """Two numbers that change with the file: size, and time of the last writing."""
        try:
            seen = self.path.stat()
        except FileNotFoundError:
            return 0, 0
        return seen.st_size, seen.st_mtime_ns
