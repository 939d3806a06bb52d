"""Runs a peer's processes and watches their memory; ends every one of them, whatever happens."""

import os
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
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
            children, resident = {}, {}
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        fields = (entry / "stat").read_text().rpartition(")")[2].split()
                        pages = int((entry / "statm").read_text().split()[1])
                    except (OSError, IndexError, ValueError):
                        continue
                    children.setdefault(int(fields[1]), []).append(int(entry.name))
                    resident[int(entry.name)] = pages * os.sysconf("SC_PAGE_SIZE")
            for party, processes in self.parties.items():
                todo, total = [process.pid for process in processes], 0
                while todo:
                    pid = todo.pop()
                    total += resident.get(pid, 0)
                    todo += children.get(pid, [])
                self.peak[party] = max(self.peak.get(party, 0), total)

    def end(self):
        """Terminate every process group, then kill it."""
        self._done.set()
        everybody = [process for processes in self.parties.values() for process in processes]
        for kind, patience in ((signal.SIGTERM, 8.0), (signal.SIGKILL, 2.0)):
            for process in everybody:
                try:
                    os.killpg(process.pid, kind)
                except (ProcessLookupError, PermissionError):
                    continue
            until = time.monotonic() + patience
            for process in everybody:
                try:
                    process.wait(max(0.0, until - time.monotonic()))
                except subprocess.TimeoutExpired:
                    continue


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
