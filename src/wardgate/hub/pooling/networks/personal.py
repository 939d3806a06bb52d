"""A model for each hospital: how far hospitals differ, by sums, then each one's own figures.

The hub learns the shares of a public menu over all hospitals, and of each hospital rounded figures. Personal models are
made at the hospitals and stay there.
"""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.likeness import Likeness, Seen
from wardgate.computations.personal import Kept, Personal
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.glm import read_statistics
from wardgate.hub.pooling.networks.side_by_side import Common, Personalised, SiteFigures, read_site
from wardgate.measures.layers.head import head_beta
from wardgate.measures.logistic import Statistics, newton_step, objective
from wardgate.measures.personal import START, Joint, next_shares, variance_of
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

Vector = NDArray[np.float64]

ROUNDS = 8
"""Of EM over the menu. More change the shares little, and each hospital's own evidence counts beside them."""

SETTLED = 0.01

FINE = 1e-8

HEAD_RIDGE = 0.01
"""Of a network's last layer: what reaches it is small against its bound, so a little ridge weighs much."""


def common_model(
    *,
    study: Study,
    sites: tuple[str, ...],
    ridge: float,
    start: Vector | None = None,
    seen: Seen | None = None,
    refit: int = 40,
    rounds: int = ROUNDS,
    noise_multiplier: float | None = None,
) -> Generator[Ask, Told, Common]:
    """Fit the common model by exact sums, and learn how far hospitals differ from it.

    Args:
        start: Coefficients to begin with; zeros by default, of a network its last layer.
        seen: Columns; the study's design by default.
        refit: Newton steps at most.
        noise_multiplier: Of the sums over the menu, in parts of what one person can change; None for exact ones. The
            fit itself is exact.

    Raises:
        Invalid: the fit did not converge, or does not fit the study.
        CheckFailed: a sum stayed closed.
    """
    seen = seen or Seen()
    columns = seen.columns(study)
    if start is None:
        start = np.zeros(columns)
        if seen.network:
            start = head_beta(study.networks[seen.network], seen.weights)
    asker = _Asker(study=study, sites=sites, seen=seen, ridge=ridge)
    beta, sums = yield from _fitted(asker, start, most=refit)
    likeness = Likeness(
        seen=seen,
        wants="shares",
        beta=beta,
        ridge=ridge,
        hessian=_symmetric(sums.hessian),
        shares=np.array(START),
        fitted=asker.sites,
    )
    Joint(beta=beta, hessian=likeness.hessian, ridge=ridge)
    for _ in range(rounds):
        told = yield sum_ask(
            likeness, what="how far hospitals differ", study=study, sites=asker.sites, noise_multiplier=noise_multiplier
        )
        asker.count(told)
        after = next_shares(told.sum())
        moved = float(np.max(np.abs(after - likeness.shares)))
        likeness = replace(likeness, shares=after)
        if moved < SETTLED:
            break
    return Common(
        likeness=likeness,
        sites=asker.sites,
        variance=variance_of(likeness.shares),
        rounds=asker.rounds,
        bytes_moved=asker.bytes_moved,
    )


def personal_figures(
    *, sites: Sequence[str], asked: Personal, split: SplitName
) -> Generator[Ask, Told, dict[str, SiteFigures]]:
    """Ask every hospital to make its personal models and to judge them.

    Args:
        split: `holdout`, or `locked_test`, which opens a counted number of times.

    Raises:
        Invalid: another split.
    """
    if split not in Personal.splits:
        raise Invalid(f"personal models are judged on {' or '.join(Personal.splits)}, not on '{split}'")
    told = yield Ask(
        what=f"{split}: each site's personal models",
        computation=Personal.name,
        sites=tuple(sites),
        parameters=asked.parameters(),
        split=split,
        arrays=asked.arrays(),
    )
    return {site: read_site(told.answers.get(site), told.refusal(site)) for site in sites}


