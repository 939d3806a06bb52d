"""Where everything of a finished run lies, and the bytes of what is written down twice: by the writer and by the check.

docs/adr/0007 and 0008 say why it lies so.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wardgate.records.canonical import canonical, sha256
from wardgate.records.envelope import PREDICATES, Statement
from wardgate.records.errors import Broken, Invalid
from wardgate.records.messages import SUM, Party
from wardgate.records.parcel import VectorRef
from wardgate.records.results import Results
from wardgate.records.study import RESERVED_SITES

HUB = "hub"
JOINT = "joint"

MANIFEST = "manifest.json"
REPORT = "report.html"
RESULTS = "results.json"
STUDY_TEXT = "study.yaml"
STUDY_LOCK = "study.lock.json"
CATALOGUE = "commons/catalogue.json"
ROSTER = "evidence/roster.json"
VECTORS = "evidence/vectors.bin"
CHECKPOINT = "evidence/hub/checkpoint"

HUB_HEAD = "log-head/v1"
"""Predicate type of the hub's signed log head."""

RESERVED = RESERVED_SITES
"""Names that no site of a run may have: they would be taken for something else in its folder."""


def corpus_path(name: str) -> str:
    """Path of an admitted corpus."""
    return f"commons/{name}.parquet"


def certificate_path(name: str) -> str:
    """Path of an admitted corpus's certificate."""
    return f"commons/{name}.certificate.json"


def records_path(party: str) -> str:
    """Path of all signed envelopes of one party, one a line."""
    return f"evidence/{party}/records.jsonl"


def log_path(party: str) -> str:
    """Path of the leaves of one party's log, one a line."""
    return f"evidence/{party}/log.jsonl"


def lines_of(items: Sequence[bytes]) -> bytes:
    """Return items one a line; every line ends."""
    return b"".join(item + b"\n" for item in items)


def split_lines(data: bytes, *, where: str) -> list[bytes]:
    """Read what `lines_of` wrote.

    Raises:
        Broken: the last line does not end, or a line is empty.
    """
    if not data:
        return []
    if not data.endswith(b"\n"):
        raise Broken(f"{where}: the last line does not end; the file is cut short")
    lines = data[:-1].split(b"\n")
    empty = next((index for index, line in enumerate(lines) if not line), None)
    if empty is not None:
        raise Broken(f"{where}: line {empty + 1} is empty")
    return lines


def leaf_of(event: str, party: str, envelope: bytes) -> bytes:
    """Return the leaf of one record in the hub's log."""
    return canonical({"event": event, "party": party, "sha256": sha256(envelope)})


def lock_bytes(study: Mapping[str, Any], study_sha256: str) -> bytes:
    """Return the locked study's file."""
    return canonical({"sha256": study_sha256, "study": study})


def roster_bytes(parties: Sequence[Party]) -> bytes:
    """Return the file of all key holders."""
    return canonical({"parties": [party.plain() for party in parties]})


def results_bytes(results: Results) -> bytes:
    """Return the file of the results. Equal results give equal bytes."""
    return (results.model_dump_json(indent=2) + "\n").encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """One corpus of the commons: its bytes, its certificate's bytes and what that certificate says."""

    name: str
    corpus: bytes
    rows: int
    certificate: bytes
    predicate: Mapping[str, Any]


def catalogue_bytes(study_sha256: str, admitted: Iterable[Admitted]) -> bytes:
    """Return the catalogue of the commons: what each corpus is, and under which verdict and claim it was admitted."""
    entries = [
        {
            "name": one.name,
            "file": corpus_path(one.name),
            "sha256": sha256(one.corpus),
            "bytes": len(one.corpus),
            "rows": one.rows,
            "certificate": certificate_path(one.name),
            "certificate_sha256": sha256(one.certificate),
            "issuer": one.predicate["site"]["id"],
            "verdict": one.predicate["verdict"]["outcome"],
            "claim": one.predicate["evidence"]["claim"],
        }
        for one in sorted(admitted, key=lambda one: one.name)
    ]
    return canonical({"study_sha256": study_sha256, "corpora": entries})


def size_of(ref: VectorRef) -> int:
    """Return how many bytes a vector has.

    Raises:
        Broken: a dtype that no vector of a run has, or a shape below zero.
    """
    if ref.dtype not in ("<f8", "<u8", "<u4", "<i8", "|u1") or min(ref.shape, default=0) < 0:
        raise Broken(f"vector '{ref.name}': dtype {ref.dtype} and shape {list(ref.shape)} are none that is used here")
    count = 1
    for side in ref.shape:
        count *= side
    return count * np.dtype(ref.dtype).itemsize


def first_named(refs: Iterable[VectorRef], *, elsewhere: Iterable[str]) -> Iterator[VectorRef]:
    """Yield the refs whose bytes stand in `vectors.bin`, in their order there: each at its first naming.

    Args:
        refs: Of all records, in the order of the hub's log.
        elsewhere: Digests of what lies in the run as a file or a record of its own.
    """
    known = set(elsewhere)
    for ref in refs:
        if ref.sha256 not in known:
            known.add(ref.sha256)
            yield ref


def peek(envelope: bytes) -> Statement:
    """Return what an envelope says without checking who signed it. Never trust it; `unseal` is for that.

    Raises:
        Broken: not an envelope.
    """
    try:
        inner = json.loads(base64.b64decode(json.loads(envelope)["payload"], validate=True))
        subjects = tuple((item["name"], item["digest"]["sha256"]) for item in inner["subject"])
        predicate_type, predicate = inner["predicateType"], inner["predicate"]
    except (ValueError, KeyError, TypeError) as error:
        raise Broken("not a signed envelope: its form is damaged") from error
    if not isinstance(predicate_type, str) or not isinstance(predicate, dict):
        raise Broken("not a signed envelope: its form is damaged")
    return Statement(predicate_type=predicate_type.removeprefix(PREDICATES), predicate=predicate, subjects=subjects)


def refs_of(statement: Statement) -> tuple[VectorRef, ...]:
    """Return the vectors that a question, an answer or an opened sum names, in its order.

    Raises:
        Broken: it names them in no readable way.
    """
    predicate = statement.predicate
    try:
        plain = [predicate["total"]] if statement.predicate_type == SUM else predicate.get("vectors", [])
        return tuple(VectorRef.from_plain(item) for item in plain)
    except (KeyError, TypeError, Invalid) as error:
        raise Broken("a record names its vectors in a form that cannot be read") from error
