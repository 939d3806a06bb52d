"""Searches bytes for marked patients, in every form in which they could have slipped out."""

import base64
import io
import json
import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

LEAST_BYTES = 6
"""Needles shorter than this (a 32-bit number) turn up in random bytes by chance, so they are sought where there are
none: not in masked vectors, nor in compressed files, nor in the columns of a table, where
the same number has a wider form."""

FEW_DIGITS = 11
"""With fewer digits, a number's beginning turns up inside the digits of other numbers, so it must stand by itself."""


@dataclass(frozen=True, slots=True)
class Needle:
    """One form of one marked value. `alone` where it counts only with no further digit beside it."""

    what: str
    form: str
    data: bytes
    alone: bool = False

    def within(self, data: bytes) -> bool:
        """Say whether this form is in the bytes."""
        if self.data not in data:
            return False
        return not self.alone or re.search(rb"(?<![0-9.])" + re.escape(self.data) + rb"(?![0-9])", data) is not None


def text_needles(text: str) -> Iterator[Needle]:
    """Every form of a text."""
    for name, data in (("utf-8", text.encode()), ("utf-16-le", text.encode("utf-16-le"))):
        yield Needle(text, name, data)
        yield from _wrapped(text, name, data)
    yield Needle(text, "utf-16-be", text.encode("utf-16-be"))
    if text.swapcase() != text:
        yield Needle(text, "lower case", text.lower().encode())
        yield Needle(text, "upper case", text.upper().encode())


def number_needles(value: float) -> Iterator[Needle]:
    """Every form of a number that still tells whose it is: seven significant digits or more, the point among them."""
    what = repr(value)
    written = {what, f"{value:.7e}", f"{value:.9e}"}
    written |= {f"{value:.{digits}g}" for digits in range(7, 12)} | {what[:end] for end in range(8, len(what))}
    for text in sorted(text for text in written if "." in text[:-1]):
        yield Needle(what, "digits", text.encode(), alone=sum(letter.isdigit() for letter in text) < FEW_DIGITS)
        yield Needle(what, "digits utf-16", text.encode("utf-16-le"))
        yield from _wrapped(what, "digits", text.encode())
    narrow = struct.unpack("<f", struct.pack("<f", value))[0]
    forms = (("float64", "<d"), ("float64 big-endian", ">d"), ("float32", "<f"), ("float32 be", ">f"))
    packed = [(name, struct.pack(shape, value)) for name, shape in forms]
    for name, data in [*packed, ("float32 widened", struct.pack("<d", narrow))]:
        yield Needle(what, name, data)
        if len(data) >= LEAST_BYTES:
            yield from _wrapped(what, name, data)
    yield Needle(what, "float32 digits", repr(narrow).encode())


def _wrapped(what: str, name: str, data: bytes) -> Iterator[Needle]:
    yield Needle(what, f"{name} in hex", data.hex().encode())
    yield Needle(what, f"{name} in HEX", data.hex().upper().encode())
    for offset in range(3):
        coded = base64.b64encode(b"\0" * offset + data)
        core = coded[(0, 2, 3)[offset] : (len(data) + offset) * 8 // 6]
        yield Needle(what, f"{name} in base64 at {offset}", core)
        yield Needle(what, f"{name} in base64url at {offset}", core.translate(bytes.maketrans(b"+/", b"-_")))


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes that left, and where they were found. `random` where they are masked or compressed."""

    where: str
    data: bytes
    random: bool = False


def pieces(where: str, data: bytes, *, masked: bool = False) -> Iterator[Piece]:
    """Yield bytes and everything that is packed inside them: payloads of envelopes, tables of Parquet files."""
    parquet = data[:4] == b"PAR1"
    yield Piece(where, data, random=masked or parquet)
    if parquet:
        yield from _table(where, data)
        return
    if masked or b'"payload"' not in data:
        return
    for number, line in enumerate(data.splitlines()):
        try:
            inner = base64.b64decode(json.loads(line)["payload"])
        except (ValueError, KeyError, TypeError):
            continue
        yield from pieces(f"{where} line {number} payload", inner)


def _table(where: str, data: bytes) -> Iterator[Piece]:
    """A table as a reader sees it: its text, and its numbers as raw 64-bit values."""
    found = pl.read_parquet(io.BytesIO(data))
    yield Piece(f"{where} decoded", found.write_csv().encode())
    for name in found.columns:
        if found[name].dtype.is_numeric():
            values = found[name].cast(pl.Float64).drop_nulls().to_numpy()
            yield Piece(f"{where} column {name}", values.astype("<f8").tobytes(), random=True)


def of_folder(folder: Path) -> Iterator[Piece]:
    """Everything of a folder: names, and what is in the files."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        yield Piece(f"the name {name}", name.encode())
        if path.is_file():
            yield from pieces(name, path.read_bytes(), masked=path.name == "vectors.bin")


def leaks(found: Iterable[Piece], *, texts: Sequence[str], numbers: Sequence[float]) -> list[str]:
    """Return what was found where; an empty list is what must come back."""
    needles = [needle for text in texts for needle in text_needles(text)]
    needles += [needle for number in numbers for needle in number_needles(number)]
    return [
        f"{piece.where}: {needle.what} as {needle.form}"
        for piece in found
        for needle in needles
        if not (piece.random and len(needle.data) < LEAST_BYTES) and needle.within(piece.data)
    ]
