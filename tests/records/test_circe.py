"""A Circe definition says the same in a study."""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from made_circe import (
    CREATININE,
    DIABETES,
    EVENT,
    EXIT,
    LIMIT,
    METFORMIN,
    MG_DL,
    RULE,
    STAY,
    definition,
    group,
    included,
    linked,
    of,
    primary,
)
from wardgate.records.circe import to_yaml
from wardgate.records.concepts import Concept, ConceptSet
from wardgate.records.entry import FOREVER_DAYS, Criterion, Entry, Group
from wardgate.records.study import Cohort
from wardgate.records.yaml_file import read


def test_a_whole_definition_says_the_same_in_a_study() -> None:
    imported = of(
        definition(
            InclusionRules=[
                {
                    "name": "No metformin before",
                    "description": "new users",
                    "expression": group("ALL", linked("DrugExposure", 1, None, 1, occurrence=(0, 0))),
                },
                {
                    "name": "Adult with a stay or two creatinines",
                    "expression": group(
                        "ALL",
                        persons=({"Age": {"Value": 18, "Op": "gte"}},),
                        groups=(
                            group(
                                "ANY",
                                linked("VisitOccurrence", 3, 30, 0),
                                linked("Measurement", 2, 365, 0, occurrence=(2, 2)),
                            ),
                        ),
                    ),
                },
            ]
        )
    )
    assert imported.entry == Entry(
        concepts=("type-2-diabetes-mellitus",),
        table="condition",
        first=True,
        prior_observation_days=365,
        age_years=(18, 150),
        rules=(
            Criterion(
                name="no-metformin-before",
                meaning="No metformin before: new users",
                concepts="metformin",
                table="drug",
                window_days=(-FOREVER_DAYS, -1),
                calendar_days=True,
                at_least=0,
                at_most=0,
            ),
            Group(
                name="adult-with-a-stay-or-two-creatinines",
                meaning="Adult with a stay or two creatinines",
                rules=(
                    Criterion(concepts="inpatient-visit", table="visit", window_days=(-30, 0), calendar_days=True),
                    Criterion(
                        concepts="creatinine",
                        table="measurement",
                        window_days=(-365, 0),
                        calendar_days=True,
                        at_least=2,
                    ),
                ),
                at_least=1,
            ),
        ),
    )
    assert imported.entries == "first-eligible"
    assert imported.concept_sets["type-2-diabetes-mellitus"] == ConceptSet(
        meaning="Type 2 diabetes mellitus: Type 2 diabetes mellitus; without Gestational diabetes",
        concepts=(
            Concept(concept_id=201826, descendants=True),
            Concept(concept_id=4058243, descendants=True, exclude=True),
        ),
        source="OHDSI Circe, t2dm.json",
    )


def test_concepts_may_be_named_by_their_codes() -> None:
    sets = of(definition(), by="code").concept_sets
    assert sets["type-2-diabetes-mellitus"].concepts[0] == Concept(
        vocabulary="SNOMED", code="44054006", descendants=True
    )


def test_sets_that_nothing_uses_are_left_out_and_noted() -> None:
    imported = of(definition())
    assert list(imported.concept_sets) == ["type-2-diabetes-mellitus"]
    assert "concept set 'metformin' is defined and never used; it was left out" in imported.notes


def test_two_sets_of_one_name_stay_two() -> None:
    twin = METFORMIN | {"id": 7, "name": "Type 2 Diabetes, mellitus"}
    rule = group("ALL", linked("DrugExposure", 7, 30, 0))
    imported = of(definition(ConceptSets=[DIABETES, twin], InclusionRules=included(("x", rule))))
    assert list(imported.concept_sets) == ["type-2-diabetes-mellitus", "type-2-diabetes-mellitus-2"]
    assert imported.entry.rules[0].concepts == "type-2-diabetes-mellitus-2"


@pytest.mark.parametrize(
    ("kind", "count", "expected"),
    [
        ("ALL", None, (None, None)),
        ("ANY", None, (1, None)),
        ("AT_LEAST", 2, (2, None)),
        ("AT_MOST", 0, (None, 0)),
        ("AT_LEAST", 0, (0, None)),
    ],
)
def test_groups_join_as_in_circe(kind: str, count: int | None, expected: tuple[int | None, int | None]) -> None:
    more = {} if count is None else {"Count": count}
    two = group(kind, linked("DrugExposure", 1, 30, 0), linked("Measurement", 2, 30, 0), **more)
    (rule,) = of(definition(InclusionRules=included(("two", two)))).entry.rules
    assert isinstance(rule, Group)
    assert (rule.at_least, rule.at_most, len(rule.rules)) == (*expected, 2)