def asked_of(
    commons: Mapping[str, Common], *, kept: Mapping[str, Kept] | None = None, alone: str = "", level: float = 0.95
) -> Personal:
    """Return what hospitals are to make: every common model shrunk, and what they kept of networks.

    Args:
        commons: By prefix; the one over the design has the prefix `""`.
        kept: Models of which something stayed at the hospitals, by name.
        alone: Of those, the network that a hospital trained by itself; networks are compared with it.

    A network is compared with the first common network and `alone`, or with the head of the hospital's own.
    """
    kept = kept or {}
    against: dict[str, tuple[str, str]] = {}
    for prefix, one in commons.items():
        network = bool(one.likeness.seen.network)
        other = alone if network and alone else f"{prefix}local"
        against[f"{prefix}shrunk"] = (f"{prefix}global", other)
    first = next((prefix for prefix, one in commons.items() if one.likeness.seen.network), "")
    for name in kept:
        if name != alone:
            against[name] = (f"{first}global", alone or f"{first}local")
    drawn = {prefix: one.likeness for prefix, one in commons.items()}
    return Personal(drawn=drawn, kept=kept, against=against, level=level)


def personalised(
    *,
    study: Study,
    sites: tuple[str, ...],
    ridge: float,
    split: SplitName = "holdout",
    networks: Mapping[str, Seen] | None = None,
    kept: Mapping[str, Kept] | None = None,
    alone: str = "",
    level: float = 0.95,
    noise_multiplier: float | None = None,
) -> Generator[Ask, Told, Personalised]:
    """Learn how far hospitals differ, and let each make and judge its own models.

    Args:
        ridge: Of the common and of the hospitals' own logistic models.
        networks: Trained networks whose last layer is drawn to each hospital, by the name under which it is shown.
        kept, alone: See `asked_of`.

    Raises:
        Invalid: as `common_model` and `personal_figures`.
        CheckFailed: a sum stayed closed.
    """
    commons: dict[str, Common] = {
        "": (yield from common_model(study=study, sites=sites, ridge=ridge, noise_multiplier=noise_multiplier))
    }
    for name, seen in (networks or {}).items():
        commons[f"{name}."] = yield from common_model(
            study=study, sites=sites, ridge=HEAD_RIDGE, seen=seen, noise_multiplier=noise_multiplier
        )
    asked = asked_of(commons, kept=kept, alone=alone, level=level)
    stayed = tuple(site for site in sites if all(site in one.sites for one in commons.values()))
    figures = yield from personal_figures(sites=stayed, asked=asked, split=split)
    return Personalised(commons=commons, asked=asked, split=split, sites=figures)


@dataclass(slots=True, kw_only=True)
class _Asker:
    """Asks for curvature, and counts; hospitals that drop out stay out."""

    study: Study
    sites: tuple[str, ...]
    seen: Seen
    ridge: float
    rounds: int = 0
    bytes_moved: int = 0

    def at(self, beta: Vector) -> Generator[Ask, Told, Statistics]:
        asked = Likeness(seen=self.seen, wants="curvature", beta=beta, ridge=self.ridge)
        told = yield sum_ask(asked, what="common model: one step", study=self.study, sites=self.sites)
        self.count(told)
        return read_statistics(told.sum(), len(beta))

    def count(self, told: Told) -> None:
        self.rounds, self.bytes_moved = self.rounds + 1, self.bytes_moved + told.bytes_moved
        self.sites = told.sites or self.sites


def _fitted(asker: _Asker, start: Vector, *, most: int) -> Generator[Ask, Told, tuple[Vector, Statistics]]:
    """Climb to the penalised optimum, and return it with the sums taken there or next to it."""
    beta, best = start, -np.inf
    before = start
    for _ in range(most):
        sums = yield from asker.at(beta)
        height = objective(sums, beta, ridge=asker.ridge)
        if height < best - 1e-6 * abs(best) - 1e-9:
            beta = 0.5 * (beta + before)
            continue
        after = newton_step(sums, beta, ridge=asker.ridge)
        if float(np.max(np.abs(after - beta))) < FINE:
            return after, sums
        before, best, beta = beta, height, after
    raise Invalid(f"the common model did not converge within {most} rounds; set a larger ridge")


def _symmetric(matrix: Vector) -> Vector:
    return np.asarray(0.5 * (matrix + matrix.T))
