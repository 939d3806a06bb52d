"""What people are shown, against the evidence: results.json figure by figure where they stem from one record."""

from collections.abc import Iterator

from jinja2 import TemplateError

from wardgate import __version__
from wardgate.hub import layout
from wardgate.hub.intake.approaches import check_acceptance, check_approach, final_test
from wardgate.hub.intake.conversation import Answered, Conversation
from wardgate.hub.intake.reading import Folder
from wardgate.hub.pooling.definitions import contradictions, judge
from wardgate.papers.report import render
from wardgate.policy.decision import decide
from wardgate.records.canonical import number_of
from wardgate.records.data_check import DataCheck
from wardgate.records.errors import Broken
from wardgate.records.results import Results, Site
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence, Verdict


def read_results(folder: Folder) -> Results | None:
    """Check `results.json` by itself, and that the report is its rendering; return it where it can be read."""
    results: Results | None = None
    with folder.at(layout.RESULTS):
        data = folder.read(layout.RESULTS)
        results = Results.model_validate_json(data)
        if layout.results_bytes(results) != data:
            raise Broken("not in the form in which Wardgate writes results, so something was altered")
        if results.study_sha256 != folder.study_sha256:
            raise Broken("names another study than the run's")
        folder.count("results")
    if results is not None:
        with folder.at(layout.REPORT):
            check_report(folder, results)
    return results


def check_report(folder: Folder, results: Results) -> None:
    """Check that the report is the rendering of the results.

    Raises:
        Broken: it is another page.
    """
    data = folder.read(layout.REPORT)
    if results.wardgate_version != __version__:
        folder.notes.append(
            f"report.html was written by version {results.wardgate_version} and this is {__version__}: it was checked"
            " against the signed manifest, not rendered again"
        )
        return
    try:
        page = render(results).encode()
    except TemplateError as error:
        raise Broken("results.json cannot be rendered, so the report is none of it") from error
    if page != data:
        raise Broken("is not what results.json renders to")
    folder.count("report, rendered again")


def mismatched_of(talk: Conversation, study: Study) -> tuple[str, ...]:
    """Return the sites that the definition check leaves out, by their own figures, compared anew."""
    told = {
        one.answer.site: one.answer.statement
        for given in talk.answers.values()
        for one in given
        if one.answer.computation == "associations" and one.answer.outcome == "released"
    }
    named = [one.site for one in contradictions(told, study.features, step=study.gate.small_cells.rounding)]
    for one in (one for given in talk.answers.values() for one in given):
        if one.answer.computation != "evaluate" or one.asked.question.split != "train":
            continue
        figures = {name: number_of(text) for name, text in one.answer.statement.get("figures", {}).items()}
        if "direction.auroc" in figures:
            ends = (figures[f"direction.auroc{end}"] for end in ("", "_low", "_high"))
            if judge(one.answer.site, *ends).named:
                named.append(one.answer.site)
    return tuple(dict.fromkeys(named))


def check_results(folder: Folder, results: Results, talk: Conversation, study: Study) -> None:
    """Check every figure of the results that one record gives directly."""
    where = layout.RESULTS
    expected = {
        "study_id": (results.study_id, study.id),
        "study_version": (results.study_version, study.version),
        "title": (results.title, study.title),
        "question": (results.question, study.question),
        "label": ((results.label, results.label_meaning), (study.label.name, study.label.meaning)),
        "features": ([one.name for one in results.features], [one.name for one in study.features]),
        "profile": (results.profile, study.gate.profile),
        "policy_sha256": (results.policy_sha256, study.gate.fingerprint()),
        "mismatched_sites": (set(results.mismatched_sites), set(mismatched_of(talk, study))),
        "sites": ([site.id for site in results.sites], list(study.sites)),
    }
    for name, (found, wanted) in expected.items():
        if found != wanted:
            folder.find(where, f"{name}: found {_short(found)}, the evidence gives {_short(wanted)}")
    for site in results.sites:
        with folder.at(f"{where}, {site.id}"):
            _check_site(site, talk.answers.get(site.id, []), study)
    given = [one for answers in talk.answers.values() for one in answers]
    moved = {
        "out of all hospitals": sum(one.bytes for one in given),
        "into all hospitals": sum(one.asked.bytes for one in given),
    }
    for name, number in moved.items():
        if results.bytes_moved.get(name) != number:
            stated = results.bytes_moved.get(name)
            folder.find(where, f"bytes_moved, {name}: found {stated}, the records hold {number}")
    folder.count("hospitals in the results", len(results.sites))
    final = final_test(talk)
    for approach in results.approaches:
        with folder.at(f"{where}, approach '{approach.name}'"):
            check_approach(approach, final, study)
            folder.count("approaches, figures recomputed from the sums")
    with folder.at(where):
        check_acceptance(results, final, study)


def _check_site(site: Site, given: list[Answered], study: Study) -> None:
    review = next((one.answer for one in given if one.answer.computation == "review"), None)
    closing = next((one.answer for one in given if one.answer.computation == "close"), None)
    said = review.statement if review else {}
    checks: dict[str, tuple[object, object]] = {
        "persons_band": (site.persons_band, str(said.get("persons_band", "<11"))),
        "left": ([(item.sha256, item.bytes) for item in site.left], [(one.sha256, one.bytes) for one in given]),
        "bytes_out": (site.bytes_out, sum(one.bytes for one in given)),
        "bytes_in": (site.bytes_in, sum(one.asked.bytes for one in given)),
        "verdicts": (list(site.verdicts), [attempt.verdict.outcome for attempt in site.attempts]),
        "attempts": ([attempt.verdict for attempt in site.attempts], list(_verdicts(given, study))),
        "locked_test_opens": (site.locked_test_opens, int(closing.statement["locked_test_opens"]) if closing else 0),
        "budget": (
            [(line.split, line.epsilon, line.exact_answers) for line in site.budget],
            [
                (line["split"], number_of(line["epsilon"]), int(line["exact_answers"]))
                for line in (closing.statement["budget"] if closing else ())
            ],
        ),
    }
    if "data_check" in said:
        check = DataCheck.from_plain(said["data_check"])
        stated = (check.site, check.study_sha256, check.persons_band, check.satisfies)
        checks["data_check"] = (stated, (site.id, study.fingerprint(), site.persons_band, said.get("agreed") is True))
    for name, (found, wanted) in checks.items():
        if found != wanted:
            raise Broken(f"{name}: found {_short(found)}, the site's signed records give {_short(wanted)}")


def _verdicts(given: list[Answered], study: Study) -> Iterator[Verdict]:
    """Yield the verdict of every attempt of a site, each once, in their order."""
    shown = 0
    for one in given:
        if one.answer.computation != "corpus" or one.answer.evidence is None:
            continue
        earlier = [Evidence.from_plain(plain) for plain in one.answer.statement["earlier"]]
        for evidence in (*earlier, one.answer.evidence)[shown:]:
            shown += 1
            yield decide(evidence, study.gate)


def _short(value: object) -> str:
    text = str(sorted(value)) if isinstance(value, set) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
