"""How each approach does on the hospitals' own persons: overall from summed score bins, per site from sited answers."""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.score_bins import Figures, Grid, ask_bins, read_bins
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import CheckFailed
from wardgate.records.messages import Answer, SplitName
from wardgate.records.opening import digest_of, list_of
from wardgate.records.parcel import pack_vector
from wardgate.records.results import Recalibrated

Vector = NDArray[np.float64]
Models = Mapping[str, Vector | None]
"""Name to coefficients; None stands for each site's own local model."""

RECALIBRATED = "federated"

SMALLEST = 11
"""Events and non-events below which no figure is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What one opening of a split said.

    Attributes:
        overall: By model.
        subgroups: By model, in the order of the study's groups; empty where there are too few persons.
        sites: The sited answers, refusals among them.
        missing: By model, why there are no figures.
        recalibrated: The federated model after each site's own shift, over all sites together; None where not asked.
    """

    overall: dict[str, Figures]
    subgroups: dict[str, tuple[Figures, ...]]
    sites: Mapping[str, Answer]
    missing: dict[str, str]
    recalibrated: Figures | None = None


def test_transfer(
    *,
    models: Models,
    sites: tuple[str, ...],
    split: SplitName,
    grid: Grid,
    noise_multiplier: float | None,
    sited: bool,
    prior_deviation: float,
) -> Generator[Ask, Told, Transfer]:
    """Test every model on one split of every site.

    Args:
        sited: Also ask each site for its own figures.
        prior_deviation: How much calibration differs between sites, for the recalibration's shrinkage.
    """
    listed = list_of({name: None if beta is None else pack_vector(name, beta)[1] for name, beta in models.items()})
    overall: dict[str, Figures] = {}
    subgroups: dict[str, tuple[Figures, ...]] = {}
    missing: dict[str, str] = {}
    for name, beta in models.items():
        try:
            told = yield ask_bins(
                what=f"{split}: score bins of '{name}'",
                sites=sites,
                split=split,
                noise_multiplier=noise_multiplier,
                grid=grid,
                model=name,
                beta=beta,
                listed=listed,
            )
        except CheckFailed as failed:
            missing[name] = str(failed)
            continue
        overall[name], subgroups[name] = read_bins(told.sum(), grid, noise=told.noise)
    recalibrated: Figures | None = None
    if sited and split == "locked_test" and RECALIBRATED in overall:
        try:
            told = yield ask_bins(
                what=f"{split}: score bins of '{RECALIBRATED}' after each site's own shift",
                sites=sites,
                split=split,
                noise_multiplier=noise_multiplier,
                grid=grid,
                model=RECALIBRATED,
                beta=models[RECALIBRATED],
                listed=listed,
                prior_deviation=prior_deviation,
            )
            recalibrated, _ = read_bins(told.sum(), grid, noise=told.noise)
        except CheckFailed as failed:
            missing["recalibrated"] = str(failed)
    answers: Mapping[str, Answer] = {}
    if sited:
        parameters: dict[str, object] = {
            "models": list(models),
            "listed": listed,
            "models_sha256": digest_of(listed),
        }
        if RECALIBRATED in models:
            parameters |= {"recalibrate": RECALIBRATED, "prior_deviation": text_of(prior_deviation)}
        told = yield Ask(
            what=f"{split}: each site's own figures",
            computation="evaluate",
            sites=sites,
            parameters=parameters,
            split=split,
            arrays=tuple((name, beta) for name, beta in models.items() if beta is not None),
        )
        answers = told.answers
    return Transfer(overall=overall, subgroups=subgroups, sites=answers, missing=missing, recalibrated=recalibrated)


def spread_of_calibration(sites: Mapping[str, Answer]) -> float:
    """Return the between-site standard deviation of calibration-in-the-large, from sited answers.

    Method of moments: variance over sites less the mean sampling variance, at least 0.1. With fewer than three
    sites 0.3, a common value for risk models moved between hospitals.
    """
    before, noise = [], []
    for answer in sites.values():
        figures = answer.statement.get("figures", {})
        if answer.outcome == "released" and "recalibration.before" in figures:
            before.append(number_of(figures["recalibration.before"]))
            width = number_of(figures["recalibration.high"]) - number_of(figures["recalibration.low"])
            noise.append((width / 3.92) ** 2)
    if len(before) < 3:
        return 0.3
    return float(np.sqrt(max(float(np.var(before, ddof=1)) - float(np.mean(noise)), 0.01)))


def recalibrated_figures(transfer: Transfer) -> Recalibrated | None:
    """Return the federated model before and after the sites' own shifts, where all of it can be shown."""
    before, after = transfer.overall.get(RECALIBRATED), transfer.recalibrated
    if before is None or after is None or min(after.events, after.non_events) < SMALLEST:
        return None
    found = {
        f"{name}_{when}": getattr(figures, name).value
        for when, figures in (("before", before), ("after", after))
        for name in ("auroc", "oe", "slope")
    }
    return Recalibrated(**found) if all(map(math.isfinite, found.values())) else None
