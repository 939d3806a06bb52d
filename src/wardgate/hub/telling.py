"""From a finished run to the results that the report renders. Nothing is estimated here anew."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from wardgate import __version__
from wardgate.hub.acceptance import worst_site
from wardgate.hub.chain import JOINT, Run
from wardgate.hub.exchange import Exchange, Received
from wardgate.hub.pooling.score_bins import Figures
from wardgate.hub.pooling.transfer import Transfer, recalibrated_figures
from wardgate.measures.encoding import design_columns
from wardgate.measures.subgroups import group_names
from wardgate.policy.decision import decide
from wardgate.records import results as told
from wardgate.records.bands import at_least, band
from wardgate.records.canonical import number_of
from wardgate.records.messages import Answer
from wardgate.records.verdict import Evidence

MEANINGS: dict[told.ApproachName, str] = {
    "local": "Each hospital's own model, which never leaves it. Over all hospitals together it also gains from knowing "
    "each hospital's own rate of outcomes.",
    "commons": "One model trained on the admitted synthetic corpora alone.",
    "federated": "One model from secure sums over all hospitals; nobody's rows moved.",
    "hybrid": "Started from the commons model, with the ridge chosen there, then fitted by secure sums.",
    "pooled": "All hospitals' rows in one table: impossible in reality, for comparison only.",
}


def results_of(run: Run, exchange: Exchange, *, simulated: bool, isolated: bool) -> told.Results:
    """Return every number of the report."""
    study = run.study
    final = tuple(_approaches(run, run.test)) if run.test is not None else ()
    judged = next((name for name in ("federated", "hybrid", "commons") if name in _known(run.test)), None)
    missed = tuple(short for short in run.final_missed if short.model == judged)
    by_site: dict[str, list[Received]] = {site: [] for site in study.sites}
    for item in exchange.received:
        by_site[item.site].append(item)
    sites = tuple(_site(run, exchange, site, by_site[site]) for site in study.sites)
    spent = [line.epsilon for site in sites for line in site.budget]
    return told.Results(
        wardgate_version=__version__,
        study_id=study.id,
        study_version=study.version,
        study_sha256=run.study_sha256,
        title=study.title,
        question=study.question,
        label=study.label.name,
        label_meaning=study.label.meaning,
        features=tuple(
            told.FeatureMeaning(
                name=feature.name,
                meaning=feature.meaning,
                type=feature.type,
                unit=feature.unit or "",
                range=f"{feature.range[0]:g} to {feature.range[1]:g}"
                if feature.range
                else ", ".join(feature.values or ("no", "yes")),
            )
            for feature in study.features
        ),
        sources=study.sources,
        simulated=simulated,
        isolated=isolated,
        profile=study.gate.profile,
        policy_sha256=study.gate.fingerprint(),
        sites=sites,
        joint_corpus=tuple(
            told.CorpusAttempt(
                corpus=JOINT,
                generator="marginal-tree over summed marginals",
                attempt=index + 1,
                claim=_claim_words(draw.evidence),
                epsilon=draw.evidence.claim.epsilon,
                verdict=draw.verdict,
                released=draw.verdict.outcome == "pass",
                pass_number=draw.pass_number,
            )
            for index, draw in enumerate(run.joint_draws)
        ),
        mismatch=tuple(
            told.Mismatch(
                site=one.site, concordance=one.value, low=one.low, high=one.high, named=one.named, reason=one.reason
            )
            for one in run.definitions
        ),
        mismatched_sites=run.named,
        passes=tuple(
            told.Pass(
                number=rehearsal.number,
                approaches=tuple(_approaches(run, rehearsal.transfer)),
                missed=tuple(short.words for short in rehearsal.missed),
                action=rehearsal.action,
            )
            for rehearsal in run.rehearsals
        ),
        approaches=final,
        recalibrated=None if run.test is None else recalibrated_figures(run.test),
        model=tuple(_coefficients(run)),
        leave_out=tuple(
            told.LeaveOut(
                left_out=one.sites,
                how=one.how,
                auroc=_finite(one.auroc),
                auroc_low=_finite(one.low),
                auroc_high=_finite(one.high),
                oe=_finite(one.oe),
                reason=one.reason,
            )
            for one in run.left_out
        ),
        bytes_moved={
            **{approach.name: approach.bytes_moved for approach in final},
            "out of all hospitals": sum(exchange.bytes_out.values()),
            "into all hospitals": sum(exchange.bytes_in.values()),
        },
        budget={
            "epsilon_total": study.budget.epsilon_total,
            "delta": study.budget.delta,
            "epsilon_spent_most": max(spent, default=0.0),
        },
        accepted=judged is not None and not missed,
        acceptance=tuple(short.words for short in run.final_missed),
        warnings=tuple(_warnings(run)),
    )


def _known(transfer: Transfer | None) -> Mapping[str, Figures]:
    return {} if transfer is None else transfer.overall


def _warnings(run: Run) -> Iterator[str]:
    yield from run.warnings
    if run.test_noise:
        yield "made with a test's repeatable noise: it protects nobody, and no verification accepts it"
    if run.joint_reason:
        yield f"no joint corpus: {run.joint_reason}"
    for draw in run.joint_draws:
        if draw.verdict.outcome != "pass":
            yield f"the joint corpus of pass {draw.pass_number} was not admitted"
    for name, reason in (
        ("commons", run.commons_reason),
        ("federated", run.federated_reason),
        ("hybrid", run.hybrid_reason),
    ):
        if reason:
            yield f"no {name} model: {reason}"


def _site(run: Run, exchange: Exchange, site: str, items: list[Received]) -> told.Site:
    review, closing = run.reviews[site], run.closings.get(site)
    said = review.statement
    agreed = said.get("agreed") is True
    state: str = "refused the study"
    reason = "; ".join(said.get("reasons", [])) or review.refusal
    if site in run.named:
        state = "excluded: definition mismatch"
        reason = next(one.reason for one in run.definitions if one.site == site)
    elif agreed:
        state, reason = "took part", ""
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
                claim=_claim_words(evidence),
                epsilon=evidence.claim.epsilon,
                verdict=decide(evidence, run.study.gate, unsafe_accept_test_noise=run.test_noise),
                released=last and answer.outcome == "released",
                pass_number=number,
            )


def _claim_words(evidence: Evidence) -> str:
    claim = evidence.claim
    if claim.kind == "dp" and claim.epsilon is not None and claim.delta is not None:
        return (
            f"differentially private: epsilon {claim.epsilon:.3g}, delta {claim.delta:.1g}, one person added or removed"
        )
    return "no privacy guarantee by design" if claim.kind == "none" else "exact"


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
        kind, protection = "corpus", _claim_words(answer.evidence) if answer.evidence else ""
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


def _approaches(run: Run, transfer: Transfer) -> Iterator[told.Approach]:
    reasons = {"commons": run.commons_reason, "federated": run.federated_reason, "hybrid": run.hybrid_reason}
    fits = {"federated": run.federated, "hybrid": run.hybrid}
    for name, meaning in MEANINGS.items():
        figures = transfer.overall.get(name)
        reason = transfer.missing.get(name, "") or reasons.get(name, "")
        if figures is None and not reason:
            continue
        fit = fits.get(name)
        worst = worst_site(transfer, name)
        subgroups = tuple(_subgroups(run, transfer, name))
        gaps = [figures.auroc.value - one.auroc for one in subgroups] if figures else []
        show = figures is not None and min(figures.events, figures.non_events) >= run.study.gate.small_cells.min_count
        yield told.Approach(
            name=name,
            meaning=meaning,
            auroc=_finite(figures.auroc.value) if figures and show else None,
            auroc_low=_finite(figures.auroc.low) if figures and show else None,
            auroc_high=_finite(figures.auroc.high) if figures and show else None,
            auroc_bin_error=_finite(figures.auroc_bin_error) if figures and show else None,
            oe=_finite(figures.oe.value) if figures and show else None,
            slope=_finite(figures.slope.value) if figures and show else None,
            worst_site=worst[0] if worst else None,
            worst_site_auroc=worst[1] if worst else None,
            sites=tuple(_site_figures(transfer, name)),
            subgroups=subgroups,
            subgroup_gap=max(gaps) if gaps else None,
            curve=_curve(figures) if figures and show else None,
            rounds=fit.rounds if fit else 0,
            bytes_moved=_bytes(run, name),
            reason_absent=reason if figures is None else "",
        )


def _bytes(run: Run, name: str) -> int:
    commons = run.corpus_bytes + (run.joint.bytes_moved if run.joint else 0)
    if name == "commons":
        return commons
    if name == "federated":
        return run.federated.bytes_moved if run.federated else 0
    if name == "hybrid":
        return commons + (run.hybrid.bytes_moved if run.hybrid else 0)
    if name == "pooled":
        rows = sum(at_least(str(run.reviews[site].statement["persons_band"])) for site in run.sites)
        return int(rows * run.study.splits.train) * 8 * (len(run.study.features) + 1)
    return 0


def _site_figures(transfer: Transfer, name: str) -> Iterator[told.SiteFigure]:
    for site, answer in sorted(transfer.sites.items()):
        figures = answer.statement.get("figures", {}) if answer.outcome == "released" else {}
        if f"{name}.auroc" not in figures:
            continue
        read = {key: number_of(figures[f"{name}.{key}"]) for key in ("auroc", "auroc_low", "auroc_high", "oe")}
        slope = figures.get(f"{name}.slope")
        yield told.SiteFigure(
            id=site,
            n_band=str(answer.statement["n_band"]),
            slope=None if slope is None else number_of(slope),
            **read,
        )


def _subgroups(run: Run, transfer: Transfer, name: str) -> Iterator[told.SubgroupFigure]:
    minimum = run.study.gate.small_cells.min_count
    for group, figures in zip(group_names(run.study), transfer.subgroups.get(name, ()), strict=False):
        if min(figures.events, figures.non_events) < minimum or not math.isfinite(figures.oe.value):
            continue
        yield told.SubgroupFigure(
            subgroup=group,
            n_band=band(round(figures.events + figures.non_events)),
            auroc=figures.auroc.value,
            auroc_low=figures.auroc.low,
            auroc_high=figures.auroc.high,
            oe=figures.oe.value,
        )


def _curve(figures: Figures) -> told.Curve | None:
    if not figures.curve:
        return None
    return told.Curve(
        predicted=tuple(point.predicted for point in figures.curve),
        observed=tuple(point.observed for point in figures.curve),
        low=tuple(point.low for point in figures.curve),
        high=tuple(point.high for point in figures.curve),
        share=tuple(point.share for point in figures.curve),
    )


def _coefficients(run: Run) -> Iterator[told.Coefficient]:
    fit = run.federated or run.hybrid
    beta = fit.beta if fit else run.commons
    if beta is None:
        return
    deviation = np.sqrt(np.diag(fit.covariance)) if fit else np.full(len(beta), np.nan)
    for column, value, error in zip(design_columns(run.study.features), beta, deviation, strict=True):
        numeric = column.feature != "" and column.category is None and not column.missing
        scale = 2.0 if numeric and run.study.feature(column.feature).type != "boolean" else 1.0
        known = math.isfinite(float(error)) and run.study.budget.fit == "exact"
        yield told.Coefficient(
            name=column.name,
            coefficient=float(value),
            odds_ratio=float(np.exp(scale * value)),
            low=float(np.exp(scale * (value - 1.959964 * error))) if known else None,
            high=float(np.exp(scale * (value + 1.959964 * error))) if known else None,
        )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
