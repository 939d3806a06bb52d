"""A study as people write it: one YAML file, read, checked line by line, and started from a template."""

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

__all__ = ["RESERVED", "Finding", "Findings", "parse", "template"]


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


def template() -> str:
    """Return a commented study to start from. It lints clean."""
    return _TEMPLATE


_TEMPLATE = """\
# A study is locked before anything runs: every hospital signs these exact words.
# Check it with `wardgate study lint FILE`, fix it in place with `wardgate study lock FILE`.
schema: wardgate/study/1
id: my-study
version: 1                      # a changed study is a new version; older results are then visibly stale
title: Thirty-day death after emergency admission
question: How likely is this patient to die within 30 days of an emergency admission?

cohort:
  entry: First emergency admission in the study period
  entries: single               # `single`: one row a person; `first`: keep each person's first entry
  requires:                     # who may enter; each names a field of the hospital's mapping
    - field: age
      range: [18, 110]
      meaning: Adults

index_date: Time of admission   # features see nothing after it

label:
  name: died_30d
  meaning: Death from any cause within 30 days of admission
  window_days: [0, 30]

features:
  - name: age
    type: integer
    meaning: Age at admission
    unit: a                     # UCUM; hospitals convert to it
    range: [18, 110]            # plausible values; others are counted, then treated as missing
    missing: refused            # `allowed` adds a missing indicator, `refused` leaves the person out
    quasi_identifier: true      # known to outsiders, so rare combinations of it are guarded
  - name: sex
    type: category
    values: [female, male]      # the first is the reference
    quasi_identifier: true
  - name: systolic_pressure
    type: number
    unit: mm[Hg]
    range: [40, 260]
    aggregation: first          # how several values inside the window become one
    window_hours: [-6, 0]       # hours relative to the index date
    codes: {loinc: 8480-6}
  - name: creatinine
    type: number
    unit: umol/L
    range: [15, 1500]
    codes: {loinc: 2160-0}      # also tells which molar mass turns mg/dL into umol/L

subgroups:                      # the model is judged apart in each
  - feature: sex
  - feature: age
    cuts: [65, 80]

splits: {train: 0.55, tuning: 0.05, holdout: 0.20, locked_test: 0.20}

model:
  name: logistic
  ridge: 1.0
  ridge_menu: [0.1, 1.0, 10.0]

generator: {name: marginal-tree}

rules: []                       # e.g. {name: pulse-pressure, left: diastolic, op: "<", right: systolic_pressure}

acceptance:                     # missed at rehearsal: the loop rebalances once
  auroc_min: 0.70
  worst_site_auroc_min: 0.60
  oe: [0.8, 1.25]
  slope: [0.8, 1.25]
  subgroup_gap_max: 0.15
  locked_test_opens: 1

gate:                           # the consortium's floor; a hospital may only tighten it
  profile: commons-controlled
  max_attempts: 3

budget:
  epsilon_total: 3.0            # all releases on one split together
  delta: 1e-6                   # at most 1 / (10 x persons)
  corpus: 1.0
  joint_corpus: 1.0
  fit: exact                    # or an epsilon
  evaluation: exact
  definitions: exact

  # noise: local                # every hospital adds the whole noise; by default they share it

recalibration_records: 50

# drop_out: 0.2                 # share of hospitals that may vanish from a secure sum; by default all must answer
# joint_site: keep              # the joint corpus tells hospitals apart, with (keep) or without (drop) a column for it
# analyses: [glm, cox]          # federated computations beside the chain's own steps; by default none

sites: [hospital-a, hospital-b, hospital-c]
sources: ""                     # attribution, where the data ask for it
"""
