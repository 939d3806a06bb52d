"""The card, read by the standard's own library, and the file that it describes, read through the card."""

import hashlib
import io
import json
from pathlib import Path

import mlcroissant
import polars as pl
import pytest

from wardgate.formats.croissant import Exported, card
from wardgate.formats.marked import write_csv
from wardgate.privacy.accountant import dp_claim
from wardgate.records.claim import Claim, GaussianEvent
from wardgate.records.corpus_file import LABEL_TEXT
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature

DICTIONARY = Dictionary(
    features=(
        Feature(name="age", type="integer", unit="a", range=(18, 100), meaning="Age at admission"),
        Feature(name="sex", type="category", values=("F", "M")),
    ),
    label="died",
)
NOISE = dp_claim(
    gaussian=(GaussianEvent(noise_multiplier=5.0, count=1, what="counts"),),
    delta=1e-6,
    covers=(),
    excludes=(),
    noise_source="system",
)


def written(folder: Path, claim: Claim) -> Path:
    sink = io.BytesIO()
    write_csv(iter([pl.DataFrame({"age": [61, 70], "sex": ["F", "M"], "label": [0, 1]})]), sink)
    (folder / "corpus.csv").write_bytes(sink.getvalue())
    exported = Exported(
        name="corpus.csv",
        form="csv",
        sha256=hashlib.sha256(sink.getvalue()).hexdigest(),
        size=len(sink.getvalue()),
        rows=2,
    )
    words = card(exported, DICTIONARY, claim=claim, generator="marginal-tree", judged="Not judged.", on="2026-01-02")
    (folder / "card.json").write_text(json.dumps(words))
    return folder / "card.json"


def test_the_standard_s_library_reads_the_card_and_the_rows_through_it(tmp_path: Path):
    read = mlcroissant.Dataset(written(tmp_path, NOISE))
    assert not read.metadata.issues.errors
    rows = list(read.records("persons"))
    assert len(rows) == 2
    assert {int(row["persons/age"]) for row in rows} == {61, 70}
    assert {row["persons/synthetic"].decode() for row in rows} == {LABEL_TEXT}


def test_the_card_says_what_protects_people(tmp_path: Path):
    private = json.loads(written(tmp_path, NOISE).read_text())
    assert f"epsilon {NOISE.epsilon:g}" in private["rai:personalSensitiveInformation"]
    bare = json.loads(written(tmp_path, Claim(kind="none")).read_text())
    assert "Without a formal guarantee" in bare["rai:personalSensitiveInformation"]
    assert private["description"].startswith(LABEL_TEXT)


def test_a_form_without_a_media_type_is_refused():
    odd = Exported(name="corpus.xls", form="xls", sha256="0" * 64, size=1, rows=1)
    with pytest.raises(Invalid, match="parquet"):
        card(odd, DICTIONARY, claim=NOISE, generator="x", judged="", on="2026-01-02")
