"""The finished run on disk: report, corpora and signed evidence. It appears whole or not at all (docs/adr/0008)."""

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from wardgate.hub import layout
from wardgate.hub.chain import Run
from wardgate.hub.commons.joint import joint_certificate
from wardgate.hub.exchange import Exchange
from wardgate.records.canonical import sha256
from wardgate.records.corpus_file import read_corpus
from wardgate.records.envelope import Statement, seal
from wardgate.records.errors import Broken, Invalid
from wardgate.records.log import MerkleLog
from wardgate.records.messages import MANIFEST, FileEntry, Manifest, Party
from wardgate.records.parcel import VectorRef
from wardgate.records.results import Results
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.road.box import sync

File = tuple[str, Iterable[bytes]]

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_run(
    out: Path,
    *,
    exchange: Exchange,
    run: Run,
    results: Results,
    report_html: str,
    study_text: str,
    replace: bool,
    issued_on: str | None = None,
) -> None:
    """Write a finished run into the folder `out`.

    Everything is written and flushed in a draft beside `out` first; one rename makes it the run. An interrupt leaves
    either no run or the old one.

    Args:
        study_text: The study's YAML as it was given.
        replace: Whether an earlier run at `out` may be replaced; it is removed only after the new one stands.
        issued_on: Today, as an ISO date, for the joint corpus's certificate.

    Raises:
        Invalid: `out` exists, or holds something else than a run; a site has a reserved name; the study's text is
            not the locked study; the folder cannot be written or the disk is full.
    """
    _check_content(run, study_text, results)
    _stage(out, _files(exchange, run, results, report_html, study_text, issued_on), exchange=exchange, replace=replace)


def write_transcript(
    out: Path, *, exchange: Exchange, logs: Mapping[str, bytes], study_text: str, replace: bool = False
) -> None:
    """Write the conversation of a study by itself: every signed record, every masked vector, no report.

    `wardgate verify` replays it: signatures, decisions, logs, and every sum recomputed from the masked answers.

    Args:
        logs: What each site's closing answer brought.
        study_text: The study's YAML as it was given.
        replace: Whether an earlier run at `out` may be replaced.

    Raises:
        Invalid: `out` exists, or holds something else than a run; the study's text is not the locked study; the folder
            cannot be written or the disk is full.
    """
    _check_study(exchange.study, study_text)
    _stage(out, _transcript(exchange, logs, study_text), exchange=exchange, replace=replace)


def _stage(out: Path, files: Iterable[File], *, exchange: Exchange, replace: bool) -> None:
    out = out.resolve()
    draft = out.parent / f".{out.name}.unfinished-{os.getpid()}"
    old = out.parent / f".{out.name}.replaced"
    try:
        _clear(out, old)
        check_target(out, replace=replace)
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        entries = [_write(draft, path, chunks) for path, chunks in files]
        study_sha256 = exchange.study_sha256
        manifest = Manifest(study_sha256=study_sha256, files=tuple(sorted(entries, key=lambda one: one.path)))
        subjects = (("study", study_sha256),)
        statement = Statement(predicate_type=MANIFEST, predicate=manifest.plain(), subjects=subjects)
        _write(draft, layout.MANIFEST, [seal(statement, exchange.signer)])
        _flush(draft)
        _put(draft, out, old)
    except OSError as error:
        raise Invalid(_words(error, out)) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _check_content(run: Run, study_text: str, results: Results) -> None:
    _check_study(run.study, study_text)
    if Results.model_validate_json(results.model_dump_json()) != results:
        raise Invalid("a figure of the results is not a finite number and would not read back; leave it out instead")


def _check_study(study: Study, study_text: str) -> None:
    reserved = next((site for site in study.sites if site in layout.RESERVED), None)
    if reserved is not None:
        raise Invalid(f"a site of the study is called '{reserved}', which has a meaning in a run; choose another name")
    if parse(study_text, name=layout.STUDY_TEXT).to_bytes() != study.to_bytes():
        raise Invalid("the text of the study says something else than the study that was run; give the text that was")


