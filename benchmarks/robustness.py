"""Robustness on IST by country: six attacks, 0 to 30 % corrupt hospitals, rules side by side, votes on and off.

make bench NAME=robustness        (needs the real data: WARDGATE_DATA, default ../shared/data)
"""

import math
import statistics
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import product

import torch
from harness import Figure, write
from robustness_data import regions
from robustness_runs import Outcome, pooled, run

from wardgate.hub.pooling.networks.robust import Robust
from wardgate.measures.robust.menu import DEFAULT, RULES
from wardgate.simulate.attacks import Kind

ATTACKS: tuple[Kind, ...] = ("label-flip", "sign-flip", "alie", "ipm", "replacement", "backdoor")
SHARES = (0.1, 0.2, 0.3)
SEEDS = (4, 5, 6)
"""Splits, groups and corrupt hospitals; 1 to 3 were in sight when margins and shares of votes were chosen."""

UNPROTECTED = (0.1, 0.3)
HARD: tuple[Kind, ...] = ("sign-flip", "alie", "ipm", "replacement", "backdoor")
"""Attacks under which rules are shown side by side."""

MOST_LOSS, OE, MOST_MISSED, MOST_COST, MOST_FALSE = 0.010, (0.85, 1.15), 0.05, 0.001, 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """One run beside the clean mean of its seed."""

    seed: int
    attack: str
    share: float
    rule: str
    outcome: Outcome
    clean: Outcome

    @property
    def loss(self) -> float:
        """AUROC lost; NaN where training stopped."""
        return self.clean.auroc - self.outcome.auroc

    @property
    def missed(self) -> float:
        """Backdoor success in excess of the clean model."""
        return self.outcome.missed - self.clean.missed

    @property
    def wrong(self) -> bool:
        """Whether a model was handed out that misses a goal."""
        if self.outcome.stopped:
            return False
        backdoor = self.attack == "backdoor" and self.missed > MOST_MISSED
        return self.loss > MOST_LOSS or not OE[0] <= self.outcome.oe <= OE[1] or backdoor


def runs() -> Iterator[tuple[list[Ran], dict[int, float]]]:
    """Yield all runs so far, and the AUROC of pooled logistic regression by seed, each time a part is done."""
    study, tables = regions()
    default = Robust()
    found: list[Ran] = []
    central: dict[int, float] = {}
    clean: dict[int, Outcome] = {}

    def one(seed: int, attack: Kind | None, share: float, rule: str, settings: Robust | None) -> None:
        outcome = run(study, tables, seed=seed, attack=attack, share=share, settings=settings)
        ran = Ran(seed=seed, attack=attack or "none", share=share, rule=rule, outcome=outcome, clean=clean[seed])
        print(
            seed,
            ran.attack,
            share,
            rule,
            f"{ran.loss:.4f} {outcome.oe:.3f} {ran.missed:.3f}",
            outcome.stopped,
            outcome.bad,
            outcome.good,
            outcome.touched,
            file=sys.stderr,
            flush=True,
        )
        found.append(ran)

    for seed in SEEDS:
        central[seed] = pooled(study, tables, seed=seed)
        clean[seed] = run(study, tables, seed=seed)
        one(seed, None, 0.0, "votes", default)
        for share, attack in product(SHARES, ATTACKS):
            one(seed, attack, share, "votes", default)
        yield found, central
    for share, attack in product(UNPROTECTED, ATTACKS):
        one(SEEDS[0], attack, share, "off", None)
    yield found, central
    for rule in RULES:
        alone = replace(default, rule=rule, judge=False)
        one(SEEDS[0], None, 0.0, rule, alone)
        for attack in HARD:
            one(SEEDS[0], attack, 0.1, rule, alone)
        yield found, central


def _worst(some: Iterable[Ran]) -> tuple[float, float, float]:
    """Return largest AUROC loss, O/E furthest from 1 and largest backdoor excess of models that were handed out."""
    out = [one for one in some if not one.outcome.stopped]
    if not out:
        return math.nan, math.nan, math.nan
    furthest = max((one.outcome.oe for one in out), key=lambda oe: abs(math.log(oe)))
    return max(one.loss for one in out), furthest, max(one.missed for one in out)


def _short(value: float, digits: int = 4) -> float | None:
    return None if math.isnan(value) else round(value, digits)


