"""Both ends in a process that kills itself (SIGKILL) in the middle of its work; the next process finishes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from made_ends import Ends

KILLED_IN = {
    "the middle of a piece": """
write, seen = os.pwrite, []
def half(handle, data, offset):
    seen.append(offset)
    if len(seen) == 4:
        write(handle, data[: len(data) // 2], offset)
        die()
    return write(handle, data, offset)
os.pwrite = half
""",
    "the check of the digest": """
from wardgate.road.partials import Partials
Partials.holds = lambda self, name: die()
""",
    "the wait for the disk": """
os.fsync = lambda handle: die()
""",
    "the moment after the rename": """
from wardgate.road import box
box.sync = lambda folder: die()
""",
    "the reply": """
ends.after = lambda number: die() if ends.accepted else None
""",
    "the removal from the outgoing box": """
Box.remove = lambda self, name: die()
""",
}

SCRIPT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from made_ends import Ends
from wardgate.road.box import Box
def die():
    os.kill(os.getpid(), signal.SIGKILL)
ends = Ends(folder=Path(sys.argv[2]), chunk=1000)
(name,) = ends.out.names()
# WHERE
ends.sender.send(ends.out, name)
ends.out.remove(name)
"""


@pytest.mark.parametrize("where", KILLED_IN)
def test_killed_in_the_middle_and_finished_by_the_next_process(tmp_path: Path, where: str) -> None:
    ends = Ends(folder=tmp_path, chunk=1000)
    name = ends.put(10_000)
    expected = ends.out.read(name)
    script = SCRIPT.replace("# WHERE", KILLED_IN[where])
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent), str(tmp_path)], capture_output=True, timeout=60
    )
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    for found in ends.into.names():
        assert ends.into.read(found) == expected, "under a parcel's name lies a whole parcel or none"
    ends.accepted.extend(ends.into.names())
    assert ends.out.names() == [name]
    sent = ends.sender.send(ends.out, name)
    ends.out.remove(name)
    assert ends.into.read(name) == expected
    assert ends.parts() == ends.out.names() == []
    assert sent.resumed_from >= 3000
