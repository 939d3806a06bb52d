"""The commons again: every corpus with its certificate, judged anew, and whether it is the one that was released."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from wardgate.hub import layout
from wardgate.hub.intake.conversation import Answered, Conversation
from wardgate.hub.intake.evidence import check_noise_source, check_outcome
from wardgate.hub.intake.reading import Folder
from wardgate.marginals.sites.model import SITE
from wardgate.policy.decision import decide
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.approval import check_approval
from wardgate.records.canonical import sha256
from wardgate.records.certificate import Opened, approvable
from wardgate.records.certificate_file import read_certificate
from wardgate.records.claim import GaussianEvent
from wardgate.records.corpus_file import read_corpus
from wardgate.records.envelope import Statement, unseal
from wardgate.records.errors import Broken
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence

SLACK = 1e-6
"""Relative difference between two roundings of one cost that is not a lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """A corpus of the commons whose certificate holds."""

    entry: layout.Admitted
    evidence: Evidence
    sites: tuple[str, ...]


def names_of(folder: Folder) -> list[str]:
    """Return the corpora that the manifest names, by corpus or by certificate."""
    names = set()
    for path in folder.entries:
        for suffix in (".parquet", ".certificate.json"):
            if path.startswith("commons/") and path.endswith(suffix):
                names.add(path.removeprefix("commons/").removesuffix(suffix))
    return sorted(names)


def check_corpora(folder: Folder, study: Study) -> dict[str, Corpus]:
    """Check every corpus and certificate, and the catalogue over them; return those that hold."""
    found = {}
    names = names_of(folder)
    for name in names:
        corpus = check_corpus(folder, name, study)
        if corpus is not None:
            found[name] = corpus
    with folder.at(layout.CATALOGUE):
        data = folder.read(layout.CATALOGUE)
        expected = layout.catalogue_bytes(folder.study_sha256, [corpus.entry for corpus in found.values()])
        if len(found) == len(names) and data != expected:
            raise Broken("says something else than the corpora and certificates beside it")
    return found


def check_corpus(folder: Folder, name: str, study: Study) -> Corpus | None:
    """Check one corpus and its certificate: signature, subject, study, policy re-decided, file."""
    where = layout.certificate_path(name)
    held: tuple[Statement, Opened] | None = None
    with folder.at(where):
        certificate = folder.read(where)
        held = check_certificate(certificate, issuer=name, keys=folder.keys, study=study)
        folder.count("certificates, policy decided again")
    path = layout.corpus_path(name)
    with folder.at(path):
        corpus = folder.read(path)
        if held is None:
            raise Broken("the corpus has no certificate that holds")
        statement, opened = held
        if dict(statement.subjects) != {"corpus.parquet": sha256(corpus)}:
            raise Broken(f"the certificate is for another corpus ({where})")
        rows = _read(corpus, study, sites=opened.certificate.source.sites if name == layout.JOINT else ())
        folder.count("corpora")
        entry = layout.Admitted(
            name=name, corpus=corpus, rows=rows, certificate=certificate, predicate=statement.predicate
        )
        with folder.at(where):
            _check_approvals(opened, key=folder.keys[_party(name)])
        said = opened.certificate
        return Corpus(entry=entry, evidence=said.evidence, sites=said.source.sites)
    return None


def _party(issuer: str) -> str:
    return layout.HUB if issuer == layout.JOINT else issuer


def check_certificate(
    certificate: bytes, *, issuer: str, keys: dict[str, bytes], study: Study
) -> tuple[Statement, Opened]:
    """Return what a certificate says, if it holds by itself.

    Raises:
        Broken: signature, type, study, site, policy, evidence or verdict do not hold, or the verdict is not a pass.
    """
    party = _party(issuer)
    if party not in keys or issuer == layout.HUB:
        raise Broken(f"a certificate of '{issuer}', who is not in the roster")
    statement = unseal(certificate, keys=(keys[party],))
    opened = read_certificate(statement, envelope=certificate)
    said = opened.certificate
    if said.study is None or said.study.protocol_sha256 != sha256(study.to_bytes()):
        raise Broken("the certificate names another study")
    if (said.site.id, said.site.key_id) != (party, sha256(keys[party])):
        raise Broken(f"the certificate names another issuer than '{party}'")
    if said.policy.rules not in (None, study.gate) or said.policy.sha256 != study.gate.fingerprint():
        raise Broken("the certificate holds another policy than the study's")
    evidence = said.evidence
    check_noise_source(evidence)
    check_outcome(evidence)
    if evidence.kind != ("joint-corpus" if issuer == layout.JOINT else "corpus"):
        raise Broken(f"the evidence is of kind '{evidence.kind}'")
    if said.dp.claim.plain() != evidence.claim.plain():
        raise Broken("the certificate claims other noise than its evidence")
    verdict = decide(evidence, study.gate)
    if said.verdict.plain() != verdict.plain():
        raise Broken(
            f"policy re-decided gives {verdict.outcome} with its rulings, the certificate states another verdict"
        )
    if verdict.outcome != "pass":
        raise Broken(f"the verdict is {verdict.outcome}; only what passed may lie in the commons")
    return statement, opened


