"""Marked patients are planted at every hospital, and every byte that leaves is searched for them."""

import base64
import re
import struct
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "canary"))

import faults
import leaks
import made_up

from wardgate.federation.local import Settings, find_hospitals, run_study
from wardgate.hub.commons.directory import write_run
from wardgate.hub.telling import results_of
from wardgate.papers.report import render
from wardgate.records.study_file import parse
from wardgate.simulate.hospitals import PLANS, Canary, build

TEXTS = [text for one in made_up.ALL_MARKED for text in one.texts]
NUMBERS = [number for one in made_up.ALL_MARKED for number in one.numbers]
ATTEMPTS = 3
"""Noise is the system's, so once in a while the gate passes no corpus in a run; then another run is searched too."""

REFERENCE = re.compile(r"private log under reference ([0-9a-f]{12})")


# The search itself: every form is found, and innocent bytes are not.


@pytest.mark.parametrize("needle", [*leaks.text_needles("CANARY-7f3a"), *leaks.number_needles(71.2345678)], ids=str)
def test_every_form_of_a_marked_value_is_found(needle: leaks.Needle) -> None:
    piece = leaks.Piece("somewhere", b"before \x00" + needle.data + b"\xff after")
    assert leaks.leaks([piece], texts=["CANARY-7f3a"], numbers=[71.2345678])


@pytest.mark.parametrize("offset", range(3))
def test_a_marked_patient_inside_a_longer_base64_text_is_found(offset: int) -> None:
    coded = base64.b64encode(b"x" * offset + b'{"person": "CANARY-7f3a"}')
    assert leaks.leaks([leaks.Piece("coded", coded)], texts=["CANARY-7f3a"], numbers=[])


def test_a_marked_value_in_a_corpus_is_found_however_the_file_is_compressed(tmp_path: Path) -> None:
    table = pl.DataFrame({"marker": [1.5, 71.2345678, 3.25], "sex": ["female", "CANARY-sex", "male"]})
    table.write_parquet(tmp_path / "corpus.parquet", compression="zstd")
    found = leaks.leaks(leaks.of_folder(tmp_path), texts=["CANARY-sex"], numbers=[71.2345678])
    assert any("CANARY-sex" in one for one in found)
    assert any("float64" in one for one in found)


def test_a_marked_value_is_found_in_a_corpus_of_narrow_numbers(tmp_path: Path) -> None:
    table = pl.DataFrame({"marker": pl.Series([1.5, 71.2345678, 3.25], dtype=pl.Float32)})
    table.write_parquet(tmp_path / "corpus.parquet")
    assert leaks.leaks(leaks.of_folder(tmp_path), texts=[], numbers=[71.2345678])


def test_numbers_that_only_begin_like_a_marked_value_are_no_leak(tmp_path: Path) -> None:
    """A hundred thousand drawn values hold every short run of digits, and every four bytes, sooner or later."""
    values = [6.18518512345678, 96.1851851999, struct.unpack("<d", b"\x76" + bytes(6) + b"\x40")[0]]
    values += [struct.unpack("<d", b"\xde\x6b\x76\x12\x34\x56\x02\x40")[0]]
    pl.DataFrame({"systolic_pressure": values}).write_parquet(tmp_path / "corpus.parquet")
    assert leaks.leaks(leaks.of_folder(tmp_path), texts=[], numbers=[6.1851851, 6.9506172]) == []


def test_innocent_bytes_are_no_leak() -> None:
    rng = np.random.default_rng(1)
    masked = rng.integers(0, 2**63, 200_000, dtype=np.uint64).tobytes()
    figures = " ".join(repr(float(value)) for value in rng.normal(60, 40, 20_000)).encode()
    given = [*leaks.pieces("masked", masked, masked=True), leaks.Piece("figures", figures)]
    assert leaks.leaks(given, texts=TEXTS[:6], numbers=NUMBERS[:3]) == []


# The whole chain.


