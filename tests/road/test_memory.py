"""A parcel of any size passes both ends in little memory."""

import hashlib
import os
import shutil
import tracemalloc
from pathlib import Path

from wardgate.road.box import Box
from wardgate.road.transfer import Receiver, Sender

MEGABYTE = 2**20


def test_a_parcel_of_thirty_megabytes_takes_a_few_at_both_ends_together(tmp_path: Path) -> None:
    out, into = Box(tmp_path / "out"), Box(tmp_path / "in")
    came, digest = tmp_path / "made", hashlib.sha256()
    with came.open("wb") as file:
        for _ in range(30):
            block = os.urandom(MEGABYTE)
            digest.update(block)
            file.write(block)
    name = digest.hexdigest()
    out.adopt(came, name)
    receiver = Receiver(
        partial=tmp_path / "partial",
        accept=into.adopt,
        has=into.holds,
        largest=100 * MEGABYTE,
        greeting=lambda said: said,
        free=lambda: shutil.disk_usage(tmp_path).free,
        margin=0,
    )
    tracemalloc.start()
    try:
        sent = Sender(call=receiver.take).send(out, name)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent.size == 30 * MEGABYTE
    assert peak < 6 * MEGABYTE
    with into.open(name) as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == name
