"""What the study locked as acceptable: every threshold that is missed is named, and no figure is a miss too."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from wardgate.hub.acceptance import shortfalls, worst_site
from wardgate.hub.pooling.score_bins import Figures
from wardgate.hub.pooling.transfer import Transfer
from wardgate.measures.subgroups import group_names
from wardgate.records.measured import Measured
from wardgate.records.messages import Answer
from wardgate.records.study import Study

ACCEPTANCE = {
    "auroc_min": "0.75",
    "worst_site_auroc_min": "0.65",
    "oe": ["0.8", "1.25"],
    "slope": ["0.8", "1.25"],
    "subgroup_gap_max": "0.1",
}


@pytest.fixture
def study(small) -> Study:
    plain = small.finished.run.study.plain()
    plain["acceptance"] |= ACCEPTANCE
    return Study.from_plain(plain)


def value(name: str, number: float) -> Measured:
    return Measured(name=name, value=number, low=number, high=number)


def figures(auroc: float = 0.8, oe: float = 1.0, slope: float = 1.0, events: float = 100) -> Figures:
    return Figures(
        auroc=value("auroc", auroc),
        auroc_bin_error=0.0,
        oe=value("oe", oe),
        slope=value("slope", slope),
        curve=(),
        events=events,
        non_events=100,
    )


def site(name: str, auroc: str | None, outcome: str = "released") -> Answer:
    told = {} if auroc is None else {"federated.auroc": auroc}
    return Answer.model_validate(
        {
            "study_sha256": "ab" * 32,
            "question_sha256": "cd" * 32,
            "site": name,
            "computation": "evaluate",
            "outcome": outcome,
            "verdict": "pass",
            "statement": {"figures": told},
        }
    )


def transfer(
    overall: Mapping[str, Figures], *, groups: tuple[Figures, ...] = (), sites: tuple[Answer, ...] = (), **missing: str
) -> Transfer:
    return Transfer(
        overall=dict(overall),
        subgroups=dict.fromkeys(overall, groups),
        sites={answer.site: answer for answer in sites},
        missing=missing,
    )


def what(study: Study, found: Transfer) -> list[str]:
    return [f"{short.model}: {short.what}" for short in shortfalls(study, found)]


def test_a_model_within_all_thresholds_misses_none(study: Study) -> None:
    good = transfer(
        {"federated": figures(0.75, 0.8, 1.25)},
        groups=tuple(figures(0.65) for _ in group_names(study)),
        sites=(site("a", "0.65"), site("b", "0.9")),
    )
    assert what(study, good) == []


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        (figures(auroc=0.7499), "AUROC"),
        (figures(auroc=np.nan), "AUROC"),
        (figures(oe=0.79), "O/E"),
        (figures(oe=1.26), "O/E"),
        (figures(oe=np.nan), "O/E"),
        (figures(slope=0.5), "slope"),
        (figures(slope=np.nan), "slope"),
        (figures(slope=-1.0), "slope"),
    ],
)
def test_each_threshold_that_is_missed_is_named(study: Study, bad: Figures, expected: str) -> None:
    assert what(study, transfer({"federated": bad})) == [f"federated: {expected}"]


def test_only_joint_models_are_judged(study: Study) -> None:
    found = transfer({name: figures(auroc=0.1) for name in ("local", "pooled", "commons", "federated", "hybrid")})
    assert what(study, found) == ["commons: AUROC", "federated: AUROC", "hybrid: AUROC"]


def test_a_model_without_figures_misses(study: Study) -> None:
    (short,) = shortfalls(study, transfer({}, federated="the sum stayed closed"))
    assert (short.model, short.expected) == ("federated", "a figure")
    assert np.isnan(short.found)


def test_the_worst_hospital_is_the_lowest_that_can_be_shown(study: Study) -> None:
    sites = (site("a", "0.9"), site("b", "0.6"), site("c", None), site("d", "0.1", outcome="refused"))
    found = transfer({"federated": figures()}, sites=sites)
    assert worst_site(found, "federated") == ("b", 0.6)
    assert what(study, found) == ["federated: AUROC at b"]
    assert worst_site(found, "hybrid") is None
    assert worst_site(transfer({}, sites=(site("z", "0.6"), site("b", "0.6"))), "federated") == ("b", 0.6)


def test_a_subgroup_far_below_the_whole_is_named_and_a_small_one_is_not_judged(study: Study) -> None:
    names = group_names(study)
    assert len(names) == 2
    low = transfer({"federated": figures(0.8)}, groups=(figures(0.69), figures(0.79)))
    (short,) = shortfalls(study, low)
    assert (short.subgroup, round(short.found, 2)) == (names[0], 0.11)
    assert names[0] in short.words
    tiny = transfer({"federated": figures(0.8)}, groups=(figures(0.1, events=10), figures(0.79)))
    assert what(study, tiny) == []
    unknown: Any = transfer({"federated": figures(0.8)}, groups=(figures(np.nan, events=11), figures(0.79)))
    assert what(study, unknown) == ["federated: AUROC below the whole"]
