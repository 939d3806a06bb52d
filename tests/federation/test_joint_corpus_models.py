"""A model for each hospital from one joint corpus: shared slopes, its own level."""

import numpy as np
import polars as pl
import pytest

from wardgate.hub.pooling.commons import train
from wardgate.hub.pooling.site_intercepts import train_by_site
from wardgate.marginals.sites.model import SITE
from wardgate.measures.encoding import LABEL
from wardgate.records.errors import Invalid
from wardgate.records.feature import Feature
from wardgate.records.study import Acceptance, Cohort, Label, Study

SITES = ("a", "b", "c", "d")
LEVELS = {"a": -1.5, "b": 0.0, "c": 1.5}
SLOPE = 0.5


@pytest.fixture(scope="module")
def study() -> Study:
    return Study(
        schema="wardgate/study/1",
        id="levels",
        version=1,
        title="Levels",
        question="Who has the outcome?",
        cohort=Cohort(entry="everybody"),
        index_date="admission",
        label=Label(name="outcome", meaning="the outcome", window_days=(0, 30)),
        features=(Feature(name="score", type="number", unit="1", range=(-1, 1), missing="refused"),),
        acceptance=Acceptance(auroc_min=0.6, worst_site_auroc_min=0.5),
        sites=SITES,
        joint_site="keep",
    )


@pytest.fixture(scope="module")
def corpus() -> pl.DataFrame:
    """Hospitals with higher levels also see higher scores; within each the slope is the same."""
    rng, parts = np.random.default_rng(0), []
    for site, level in LEVELS.items():
        score = np.clip(rng.normal(0.4 * level, 0.3, 8_000), -1, 1)
        outcome = rng.random(len(score)) < 1 / (1 + np.exp(-(level + SLOPE * score)))
        parts.append(pl.DataFrame({"score": score, SITE: [site] * len(score), LABEL: outcome.astype(np.int8)}))
    return pl.concat(parts)


def test_slopes_compare_persons_of_one_hospital_and_levels_are_its_own(study: Study, corpus: pl.DataFrame) -> None:
    found = train_by_site(study, corpus, ridge=1.0)
    for site, level in LEVELS.items():
        assert found[site] == pytest.approx([level, SLOPE], abs=0.15)
    confounded = train(study, [corpus.drop(SITE)], ridge=1.0)
    assert confounded[1] > 3 * SLOPE, "without the column the hospitals' levels leak into the slope"


def test_a_hospital_without_rows_has_the_level_of_the_average_one(study: Study, corpus: pl.DataFrame) -> None:
    found = train_by_site(study, corpus, ridge=1.0)
    assert found["d"] == pytest.approx([np.mean(list(LEVELS.values())), SLOPE], abs=0.15)


def test_a_small_spread_pulls_hospitals_together(study: Study, corpus: pl.DataFrame) -> None:
    loose, tight = (train_by_site(study, corpus, ridge=1.0, spread=spread) for spread in (1.0, 1e-4))
    assert abs(tight["a"][0] - tight["c"][0]) < 0.01 < abs(loose["a"][0] - loose["c"][0])


def test_the_penalty_on_levels_does_not_hang_on_that_of_slopes(study: Study, corpus: pl.DataFrame) -> None:
    found = [train_by_site(study, corpus[::40], ridge=ridge)["a"][0] for ridge in (0.1, 1.0)]
    assert found[0] == pytest.approx(found[1], abs=0.1)


def test_what_cannot_be_trained_is_told(study: Study, corpus: pl.DataFrame) -> None:
    with pytest.raises(Invalid, match="joint_site: keep"):
        train_by_site(study, corpus.drop(SITE), ridge=1.0)
    with pytest.raises(Invalid, match="one class"):
        train_by_site(study, corpus.with_columns(pl.lit(1, dtype=pl.Int8).alias(LABEL)), ridge=1.0)
    for ridge, spread in ((0.0, 1.0), (1.0, 0.0)):
        with pytest.raises(Invalid, match="above 0"):
            train_by_site(study, corpus, ridge=ridge, spread=spread)


def test_a_study_with_a_feature_called_site_or_one_site_cannot_tell_hospitals_apart(study: Study) -> None:
    plain = study.plain()
    for change in (
        {"sites": ["a"]},
        {"features": [*plain["features"], {"name": "site", "type": "boolean", "missing": "refused"}]},
    ):
        with pytest.raises(Invalid, match="joint_site"):
            Study.from_plain(plain | change)


def test_a_study_without_the_setting_keeps_its_digest(study: Study) -> None:
    assert b"joint_site" not in study.model_copy(update={"joint_site": None}).to_bytes()