def check_target(out: Path, *, replace: bool) -> None:
    """Check that a run may be written to `out`, before anything is computed for it.

    Raises:
        Invalid: it exists and may not be replaced, or holds something else than a run.
    """
    if not out.name:
        raise Invalid(f"{out} cannot hold a run; name a folder of its own")
    if not out.exists():
        return
    if not replace:
        raise Invalid(f"{out} exists; choose another folder, or allow it to be replaced")
    if not out.is_dir():
        raise Invalid(f"{out} is no folder, so it is not replaced; choose another")
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_symlink() or not path.is_dir()}
    stranger = min(found - _named(out), default=None)
    if stranger is not None:
        raise Invalid(f"{out} holds '{stranger}', which belongs to no run of Wardgate; move it away or choose another")


def _named(out: Path) -> set[str]:
    """Return the files that a run's own manifest names. Its signature does not matter: this only guards other files."""
    try:
        data = (out / layout.MANIFEST).read_bytes()
        peeked = layout.peek(data)
        if peeked.predicate_type != MANIFEST:
            return set()
        return {layout.MANIFEST, *(entry.path for entry in Manifest.from_plain(peeked.predicate).files)}
    except (OSError, Broken, Invalid):
        return set()


def _clear(out: Path, old: Path) -> None:
    """Remove what an interrupted writer left: drafts always; an old run that was set aside comes back."""
    if old.is_dir():
        if out.exists():
            shutil.rmtree(old)
        else:
            old.rename(out)
    if out.parent.is_dir():
        mark = f".{out.name}.unfinished-"
        for path in [path for path in out.parent.iterdir() if path.name.startswith(mark)]:
            shutil.rmtree(path)


def _put(draft: Path, out: Path, old: Path) -> None:
    if out.exists():
        out.rename(old)
        try:
            draft.rename(out)
        except OSError:
            old.rename(out)
            raise
        sync(out.parent)
        shutil.rmtree(old)
    else:
        draft.rename(out)
        sync(out.parent)


def _write(root: Path, path: str, chunks: Iterable[bytes]) -> FileEntry:
    target, digest, size = root / path, hashlib.sha256(), 0
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            size += len(chunk)
    return FileEntry(path=path, sha256=digest.hexdigest(), bytes=size)


def _flush(draft: Path) -> None:
    """Wait until everything of the draft is on the disk, folders last."""
    paths = sorted(draft.rglob("*"))
    for path in [path for path in paths if path.is_file()] + [path for path in paths if path.is_dir()] + [draft]:
        sync(path)


def _words(error: OSError, out: Path) -> str:
    if error.errno in FULL:
        free = next(shutil.disk_usage(path).free for path in out.parents if path.exists())
        return (
            f"no room for the run in {out.parent}: {free / 1e6:.0f} MB are free there; make room or choose another"
            " folder. Nothing was left there, and an earlier run stands as it was"
        )
    return f"the run cannot be written to {out}: {error.strerror}; nothing was left there"


def _files(
    exchange: Exchange, run: Run, results: Results, report_html: str, study_text: str, issued_on: str | None
) -> Iterator[File]:
    """Yield every file of the run but its manifest."""
    yield layout.REPORT, [report_html.encode()]
    yield layout.RESULTS, [layout.results_bytes(results)]
    certificates = dict(run.certificates)
    leaves = list(exchange.log.leaves)
    if layout.JOINT in run.corpora:
        certificates[layout.JOINT] = _joint(exchange, run, issued_on)
        leaves.append(layout.leaf_of("certificate", layout.HUB, certificates[layout.JOINT]))
    for name, corpus in sorted(run.corpora.items()):
        yield layout.corpus_path(name), [corpus]
        yield layout.certificate_path(name), [certificates[name]]
    yield layout.CATALOGUE, [_catalogue(run, certificates)]
    elsewhere = [*run.corpora.values(), *certificates.values()]
    yield from _transcript(exchange, run.logs, study_text, leaves=leaves, elsewhere=elsewhere)