def _check_approvals(opened: Opened, *, key: bytes) -> None:
    """Check the approvals inside a certificate: simulated ones by the issuer's own key, of this very certificate.

    Raises:
        Broken: one is of something else, or by somebody else.
    """
    digest = approvable(opened.certificate, opened.subjects)
    for approval in opened.certificate.approvals:
        check_approval(approval, statement_sha256=digest, keys=(key,), accept_simulated=True)


def _read(corpus: bytes, study: Study, *, sites: Sequence[str]) -> int:
    try:
        frame = read_corpus(corpus)
        metadata = pq.read_schema(io.BytesIO(corpus)).metadata or {}
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError) as error:
        raise Broken("not a readable Parquet corpus") from error
    if metadata.get(b"study_sha256") != sha256(study.to_bytes()).encode():
        raise Broken("the corpus names another study in its metadata")
    columns = {*(feature.name for feature in study.features), "label"}
    by_site = bool(sites) and study.joint_site == "keep"
    if by_site:
        columns.add(SITE)
    if set(frame.columns) != columns:
        raise Broken(f"expected the study's columns, found others: {', '.join(sorted(columns ^ set(frame.columns)))}")
    if by_site and not set(frame[SITE].to_list()) <= set(sites):
        raise Broken("its column 'site' names a hospital whose sums it was not drawn from")
    return int(frame.height)


def check_releases(
    folder: Folder, talk: Conversation, corpora: dict[str, Corpus], mismatched: Sequence[str], study: Study
) -> None:
    """Check that the commons holds the last released corpus of every site that was not excluded, and nothing else.

    Args:
        mismatched: Sites whose outcome runs backwards; their corpora were taken out.
    """
    present = set(names_of(folder))
    for site, given in talk.answers.items():
        last = _last_release(given)
        where = layout.certificate_path(site)
        if last is None or site in mismatched:
            if site in present:
                why = "was taken out of the commons" if last else "released no corpus"
                folder.find(where, f"lies in the commons, but the site {why}")
            continue
        if site not in present:
            folder.find(where, "is missing: the site released a corpus")
        elif site in corpora:
            named = {ref.name: ref.sha256 for ref in last.answer.vectors}
            entry = corpora[site].entry
            if named.get("certificate") != sha256(entry.certificate) or named.get("corpus") != sha256(entry.corpus):
                folder.find(where, "is not the certificate that the site's logged answer released")
    with folder.at(layout.certificate_path(layout.JOINT)):
        _check_joint(talk, corpora.get(layout.JOINT), layout.JOINT in present, study)


def _last_release(given: Sequence[Answered]) -> Answered | None:
    released = [one for one in given if one.answer.computation == "corpus" and one.answer.outcome == "released"]
    return released[-1] if released else None


def _check_joint(talk: Conversation, joint: Corpus | None, present: bool, study: Study) -> None:
    if joint is None:
        if talk.joint_certificate and not present:
            raise Broken("is missing: the hub's log names it")
        return
    if talk.joint_certificate != sha256(joint.entry.certificate):
        raise Broken("the hub's log does not name this certificate")
    opened = [one for one in talk.opened if one.question.computation == "marginals"]
    sums = [one.question for one in opened]
    if frozenset().union(*(one.sites for one in opened)) != frozenset(joint.sites):
        raise Broken("the joint corpus names other sites than its sums were taken over")
    noise = [question.sum.noise_multiplier for question in sums if question.sum is not None]
    if any(multiplier is None for multiplier in noise):
        raise Broken("a sum for the joint corpus carried no noise")
    events = tuple(
        GaussianEvent(noise_multiplier=multiplier, count=1, what="sum")
        for multiplier in noise
        if multiplier is not None
    )
    claim = joint.evidence.claim
    cost = epsilon_of(gaussian=events, exponential=(), delta=study.budget.delta)
    if claim.epsilon is None or claim.delta != study.budget.delta or claim.epsilon < cost * (1 - SLACK):
        raise Broken(f"its sums cost epsilon {cost:.4g}; the certificate states {claim.epsilon}")