@pytest.mark.parametrize(
    ("occurrence", "expected"), [((0, 2), (2, 2)), ((1, 3), (0, 3)), ((2, 1), (1, None)), ((0, 0), (0, 0))]
)
def test_counts_are_exact_at_most_or_at_least(occurrence, expected) -> None:
    one = group("ALL", linked("DrugExposure", 1, 30, 0, occurrence=occurrence))
    (rule,) = of(definition(InclusionRules=included(("one", one)))).entry.rules
    assert (rule.at_least, rule.at_most) == expected


def test_a_window_counts_days_before_the_entry() -> None:
    one = group("ALL", linked("DrugExposure", 1, 30, 7, RestrictVisit=True))
    (rule,) = of(definition(InclusionRules=included(("one", one)))).entry.rules
    assert (rule.window_days, rule.calendar_days, rule.anchor, rule.same_visit) == ((-30, -7), True, "start", True)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Value": 18, "Op": "gte"}, (18, 150)),
        ({"Value": 18, "Op": "gt"}, (19, 150)),
        ({"Value": 65, "Op": "lt"}, (0, 64)),
        ({"Value": 65, "Op": "lte"}, (0, 65)),
        ({"Value": 40, "Op": "eq"}, (40, 40)),
        ({"Value": 18, "Extent": 64, "Op": "bt"}, (18, 64)),
    ],
)
def test_ages_are_whole_years(given, expected) -> None:
    events = primary({"ConditionOccurrence": {"CodesetId": 0, "Age": given}})
    imported = of(definition(PrimaryCriteria=events))
    assert imported.entry.age_years == expected
    assert any("completed years" in note for note in imported.notes)


def test_ages_of_several_rules_hold_together() -> None:
    rules = included(
        *(
            (f"age {op}", group("ALL", persons=({"Age": {"Value": value, "Op": op}},)))
            for op, value in (("gte", 18), ("lt", 80))
        )
    )
    imported = of(definition(InclusionRules=rules))
    assert imported.entry.age_years == (18, 79)
    assert imported.entry.rules == ()


def test_a_value_of_the_entry_is_a_rule_at_the_very_same_time() -> None:
    high = {"Measurement": {"CodesetId": 2, "ValueAsNumber": {"Value": 2, "Op": "gt"}, "Unit": [MG_DL]}}
    imported = of(definition(PrimaryCriteria=primary(high)))
    (rule,) = imported.entry.rules
    assert rule.name == "value-of-entry"
    assert (rule.window_days, rule.calendar_days, rule.unit) == ((0, 0), False, "mg/dL")
    assert rule.value == (2.01, 9e6)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"Value": 120, "Op": "gte"}, (120.0, 9e6)),
        ({"Value": 1.5, "Op": "gt"}, (1.501, 9e5)),
        ({"Value": 0.04, "Op": "lte"}, (-9e4, 0.04)),
        ({"Value": 7.35, "Op": "lt"}, (-9e4, 7.3499)),
        ({"Value": 0, "Op": "gt"}, (0.01, 9e6)),
        ({"Value": 50_000_000, "Op": "gte"}, (5e7, 9e9)),
        ({"Value": 2.5, "Op": "eq"}, (2.5, 2.5)),
        ({"Value": 2.5, "Extent": 3, "Op": "bt"}, (2.5, 3.0)),
    ],
)
def test_open_ranges_end_where_the_digits_that_are_written_are_still_told_apart(given, expected) -> None:
    level = {"Measurement": {"CodesetId": 2, "ValueAsNumber": given, "Unit": [MG_DL]}}
    (rule,) = of(definition(PrimaryCriteria=primary(level))).entry.rules
    assert rule.value == expected


MALE = {"CONCEPT_ID": 8507, "CONCEPT_NAME": "MALE", "CONCEPT_CODE": "M", "VOCABULARY_ID": "Gender"}


def test_a_sex_is_a_rule_on_what_never_changes() -> None:
    events = primary({"ConditionOccurrence": {"CodesetId": 0, "Gender": [MALE]}})
    imported = of(definition(PrimaryCriteria=events))
    assert imported.entry.rules == (Criterion(name="sex-of-person", concepts="sex-m"),)
    assert imported.concept_sets["sex-m"].concepts == (Concept(vocabulary="Gender", code="M"),)


def test_a_sex_may_be_one_rule_among_others() -> None:
    one = group("ANY", linked("DrugExposure", 1, 30, 0), persons=({"Gender": [MALE]},))
    (rule,) = of(definition(InclusionRules=included(("one", one)))).entry.rules
    assert isinstance(rule, Group)
    assert rule.at_least == 1 and rule.rules[0] == Criterion(concepts="sex-m")


