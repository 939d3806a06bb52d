"""Files of a corpus: marked in metadata and column, streamed, whole in what they hold."""

import csv
import io

import polars as pl
import pyarrow.parquet as pq
import pytest

from wardgate.formats.marked import MARK, marked, write_csv, write_parquet
from wardgate.records.corpus_file import LABEL_TEXT, read_corpus
from wardgate.records.errors import Invalid

TABLE = pl.DataFrame(
    {"age": [61.0, None], "town": ['a "b", c', "line\nbreak"], "label": pl.Series([0, 1], dtype=pl.Int8)}
)


def batches(count: int = 3):
    return (TABLE for _ in range(count))


def test_parquet_says_in_metadata_and_column_that_nobody_is_real():
    sink = io.BytesIO()
    assert write_parquet(batches(), sink, said={"generator": "x"}) == 6
    file = pq.ParquetFile(io.BytesIO(sink.getvalue()))
    assert file.schema_arrow.metadata[b"wardgate"] == LABEL_TEXT.encode()
    assert file.schema_arrow.metadata[b"generator"] == b"x"
    assert file.num_row_groups == 3
    assert set(read_corpus(sink.getvalue())[MARK]) == {LABEL_TEXT}


def test_csv_reads_back_with_quotes_line_breaks_and_missing_values():
    sink = io.BytesIO()
    assert write_csv(batches(2), sink) == 4
    rows = list(csv.reader(io.StringIO(sink.getvalue().decode())))
    assert rows[0] == ["age", "town", "label", MARK]
    assert rows[1] == ["61.0", 'a "b", c', "0", LABEL_TEXT]
    assert rows[2][:2] == ["", "line\nbreak"]
    assert len(rows) == 5


def test_a_column_named_like_the_mark_is_refused():
    with pytest.raises(Invalid, match="synthetic"):
        marked(pl.DataFrame({MARK: [1]}))


@pytest.mark.parametrize(
    "write", [lambda b: write_csv(b, io.BytesIO()), lambda b: write_parquet(b, io.BytesIO(), said={})]
)
def test_batches_of_other_columns_and_no_batch_are_refused(write):
    with pytest.raises(Invalid, match="differ"):
        write(iter([TABLE, TABLE.rename({"age": "years"})]))
    with pytest.raises(Invalid, match="no batch"):
        write(iter([]))
