"""Exact sums give the pooled fit; noisy ones come near it and cost what they say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from wardgate.federation.local import Settings, find_hospitals, run_study
from wardgate.hub.pooling.newton import newton
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.measures.logistic import fit, statistics
from wardgate.policy.claims import recomputed
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.claim import GaussianEvent
from wardgate.records.errors import CheckFailed, Invalid
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide

Make = Callable[..., Any]


def pooled(shared: Any) -> tuple[Any, Any]:
    """Everybody's training persons in one table: what no consortium has."""
    parts = [ward._bench.part("train") for ward in shared.wards.values()]
    return np.concatenate([part.x for part in parts]), np.concatenate([part.y for part in parts])


@pytest.mark.parametrize("ridge", [0.0, 1.0, 10.0])
def test_the_federated_fit_is_the_pooled_fit(shared: Any, ridge: float) -> None:
    found = shared.drive(newton(sites=shared.sites, start=np.zeros(4), ridge=ridge), shared.desk())
    x, y = pooled(shared)
    assert np.max(np.abs(found.beta - fit(x, y, ridge=ridge))) < 1e-8
    assert found.rounds <= 10
    assert found.bytes_moved > 0


def test_the_federated_fit_is_what_scikit_learn_finds_on_the_pooled_table(shared: Any) -> None:
    found = shared.drive(newton(sites=shared.sites, start=np.zeros(4), ridge=1.0), shared.desk())
    x, y = pooled(shared)
    other = LogisticRegression(C=1.0, tol=1e-13, max_iter=10_000, solver="newton-cholesky").fit(x[:, 1:], y)
    assert found.beta == pytest.approx(np.concatenate([other.intercept_, other.coef_[0]]), abs=1e-8)
    information = statistics(x, y, found.beta).hessian + np.diag([0.0, 1.0, 1.0, 1.0])
    assert found.covariance == pytest.approx(np.linalg.inv(information), rel=1e-6)


@pytest.mark.parametrize("start", [np.full(4, 3.0), np.array([-8.0, 6.0, -6.0, 4.0])], ids=["near", "far"])
def test_wherever_it_starts_it_ends_at_the_same_place(shared: Any, start: Any) -> None:
    """So the hybrid, started from the commons, ends where the federated fit ends."""
    found = shared.drive(newton(sites=shared.sites, start=start, ridge=1.0), shared.desk())
    assert np.max(np.abs(found.beta - fit(*pooled(shared), ridge=1.0))) < 1e-8


def test_a_fit_that_cannot_converge_says_so(shared: Any) -> None:
    with pytest.raises(Invalid, match="did not converge within 2 rounds"):
        shared.drive(newton(sites=shared.sites, start=np.zeros(4), ridge=1.0, rounds=2), shared.desk())


@pytest.fixture
def spendthrift(make_consortium: Make) -> Any:
    """Hospitals with a budget that no policy should allow."""
    return make_consortium(
        {f"h{place}": 900 for place in range(3)},
        change=lambda plain: plain["budget"].update(epsilon_total="500", fit="100"),
    )


def test_with_little_noise_the_noisy_fit_comes_near_the_pooled_one(spendthrift: Any) -> None:
    fitted = spendthrift.drive(
        noisy_glm(study=spendthrift.study, sites=spendthrift.sites, epsilon=100.0, delta=1e-6), spendthrift.desk()
    )
    expected = fit(*pooled(spendthrift), ridge=1e-6)
    assert np.max(np.abs(fitted.model.beta - expected)) < 0.2


def test_a_noisy_fit_costs_its_epsilon_in_the_claim_and_in_every_ledger(spendthrift: Any) -> None:
    exchange = spendthrift.desk()
    epsilon = 0.8
    found = spendthrift.drive(
        noisy_glm(study=spendthrift.study, sites=spendthrift.sites, epsilon=epsilon, delta=1e-6), exchange
    )
    assert len(exchange.received) == 3 * found.rounds
    claims = [item.answer.evidence.claim for item in exchange.received if item.site == "h0"]
    events = tuple(event for claim in claims for event in claim.gaussian)
    assert [event.noise_multiplier for event in events] == [event.noise_multiplier for event in found.gaussian]
    assert recomputed(events, (), (), 1e-6) == pytest.approx(epsilon, rel=0.01)
    assert recomputed(events, (), (), 1e-6) <= epsilon * (1 + 1e-6)
    for ward in spendthrift.wards.values():
        ledger = ward._bench.door.ledger
        assert ledger.epsilon("train") == pytest.approx(epsilon, rel=0.01)
        assert (ledger.epsilon("holdout"), ledger.exact_answers("train")) == (0.0, 0)
    cumulative = [item.answer.evidence.cumulative_epsilon for item in exchange.received if item.site == "h0"]
    assert cumulative == sorted(cumulative) and cumulative[-1] == pytest.approx(epsilon, rel=0.01)
    alone = epsilon_of(
        gaussian=(GaussianEvent(noise_multiplier=events[0].noise_multiplier, count=1, what="x"),),
        exponential=(),
        delta=1e-6,
    )
    assert claims[0].epsilon == pytest.approx(alone, rel=1e-6)


def test_a_fit_beyond_the_budget_stops_and_overspends_nobody(make_consortium: Make) -> None:
    made = make_consortium(
        {f"h{place}": 230 for place in range(3)}, change=lambda plain: plain["budget"].update(fit="9")
    )
    with pytest.raises(CheckFailed, match="budget of split 'train' exhausted"):
        made.drive(noisy_glm(study=made.study, sites=made.sites, epsilon=9.0, delta=1e-6), made.desk())
    for ward in made.wards.values():
        assert ward._bench.door.ledger.epsilon("train") <= made.study.budget.epsilon_total


@pytest.mark.data
def test_on_four_real_hospitals_the_federated_fit_is_the_pooled_fit(
    data_folder: Path, root: Path, tmp_path: Path
) -> None:
    """UCI Heart: Cleveland, Budapest, Zurich and Long Beach, with what each did not record."""
    text = (root / "examples" / "heart" / "study.yaml").read_text(encoding="utf-8")
    study = parse(text, name="study.yaml")
    divide(data_folder / "uci_heart", study, root / "examples" / "heart" / "mapping.yaml", tmp_path / "hospitals")
    (tmp_path / "work").mkdir()
    finished = run_study(
        study=study,
        hospitals=find_hospitals(tmp_path / "hospitals", study),
        settings=Settings(seed=1, issued_on="2026-01-02", reference=True),
        work=tmp_path / "work",
    )
    run = finished.run
    assert run.federated is not None and run.reference is not None
    assert np.max(np.abs(run.federated.beta - run.reference)) < 1e-8
    assert run.sites == tuple(sorted(set(study.sites) - set(run.named)))
    chosen_once = len(run.rehearsals) == 1
    if run.hybrid is not None and chosen_once and run.ridge == study.model.ridge:
        assert np.max(np.abs(run.hybrid.beta - run.federated.beta)) < 1e-8
