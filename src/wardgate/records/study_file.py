"""A study as people write it: one YAML file, read and checked line by line."""

from collections.abc import Iterator
from typing import Any

from wardgate.records import policy_file
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.study import SCHEMA, Study
from wardgate.records.yaml_file import Finding, Findings, Parsed, check_schema, read, validate

RESERVED = ("person", "link", "label")
"""Columns of every cohort; no feature may take their names."""

__all__ = ["RESERVED", "Finding", "Findings", "parse"]


def parse(text: str, *, name: str) -> Study:
    """Read a study.

    Args:
        text: YAML.
        name: The file's name, for messages.

    Raises:
        Findings: everything that is wrong in it, as `file:line: path: found X, expected Y`, one a line.
    """
    parsed = read(text, name=name, what="a study")
    check_schema(parsed, (SCHEMA,))
    blank = list(policy_file.empty(parsed, parsed.data.get("gate"), ("gate",))) if "gate" in parsed.data else []
    if blank:
        raise Findings(blank)
    study = validate(parsed, Study)
    findings = list(_findings(parsed, study))
    if findings:
        raise Findings(findings)
    return study


def _findings(parsed: Parsed, study: Study) -> Iterator[Finding]:
    """What the record's types cannot say: relations between parts of the study."""
    features = {feature.name: feature for feature in study.features}
    yield from _rules(parsed, study, features)
    for index, feature in enumerate(study.features):
        if feature.name in RESERVED:
            yield parsed.finding(
                ("features", index, "name"), found=f"'{feature.name}'", expected=f"none of {', '.join(RESERVED)}"
            )
    for index, subgroup in enumerate(study.subgroups):
        feature = features[subgroup.feature]
        low, high = feature.range or (0.0, 0.0)
        cuts = list(subgroup.cuts)
        if cuts and (sorted(set(cuts)) != cuts or not low < cuts[0] <= cuts[-1] < high):
            yield parsed.finding(
                ("subgroups", index, "cuts"),
                found=_list(cuts),
                expected=f"rising cuts inside the feature's range {_list([low, high])}",
            )
    for index, requirement in enumerate(study.cohort.requires):
        path: tuple[str | int, ...] = ("cohort", "requires", index)
        if requirement.range is not None and not requirement.range[0] <= requirement.range[1]:
            yield parsed.finding(
                (*path, "range"), found=_list(list(requirement.range)), expected="[low, high] with low <= high"
            )
        feature_or_none = features.get(requirement.field)
        if feature_or_none is None and study.of_events:
            yield parsed.finding(
                (*path, "field"), found=f"'{requirement.field}'", expected="a feature, in a study of events"
            )
        if feature_or_none is not None:
            yield from _requirement(parsed, path, requirement.values, feature_or_none)
    if not study.sites:
        yield parsed.finding(("sites",), found="no site", expected="the names of the hospitals that take part")
    elif len(study.sites) < study.gate.min_sites_in_sum:
        yield parsed.finding(
            ("sites",),
            found=f"{len(study.sites)} site{'s' if len(study.sites) > 1 else ''}",
            expected=f"at least {study.gate.min_sites_in_sum}: a sum over fewer would give a hospital's figures away",
        )
    if study.version < 1:
        yield parsed.finding(("version",), found=str(study.version), expected="1 or more")
    for name in ("oe", "slope"):
        low, high = getattr(study.acceptance, name)
        if not low < high:
            yield parsed.finding(("acceptance", name), found=_list([low, high]), expected="[low, high] with low < high")
    if study.acceptance.locked_test_opens < 1:
        yield parsed.finding(
            ("acceptance", "locked_test_opens"), found=str(study.acceptance.locked_test_opens), expected="1 or more"
        )


def _requirement(
    parsed: Parsed, path: tuple[str | int, ...], values: tuple[str, ...] | None, feature: Feature
) -> Iterator[Finding]:
    numeric = feature.type in ("number", "integer")
    if numeric == (values is not None):
        expected = "'range', since the feature is a number" if numeric else f"'values', since it is a {feature.type}"
        yield parsed.finding(path, found="the other", expected=expected)
    known = feature.values if feature.type == "category" else ("true", "false")
    for value in values or ():
        if not numeric and value not in (known or ()):
            yield parsed.finding(path, found=f"'{value}'", expected=f"one of: {', '.join(known or ())}")


def _rules(parsed: Parsed, study: Study, features: dict[str, Feature]) -> Iterator[Finding]:
    for index, rule in enumerate(study.rules):
        path: tuple[str | int, ...] = ("rules", index)
        left = features[rule.left]
        category = left.values if left.type == "category" else ("true", "false")
        if left.type in ("category", "boolean"):
            if rule.op not in ("==", "!=") or rule.right not in (category or ()):
                yield parsed.finding(
                    path, found=f"{rule.left} {rule.op} {rule.right}", expected=f"== or != one of: {_names(category)}"
                )
        elif rule.right not in features and not _is_number(rule.right):
            yield parsed.finding(
                (*path, "right"), found=f"'{rule.right}'", expected="a number or the name of a feature"
            )
        elif rule.right in features and features[rule.right].unit != left.unit:
            yield parsed.finding(
                path,
                found=f"{left.unit} compared with {features[rule.right].unit}",
                expected="two features in the same unit",
            )
        for name, values in rule.when.items():
            feature = features[name]
            known = feature.values if feature.type == "category" else ("true", "false")
            for value in values:
                if feature.type in ("number", "integer") or value not in (known or ()):
                    yield parsed.finding(
                        (*path, "when", name), found=f"'{value}'", expected=f"a category of '{name}': {_names(known)}"
                    )


def _is_number(text: str) -> bool:
    try:
        number_of(text)
    except Invalid:
        return False
    return True


def _names(values: tuple[str, ...] | None) -> str:
    return ", ".join(values or ())


def _list(numbers: list[Any]) -> str:
    return f"[{', '.join(text_of(number) for number in numbers)}]"
