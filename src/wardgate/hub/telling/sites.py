"""What the results say of each hospital: its data, its corpora, its budget and what left it."""

from collections.abc import Iterator, Mapping
from typing import Any

from wardgate.hub.chain import Run
from wardgate.hub.exchange import Exchange, Received
from wardgate.hub.layout import JOINT
from wardgate.hub.telling.words import claim_words
from wardgate.policy.decision import decide
from wardgate.records import results as told
from wardgate.records.canonical import number_of
from wardgate.records.messages import Answer
from wardgate.records.verdict import Evidence


def told_site(run: Run, exchange: Exchange, site: str, items: list[Received]) -> told.Site:
    """Return what the results say of one hospital. `items` are its admitted answers, oldest first."""
    review, closing = run.reviews.get(site), run.closings.get(site)
    said: Mapping[str, Any] = {} if review is None else review.statement
    agreed = said.get("agreed") is True
    state: str = "refused the study"
    reason = "did not answer" if review is None else "; ".join(said.get("reasons", [])) or review.refusal
    if site in run.named:
        state = "excluded: definition mismatch"
        reason = next(one.reason for one in run.definitions if one.site == site)
    elif agreed:
        state, reason = "took part", ""
        if site in exchange.dropped:
            reason = "dropped out of a secure sum, and stayed out of all later ones"
    attempts = tuple(_attempts(run, site))
    return told.Site.model_validate(
        {
            "id": site,
            "note": str(said.get("note", "")),
            "persons_band": str(said.get("persons_band", "<11")),
            "state": state,
            "reason": reason,
            "flow": said.get("flow", ()),
            "quality": tuple(_quality(said)),
            "requirements": said.get("requirements", ()),
            "attempts": attempts,
            "verdicts": tuple(attempt.verdict.outcome for attempt in attempts),
            "road": _road(run, site),
            "budget": tuple(_budget(run, closing)),
            "left": tuple(_left(item) for item in items),
            "bytes_out": exchange.bytes_out.get(site, 0),
            "bytes_in": exchange.bytes_in.get(site, 0),
            "locked_test_opens": int(closing.statement.get("locked_test_opens", 0)) if closing else 0,
            "recalibration": _recalibration(run, site),
        }
    )


def _quality(said: Mapping[str, object]) -> Iterator[told.FeatureQuality]:
    entries = said.get("quality", ())
    if not isinstance(entries, list | tuple):
        return
    for entry in entries:
        yield told.FeatureQuality(
            feature=entry["feature"],
            present=number_of(entry["present"]) if "present" in entry else None,
            out_of_range=number_of(entry["out_of_range"]) if "out_of_range" in entry else None,
            unit_found=entry.get("unit_found"),
            converted=bool(entry["converted"]),
        )


def _road(run: Run, site: str) -> str:
    if site in run.corpora:
        return "own corpus"
    if site in run.joint_sites and JOINT in run.corpora:
        return "joint corpus"
    return "federation only" if site in run.sites else "none"


def _attempts(run: Run, site: str) -> Iterator[told.CorpusAttempt]:
    seen = 0
    for number, where, answer in run.corpus_answers:
        if where != site or answer.evidence is None:
            continue
        earlier = [Evidence.from_plain(one) for one in answer.statement.get("earlier", [])]
        for evidence in (*earlier[seen:], answer.evidence):
            seen += 1
            last = evidence is answer.evidence
            yield told.CorpusAttempt(
                corpus=site,
                generator=str(answer.statement.get("generator", "")),
                attempt=evidence.attempt,
                claim=claim_words(evidence),
                epsilon=evidence.claim.epsilon,
                verdict=decide(evidence, run.study.gate, unsafe_accept_test_noise=run.test_noise),
                released=last and answer.outcome == "released",
                pass_number=number,
            )


def _budget(run: Run, closing: Answer | None) -> Iterator[told.BudgetLine]:
    if closing is None or closing.outcome != "released":
        return
    for line in closing.statement["budget"]:
        parts: dict[str, int] = {}
        for part in line["parts"]:
            parts[part] = parts.get(part, 0) + 1
        yield told.BudgetLine(
            split=line["split"],
            epsilon=number_of(line["epsilon"]),
            of=run.study.budget.epsilon_total,
            exact_answers=int(line["exact_answers"]),
            exact_ration=run.study.gate.dp.exact_sum_ration,
            parts=tuple(parts),
        )


def _left(item: Received) -> told.Left:
    answer = item.answer
    if answer.outcome == "refused":
        kind, protection = "refusal", "nothing but the refusal left"
        what = f"a signed refusal: {answer.refusal}"
    elif answer.computation == "corpus":
        kind, protection = "corpus", claim_words(answer.evidence) if answer.evidence else ""
        what = "a synthetic corpus and its certificate"
    elif any(ref.name == "masked" for ref in answer.vectors):
        entries = next(ref.shape[0] for ref in answer.vectors if ref.name == "masked")
        kind = "summed"
        protection = "masked; readable only as a sum over all its sites"
        protection += ", with this site's share of the noise" if item.noisy else ", exact"
        what = f"{entries} masked numbers"
    elif answer.computation in ("associations", "evaluate"):
        figures = answer.statement.get("figures", {})
        kind, protection = "sited", "rounded, over at least 11 events and 11 non-events"
        what = f"{len(figures)} figures of this site"
    else:
        kind, protection, what = "record", "no count below 11", f"a signed record ({answer.computation})"
    return told.Left.model_validate(
        {
            "step": item.what,
            "what": what,
            "kind": kind,
            "protection": protection,
            "bytes": item.bytes,
            "sha256": item.sha256,
        }
    )


def _recalibration(run: Run, site: str) -> told.Calibration | None:
    answer = run.test.sites.get(site) if run.test is not None else None
    if answer is None or answer.outcome == "refused" or "recalibration_records" not in answer.statement:
        return None
    figures = {
        name.removeprefix("recalibration."): number_of(text)
        for name, text in answer.statement["figures"].items()
        if name.startswith("recalibration.")
    }
    return told.Calibration(records=int(answer.statement["recalibration_records"]), **figures)
