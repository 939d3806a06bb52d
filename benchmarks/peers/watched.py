"""Runs a peer's processes and watches their memory; ends every one of them, whatever happens."""

import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path


class Watch:
    """Processes of one deployment, by party; `peak` is the largest resident memory of each party's tree, in bytes."""

    def __init__(self):
        self.parties = {}
        self.peak = {}
        self._done = threading.Event()

    def start(self, party, command, *, log, **more):
        """Start one process in a session of its own."""
        with Path(log).open("ab") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, **more)
        self.parties.setdefault(party, []).append(process)
        return process

    def sample(self):
        """Look at every tree until it is ended."""
        while not self._done.wait(0.25):
            for party in list(self.parties):
                pages = 0
                for pid in self.tree(party):
                    try:
                        pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
                    except (OSError, IndexError):
                        continue
                self.peak[party] = max(self.peak.get(party, 0), pages * os.sysconf("SC_PAGE_SIZE"))

    def tree(self, party):
        """Return the ids of a party's processes and of all that these started."""
        children = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                except (OSError, IndexError, ValueError):
                    continue
                children.setdefault(parent, []).append(int(entry.name))
        found, todo = [], [process.pid for process in self.parties[party]]
        while todo:
            pid = todo.pop()
            found.append(pid)
            todo += children.get(pid, [])
        return found

    def end(self):
        """Terminate what was started; then kill it, and all that it started in sessions of its own."""
        self._done.set()
        everybody = [process for processes in self.parties.values() for process in processes]
        below = [pid for party in self.parties for pid in self.tree(party)]
        for process in everybody:
            with suppress(ProcessLookupError):
                process.terminate()
        until = time.monotonic() + 25.0
        for process in everybody:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, until - time.monotonic()))
        for pid in below:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for process in everybody:
            process.wait()


@contextmanager
def watched():
    """Yield a Watch and end everything that it started."""
    watch = Watch()
    thread = threading.Thread(target=watch.sample, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()
