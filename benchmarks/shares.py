"""Shares of verdicts as figures, with their interval and the rules that spoke."""

from collections.abc import Sequence

from harness import Figure

from wardgate.measures.intervals import clopper_pearson


def share(name: str, hits: int, of: int, *, goal: float | None, words: str) -> Figure:
    """Return a share beside its goal, with its exact 95 % interval."""
    low, high = clopper_pearson(hits, of, level=0.95)
    interval = f"95 % interval {low:.3f} to {high:.3f}"
    print(f"{name}: {hits} of {of}, {interval}. {words}", flush=True)
    return Figure(
        name=name,
        value=round(hits / of, 4),
        unit="share",
        goal="" if goal is None else f">= {goal:g}",
        met=None if goal is None else hits / of >= goal,
        seeds=of,
        reason=f"{interval}; {words}",
    )


def common(refusals: Sequence[tuple[str, ...]]) -> str:
    """Say which rules refused how often."""
    names = [name for rules in refusals for name in rules]
    counts = sorted(((names.count(name), name) for name in set(names)), reverse=True)
    return "refused by " + ", ".join(f"{name} {count}x" for count, name in counts) if counts else "nothing refused"
