"""The run on one screen."""

import pytest

from wardgate.papers.summary import summarise
from wardgate.papers.words import APPROACHES


def test_the_summary_names_every_approach_the_worst_hospital_and_who_was_named(six_hospitals):
    text = summarise(six_hospitals)
    for approach in six_hospitals.approaches:
        assert APPROACHES[approach.name] in text and approach.worst_site in text
    assert "Named       harbour" in text
    assert "lakeside: 3 refused" in text
    assert "not a legal finding of anonymity" in text.lower()


@pytest.mark.parametrize("which", ["six_hospitals", "many_hospitals"])
def test_the_summary_fits_one_screen_and_is_plain(request, which):
    text = summarise(request.getfixturevalue(which))
    assert len(text.splitlines()) <= 32
    assert "nan" not in text and "None" not in text
    assert summarise(request.getfixturevalue(which)) == text


def test_control_characters_never_reach_the_terminal(six_hospitals):
    bad = six_hospitals.model_copy(update={"title": "a\x1b[2Jb", "warnings": ("x\r\ny",)})
    text = summarise(bad)
    assert "\x1b" not in text and "\r" not in text and "a?[2Jb" in text


def test_a_run_without_figures_says_so(six_hospitals):
    text = summarise(six_hospitals.model_copy(update={"approaches": (), "sites": (), "joint_corpus": ()}))
    assert "no candidate judged, none released" in text and "nobody" not in text.split("Named")[0]
