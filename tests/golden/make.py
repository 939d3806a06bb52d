"""Writes the golden records of the version that is about to ship: `python tests/golden/make.py`.

Run it once for each version, before its release, and never again for a version that has shipped: what was written
then must stay readable for ever. Everything in it is made up.
"""

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from wardgate import __version__
from wardgate.federation.local import Settings
from wardgate.hub import layout
from wardgate.records.messages import ANSWER, QUESTION, SUM

GOLDEN = Path(__file__).resolve().parent


def small_run() -> ModuleType:
    """Load the maker of the small run, which lies with the museum."""
    spec = importlib.util.spec_from_file_location("small_run", GOLDEN.parent / "museum" / "small_run.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["small_run"] = module
    spec.loader.exec_module(module)
    return module


def make(out: Path) -> None:
    """Make the small run and keep one of each kind of record."""
    made = small_run()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(seed=3, issued_on="2026-01-02")
        run = made.SmallRun(**made._made(Path(folder) / "made", settings), signers={})
        whole = run.write(Path(folder) / "run")
        out.mkdir()
        for path in (layout.STUDY_TEXT, layout.STUDY_LOCK, layout.ROSTER, layout.CHECKPOINT, layout.CATALOGUE):
            (out / Path(path).name).write_bytes((whole / path).read_bytes())
        results = json.loads((whole / layout.RESULTS).read_bytes())
        results["sites"] = results["sites"][:2]
        (out / "results.json").write_text(json.dumps(results))
        (out / "manifest.json").write_bytes((whole / layout.MANIFEST).read_bytes())
        (out / "certificate.json").write_bytes((whole / layout.certificate_path("northgate")).read_bytes())
        (out / "corpus.parquet").write_bytes((whole / layout.corpus_path("northgate")).read_bytes())
        kept = [(one.party, one.parcel, layout.peek(one.parcel.envelope)) for one in run.finished.exchange.store]
        for name, kind, what in (
            ("question", QUESTION, "newton"),
            ("answer", ANSWER, "newton"),
            ("review", ANSWER, "review"),
            ("roster", QUESTION, "roster"),
            ("sum", SUM, None),
        ):
            party, parcel, _ = next(
                one for one in kept if one[2].predicate_type == kind and one[2].predicate.get("computation") == what
            )
            (out / f"{name}.{party}.parcel").write_bytes(parcel.to_bytes())


if __name__ == "__main__":
    make(GOLDEN / __version__)
