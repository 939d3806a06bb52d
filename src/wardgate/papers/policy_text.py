"""A gate policy for people: the file to start from, and every limit with its source."""

from collections.abc import Mapping
from typing import Any

from wardgate.policy.limits import LIMITS, limits_of
from wardgate.records.gate_policy import DifferentialPrivacy, GatePolicy, Profile, Tier
from wardgate.records.policy_file import SCHEMA


def template(profile: Profile) -> str:
    """Return `privacy-gate.yaml` of a profile, each limit with what it says and its source. It reads back clean."""
    policy = GatePolicy(profile=profile, max_attempts=5)
    if profile == "public-open":
        policy = policy.model_copy(update={"dp": DifferentialPrivacy(required=True, exact_sums="deny")})
    lines = [
        "# The hospital's own gate. A site may only tighten its consortium's floor:",
        "# `wardgate gate policy check FILE --floor FLOOR`. Every limit says where it comes from.",
        f"schema: {SCHEMA}",
    ]
    section = ""
    for name, value in limits_of(policy):
        room, _, field = name.rpartition(".")
        if room != section:
            lines += ["", f"{room}:"] if room else []
            section = room
        limit = LIMITS[name]
        lines += _field(field, value, indent="  " if room else "", comment=f"{limit.words} ({limit.source})")
    return "\n".join(lines) + "\n"


def _field(name: str, value: Any, *, indent: str, comment: str) -> list[str]:
    lines = [f"{indent}# {comment}"]
    if isinstance(value, tuple) and value and isinstance(value[0], Tier):
        rows = [
            f"{indent}  - {{" + ", ".join(f"{k}: {_text(v)}" for k, v in dict(t).items() if v is not None) + "}"
            for t in value
        ]
        return [*lines, f"{indent}{name}:", *rows]
    return [*lines, f"{indent}{name}: {_text(value)}"]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_text(one) for one in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(policy: GatePolicy, *, floor: Mapping[str, Any] | None = None) -> list[tuple[str, str, str, str]]:
    """Return (limit, value, what it says, source) of every limit; beside a floor, the value names the floor's."""
    rows = []
    for name, value in limits_of(policy):
        shown = "no such limit" if value is None else _shown(value)
        if floor is not None and floor.get(name) != value:
            shown += f" (floor {_shown(floor[name])})" if floor.get(name) is not None else " (not in the floor)"
        rows.append((name, shown, LIMITS[name].words, LIMITS[name].source))
    return rows


def markdown(policy: GatePolicy) -> str:
    """Return every limit as a page: docs/gate/policy.md is this of the policy to start from."""
    lines = [
        "# Every limit of a policy",
        "",
        "Written by `wardgate gate policy show --markdown`; the values are those of the profile `commons-controlled`.",
        "*Engineering choices* are ours and open to argument; the pages beside this one hold the computations behind",
        "them. A site may only move a limit to its strict side.",
        "",
        "| limit | default | strict side | what it says | source |",
        "|---|---|---|---|---|",
    ]
    for name, shown, words, source in table(policy):
        lines.append(f"| `{name}` | {shown} | {SIDES[LIMITS[name].stricter]} | {words} | {source} |")
    return "\n".join(lines) + "\n"


SIDES = {"lower": "lower", "higher": "higher", "inside": "narrower", "same": "as listed"}


def _shown(value: Any) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], Tier):
        return f"{len(value)} tiers from {value[-1].members}/{value[-1].non_members} persons"
    return _text(value)
