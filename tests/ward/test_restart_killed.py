"""The same with real processes and SIGKILL, at moments that nobody chose."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from mortal import MORTAL, World
from smallest import COLUMNS

from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.newton import newton
from wardgate.records.canonical import sha256
from wardgate.records.parcel import Parcel

SCRIPT = Path(__file__).resolve().parent / "one_ward.py"
LONGEST_SECONDS = 120


class Processes:
    """The mortal ward as a process; every second question it is killed at a random moment and started again."""

    def __init__(self, here: World, *, rng: np.random.Generator) -> None:
        self.here, self.rng, self.killed, self.asked = here, rng, 0, 0
        self.process: Any = None
        exchange = here.federation.exchange
        said = {
            "site": MORTAL,
            "book": {site: key.hex() for site, key in here.book.items()},
            "study_sha256": exchange.study_sha256,
            "hub_key": exchange.signer.public_key.hex(),
            "salt": sha256(f"7/{MORTAL}".encode()),
            "key": here.key.hex(),
        }
        here.mortal.close()
        (here.root / "ward.json").write_text(json.dumps(said))

    def start(self) -> None:
        """Start the ward and wait until it is awake."""
        self.process = subprocess.Popen([sys.executable, SCRIPT, self.here.root], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n"

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def bring(self, here: World, site: str, parcel: Parcel) -> Parcel:
        """Bring a question and wait for its answer, whatever happens to the ward."""
        courier = here.couriers[site]
        if site != MORTAL:
            return courier.fetch(here.wards[site].answer(courier.bring(parcel)))
        if self.process is None:
            self.start()
        courier.bring(parcel)
        self.asked += 1
        if self.asked % 2:
            time.sleep(float(self.rng.uniform(0, 0.12)))
            self.kill()
            self.killed += 1
            self.start()
        until = time.monotonic() + LONGEST_SECONDS
        while not (waiting := here.spool.box("answers").names()) or here.spool.box("questions").names():
            assert time.monotonic() < until
            time.sleep(0.005)
        assert len(waiting) == 1, "two different answers to one question"
        return courier.fetch(waiting[0])


@pytest.mark.slow
def test_a_process_killed_at_random_moments_ends_with_the_same_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = []
    for name in ("steady", "killed"):
        here = World(root=tmp_path / name, patch=monkeypatch, more="drop_out: 0.25\n")
        processes = Processes(here, rng=np.random.default_rng(5))
        try:
            if name == "killed":
                monkeypatch.setattr(
                    World, "bring", lambda self, site, parcel, to=processes: to.bring(self, site, parcel)
                )
            else:
                here.restart()
            here.federation.enrol()
            steps = newton(sites=here.federation.sites, start=np.zeros(COLUMNS), ridge=1.0, tolerance=0.7)
            fits.append(here.federation.drive(steps).beta)
            here.federation.save(tmp_path / f"{name}-out", study_text=here.text)
        finally:
            processes.kill()
        assert audit(tmp_path / f"{name}-out").findings == ()
    assert processes.killed > 5
    assert np.array_equal(*fits)
    here.restart()
    assert here.mortal._door.ledger.exact_answers("train") == len(
        [line for line in (here.root / "memory" / "population.jsonl").read_bytes().splitlines() if line]
    )
