"""The pages of data checks show what the records hold, say every state in words, and ask nothing of any network."""

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from made_checks import check, checks

from wardgate.computations.definitions.checks import compare_checks
from wardgate.papers.data_check_page import WORST_FIRST, data_check_page
from wardgate.papers.side_by_side import side_by_side
from wardgate.records.data_check import Prevalence
from wardgate.records.errors import Invalid
from wardgate.records.named import Named
from wardgate.records.results import Requirement


def section(text: str, name: str) -> str:
    return text[text.index(f'<section class="part" id="{name}"') :].split("</section>")[0]


def test_requirements_stand_worst_first_with_their_state_in_words() -> None:
    one = check("here", seed=2, broken=True)
    rows = section(data_check_page(one), "requirements").split("<tbody>")[1]
    states = re.findall(r"</svg>([a-z ]+)</span>", rows)
    assert states == sorted((row.state for row in one.requirements), key=WORST_FIRST.index)
    assert {"fail", "not evaluated", "pass"} <= set(states)


def test_a_page_names_what_keeps_the_hospital_out_and_what_to_do() -> None:
    text = data_check_page(check("here", seed=3, broken=True))
    assert "Cannot take part yet" in text and "correct &#39;unit&#39; in the mapping" in text
    assert "Can take part" in data_check_page(check("here", seed=1))


def test_what_is_not_told_is_said_and_never_nought() -> None:
    one = check("here", seed=1).model_copy(update={"prevalence": None})
    bare = one.model_copy(
        update={"features": tuple(f.model_copy(update={"coverage": None, "units": ()}) for f in one.features)}
    )
    text = section(data_check_page(bare), "features")
    assert text.count("not shown") >= len(bare.features) and "None" not in text
    assert "No coverage" in side_by_side([bare]) or "not shown" in side_by_side([bare])


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a&b", '"onload="x'])
def test_texts_of_a_hospital_are_escaped(text: str) -> None:
    one = check("here", seed=1)
    odd = one.model_copy(
        update={
            "source": text,
            "requirements": (Requirement(name=text, state="fail", reason=text),),
            "reasons": (text,),
        }
    )
    for made in (data_check_page(odd), side_by_side([odd])):
        assert "<script" not in made and text not in made


@pytest.mark.parametrize("count", [1, 2, 6, 40])
def test_pages_stand_by_themselves_and_are_pure(count: int) -> None:
    found = checks(count)
    text = side_by_side(found)
    assert text == side_by_side(found[::-1]), "the order in which checks came does not matter"
    for made in (text, data_check_page(found[0])):
        assert "default-src 'none'" in made
        assert not re.search(r"https?://|src=|@import", made)
        assert made.count("<h1>") == 1
        ids = re.findall(r' id="([^"]+)"', made)
        assert len(ids) == len(set(ids))


def test_every_hospital_has_its_column_and_every_mark_its_words() -> None:
    found = checks(40)
    matrix = section(side_by_side(found), "matrix")
    for one in found:
        assert f"<span>{one.site}</span>" in matrix
    rows = matrix.split("<tbody>")[1].split("<tr>")[1:]
    assert rows and all(row.count("<td>") == 40 for row in rows)
    assert matrix.count('class="mark ') == matrix.count('class="unseen"')


def test_a_prevalence_far_from_the_others_is_named_with_the_evidence() -> None:
    text = section(side_by_side(checks(8)), "found")
    assert "hospital-04" in text and "0.93 against" in text


def test_findings_of_the_comparison_come_first_and_once() -> None:
    unit = Named(
        site="hospital-02",
        subject="creatinine",
        kind="unit",
        evidence="creatinine typically 88 times the others'; it is probably in mg/dL",
        chance=1e-12,
        unit="mg/dL",
    )
    same = compare_checks(checks(8))
    text = section(side_by_side(checks(8), named=[*same, unit]), "found")
    assert text.index("hospital-02") < text.index("hospital-04")
    assert text.count("0.93 against") == 1
    assert "stays out of exact sums" in text


def test_of_two_hospitals_nobody_is_named() -> None:
    two = [check("a", seed=1), check("b", seed=2, prevalence=0.9)]
    assert compare_checks(two) == ()
    assert "Nobody can be named" in side_by_side(two)


def test_checks_that_tell_no_prevalence_are_not_compared() -> None:
    silent = [one.model_copy(update={"prevalence": None}) for one in checks(8)]
    assert compare_checks(silent) == ()
    coarse = [one.model_copy(update={"prevalence": Prevalence(share=0.0, step=0.25)}) for one in checks(8)]
    assert compare_checks(coarse) == ()


def test_checks_of_two_studies_or_one_hospital_twice_are_refused() -> None:
    one = check("a", seed=1)
    for wrong in ([], [one, one], [one, check("b", seed=1).model_copy(update={"study_sha256": "cd" * 32})]):
        with pytest.raises(Invalid):
            side_by_side(wrong)