def test_no_marked_patient_leaves_any_hospital(tmp_path: Path, monkeypatch, capfd) -> None:
    """CSV, CSV.gz and Parquet hospitals; parcels, the finished run, what is printed."""
    for attempt in range(ATTEMPTS):
        heard = faults.run(_made(tmp_path / str(attempt)), monkeypatch)
        assert heard.finished is not None, heard.error
        heard.printed += "".join(capfd.readouterr())
        found = list(heard.left())
        assert sum(len(piece.data) for piece in found) > 500_000
        assert leaks.leaks(found, texts=TEXTS, numbers=NUMBERS) == []
        if {"northgate", "joint"} <= heard.finished.run.corpora.keys():
            return
    pytest.fail("no corpus left, so too little was searched")


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _row_into_the_statement(statement):
    row = dict(faults.VICTIM.values)
    return faults.replaced(statement, said={**statement.said, "example": row})


def _row_into_the_log_line(statement):
    return faults.replaced(statement, blobs=(("log", f"{faults.SECRET}\n".encode()),))


TWINS = {
    "review": (f"{faults.WARD}.answering.ward.described", _row_into_the_statement),
    "roster": (f"{faults.WARD}.answering.ward.join", _row_into_the_statement),
    "blob": (f"{faults.WARD}.answering.ward.described", _row_into_the_log_line),
    "corpus": (
        f"{faults.WARD}.generators.marginal_tree.FittedTree.sample",
        lambda table: table.with_columns(
            marker=pl.when(pl.int_range(pl.len()) == 0).then(faults.VICTIM.numbers[0]).otherwise(pl.col("marker"))
        ),
    ),
    "certificate": (
        f"{faults.WARD}.answering.corpus._generator_name",
        lambda name: f"{name} {faults.VICTIM.numbers[0]}",
    ),
}


@pytest.mark.parametrize(
    "twin",
    ["review", "corpus", *(pytest.param(name, marks=pytest.mark.slow) for name in ("roster", "blob", "certificate"))],
)
def test_a_ward_that_lets_one_row_out_is_caught(twin: str, tmp_path: Path, monkeypatch) -> None:
    """The broken twins: without them, a search that finds nothing proves nothing."""
    faults.wrapped(monkeypatch, *TWINS[twin])
    heard = (faults.run(_made(tmp_path / str(attempt)), monkeypatch) for attempt in range(ATTEMPTS))
    assert any(leaks.leaks(one.left(), texts=faults.VICTIM.texts, numbers=faults.VICTIM.numbers) for one in heard)


# Each step fails beside patients.


def _nothing_left_but_a_reference(heard: faults.Heard) -> None:
    assert leaks.leaks(heard.left(), texts=faults.VICTIM.texts, numbers=faults.VICTIM.numbers) == []
    assert "Traceback" not in heard.printed
    told = "\n".join([*heard.refusals, str(heard.error)])
    references = set(REFERENCE.findall(told))
    private = heard.private()
    assert references, f"nobody was told of the failure: {told}"
    for reference in references:
        assert re.search(rf"^{reference} ", private, flags=re.MULTILINE)


QUICK = (
    "cohort loading",
    "split",
    "encode",
    "generator fit",
    "battery",
    "newton",
    "score bins",
    "evaluate",
    "decision",
    "close",
    "signature",
)


@pytest.mark.parametrize(
    "step", [step if step in QUICK else pytest.param(step, marks=pytest.mark.slow) for step in faults.STEPS]
)
def test_a_step_that_fails_once_quotes_nobody(step: str, tmp_path: Path, monkeypatch, capfd) -> None:
    failed = faults.broken(monkeypatch, step)
    heard = faults.run(tmp_path, monkeypatch)
    heard.printed += "".join(capfd.readouterr())
    assert failed, f"the chain never came to '{step}'"
    _nothing_left_but_a_reference(heard)
    assert faults.VICTIM.texts[0] in heard.private(), "the hospital cannot find the cause"


def test_a_site_that_fails_in_a_sum_closes_it_and_the_run_goes_on(tmp_path: Path, monkeypatch) -> None:
    """There is no recovery from drop-outs in this version: the sum is lost, and nothing but the sum."""
    faults.broken(monkeypatch, "newton")
    heard = faults.run(tmp_path, monkeypatch)
    assert heard.finished is not None
    run = heard.finished.run
    assert run.federated is None
    assert "1 of 4 sites refused, so the sum stays closed" in run.federated_reason
    assert run.test is not None
    assert (heard.out / "report.html").exists()


