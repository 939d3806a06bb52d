"""From a finished run to the results that the report renders. Nothing is estimated here anew."""

from collections.abc import Iterator, Mapping

from wardgate import __version__
from wardgate.hub.chain import Run
from wardgate.hub.exchange import Exchange, Received
from wardgate.hub.layout import JOINT
from wardgate.hub.pooling.score_bins import Figures
from wardgate.hub.pooling.transfer import Transfer, recalibrated_figures
from wardgate.hub.telling.approaches import told_approaches, told_coefficients
from wardgate.hub.telling.sites import told_site
from wardgate.hub.telling.words import claim_words, finite
from wardgate.records import results as told


def results_of(run: Run, exchange: Exchange, *, simulated: bool, isolated: bool) -> told.Results:
    """Return every number of the report."""
    study = run.study
    final = tuple(told_approaches(run, run.test)) if run.test is not None else ()
    judged = next((name for name in ("federated", "hybrid", "commons") if name in _known(run.test)), None)
    missed = tuple(short for short in run.final_missed if short.model == judged)
    by_site: dict[str, list[Received]] = {site: [] for site in study.sites}
    for item in exchange.received:
        by_site[item.site].append(item)
    sites = tuple(told_site(run, exchange, site, by_site[site]) for site in study.sites)
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
                claim=claim_words(draw.evidence),
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
                approaches=tuple(told_approaches(run, rehearsal.transfer)),
                missed=tuple(short.words for short in rehearsal.missed),
                action=rehearsal.action,
            )
            for rehearsal in run.rehearsals
        ),
        approaches=final,
        recalibrated=None if run.test is None else recalibrated_figures(run.test),
        model=tuple(told_coefficients(run)),
        leave_out=tuple(
            told.LeaveOut(
                left_out=one.sites,
                how=one.how,
                auroc=finite(one.auroc),
                auroc_low=finite(one.low),
                auroc_high=finite(one.high),
                oe=finite(one.oe),
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
