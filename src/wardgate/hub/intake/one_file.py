"""One file of a run, or a certificate by itself: its own chain to the hub's signature, without reading the rest."""

from pathlib import Path, PurePosixPath

from wardgate.hub import layout
from wardgate.hub.intake.audit import Audit, is_run, report
from wardgate.hub.intake.corpora import check_corpus
from wardgate.hub.intake.reading import Folder, check_file, open_folder, read_study
from wardgate.hub.intake.shown import read_results
from wardgate.hub.intake.sites import check_head, check_hub_head
from wardgate.records.canonical import canonical, sha256
from wardgate.records.certificate import Opened
from wardgate.records.certificate_file import open_certificate
from wardgate.records.envelope import Statement, unseal
from wardgate.records.errors import Broken, Invalid
from wardgate.records.log import check_inclusion, inclusion_proof, leaf_hash, root


def audit_file(path: Path, *, key: bytes | None = None) -> Audit:
    """Check one file of a run: its entry in the signed manifest, and what hangs on it.

    A corpus or certificate: signature, subject, policy re-decided, and that the answer which released it is in the
    site's log under the site's signed head. Records: each signature, and each in the log. Report and results: that
    one renders the other. The study: that text and lock agree.

    Args:
        key: The hub's public key, where the auditor knows it from elsewhere.

    Raises:
        Invalid: the file lies in no run.
    """
    path = path.resolve()
    home = next((parent for parent in path.parents if is_run(parent)), None)
    if home is None:
        raise Invalid(f"{path.name} lies in no run; a certificate alone needs the key of who signed it (--key)")
    name = path.relative_to(home).as_posix()
    folder = open_folder(home, key=key)
    check_file(folder, layout.ROSTER)
    if name not in (layout.MANIFEST, layout.ROSTER):
        check_file(folder, name)
    if folder.keys and folder.entries:
        _check_chain(folder, name)
    return report(folder, path)


def audit_certificate(path: Path, *, key: bytes) -> Opened:
    """Check the signature of a certificate that lies in no run; `certificates.examine` checks the rest.

    Args:
        key: Public key of the hospital, or of the hub for a joint corpus, known from elsewhere.

    Raises:
        Broken: not a certificate signed by that key.
    """
    return open_certificate(path.read_bytes(), keys=(key,))


def _check_chain(folder: Folder, name: str) -> None:
    parts = PurePosixPath(name).parts
    if name in (layout.STUDY_LOCK, layout.STUDY_TEXT):
        read_study(folder)
    elif name in (layout.RESULTS, layout.REPORT):
        read_results(folder)
    elif name in (layout.CHECKPOINT, layout.log_path(layout.HUB)):
        check_hub_head(folder)
    elif parts[0] == "commons" and name != layout.CATALOGUE:
        _check_corpus(folder, parts[-1].removesuffix(".parquet").removesuffix(".certificate.json"))
    elif parts[0] == "evidence" and len(parts) == 3 and parts[1] in folder.keys:
        records = _records(folder, parts[1])
        if records is not None:
            _check_logged(folder, parts[1], records)


def _check_corpus(folder: Folder, name: str) -> None:
    study = read_study(folder)
    corpus = None if study is None else check_corpus(folder, name, study)
    if corpus is None:
        return
    digest = sha256(corpus.entry.certificate)
    with folder.at(layout.certificate_path(name)):
        if name == layout.JOINT:
            check_hub_head(folder)
            leaf = layout.leaf_of("certificate", layout.HUB, corpus.entry.certificate)
            _check_included(_leaves(folder, layout.HUB), leaf)
        else:
            records = _records(folder, name) or []
            released = [
                envelope
                for envelope, said in records
                if any(ref.sha256 == digest for ref in layout.refs_of(said)) and said.predicate["outcome"] == "released"
            ]
            if not released:
                raise Broken("no signed answer of the site released this certificate")
            _check_site_head(folder, name, records)
            leaf = canonical({"event": "answer:released", "sha256": sha256(released[-1])})
            _check_included(_leaves(folder, name), leaf)
        folder.count("log inclusion")


def _check_logged(folder: Folder, party: str, records: list[tuple[bytes, Statement]]) -> None:
    """Check that every record of a party is in its log, in its order; a site's closing answer came after its log."""
    with folder.at(layout.log_path(party)):
        if party == layout.HUB:
            check_hub_head(folder)
        else:
            if not any(said.predicate.get("computation") == "close" for _, said in records):
                folder.notes.append(f"{party} did not take part and closed no log; its review was checked by signature")
                return
            _check_site_head(folder, party, records)
            records = [one for one in records if one[1].predicate.get("computation") != "close"]
        leaves = iter(_leaves(folder, party))
        for place, (envelope, _) in enumerate(records, start=1):
            digest = f'"sha256":"{sha256(envelope)}"'.encode()
            if not any(digest in leaf for leaf in leaves):
                raise Broken(f"holds no leaf for line {place} of {layout.records_path(party)}, or not in its order")
        folder.count("records in the log", len(records))


def _records(folder: Folder, party: str) -> list[tuple[bytes, Statement]] | None:
    where = layout.records_path(party)
    found = []
    with folder.at(where):
        for place, line in enumerate(layout.split_lines(folder.read(where), where="the records"), start=1):
            try:
                found.append((line, unseal(line, keys=(folder.keys[party],))))
            except Broken as error:
                raise Broken(f"line {place}: {error}") from error
            if found[-1][1].predicate.get("study_sha256") != folder.study_sha256:
                raise Broken(f"line {place}: names another study than the run's")
        folder.count("signatures", len(found))
        return found
    return None


def _leaves(folder: Folder, party: str) -> list[bytes]:
    return layout.split_lines(folder.read(layout.log_path(party)), where="the log")


def _check_site_head(folder: Folder, site: str, records: list[tuple[bytes, Statement]]) -> None:
    closing = next((said for _, said in records if said.predicate.get("computation") == "close"), None)
    if closing is None:
        raise Broken(f"{site} signed no closing answer, so no head of its log")
    head = str(closing.predicate["statement"]["checkpoint"])
    check_head(_leaves(folder, site), head, origin=f"wardgate/site/{site}")
    folder.count("signed log head")


def _check_included(leaves: list[bytes], leaf: bytes) -> None:
    if leaf not in leaves:
        raise Broken("log inclusion: the log holds no leaf of it")
    index, hashes = leaves.index(leaf), [leaf_hash(one) for one in leaves]
    proof = inclusion_proof(hashes, index)
    check_inclusion(leaf=leaf, index=index, size=len(leaves), proof=proof, head=root(hashes))
