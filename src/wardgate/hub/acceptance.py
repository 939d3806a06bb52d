"""Does a joint model reach what the study locked as acceptable? The rehearsal's question."""

from collections.abc import Sequence
from dataclasses import dataclass

from wardgate.hub.pooling.transfer import Transfer
from wardgate.measures.subgroups import group_names
from wardgate.records.canonical import number_of
from wardgate.records.study import Study

JOINT_MODELS = ("commons", "federated", "hybrid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """One threshold that one joint model misses."""

    model: str
    what: str
    found: float
    expected: str
    subgroup: str = ""

    @property
    def words(self) -> str:
        """The shortfall for people."""
        where = f" in {self.subgroup}" if self.subgroup else ""
        return f"{self.model}: {self.what}{where} is {self.found:.3f}, expected {self.expected}"


def shortfalls(study: Study, transfer: Transfer) -> tuple[Shortfall, ...]:
    """Return every threshold that a joint model misses. A figure that cannot be computed is a miss."""
    return tuple(
        shortfall
        for model in JOINT_MODELS
        if model in transfer.overall or model in transfer.missing
        for shortfall in _of_model(study, transfer, model)
    )


def _of_model(study: Study, transfer: Transfer, model: str) -> list[Shortfall]:
    accept = study.acceptance
    figures = transfer.overall.get(model)
    if figures is None:
        return [Shortfall(model=model, what="AUROC", found=float("nan"), expected="a figure")]
    found = []
    if not figures.auroc.value >= accept.auroc_min:
        found.append(_short(model, "AUROC", figures.auroc.value, f"at least {accept.auroc_min:g}"))
    if not accept.oe[0] <= figures.oe.value <= accept.oe[1]:
        found.append(_short(model, "O/E", figures.oe.value, f"{accept.oe[0]:g} to {accept.oe[1]:g}"))
    if not accept.slope[0] <= figures.slope.value <= accept.slope[1]:
        found.append(_short(model, "slope", figures.slope.value, f"{accept.slope[0]:g} to {accept.slope[1]:g}"))
    worst = worst_site(transfer, model)
    if worst is not None and not worst[1] >= accept.worst_site_auroc_min:
        found.append(_short(model, f"AUROC at {worst[0]}", worst[1], f"at least {accept.worst_site_auroc_min:g}"))
    for name, group in zip(group_names(study), transfer.subgroups.get(model, ()), strict=False):
        if min(group.events, group.non_events) < study.gate.small_cells.min_count:
            continue
        gap = figures.auroc.value - group.auroc.value
        if not gap <= accept.subgroup_gap_max:
            found.append(
                Shortfall(
                    model=model,
                    what="AUROC below the whole",
                    found=gap,
                    expected=f"at most {accept.subgroup_gap_max:g}",
                    subgroup=name,
                )
            )
    return found


def worst_site(transfer: Transfer, model: str) -> tuple[str, float] | None:
    """Return the site with the lowest AUROC among those that can be shown."""
    shown = {
        site: number_of(answer.statement["figures"][f"{model}.auroc"])
        for site, answer in transfer.sites.items()
        if answer.outcome == "released" and f"{model}.auroc" in answer.statement.get("figures", {})
    }
    if not shown:
        return None
    site = min(shown, key=lambda one: (shown[one], one))
    return site, shown[site]


def _short(model: str, what: str, found: float, expected: str) -> Shortfall:
    return Shortfall(model=model, what=what, found=found, expected=expected)


def rebalancing(study: Study, missed: Sequence[Shortfall]) -> tuple[dict[str, dict[str, str]], str]:
    """Return what to draw more of, and that in words: the subgroups that fell short, as far as they are categories."""
    more_of: dict[str, dict[str, str]] = {}
    for shortfall in missed:
        name, _, value = shortfall.subgroup.partition("=")
        if value and not name.endswith((">", "<")) and study.feature(name).type == "category":
            more_of[shortfall.subgroup] = {name: value}
    if more_of:
        return more_of, "corpora drawn anew with half as many rows again of " + ", ".join(more_of)
    return more_of, "corpora drawn anew"
