"""The whole chain with a hospital that goes away for good at some step: a report all the same, and `verify` agrees."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "wall" / "canary"))

import made_up

from wardgate.federation import links
from wardgate.federation.local import Finished, Settings, find_hospitals, run_study
from wardgate.hub import layout
from wardgate.hub.commons.directory import write_run
from wardgate.hub.intake.audit import audit
from wardgate.hub.telling import results_of
from wardgate.papers.report import render
from wardgate.records.errors import Absent
from wardgate.records.study_file import parse

QUICK = ("roster", "newton")
STEPS = ("review", "corpus", "associations", "marginals", "confirm", "reveal", "score_bins", "evaluate")


def run_without(site: str, step: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Finished, str]:
    """Run the chain over four hospitals of which one goes away at a step."""
    text = made_up.study_text(drop_out=0.25)
    study = parse(text, name="study.yaml")
    hospitals = made_up.hospitals(folder / "hospitals")
    kept, gone = links.LocalLink.send, set()

    def send(link: links.LocalLink, parcel: object) -> None:
        computation = layout.peek(parcel.envelope).predicate["computation"]
        if link._ward.hospital.id == site and computation == step:
            gone.add(site)
        if link._ward.hospital.id in gone:
            raise Absent("the road is broken")
        kept(link, parcel)

    monkeypatch.setattr(links.LocalLink, "send", send)
    (folder / "work").mkdir()
    finished = run_study(
        study=study,
        hospitals=find_hospitals(hospitals, study),
        settings=Settings(seed=1, issued_on="2026-01-02"),
        work=folder / "work",
    )
    assert gone == {site}, f"the chain never came to '{step}'"
    return finished, text


@pytest.mark.parametrize("step", [*QUICK, *(pytest.param(step, marks=pytest.mark.slow) for step in STEPS)])
def test_the_chain_goes_on_without_a_hospital_that_went_away(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished, text = run_without("eastgate", step, tmp_path, monkeypatch)
    run = finished.run
    assert run.test is not None
    assert run.test.overall, f"no model could be tested: {run.test.missing}"
    results = results_of(run, finished.exchange, simulated=True, isolated=False)
    write_run(
        tmp_path / "out",
        exchange=finished.exchange,
        run=run,
        results=results,
        report_html=render(results),
        study_text=text,
        replace=False,
    )
    assert audit(tmp_path / "out").findings == ()
    assert "eastgate" not in run.sites
