"""The doctor beside a real hub: it passes where the road is open, and names what is in the way where it is not."""

import json
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "wall" / "canary"))

import made_up
from consortium_in_namespaces import COMMAND, HUB, Consortium, consortium
from namespaces import why_not

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=str(why_not())),
    pytest.mark.slow,
]

SITE = "northgate"


def _doctor(given: Consortium) -> dict[str, dict[str, str]]:
    program = given.lab[SITE].start(
        COMMAND, "site", "doctor", given.premises[SITE], "--json", environment=given.environment
    )
    program.wait(180)
    found = json.JSONDecoder().raw_decode(program.out.read_text())[0]
    return {check["name"]: check for check in found["checks"]}


def test_the_doctor_of_a_served_hospital_finds_the_road_open_and_then_cut(tmp_path: Path) -> None:
    sources = made_up.hospitals(tmp_path / "sources", only=[SITE])
    (tmp_path / "c").mkdir()
    with consortium(tmp_path / "c", {SITE: sources / SITE}, seed=1, typed=False) as given:
        given.serve(HUB)
        given.serve(SITE)
        greeting, until = given.premises[SITE] / "wire" / "greeting.json", time.monotonic() + 240
        while not greeting.exists():
            assert time.monotonic() < until, given.words()
            given.check_serving()
            time.sleep(0.5)
        found = _doctor(given)
        amiss = {name: check for name, check in found.items() if check["state"] in ("fail", "not checked")}
        assert amiss.keys() <= {"disk of the spool", "disk of the ward"}, amiss
        assert "answers" in found["our certificate at the hub"]["found"]
        assert "when the two last spoke" in found["clock"]["found"]

        given.lab[SITE].cut()
        cut = _doctor(given)
        assert cut["connection to the hub"]["state"] == "fail"
        assert cut["who answers there"]["state"] == "not checked"

        given.lab[SITE].mend()
        given.lab[HUB].power_off()
        dead = _doctor(given)
        assert "connection refused" in dead["connection to the hub"]["found"]