@pytest.mark.parametrize("step", ["cohort loading", "battery", "newton", "signature"])
def test_a_step_that_always_fails_ends_the_run_and_quotes_nobody(step: str, tmp_path: Path, monkeypatch, capfd) -> None:
    faults.broken(monkeypatch, step, times=None)
    heard = faults.run(tmp_path, monkeypatch)
    heard.printed += "".join(capfd.readouterr())
    _nothing_left_but_a_reference(heard)


@pytest.mark.parametrize("kind", faults.ERRORS)
def test_no_kind_of_error_carries_a_patient_out(kind: str, tmp_path: Path, monkeypatch, capfd) -> None:
    faults.broken(monkeypatch, "cohort loading", error=faults.ERRORS[kind], times=None)
    heard = faults.run(tmp_path, monkeypatch)
    heard.printed += "".join(capfd.readouterr())
    assert len(heard.refusals) == len(made_up.SITES)
    if kind != "our own error with a cause":
        _nothing_left_but_a_reference(heard)
        return
    assert leaks.leaks(heard.left(), texts=faults.VICTIM.texts, numbers=faults.VICTIM.numbers) == []
    assert set(heard.refusals) == {"the column 'marker' could not be read; correct the mapping"}


def test_an_interrupt_is_no_failure_and_is_not_answered(tmp_path: Path, monkeypatch) -> None:
    def interrupt() -> object:
        raise KeyboardInterrupt

    faults.broken(monkeypatch, "cohort loading", error=interrupt)
    with pytest.raises(KeyboardInterrupt):
        faults.run(tmp_path, monkeypatch)


# The simulated hospitals of the demo, one of which has a generator that memorises its patients.


SIMULATED_TEXTS: list[str] = []
SIMULATED_NUMBERS: list[float] = []


def _canaries() -> list[Canary]:
    """Two marked patients at every hospital, in the source's own unit and coding."""
    canaries = []
    for place, plan in enumerate(PLANS, start=1):
        person, odd, lactate = f"CANARY-{place}9b2d7f", f"CANARY-odd{place}4e", round(3.1234567 + 0.7654321 * place, 7)
        _, factor, offset, _ = plan.units.get("lactate", ("", 1.0, 0.0, 7))
        written = lactate * factor + offset
        canaries.append(Canary(site=plan.id, person=person, values={"lactate": repr(written)}))
        canaries.append(Canary(site=plan.id, person=f"{person}-odd", values={"consciousness": odd}))
        SIMULATED_TEXTS.extend((person, odd))
        SIMULATED_NUMBERS.extend((written, (written - offset) / factor))
    return canaries


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> faults.Heard:
    """The demo's run over the six simulated hospitals."""
    folder = tmp_path_factory.mktemp("simulated")
    made = build(folder / "hospitals", seed=1, canaries=_canaries())
    (folder / "private").mkdir()
    text = made.study.read_text()
    study = parse(text, name="study.yaml")
    finished = run_study(
        study=study,
        hospitals=find_hospitals(folder / "hospitals", study),
        settings=Settings(seed=1, issued_on="2026-01-02", reference=True),
        work=folder / "private",
    )
    results = results_of(finished.run, finished.exchange, simulated=True, isolated=False)
    write_run(
        folder / "out",
        exchange=finished.exchange,
        run=finished.run,
        results=results,
        report_html=render(results),
        study_text=text,
        replace=False,
    )
    return faults.Heard(out=folder / "out", work=folder / "private", exchanges=[finished.exchange], finished=finished)


@pytest.mark.slow
def test_no_marked_patient_leaves_the_simulated_hospitals(simulated: faults.Heard) -> None:
    assert simulated.finished is not None
    assert "joint" in simulated.finished.run.corpora, "no corpus left, so nothing was searched"
    assert leaks.leaks(simulated.left(), texts=SIMULATED_TEXTS, numbers=SIMULATED_NUMBERS) == []


@pytest.mark.slow
def test_a_hospital_that_codes_its_outcome_backwards_enters_no_exact_sum(simulated: faults.Heard) -> None:
    assert simulated.finished is not None
    run, exchange = simulated.finished.run, simulated.finished.exchange
    assert run.named == ("westfield",)
    exact = [r for r in exchange.received if r.answer.computation in ("newton", "score_bins") and not r.noisy]
    assert exact
    assert "westfield" not in {received.site for received in exact}
