"""The digest of a cohort, kept privately: a hospital's data may change overnight, and a study must not go on over both.

It is worked out from values alone, so that another version of polars says the same.
"""

import hashlib

import numpy as np
import polars as pl

from wardgate.hospital.ward.cohort.cohort import Cohort


def cohort_digest(cohort: Cohort) -> str:
    """Return the SHA-256 of who is in a cohort, what is known of them and what is kept together. It never leaves."""
    digest = hashlib.sha256(b"wardgate/cohort-digest/1\0")
    tables = [cohort.table, pl.DataFrame({"group": cohort.groups})]
    if cohort.timing is not None:
        tables.append(cohort.timing)
    for table in tables:
        digest.update(f"{table.height}/{table.width}\0".encode())
        for column in table.iter_columns():
            digest.update(column.name.encode() + b"\0" + str(column.dtype).encode() + b"\0")
            digest.update(column.is_null().to_numpy().tobytes())
            digest.update(_values(column))
    return digest.hexdigest()


def _values(column: pl.Series) -> bytes:
    if column.dtype.is_numeric():
        kind = np.dtype("<f8") if column.dtype.is_float() else np.dtype("<i8")
        return column.fill_null(0).to_numpy().astype(kind).tobytes()
    texts = [text.encode() for text in column.cast(pl.String).fill_null("").to_list()]
    lengths = np.array([len(text) for text in texts], dtype="<i8")
    return lengths.tobytes() + b"".join(texts)