def figures(found: list[Ran], central: dict[int, float]) -> list[Figure]:
    """Return the goals first, then every attack beside its unprotected twin, then rules side by side."""
    rows = []
    votes = [one for one in found if one.rule == "votes"]
    groups = votes[0].outcome.groups
    title = f"IST, {3 * groups} regions of countries in {groups} groups"

    few = [one for one in votes if one.share == 0.1]
    loss, oe, _ = _worst(few)
    met = not any(one.wrong or one.outcome.stopped for one in few)
    rows.append(
        Figure(
            name=f"{title}: default with votes, 10 % corrupt, 6 attacks: worst AUROC loss",
            value=_short(loss),
            goal="<= 0.010, O/E 0.85 to 1.15, no stop",
            met=met,
            seeds=len(central),
            peers={"O/E furthest from 1": _short(oe, 3), "stops": sum(bool(one.outcome.stopped) for one in few)},
            reason="" if met else _why(few),
        )
    )
    many = [one for one in votes if one.share > 0.1]
    wrong = [one for one in many if one.wrong]
    rows.append(
        Figure(
            name=f"{title}: default with votes, 20 and 30 % corrupt: wrong models of {len(many)} runs",
            value=len(wrong),
            goal="0: AUROC loss <= 0.010 and O/E 0.85 to 1.15, or a stop with a named alarm",
            met=not wrong,
            seeds=len(central),
            peers={
                "stops": sum(bool(one.outcome.stopped) for one in many),
                "worst AUROC loss": _short(_worst(many)[0]),
            },
            reason="" if not wrong else _why(many),
        )
    )
    doors = [one for one in votes if one.attack == "backdoor"]
    door = _worst(doors)[2]
    rows.append(
        Figure(
            name=f"{title}: default with votes, backdoor on the unconscious: success beyond the clean model, worst",
            value=_short(door, 3),
            goal="<= 0.05",
            met=door <= MOST_MISSED,
            seeds=len(central),
            peers={f"{one.share:.0%}, seed {one.seed}": _short(one.missed, 3) for one in doors},
            reason="" if door <= MOST_MISSED else _why(doors),
        )
    )
    clean = [one for one in votes if one.attack == "none"]
    cost = statistics.mean(one.loss for one in clean)
    rows.append(
        Figure(
            name=f"{title}: clean cost of the default with votes, AUROC, mean",
            value=_short(cost),
            goal="<= 0.001",
            met=cost <= MOST_COST,
            seeds=len(central),
            peers={
                "worst seed": _short(max(one.loss for one in clean)),
                "plain mean": _short(statistics.mean(one.clean.auroc for one in clean)),
                "pooled logistic regression": _short(statistics.mean(central.values())),
                "bytes over plain mean": round(
                    statistics.mean(one.outcome.bytes_moved / one.clean.bytes_moved for one in clean), 2
                ),
            },
            reason="" if cost <= MOST_COST else "a rule that leaves out far groups leaves out real differences",
        )
    )
    false, all_groups = sum(one.outcome.good for one in clean), sum(one.outcome.groups for one in clean)
    rows.append(
        Figure(
            name=f"{title}: groups named in clean runs",
            value=round(false / all_groups, 4),
            goal="<= 0.01",
            met=false / all_groups <= MOST_FALSE,
            seeds=len(central),
            peers={"named": false, "of": all_groups},
            reason="" if false / all_groups <= MOST_FALSE else "small groups drift far on their own persons in a round",
        )
    )
    for attack, share in product(ATTACKS, SHARES):
        on = [one for one in votes if (one.attack, one.share) == (attack, share)]
        if not on:
            continue
        off = next((one for one in found if (one.attack, one.share, one.rule) == (attack, share, "off")), None)
        loss, oe, missed = _worst(on)
        stops = sorted({one.outcome.stopped for one in on} - {""})
        rows.append(
            Figure(
                name=f"{title}: {attack}, {share:.0%} corrupt, default with votes: worst AUROC loss",
                value=_short(loss),
                seeds=len(central),
                peers={
                    "O/E furthest from 1": _short(oe, 3),
                    "backdoor excess": _short(missed, 3),
                    "stops": sum(bool(one.outcome.stopped) for one in on),
                    "groups touched": sum(one.outcome.touched for one in on),
                    "touched and put out": sum(one.outcome.bad for one in on),
                    "clean and put out": sum(one.outcome.good for one in on),
                }
                | ({} if off is None else _unprotected(off)),
                reason=f"every run stopped: {', '.join(stops)}" if math.isnan(loss) else "",
            )
        )
    for rule in RULES:
        clean_of = [one for one in found if (one.attack, one.rule) == ("none", rule)]
        with_attack = {one.attack: one for one in found if (one.share, one.rule) == (0.1, rule)}
        if not clean_of or not with_attack:
            continue
        rows.append(
            Figure(
                name=f"{title}: {rule}{' (default)' if rule == DEFAULT else ''}, no votes, 10 % corrupt: worst loss",
                value=_short(max(one.loss for one in with_attack.values())),
                seeds=1,
                peers={f"AUROC loss, {name}": _short(one.loss) for name, one in with_attack.items()}
                | {f"O/E, {name}": _short(one.outcome.oe, 3) for name, one in with_attack.items()}
                | {
                    "backdoor excess": _short(with_attack["backdoor"].missed, 3),
                    "clean cost": _short(statistics.mean(one.loss for one in clean_of)),
                },
            )
        )
    return rows


def _unprotected(off: Ran) -> dict[str, float | None]:
    return {
        "unprotected, one seed: AUROC loss": _short(off.loss),
        "unprotected, one seed: O/E": _short(off.outcome.oe, 3),
        "unprotected, one seed: backdoor excess": _short(off.missed, 3),
    }


def _why(some: list[Ran]) -> str:
    bad = [
        f"{one.attack} {one.share:.0%} seed {one.seed} ({one.outcome.touched} of {one.outcome.groups} groups touched): "
        + (
            f"stopped, {one.outcome.stopped}"
            if one.outcome.stopped
            else f"loss {one.loss:.4f}, O/E {one.outcome.oe:.3f}, backdoor {one.missed:.2f}"
        )
        for one in some
        if one.wrong or (one.share == 0.1 and one.outcome.stopped)
    ]
    return "what hospitals' own persons cannot tell from chance is not voted out: " + "; ".join(bad)


def main() -> None:
    """Measure and write."""
    torch.set_num_threads(1)
    for found, central in runs():
        write("robustness", figures(found, central), "make bench NAME=robustness")


if __name__ == "__main__":
    main()
