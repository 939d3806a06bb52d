"""One requirement a feature: codes, units, ranges and texts, in four states and without small counts."""

import re

import numpy as np
import pytest
from checked_studies import AGE, CREATININE, DIABETES, study

from wardgate.hospital.ward.cohort.checks.features import judge_features
from wardgate.hospital.ward.cohort.found import FeatureFound, UnitFound
from wardgate.records.errors import Invalid

IN_RANGE = (45.0, 60.0, 80.0, 110.0, 240.0)
IN_MG = tuple(value / 88.4 for value in IN_RANGE)


def found(**given):
    whole = {
        "feature": "creatinine",
        "codes": 2,
        "entries": 1000,
        "with_value": 900,
        "with_events": 900,
        "values": 2000,
        "units": (UnitFound(unit="umol/L", values=2000, converted=False, quantiles=IN_RANGE),),
    }
    return FeatureFound(**{**whole, **given})


def judged(one: FeatureFound, feature=CREATININE):
    (requirement,) = judge_features(study(feature), [one])
    assert requirement.name == f"feature {feature.name}"
    assert not re.search(r"\b([1-9]|10)\b (?:of|values|persons|entries)", requirement.reason)
    return requirement.state, requirement.reason


def refused(feature):
    return feature.model_copy(update={"missing": "refused"})


def test_a_feature_as_asked_passes() -> None:
    assert judged(found()) == ("pass", "as the study asks")


def test_a_converted_unit_is_named() -> None:
    units = (UnitFound(unit="mg/dL", values=2000, converted=True, quantiles=IN_MG),)
    assert judged(found(units=units)) == ("pass", "converted from 'mg/dL'")


def test_nobody_eligible_is_not_evaluated() -> None:
    assert judged(found(entries=0, with_value=0, with_events=0, values=0, units=()))[0] == "not evaluated"


def test_no_code_of_the_source_is_an_exception_or_a_failure_as_missing_allows() -> None:
    nothing = found(codes=0, with_value=0, with_events=0, values=0, units=())
    state, reason = judged(nothing)
    assert state == "pass with exceptions"
    assert "'creatinine'" in reason
    assert judged(nothing, refused(CREATININE))[0] == "fail"


def test_a_code_that_nobody_has_says_so() -> None:
    nothing = found(with_value=0, with_events=0, values=0, units=())
    assert judged(nothing)[0] == "pass with exceptions"
    assert judged(nothing, refused(CREATININE))[0] == "fail"
    diabetes = FeatureFound(feature="diabetes", codes=3, entries=1000, with_value=1000, with_events=0)
    state, reason = judged(diabetes, DIABETES)
    assert state == "pass with exceptions"
    assert "everybody counts as without" in reason


def test_age_needs_no_code() -> None:
    age = FeatureFound(feature="age", codes=0, entries=1000, with_value=1000, with_events=0)
    assert judged(age, AGE)[0] == "pass"


def test_values_without_a_unit_fail_and_say_where_to_name_it() -> None:
    state, reason = judged(found(with_value=0, units=(UnitFound(unit=None, values=2000, converted=None),)))
    assert state == "fail"
    assert "source.yaml" in reason
    assert "no unit" in reason


def test_an_unknown_unit_fails_by_name_and_a_rare_one_is_not_named() -> None:
    state, reason = judged(found(with_value=0, units=(UnitFound(unit="furlong", values=2000, converted=None),)))
    assert (state, "'furlong'" in reason) == ("fail", True)
    few = found(with_value=3, values=14, units=(UnitFound(unit="Mrs Miller", values=4, converted=None),))
    state, reason = judged(few)
    assert state == "fail"
    assert "Miller" not in reason


def test_another_unit_than_recorded_is_named() -> None:
    units = (UnitFound(unit="umol/L", values=2000, converted=False, quantiles=IN_MG),)
    state, reason = judged(found(with_value=10, out_of_range=1990, units=units))
    assert state == "fail"
    assert "read as mg/dL would fit" in reason


def test_texts_instead_of_numbers_fail() -> None:
    assert judged(found(without_number=900))[0] == "fail"


@pytest.mark.parametrize("kind", ["out_of_range", "without_number"])
def test_five_percent_are_an_exception_and_a_tail_is_not(kind) -> None:
    assert judged(found(**{kind: 100}))[0] == "pass with exceptions"
    assert judged(found(**{kind: 12}))[0] == "pass"
    assert judged(found(**{kind: 3}, values=40))[0] == "pass"


def test_a_refused_feature_that_empties_the_cohort_is_an_exception() -> None:
    assert judged(found(with_value=300, with_events=300), refused(CREATININE))[0] == "pass with exceptions"


def test_a_natural_tail_raises_no_exception_in_a_thousand_hospitals() -> None:
    rng = np.random.default_rng(1)
    for outside in rng.binomial(2000, 0.008, size=1000):
        assert judged(found(out_of_range=int(outside)))[0] == "pass"


def test_other_features_than_the_studys_are_our_mistake() -> None:
    with pytest.raises(Invalid, match="in its order"):
        judge_features(study(CREATININE, AGE), [found()])