def test_death_needs_no_concept_set() -> None:
    rule = group("ALL", linked("Death", None, None, 0, occurrence=(0, 0)))
    (found,) = of(definition(InclusionRules=included(("alive", rule)))).entry.rules
    assert (found.concepts, found.table) == ("death", None)


def test_events_of_several_tables_enter_together() -> None:
    events = primary({"ConditionOccurrence": {"CodesetId": 0}}, {"VisitOccurrence": {"CodesetId": 3}})
    imported = of(definition(PrimaryCriteria=events))
    assert imported.entry.concepts == ("type-2-diabetes-mellitus", "inpatient-visit")
    assert imported.entry.table is None


def test_observation_after_the_entry_is_kept_and_noted() -> None:
    events = primary({"ConditionOccurrence": {"CodesetId": 0}}, post=30)
    imported = of(definition(PrimaryCriteria=events))
    assert imported.entry.follow_up_days == 30
    assert any("30 days of observation after the entry" in note for note in imported.notes)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (
            {"PrimaryCriteria": primary(EVENT), "ExpressionLimit": LIMIT["First"], "InclusionRules": RULE},
            "first-eligible",
        ),
        ({"PrimaryCriteria": primary(EVENT), "ExpressionLimit": LIMIT["All"], "EndStrategy": EXIT}, "all"),
        ({"PrimaryCriteria": primary(EVENT), "ExpressionLimit": LIMIT["All"]}, "first-eligible"),
        ({"PrimaryCriteria": primary(EVENT, limit="First"), "InclusionRules": RULE}, "first"),
        ({"PrimaryCriteria": primary(EVENT, limit="First", prior=365)}, "first-eligible"),
        (
            {
                "PrimaryCriteria": primary(EVENT),
                "AdditionalCriteria": group("ALL", linked("DrugExposure", 1, 30, 0)),
                "ExpressionLimit": LIMIT["All"],
                "EndStrategy": EXIT,
            },
            "first-eligible",
        ),
        ({"InclusionRules": RULE}, "first-eligible"),
    ],
)
def test_the_three_limits_say_which_entries_count(given: dict[str, Any], expected: str) -> None:
    assert of(definition(**given)).entries == expected


def test_what_says_how_long_somebody_stays_is_noted() -> None:
    censored = [{"DrugExposure": {"CodesetId": 1}}]
    pad = {"CollapseType": "ERA", "EraPad": 30}
    notes = of(definition(EndStrategy=EXIT, CensoringCriteria=censored, CollapseSettings=pad)).notes
    for name in ("EndStrategy", "CensoringCriteria", "CollapseSettings.EraPad"):
        assert any(note.startswith(f"{name} was left out") for note in notes)


@pytest.mark.parametrize("wrapped", ["text", "object"])
def test_what_webapi_wraps_around_an_expression_is_taken_off(wrapped: str) -> None:
    inner = definition()
    outer = {"id": 7, "name": "T2DM", "expressionType": "SIMPLE_EXPRESSION"}
    given = outer | {"expression": json.dumps(inner) if wrapped == "text" else inner}
    assert of(given).entry == of(inner).entry


def test_an_import_reads_back_from_the_study_file() -> None:
    high = {"Measurement": {"CodesetId": 2, "ValueAsNumber": {"Value": 1.5, "Op": "gte"}, "Unit": [MG_DL]}}
    nested = group("AT_LEAST", linked("DrugExposure", 1, 30, 0), linked("VisitOccurrence", 3, None, 1), Count=1)
    odd = copy.deepcopy(DIABETES) | {"id": 5, "name": "No: 'yes' #7 - \u00e9t\u00e9"}
    rules = included(("Yes", group("ALL", linked("ConditionOccurrence", 5, 3, 0, occurrence=(1, 2)), groups=(nested,))))
    imported = of(
        definition(
            ConceptSets=[DIABETES, METFORMIN, CREATININE, STAY, odd],
            PrimaryCriteria=primary(high, prior=7),
            InclusionRules=rules,
        )
    )
    text = to_yaml(imported)
    data = read(text, name="study.yaml", what="a study").data
    cohort = Cohort.model_validate(data["cohort"])
    assert cohort.events == imported.entry
    assert cohort.entries == imported.entries
    assert {name: ConceptSet.model_validate(one) for name, one in data["concept_sets"].items()} == imported.concept_sets
    assert all(f"# {note}" in text for note in imported.notes)