def _transcript(
    exchange: Exchange,
    logs: Mapping[str, bytes],
    study_text: str,
    *,
    leaves: list[bytes] | None = None,
    elsewhere: Iterable[bytes] = (),
) -> Iterator[File]:
    """Yield the locked study and the whole signed conversation.

    Args:
        leaves: Of the hub's log, where it says more than the exchange's.
        elsewhere: Blobs that are files of their own.
    """
    study = exchange.study
    yield layout.STUDY_TEXT, [study_text.encode()]
    yield layout.STUDY_LOCK, [layout.lock_bytes(study.plain(), exchange.study_sha256)]
    yield layout.ROSTER, [layout.roster_bytes(_parties(exchange))]
    envelopes: dict[str, list[bytes]] = {layout.HUB: [], **{site: [] for site in study.sites}}
    for kept in exchange.store:
        envelopes[kept.party].append(kept.parcel.envelope)
    for party, lines in envelopes.items():
        yield layout.records_path(party), (line + b"\n" for line in lines)
    kept_logs = {site: log for site, log in sorted(logs.items()) if log}
    for site, log in kept_logs.items():
        yield layout.log_path(site), [log]
    leaves = list(exchange.log.leaves) if leaves is None else leaves
    yield layout.log_path(layout.HUB), [layout.lines_of(leaves)]
    yield layout.CHECKPOINT, [_head(exchange, leaves)]
    files = [*elsewhere, *kept_logs.values(), *(kept.parcel.envelope for kept in exchange.store)]
    yield layout.VECTORS, _vectors(exchange, files)


def _joint(exchange: Exchange, run: Run, issued_on: str | None) -> bytes:
    drawn = next(draw for draw in reversed(run.joint_draws) if draw.verdict.outcome == "pass")
    return joint_certificate(
        study=run.study,
        study_sha256=run.study_sha256,
        sites=run.joint_sites,
        evidence=drawn.evidence,
        verdict=drawn.verdict,
        corpus=run.corpora[layout.JOINT],
        signer=exchange.signer,
        issued_on=issued_on,
    )


def _catalogue(run: Run, certificates: dict[str, bytes]) -> bytes:
    return layout.catalogue_bytes(
        run.study_sha256,
        [
            layout.Admitted(
                name=name,
                corpus=corpus,
                rows=read_corpus(corpus).height,
                certificate=certificates[name],
                predicate=layout.peek(certificates[name]).predicate,
            )
            for name, corpus in run.corpora.items()
        ],
    )


def _parties(exchange: Exchange) -> list[Party]:
    """Every key of a run on one machine is a simulated one; between machines, none is."""
    simulated, keys = exchange.simulated, exchange.site_keys
    hub = Party(name=layout.HUB, role="hub", public_key=exchange.signer.public_key.hex(), simulated=simulated)
    sites = exchange.study.sites
    return [hub, *(Party(name=s, role="site", public_key=keys[s].hex(), simulated=simulated) for s in sites)]


def _head(exchange: Exchange, leaves: list[bytes]) -> bytes:
    log = MerkleLog(origin=exchange.log.origin)
    for leaf in leaves:
        log.append(leaf)
    predicate = {
        "study_sha256": exchange.study_sha256,
        "checkpoint": log.checkpoint(),
        "noise_source": "unsafe-test" if exchange.unsafe_accept_test_noise else "system",
    }
    subjects = (("study", exchange.study_sha256),)
    return seal(Statement(predicate_type=layout.HUB_HEAD, predicate=predicate, subjects=subjects), exchange.signer)


def _vectors(exchange: Exchange, elsewhere: Iterable[bytes]) -> Iterator[bytes]:
    named: list[VectorRef] = []
    data: dict[str, bytes] = {}
    for kept in exchange.store:
        refs = layout.refs_of(layout.peek(kept.parcel.envelope))
        named += refs
        data |= {ref.sha256: blob for ref, blob in zip(refs, kept.parcel.blobs, strict=True)}
    for ref in layout.first_named(named, elsewhere=map(sha256, elsewhere)):
        yield data[ref.sha256]
