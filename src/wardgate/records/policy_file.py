"""A gate policy as people write it: `privacy-gate.yaml`, read and checked line by line."""

from collections.abc import Iterator, Mapping
from typing import Any

from wardgate.records.gate_policy import GatePolicy
from wardgate.records.yaml_file import Finding, Findings, Parsed, Path, check_schema, read, validate

SCHEMA = "wardgate/privacy-gate/1"


def parse(text: str, *, name: str) -> GatePolicy:
    """Read a policy. What the file leaves out has its default; nothing can be switched off by leaving it empty.

    Args:
        text: YAML.
        name: The file's name, for messages.

    Raises:
        Findings: everything that is wrong in it, as `file:line: path: found X, expected Y`, one a line.
    """
    parsed = read(text, name=name, what="a gate policy")
    check_schema(parsed, (SCHEMA,))
    findings = list(empty(parsed, parsed.data, ()))
    if findings:
        raise Findings(findings)
    body = {key: value for key, value in parsed.data.items() if key != "schema"}
    policy = validate(Parsed(name=parsed.name, data=body, lines=parsed.lines, wrong=parsed.wrong), GatePolicy)
    findings = list(_findings(parsed, policy))
    if findings:
        raise Findings(findings)
    return policy


def empty(parsed: Parsed, value: Any, path: Path) -> Iterator[Finding]:
    """Yield a finding for every field of a policy that is left empty: a limit is stated or left out, never blank."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from empty(parsed, inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from empty(parsed, inner, (*path, index))
    elif value is None and path[-1:] != ("tpr_at_0_1_percent",):
        yield parsed.finding(path, found="nothing", expected="a value; leave the field out to have its default")


def _findings(parsed: Parsed, policy: GatePolicy) -> Iterator[Finding]:
    if policy.profile == "public-open":
        if not policy.dp.required:
            yield parsed.finding(("dp", "required"), found="false", expected="true in the profile public-open")
        if policy.dp.exact_sums != "deny":
            yield parsed.finding(("dp", "exact_sums"), found="allow", expected="deny in the profile public-open")
    sizes = [(tier.members, tier.non_members) for tier in policy.membership.tiers]
    if not sizes:
        yield parsed.finding(("membership", "tiers"), found="no tier", expected="at least one sample size")
    if sizes != sorted(sizes, reverse=True):
        yield parsed.finding(("membership", "tiers"), found="another order", expected="the largest samples first")
    yield from _shares(parsed, policy)


_SHARES = {
    "membership": ("battery_level", "auc_max", "planted_copy_fraction", "min_detect_probability"),
    "proximity": ("exact_match_level", "near_copy_level", "reused_values_level", "rare_combinations_level"),
    "disclosure": ("attribute_max", "linkability_max", "singling_out_max", "identity_max"),
    "realism": ("marginal_error_max", "pairwise_error_max", "clinical_rules_min", "relations_min"),
    "models": ("auc_max", "tpr_at_1_percent"),
    "aggregates": ("dominance_share", "p_ratio"),
    "images": ("near_copy_level", "copied_level", "membership_level", "auc_max"),
}


def _shares(parsed: Parsed, policy: GatePolicy) -> Iterator[Finding]:
    for section, names in _SHARES.items():
        for name in names:
            value = getattr(getattr(policy, section), name)
            if not 0 <= value <= 1:
                yield parsed.finding((section, name), found=f"{value:g}", expected="a share between 0 and 1")
    if policy.small_cells.min_count < 2:
        yield parsed.finding(
            ("small_cells", "min_count"), found=str(policy.small_cells.min_count), expected="2 or more persons"
        )
    if not policy.dp.epsilon_claim_max > 0:
        yield parsed.finding(("dp", "epsilon_claim_max"), found="0 or less", expected="an epsilon above 0")
