"""Bands never show a small count, and a table that is not marked as synthetic is no corpus."""

import contextlib
import io

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.records.bands import EDGES, at_least, at_most, band, shown
from wardgate.records.corpus_file import LABEL_TEXT, read_corpus, write_corpus
from wardgate.records.errors import Broken

TABLE = pl.DataFrame({"age": [40.0, None, 71.0], "sex": ["female", "male", None], "label": [0, 1, 1]})


@given(st.integers(0, 2_000_000))
def test_a_band_holds_its_count_and_never_says_it(count: int) -> None:
    text = band(count)
    assert at_least(text) <= count <= at_most(text)
    assert at_most(text) - at_least(text) >= 10


@pytest.mark.parametrize("edge", EDGES)
def test_bands_change_at_their_edges(edge: int) -> None:
    assert band(edge - 1) != band(edge)
    assert at_least(band(edge)) == edge


@given(st.integers(0, 10))
def test_one_to_ten_persons_and_nobody_look_alike(count: int) -> None:
    assert shown(count) == shown(0) == "<11"
    assert band(count) == band(0) == "<11"
    assert at_least(band(count)) == 0


def test_a_larger_minimum_hides_more() -> None:
    assert (shown(19, minimum=20), shown(20, minimum=20)) == ("<20", "20")


def test_a_corpus_reads_back_and_equal_tables_give_equal_bytes() -> None:
    data = write_corpus(TABLE, study_sha256="ab" * 32)
    assert read_corpus(data).equals(TABLE)
    assert write_corpus(TABLE.clone(), study_sha256="ab" * 32) == data
    assert write_corpus(TABLE, study_sha256="cd" * 32) != data
    metadata = pq.read_schema(io.BytesIO(data)).metadata
    assert metadata[b"wardgate"] == LABEL_TEXT.encode()


def parquet(metadata: dict[str, str] | None) -> bytes:
    arrow = TABLE.to_arrow().replace_schema_metadata(metadata)
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "metadata", [None, {}, {"wardgate": "synthetic"}, {"Wardgate": LABEL_TEXT}, {"wardgate": LABEL_TEXT.lower()}]
)
def test_a_table_of_patients_is_not_taken_for_a_corpus(metadata: dict[str, str] | None) -> None:
    with pytest.raises(Broken, match="not marked"):
        read_corpus(parquet(metadata))


def test_a_damaged_corpus_is_broken_and_not_quoted() -> None:
    data = write_corpus(TABLE, study_sha256="ab" * 32)
    for broken in (b"", b"PAR1", b"age,sex\n40,female\n", data[:-1], data[1:], data[: len(data) // 2]):
        with pytest.raises(Broken) as refused:
            read_corpus(broken)
        assert "female" not in str(refused.value)


def test_altered_bytes_of_a_corpus_never_stop_with_our_own_failure() -> None:
    """Whatever the byte is, the corpus opens or is refused as broken; its digest is checked elsewhere."""
    data = write_corpus(TABLE, study_sha256="ab" * 32)
    for place in range(len(data)):
        for change in (0x55, 0x80):
            altered = bytearray(data)
            altered[place] ^= change
            with contextlib.suppress(Broken):
                read_corpus(bytes(altered))


def test_a_corpus_of_nested_columns_is_refused() -> None:
    arrow = pa.table({"a": pa.array([[1, 2]])}).replace_schema_metadata({"wardgate": LABEL_TEXT})
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer)
    with pytest.raises(Broken, match="nested"):
        read_corpus(buffer.getvalue())


def test_metadata_that_polars_cannot_read_is_no_way_to_stop_the_hub() -> None:
    odd = TABLE.to_arrow().replace_schema_metadata({b"wardgate": LABEL_TEXT.encode(), b"\xff": b"\xff"})
    buffer = io.BytesIO()
    pq.write_table(odd, buffer)
    assert read_corpus(buffer.getvalue()).equals(TABLE)
