"""What a study cannot say of a Circe definition is refused by its path, all of it at once."""

import contextlib
import copy
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from made_circe import (
    DIABETES,
    EVENT,
    LIMIT,
    MG_DL,
    RULE,
    concept,
    concept_set,
    definition,
    group,
    included,
    linked,
    of,
    primary,
)
from wardgate.records.circe import read_circe
from wardgate.records.errors import Invalid


def refused(given: dict[str, Any]) -> list[str]:
    with pytest.raises(Invalid) as caught:
        of(given)
    return str(caught.value).splitlines()


def rule_of(one: dict[str, Any]) -> dict[str, Any]:
    return definition(InclusionRules=included(("x", group("ALL", one))))


def window(start: dict[str, Any], end: dict[str, Any], **more: Any) -> dict[str, Any]:
    return linked("DrugExposure", 1, 1, 1) | {"StartWindow": {"Start": start, "End": end, **more}}


EVENT_PATH = "PrimaryCriteria.CriteriaList[0]"
RULE_PATH = "InclusionRules[0].expression"
IN_RULE = f"{RULE_PATH}.CriteriaList[0]"
ODD = {"Gender": [concept(8521, "OTHER", "O", "Gender")]}


@pytest.mark.parametrize(
    ("given", "path"),
    [
        (definition(PrimaryCriteria=primary({"ConditionEra": {"CodesetId": 0}})), f"{EVENT_PATH}.ConditionEra"),
        (definition(PrimaryCriteria=primary({"DrugEra": {"CodesetId": 1}})), f"{EVENT_PATH}.DrugEra"),
        (definition(PrimaryCriteria=primary({"VisitDetail": {"CodesetId": 3}})), f"{EVENT_PATH}.VisitDetail"),
        (definition(PrimaryCriteria=primary({"ConditionOccurrence": {}})), f"{EVENT_PATH}.ConditionOccurrence"),
        (
            definition(PrimaryCriteria=primary({"ConditionOccurrence": {"CodesetId": 9}})),
            f"{EVENT_PATH}.ConditionOccurrence.CodesetId",
        ),
        (definition(PrimaryCriteria=primary({"Death": {"CodesetId": 0}})), f"{EVENT_PATH}.Death.CodesetId"),
        (definition(PrimaryCriteria=primary()), "PrimaryCriteria.CriteriaList"),
        (
            definition(PrimaryCriteria=primary({"ConditionOccurrence": {"CodesetId": 0, **ODD}})),
            f"{EVENT_PATH}.ConditionOccurrence.Gender[0]",
        ),
        (
            definition(PrimaryCriteria=primary({"ConditionOccurrence": {"CodesetId": 0, "ConditionSourceConcept": 2}})),
            f"{EVENT_PATH}.ConditionOccurrence.ConditionSourceConcept",
        ),
        (
            definition(
                PrimaryCriteria=primary(
                    {
                        "ConditionOccurrence": {
                            "CodesetId": 0,
                            "OccurrenceStartDate": {"Value": "2015-01-01", "Op": "gt"},
                        }
                    }
                )
            ),
            f"{EVENT_PATH}.ConditionOccurrence.OccurrenceStartDate",
        ),
        (
            definition(
                PrimaryCriteria=primary(
                    {
                        "ConditionOccurrence": {
                            "CodesetId": 0,
                            "CorrelatedCriteria": group("ALL", linked("DrugExposure", 1, 1, 0)),
                        }
                    }
                )
            ),
            f"{EVENT_PATH}.ConditionOccurrence.CorrelatedCriteria",
        ),
        (
            definition(
                PrimaryCriteria=primary({"Measurement": {"CodesetId": 2, "ValueAsNumber": {"Value": 1, "Op": "gt"}}})
            ),
            f"{EVENT_PATH}.Measurement.Unit",
        ),
        (
            definition(
                PrimaryCriteria=primary(
                    {"Measurement": {"CodesetId": 2, "ValueAsNumber": {"Value": 1, "Op": "!bt"}, "Unit": [MG_DL]}}
                )
            ),
            f"{EVENT_PATH}.Measurement.ValueAsNumber.Op",
        ),
        (
            definition(
                PrimaryCriteria=primary(
                    {"ConditionOccurrence": {"CodesetId": 0, "First": True}}, {"VisitOccurrence": {"CodesetId": 3}}
                )
            ),
            "PrimaryCriteria.CriteriaList",
        ),
        (
            definition(
                PrimaryCriteria=primary(
                    {"ConditionOccurrence": {"CodesetId": 0, "Age": {"Value": 18, "Op": "gte"}}},
                    {"VisitOccurrence": {"CodesetId": 3}},
                )
            ),
            "PrimaryCriteria.CriteriaList",
        ),
        (definition(PrimaryCriteria=primary(EVENT, limit="Last")), "PrimaryCriteria.PrimaryCriteriaLimit.Type"),
        (
            definition(PrimaryCriteria=primary(EVENT, limit="First", prior=365), InclusionRules=RULE),
            "PrimaryCriteria.PrimaryCriteriaLimit",
        ),
        (
            definition(
                PrimaryCriteria=primary(EVENT),
                AdditionalCriteria=group("ALL", linked("DrugExposure", 1, 1, 0)),
                InclusionRules=RULE,
            ),
            "QualifiedLimit",
        ),
        (definition(CensorWindow={"StartDate": "2010-01-01"}), "CensorWindow.StartDate"),
        (definition(Novelty={"x": 1}), "Novelty"),
        (rule_of(window({"Days": 0, "Coeff": -1}, {"Days": 30, "Coeff": 1})), f"{IN_RULE}.StartWindow.End"),
        (rule_of(window({"Coeff": -1}, {"Coeff": 1})), f"{IN_RULE}.StartWindow.End"),
        (rule_of(window({"Days": 1, "Coeff": -1}, {"Days": 9, "Coeff": -1})), f"{IN_RULE}.StartWindow"),
        (
            rule_of(window({"Coeff": -1}, {"Days": 0, "Coeff": -1}, UseIndexEnd=True)),
            f"{IN_RULE}.StartWindow.UseIndexEnd",
        ),
        (
            rule_of(window({"Coeff": -1}, {"Days": 0, "Coeff": -1}, UseEventEnd=True)),
            f"{IN_RULE}.StartWindow.UseEventEnd",
        ),
        (
            rule_of(window({"Days": 1, "Coeff": -1, "TimeUnit": "hour"}, {"Days": 0, "Coeff": -1})),
            f"{IN_RULE}.StartWindow.Start.TimeUnit",
        ),
        (rule_of({**linked("DrugExposure", 1, 1, 0), "StartWindow": None}), f"{IN_RULE}.StartWindow"),
        (
            rule_of(
                linked("DrugExposure", 1, 1, 0, EndWindow={"Start": {"Days": 1, "Coeff": -1}, "End": {"Coeff": 1}})
            ),
            f"{IN_RULE}.EndWindow",
        ),
        (
            rule_of({**linked("DrugExposure", 1, 1, 0), "Occurrence": {"Type": 2, "Count": 2, "IsDistinct": True}}),
            f"{IN_RULE}.Occurrence.IsDistinct",
        ),
        (rule_of({**linked("DrugExposure", 1, 1, 0), "Occurrence": {"Type": 7, "Count": 2}}), f"{IN_RULE}.Occurrence"),
        (
            rule_of({**linked("DrugExposure", 1, 1, 0), "Occurrence": {"Type": 2, "Count": True}}),
            f"{IN_RULE}.Occurrence.Count",
        ),
        (
            rule_of(linked("DrugExposure", 1, 1, 0, attributes={"DaysSupply": {"Value": 30, "Op": "gt"}})),
            f"{IN_RULE}.Criteria.DrugExposure.DaysSupply",
        ),
        (
            rule_of(linked("DrugExposure", 1, 1, 0, attributes={"Age": {"Value": 30, "Op": "gt"}})),
            f"{IN_RULE}.Criteria",
        ),
        (
            definition(InclusionRules=included(("x", group("ALL", persons=(ODD,))))),
            f"{RULE_PATH}.DemographicCriteriaList[0].Gender[0]",
        ),
        (
            definition(
                InclusionRules=included(
                    ("x", group("ANY", linked("DrugExposure", 1, 1, 0), persons=({"Age": {"Value": 18, "Op": "gte"}},)))
                )
            ),
            f"{RULE_PATH}.DemographicCriteriaList[0].Age",
        ),
        (
            definition(InclusionRules=included(("x", group("SOME", linked("DrugExposure", 1, 1, 0))))),
            f"{RULE_PATH}.Type",
        ),
        (
            definition(InclusionRules=included(("x", group("AT_LEAST", linked("DrugExposure", 1, 1, 0))))),
            f"{RULE_PATH}.Count",
        ),
        (definition(InclusionRules="none"), "InclusionRules"),
        (definition(ConceptSets=[concept_set(0, "Empty")]), "ConceptSets[0].expression.items"),
        (
            definition(ConceptSets=[concept_set(0, "Out", {"concept": concept(7, "x"), "isExcluded": True})]),
            "ConceptSets[0].expression.items",
        ),
        (
            definition(ConceptSets=[concept_set(0, "Zero", {"concept": concept(0, "none")})]),
            "ConceptSets[0].expression.items[0].concept.CONCEPT_ID",
        ),
        (definition(ConceptSets=[DIABETES, DIABETES]), "ConceptSets[1].id"),
    ],
)
def test_what_a_study_cannot_say_is_refused_by_its_path(given: dict[str, Any], path: str) -> None:
    lines = refused(given)
    assert lines[0] == "t2dm.json asks for what a study cannot say:"
    assert any(line.startswith(f"{path}: ") for line in lines[1:]), lines
    assert all(line.count("; ") >= 1 for line in lines[1:])


