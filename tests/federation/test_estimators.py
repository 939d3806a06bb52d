"""Estimators over real wards: equal to the pooled fit, ordinary afterwards, and refused where the study is silent."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from smallest import COLUMNS, STUDY, write_hospital

from wardgate.computations.newton import Newton
from wardgate.federation.estimators import (
    FederatedCoxRegression,
    FederatedGradientBoostingClassifier,
    FederatedLinearRegression,
    FederatedLogisticRegression,
)
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.model_files import load_model, save_model
from wardgate.federation.session import Federation
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.ask import sum_ask
from wardgate.hub.pooling.glm import glm
from wardgate.measures.boosting import Growth
from wardgate.measures.logistic import fit
from wardgate.records.errors import CheckFailed, Invalid, Unsupported
from wardgate.records.study_file import parse

SITES = [f"h{place}" for place in range(4)]
ALL = ["glm", "cox", "boosting_bins", "boosting_histograms", "boosting_leaves", "boosting_loss"]


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Opens a study over four hospitals of 400 persons."""

    @contextmanager
    def open_(*, analyses: list[str], more: str = "", isolate: bool = False) -> Iterator[tuple[Federation, str]]:
        text = STUDY.replace("SITES", ", ".join(SITES)) + f"analyses: [{', '.join(analyses)}]\n{more}"
        study = parse(text, name="study.yaml")
        for place, site in enumerate(SITES):
            write_hospital(tmp_path / "hospitals" / site, 400, [11, place], inverted=False, note="")
        (tmp_path / "work").mkdir()
        settings = Settings(seed=1, issued_on="2026-01-02", isolate=isolate)
        found = find_hospitals(tmp_path / "hospitals", study)
        with local(study=study, hospitals=found, settings=settings, work=tmp_path / "work") as federation:
            yield federation, text

    return open_


