"""The final test of each approach again: overall from the opened score bins, by hospital from what each signed."""

import math
from collections.abc import Mapping

from wardgate.hub.acceptance import shortfalls
from wardgate.hub.intake.conversation import Conversation
from wardgate.hub.pooling.score_bins import Figures, Grid, read_bins
from wardgate.hub.pooling.transfer import Transfer, recalibrated_figures
from wardgate.measures.subgroups import group_names
from wardgate.records.canonical import number_of
from wardgate.records.errors import Broken
from wardgate.records.results import Approach, Results
from wardgate.records.study import Study

CLOSE = 1e-9
"""Figures are recomputed by the same code; another machine may round the last bits otherwise."""

JUDGED = ("federated", "hybrid", "commons")
"""The study's acceptance is judged on the first of these that was tested."""


def final_test(talk: Conversation) -> Transfer:
    """Return what the opening of the locked test said, from the records alone."""
    overall: dict[str, Figures] = {}
    subgroups: dict[str, tuple[Figures, ...]] = {}
    recalibrated: Figures | None = None
    for one in talk.opened:
        if one.question.computation == "score_bins" and one.question.split == "locked_test":
            given = one.question.parameters
            grid = Grid(
                bins=int(given["bins"]),
                low=number_of(given["low"]),
                high=number_of(given["high"]),
                subgroups=int(given["subgroups"]),
            )
            if "prior_deviation" in given:
                recalibrated, _ = read_bins(one.total, grid, noise=one.noise)
                continue
            name = str(given["model"])
            overall[name], subgroups[name] = read_bins(one.total, grid, noise=one.noise)
    asked = [one for one in talk.asked.values() if one.question.split == "locked_test"]
    tested = [str(one.question.parameters["model"]) for one in asked if one.question.computation == "score_bins"]
    answers = {
        site: given.answer
        for one in asked
        if one.question.computation == "evaluate"
        for site, given in talk.given[one.sha256].items()
    }
    missing = {name: "the sum stayed closed" for name in tested if name not in overall}
    return Transfer(overall=overall, subgroups=subgroups, sites=answers, missing=missing, recalibrated=recalibrated)


def check_approach(approach: Approach, final: Transfer, study: Study) -> None:
    """Check the figures of one approach: overall, by subgroup and by hospital.

    Raises:
        Broken: a figure is another than the records give, is missing, or may not be shown.
    """
    figures = final.overall.get(approach.name)
    if figures is None and approach.auroc is not None:
        raise Broken("has figures, but no sum on the locked test was opened for it")
    if figures is not None:
        _check_overall(approach, figures, study)
        _check_subgroups(approach, final.subgroups[approach.name], study)
    _check_sites(approach, final)


def check_acceptance(results: Results, final: Transfer, study: Study) -> None:
    """Check what the results say of the study's acceptance thresholds.

    Raises:
        Broken: another verdict, or other shortfalls, than the final test gives.
    """
    missed = shortfalls(study, final)
    judged = next((name for name in JUDGED if name in final.overall), None)
    accepted = judged is not None and not any(short.model == judged for short in missed)
    if results.recalibrated != recalibrated_figures(final):
        raise Broken("recalibrated: found other figures than the summed score bins give")
    if results.accepted != accepted:
        raise Broken(f"accepted: found {results.accepted}, the final test gives {accepted}")
    if results.acceptance != tuple(short.words for short in missed):
        raise Broken("acceptance: says something else than the final test gives")


def _check_overall(approach: Approach, figures: Figures, study: Study) -> None:
    if min(figures.events, figures.non_events) < study.gate.small_cells.min_count:
        if approach.auroc is not None:
            raise Broken("shows figures of fewer persons than the policy allows")
        return
    wanted = {
        "auroc": figures.auroc.value,
        "auroc_low": figures.auroc.low,
        "auroc_high": figures.auroc.high,
        "oe": figures.oe.value,
        "slope": figures.slope.value,
    }
    for name, value in wanted.items():
        found = getattr(approach, name)
        if not _near(found, value):
            raise Broken(f"{name}: found {found}, its opened score bins give {value:.6g}")


def _check_subgroups(approach: Approach, parts: tuple[Figures, ...], study: Study) -> None:
    minimum = study.gate.small_cells.min_count
    wanted = {
        name: figures
        for name, figures in zip(group_names(study), parts, strict=False)
        if min(figures.events, figures.non_events) >= minimum and math.isfinite(figures.oe.value)
    }
    if [shown.subgroup for shown in approach.subgroups] != list(wanted):
        raise Broken("shows other subgroups than its opened score bins allow")
    for shown in approach.subgroups:
        figures = wanted[shown.subgroup]
        if not _near(shown.auroc, figures.auroc.value) or not _near(shown.oe, figures.oe.value):
            raise Broken(f"{shown.subgroup}: found AUROC {shown.auroc}, the bins give {figures.auroc.value:.6g}")


def _near(found: float | None, value: float) -> bool:
    if found is None or not math.isfinite(value):
        return found is None and not math.isfinite(value)
    return abs(found - value) <= CLOSE * max(1.0, abs(value))


def _check_sites(approach: Approach, final: Transfer) -> None:
    """Compare an approach's figures by hospital with what each signed on its locked test."""
    shown = {figure.id: figure for figure in approach.sites}
    for site, answer in final.sites.items():
        figures: Mapping[str, str] = answer.statement.get("figures", {})
        if answer.outcome == "refused" or f"{approach.name}.auroc" not in figures:
            continue
        figure = shown.pop(site, None)
        for name in ("auroc", "auroc_low", "auroc_high", "oe"):
            signed = number_of(figures[f"{approach.name}.{name}"])
            if figure is None or getattr(figure, name) != signed:
                raise Broken(f"{site}: {name} is not the {signed:g} that the site signed")
    if shown:
        raise Broken(f"shows figures of '{min(shown)}', which signed none")