def test_all_refusals_come_at_once() -> None:
    given = definition(
        PrimaryCriteria=primary({"ConditionEra": {"CodesetId": 0}}, limit="Last"),
        InclusionRules=included(("x", group("ALL", window({"Coeff": -1}, {"Coeff": 1})))),
        CensorWindow={"EndDate": "2020-01-01"},
    )
    assert len(refused(given)) == 5


def test_groups_nested_without_end_are_refused() -> None:
    deep = group("ALL", linked("DrugExposure", 1, 1, 0))
    for _ in range(60):
        deep = group("ALL", groups=(deep,))
    assert any("nested more than 20 deep" in line for line in refused(definition(InclusionRules=included(("x", deep)))))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no JSON"),
        ("{", "no JSON"),
        ("[1, 2]", "is no JSON object"),
        ("7", "is no JSON object"),
        ("{}", "no 'PrimaryCriteria'"),
        ('{"PrimaryCriteria": 7}', "no 'PrimaryCriteria'"),
        ('{"expression": "{"}', "no JSON"),
        ('{"expression": 7}', "no 'PrimaryCriteria'"),
        ("[" * 100_000, "is no JSON object"),
        ("<xml/>", "no JSON"),
        (
            '{"PrimaryCriteria": {"CriteriaList": 7, "ObservationWindow": [], "PrimaryCriteriaLimit": "x"}}',
            "expected a list here",
        ),
        ('{"PrimaryCriteria": {"CriteriaList": [null, 7, {}]}}', "0 kinds of event, expected one"),
        ('{"ConceptSets": {"a": 1}, "PrimaryCriteria": {"CriteriaList": []}}', "expected a list here"),
    ],
)
def test_what_is_no_definition_is_refused(text: str, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        read_circe(text, name="broken.json")


def test_any_part_of_another_type_is_refused_and_never_breaks_the_reading() -> None:
    whole = definition(
        AdditionalCriteria=group(
            "ALL",
            linked("Measurement", 2, 30, 0, attributes={"ValueAsNumber": {"Value": 1, "Op": "gt"}, "Unit": [MG_DL]}),
        ),
        InclusionRules=RULE,
        ExpressionLimit=LIMIT["All"],
    )

    def places(value: Any, path: tuple = ()) -> list[tuple]:
        inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        return [path, *(place for key, one in inner for place in places(one, (*path, key)))]

    tried = 0
    for place in places(whole):
        for strange in (None, 7, -1, "x", [], {}, [7], {"x": 7}, True, 1e300):
            if not place:
                continue
            broken = copy.deepcopy(whole)
            holder = broken
            for key in place[:-1]:
                holder = holder[key]
            holder[place[-1]] = strange
            tried += 1
            with contextlib.suppress(Invalid):
                of(broken)
    assert tried > 1_000
