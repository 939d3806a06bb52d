"""What became of a rebalanced corpus, as a value, as JSON and as a page."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from wardgate.measures.no_harm import Decision
from wardgate.measures.rebalancing import Design, meets
from wardgate.measures.representation import Represented, Served, gap
from wardgate.records.measured import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebalanced:
    """A rebalanced corpus, what it was made from, and what it is good for.

    It holds figures of real persons: it is for the hospital's own people, and what leaves of it passes the gate.

    Attributes:
        natural: The corpus as the generator draws it.
        table: The same rows, and the added ones after them.
        added: Rows added for each request, in order; the last `sum(added)` rows of `table`.
        design: Shares of the requests' cells before and after; from synthetic rows alone.
        protected: Whether the generator's claim is differentially private, so that drawing more cost nothing. Without
            that the gate has to judge `table` itself.
        representation: Each group in `natural` and in `table` against real persons: (before, after).
        service: The model of each corpus in each group of real persons: (before, after).
        corpus: Whether a model of `table` serves real persons better than one of `natural`.
        augmentation: Whether real persons with the added rows teach a better model than real persons alone.
        validated: How persons were kept apart: `tuning` (the generator saw none of them, but perhaps to stop early) or
            `refit` (it was fitted anew for every fold).
    """

    natural: pl.DataFrame
    table: pl.DataFrame
    added: tuple[int, ...]
    design: Design
    protected: bool
    representation: tuple[tuple[Represented, ...], tuple[Represented, ...]]
    service: tuple[tuple[Served, ...], tuple[Served, ...]]
    corpus: Decision
    augmentation: Decision
    validated: str

    @property
    def accepted(self) -> pl.DataFrame:
        """The table to be used: the rebalanced one where it does no harm, else the natural one."""
        return self.table if self.corpus.accepted else self.natural

    def plain(self) -> dict[str, Any]:
        """Return everything but the rows, as JSON can hold it; what is not a number is null."""
        named: dict[str, Any] = {}
        for name, before, after in (("representation", *self.representation), ("service", *self.service)):
            named[name] = {
                "before": [_plain(asdict(one)) for one in before],
                "after": [_plain(asdict(one)) for one in after],
            }
        return {
            "requests": [
                {**_plain(asdict(one)), "words": one.words, "rows_added": count}
                for one, count in zip(self.design.wanted, self.added, strict=True)
            ],
            "rows": {"natural": self.natural.height, "rebalanced": self.table.height},
            "design": {
                "natural": {str(code): count for code, count in sorted(self.design.natural.items())},
                "rebalanced": {str(code): count for code, count in sorted(self.design.rebalanced.items())},
            },
            "protected": self.protected,
            "validated": self.validated,
            **named,
            "corpus": _plain(asdict(self.corpus)),
            "augmentation": _plain(asdict(self.augmentation)),
        }

    def text(self) -> str:
        """Return a page for people."""
        return "\n".join(_lines(self))


def _plain(value: Any) -> Any:
    if isinstance(value, Measured):
        return _plain(value.model_dump())
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _lines(found: Rebalanced) -> list[str]:
    lines = [f"{found.natural.height} rows drawn, {sum(found.added)} added."]
    for one, count in zip(found.design.wanted, found.added, strict=True):
        target = f"{one.factor:g} times as many" if one.factor is not None else f"{one.share:.0%} of all"
        held, holds = (int(meets(one.where, table).sum()) for table in (found.natural, found.table))
        lines.append(f"  {one.words}: wanted {target}, {count} rows added for it, from {held} to {holds}")
    lines.append(
        "The generator's claim covers all rows: drawing more cost no privacy."
        if found.protected
        else "The generator has no claim: the gate has to judge the rebalanced rows themselves."
    )
    lines += ["", "Who is there (share of all rows; in brackets the outcome):"]
    for before, after in zip(*found.representation, strict=True):
        real = "real: too few to show"
        if before.real_share is not None:
            ill = "not shown" if before.real_prevalence is None else f"{before.real_prevalence.value:.3g}"
            real = f"real {before.real_share.value:.3g} ({ill})"
        lines.append(
            f"  {before.name}: {real}, before {before.share:.3g} ({before.prevalence:.3g}), "
            f"after {after.share:.3g} ({after.prevalence:.3g})"
        )
    lines += ["", "How well a model of the corpus serves real persons (AUROC, O/E, slope):"]
    for old, new in zip(*found.service, strict=True):
        lines.append(f"  {old.name}: before {_figures(old)}; after {_figures(new)}")
    for name, served in zip(("before", "after"), found.service, strict=True):
        distance = gap(served)
        if distance is not None:
            lines.append(f"  worst group {name}: AUROC {distance:.3f} below everybody's")
    lines += [
        "",
        *_verdict("The rebalanced corpus", found.corpus),
        *_verdict("Real persons with added rows", found.augmentation),
    ]
    return lines


def _figures(one: Served) -> str:
    if one.auroc is None or one.oe is None or one.slope is None:
        return "too few to show"
    return f"{one.auroc.value:.3g}, {one.oe.value:.3g}, {one.slope.value:.3g}"


def _verdict(what: str, decision: Decision) -> list[str]:
    word = "accepted" if decision.accepted else "not accepted"
    return [f"{what}: {word}.", *(f"  {reason}" for reason in decision.reasons)]