def pooled(federation: Federation) -> tuple[pl.DataFrame, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """All training persons in one table: only a test may hold it."""
    parts = [federation.carrier.links[site]._ward._bench.part("train") for site in federation.sites]
    return (
        pl.concat([part.table for part in parts]),
        np.concatenate([part.x for part in parts]),
        np.concatenate([part.y for part in parts]),
    )


def test_a_federated_logistic_regression_is_the_pooled_one_and_an_ordinary_model(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    with opened(analyses=["glm"]) as (federation, text):
        model = FederatedLogisticRegression(ridge=1.0).fit(federation, federation.study)
        table, x, y = pooled(federation)
        assert np.max(np.abs(np.array(model.coefficients) - fit(x, y, ridge=1.0))) < 1e-8
        chances = model.predict_proba(table)
        assert chances.shape == (table.height, 2)
        assert np.allclose(chances.sum(axis=1), 1.0)
        save_model(model, tmp_path / "model.json")
        again = load_model(tmp_path / "model.json")
        assert np.array_equal(again.predict_proba(table), chances)
        federation.save(tmp_path / "out", study_text=text)
    assert audit(tmp_path / "out").findings == ()


def test_trees_over_hospitals_are_trees_over_the_pooled_table(opened: Callable[..., Any], tmp_path: Path) -> None:
    with opened(analyses=ALL, more="drop_out: 0.25\n") as (federation, text):
        estimator = FederatedGradientBoostingClassifier(growth=Growth(trees=5, depth=2))
        model = estimator.fit(federation, federation.study)
        table, _, y = pooled(federation)
        chances = model.predict_proba(table)[:, 1]
        order = np.argsort(chances)
        assert y[order[len(y) // 2 :]].mean() > y[order[: len(y) // 2]].mean() + 0.2
        federation.save(tmp_path / "out", study_text=text)
    assert audit(tmp_path / "out").findings == ()


def test_a_noisy_fit_over_hospitals_says_what_it_cost(opened: Callable[..., Any]) -> None:
    with opened(analyses=["glm"]) as (federation, _):
        found = FederatedLogisticRegression(epsilon=2.0).run(federation, federation.study)
        assert found.gaussian
        assert "epsilon 2" in found.model.noise
        ledgers = [federation.carrier.links[site]._ward._bench.door.ledger for site in federation.sites]
        assert all(0 < ledger.epsilon("train") <= 2.0 * (1 + 1e-6) for ledger in ledgers)


@pytest.mark.parametrize(("noise", "times"), [("local", 4.0), ("shared", 4.0 / 3.0)])
def test_local_noise_costs_as_many_times_the_variance_as_there_are_hospitals(
    opened: Callable[..., Any], noise: str, times: float
) -> None:
    """Four hospitals: shared noise survives one of them colluding, local noise all others."""
    with opened(analyses=[], more=f"budget: {{noise: {noise}}}\n") as (federation, _):
        asked = Newton(beta=np.zeros(COLUMNS))
        ask = sum_ask(asked, what="a step", study=federation.study, sites=federation.sites, noise_multiplier=5.0)
        told = federation.ask(ask)
        assert told.noise**2 == pytest.approx(times * (5.0 * ask.shape.l2) ** 2)


def test_other_outcomes_and_times_have_estimators_too(opened: Callable[..., Any]) -> None:
    with opened(analyses=ALL) as (federation, _):
        study = federation.study
        linear = FederatedLinearRegression(outcome="marker").fit(federation, study)
        table, _, _ = pooled(federation)
        assert np.all(np.isfinite(linear.predict(table)))
        model = FederatedCoxRegression(time="marker", bins=4).fit(federation, study)
        assert model.survival(table).shape[0] == table.height
        noisy = FederatedCoxRegression(time="marker", form="logistic", bins=4, epsilon=2.0).fit(federation, study)
        assert np.all((noisy.survival(table) >= 0) & (noisy.survival(table) <= 1))
        with pytest.raises(Unsupported, match="'breslow'"):
            FederatedCoxRegression(time="marker", epsilon=2.0).fit(federation, study)


def test_what_the_study_does_not_list_is_refused_here_and_by_every_ward(opened: Callable[..., Any]) -> None:
    with opened(analyses=["cox"]) as (federation, _):
        study = federation.study
        with pytest.raises(Invalid, match=r"lists no 'glm' under 'analyses'.*new version"):
            FederatedLogisticRegression().fit(federation, study)
        with pytest.raises(CheckFailed, match=r"4 of 4 sites refused.*lists no 'glm'"):
            federation.drive(glm(study=study, sites=federation.sites))


def test_a_federation_answers_for_its_own_study_only(opened: Callable[..., Any]) -> None:
    with opened(analyses=["glm"]) as (federation, _):
        other = federation.study.model_copy(update={"version": 2})
        with pytest.raises(Invalid, match="opened for study 'attacked' version 1, not for 'attacked' version 2"):
            FederatedLogisticRegression().fit(federation, other)


def test_noise_where_nothing_bounds_a_person_is_unsupported(opened: Callable[..., Any]) -> None:
    with opened(analyses=["glm"]) as (federation, _):
        for estimator in (
            FederatedLogisticRegression(epsilon=1.0, firth=True),
            FederatedLogisticRegression(epsilon=1.0, site_ridge=1.0),
        ):
            with pytest.raises(Unsupported, match="need exact sums"):
                estimator.fit(federation, federation.study)


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\x80\x04K\x01.", b'{"schema": "wardgate/model/glm/9"}'])
def test_what_is_no_model_is_not_loaded(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.json").write_bytes(data)
    with pytest.raises(Invalid):
        load_model(tmp_path / "model.json")


def test_a_model_that_cannot_be_written_leaves_nothing(tmp_path: Path, opened: Callable[..., Any]) -> None:
    with opened(analyses=["glm"]) as (federation, _):
        model = FederatedLogisticRegression().fit(federation, federation.study)
    with pytest.raises(Invalid, match="nothing was left there"):
        save_model(model, tmp_path / "absent" / "model.json")
    with pytest.raises(Invalid, match="no model can be read"):
        load_model(tmp_path / "absent.json")
    assert not list(tmp_path.glob(".*unfinished*"))


@pytest.mark.slow
def test_isolated_wards_answer_as_wards_in_process_do(opened: Callable[..., Any]) -> None:
    with opened(analyses=["glm"], more="drop_out: 0.25\n", isolate=True) as (federation, _):
        model = FederatedLogisticRegression().fit(federation, federation.study)
        assert np.all(np.isfinite(model.coefficients))
