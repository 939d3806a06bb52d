"""Training with noise: the cost is what others recompose it to, and one person's row is in the sums only without it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dp_accounting import dp_event, pld
from made_networks import SITES, plain_of, study_of, study_text, tables
from smallest import write_hospital

from wardgate.computations.network_gradient import NetworkGradient
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.networks import FederatedNetwork
from wardgate.federation.plain import Plain
from wardgate.federation.session import Federation
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.ask import sum_ask
from wardgate.hub.pooling.networks.checkpoint import Checkpoint
from wardgate.hub.pooling.networks.private import PrivateChanges, PrivateSteps, multiplier_of, private_training
from wardgate.hub.pooling.networks.rounds import EXACT, Trained, train
from wardgate.measures.layers.start import start
from wardgate.records.claim import Claim
from wardgate.records.errors import CheckFailed, Invalid, Unsupported
from wardgate.records.study_file import parse

pytest.importorskip("torch")

GRANTS = "budget: {epsilon_total: 8.0}\n"
STUDY = study_of(more=GRANTS)
STEPS, SOME, CHANGES = PrivateSteps(), PrivateSteps(probability=0.3), PrivateChanges()
EVERY = [STEPS, pytest.param(SOME, marks=pytest.mark.slow), CHANGES]


def steps_of(**settings: Any) -> Any:
    plain = {"study": STUDY, "sites": tuple(SITES), "network": "small", "epsilon": 5.0, "rounds": 8}
    return private_training(**(plain | {"persons_at_least": 400, "test_noise": True} | settings))


def trained(**settings: Any) -> Trained:
    return plain_of(settings.get("study", STUDY)).drive(steps_of(**settings))


def recomposed(claim: Claim) -> float:
    """What the claim's events cost by dp-accounting itself, event by event, without Wardgate's accountant."""
    accountant = pld.PLDAccountant()
    for one in claim.gaussian:
        accountant.compose(dp_event.GaussianDpEvent(one.noise_multiplier), one.count)
    for batch in claim.sampled:
        event = dp_event.PoissonSampledDpEvent(batch.probability, dp_event.GaussianDpEvent(batch.noise_multiplier))
        accountant.compose(event, batch.count)
    return float(accountant.get_epsilon(claim.delta))


@pytest.mark.parametrize("settings", EVERY)
def test_the_claim_recomposes_to_what_was_promised(settings: Any) -> None:
    found = trained(settings=settings)
    assert found.claim.kind == "dp"
    assert found.claim.noise_source == "unsafe-test"
    assert 4.9 < recomposed(found.claim) <= (found.claim.epsilon or 0.0) <= 5.0
    assert sum(one.count for one in (*found.claim.gaussian, *found.claim.sampled)) == 8
    assert bool(found.claim.sampled) == (settings is SOME)
    assert len(found.history) == 8
    assert all(np.isnan(one.before) and np.isnan(one.loss) and not one.said for one in found.history)


@pytest.mark.slow
def test_with_little_noise_it_learns_what_it_learns_without() -> None:
    grand = STUDY.model_copy(update={"budget": STUDY.budget.model_copy(update={"epsilon_total": 5000.0})})
    found = trained(study=grand, epsilon=3000.0, rounds=60)
    plain = plain_of(STUDY).drive(train(study=STUDY, sites=tuple(SITES), network="small", rounds=20, tune_every=None))
    rows = np.concatenate([site.part("holdout").x[:, 1:] for site in plain_of(STUDY).sites.values()])
    ours, theirs = (one.model.decision_function(rows) for one in (found, plain))
    assert np.corrcoef(ours, theirs)[0, 1] > 0.97


def test_what_is_handed_out_is_the_mean_of_the_last_rounds() -> None:
    points: list[Checkpoint] = []
    found = trained(settings=replace(STEPS, averaged=0.5), on_round=points.append)
    mean = np.mean([point.weights for point in points[4:]], axis=0)
    assert np.max(np.abs(found.model.vector - mean)) < 1e-12
    assert "epsilon 5" in found.model.noise


def test_a_training_with_noise_that_goes_on_counts_the_round_that_may_be_asked_twice() -> None:
    points: list[bytes] = []
    whole = trained(on_round=lambda point: points.append(point.to_bytes()))
    found = trained(resume=points[4])
    assert found.claim.gaussian[0].count == 9
    assert (found.claim.epsilon or 0.0) > (whole.claim.epsilon or 0.0)
    assert found.claim.gaussian[0].noise_multiplier == whole.claim.gaussian[0].noise_multiplier
    with pytest.raises(Invalid, match="of another algorithm"):
        next(train(study=STUDY, sites=tuple(SITES), network="small", resume=points[4]))
    with pytest.raises(Invalid, match="privacy cannot be stated together"):
        next(steps_of(resume=points[4], epsilon=6.0))


def test_what_would_cost_more_than_the_study_grants_is_refused_before_anybody_is_asked() -> None:
    cases: list[tuple[str, dict[str, Any]]] = [
        ("more than the 8 that the study grants", {"epsilon": 9.0}),
        ("batch norms", {"network": "norms"}),
        ("no network 'large'", {"network": "large"}),
        ("public lower bound", {"persons_at_least": 0}),
        ("finite epsilon", {"epsilon": 0.0}),
    ]
    for words, changes in cases:
        with pytest.raises(Invalid, match=words):
            next(steps_of(**changes))


def test_exact_figures_of_tuning_persons_are_never_read_beside_noise() -> None:
    claim = trained().claim
    with pytest.raises(Invalid, match="would undo what noise protects"):
        next(train(study=STUDY, sites=tuple(SITES), network="small", claim=claim, tune_every=5))
    assert EXACT.kind == "exact"


@pytest.mark.slow
def test_fewer_rounds_and_larger_batches_bear_less_noise_in_each_mean() -> None:
    few, many = (multiplier_of(STEPS, epsilon=5.0, delta=1e-6, rounds=rounds) for rounds in (2, 8))
    assert many == pytest.approx(2 * few, rel=1e-6)
    sampled = multiplier_of(SOME, epsilon=5.0, delta=1e-6, rounds=8)
    assert sampled < many
    assert sampled / 0.3 > many  # noise over persons in the batch


def sums(plain: Plain, *, noise_multiplier: float | None, count: int) -> np.ndarray[Any, Any]:
    """What the hub sees of as many steps at its start weights."""
    architecture = STUDY.networks["small"]
    asked = NetworkGradient(network="small", sha256=architecture.sha256, weights=start(architecture), longest=3.0)
    ask = sum_ask(asked, what="attack", study=STUDY, sites=tuple(SITES), noise_multiplier=noise_multiplier)
    return np.stack([plain.ask(ask).sum() for _ in range(count)])


def test_one_person_is_told_from_a_sum_without_noise_and_hardly_from_one_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The attacker knows everybody, and asks whether one more person is there, along that person's own gradient."""
    without = tables()
    without["h0"]["train"] = without["h0"]["train"][1:]
    there, gone = plain_of(STUDY), plain_of(STUDY, without)
    noise = multiplier_of(STEPS, epsilon=5.0, delta=1e-6, rounds=8)
    noisy = [sums(plain, noise_multiplier=noise, count=60) for plain in (there, gone)]
    with monkeypatch.context() as off:
        off.setattr(NetworkGradient, "check_noise", lambda *_: None)
        exact = [sums(plain, noise_multiplier=None, count=1)[0] for plain in (there, gone)]
    own, middle = exact[0] - exact[1], (exact[0] + exact[1]) / 2
    assert np.linalg.norm(own) > 0.05
    assert (exact[0] - middle) @ own > 0 > (exact[1] - middle) @ own
    right = np.sum((noisy[0] - middle) @ own > 0) + np.sum((noisy[1] - middle) @ own < 0)
    assert right <= 96  # of 120; a person of the longest gradient is guessed right 68 times on average


# ---- over real wards


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Opens the study over six hospitals."""

    @contextmanager
    def open_(**changes: Any) -> Iterator[tuple[Federation, str]]:
        text = study_text(more=GRANTS, **changes)
        study = parse(text, name="study.yaml")
        for place, site in enumerate(SITES):
            write_hospital(tmp_path / "hospitals" / site, 230, [11, place], inverted=False, note="")
        (tmp_path / "work").mkdir()
        found = find_hospitals(tmp_path / "hospitals", study)
        settings = Settings(seed=1, issued_on="2026-01-02")
        with local(study=study, hospitals=found, settings=settings, work=tmp_path / "work") as federation:
            yield federation, text

    return open_


@pytest.mark.parametrize("settings", EVERY)
def test_hospitals_count_what_the_claim_says_and_the_transcript_holds(
    settings: Any, opened: Callable[..., Any], tmp_path: Path
) -> None:
    with opened() as (federation, text):
        ours = FederatedNetwork(network="small", rounds=8, epsilon=5.0, private=settings)
        found = ours.run(federation, federation.study)
        assert found.claim.noise_source == "system"
        (event,) = (*found.claim.gaussian, *found.claim.sampled)
        for link in federation.carrier.links.values():
            spent = link._ward._bench.door.ledger.epsilon("train")
            assert abs(spent - (found.claim.epsilon or 0.0)) < 1e-3
        answers = [one.answer for one in federation.exchange.received if one.what.startswith("network")]
        claims = [one.evidence.claim for one in answers if one.evidence is not None]
        said = [one for claim in claims for one in (*claim.gaussian, *claim.sampled)]
        assert {one.noise_multiplier for one in said} == {event.noise_multiplier}
        assert len(said) == 8 * len(SITES)
        assert bool(claims[0].sampled) == (settings is SOME)
        federation.save(tmp_path / "out", study_text=text)
    assert audit(tmp_path / "out").findings == ()


def test_noise_and_groups_do_not_go_together(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        ours = FederatedNetwork(network="small", epsilon=1.0)
        with pytest.raises(Unsupported, match="noise of their own"):
            replace(ours, robust=lambda _: None).fit(federation, federation.study)
        with pytest.raises(Invalid, match="said by 'private'"):
            replace(ours, algorithm="scaffold").fit(federation, federation.study)


def test_a_sum_with_noise_that_stays_closed_ends_training_and_stays_paid_for() -> None:
    plain, steps = plain_of(STUDY), steps_of()
    ask = next(steps)
    for _ in range(2):
        ask = steps.send(plain.ask(ask))
    with pytest.raises(StopIteration) as end:
        steps.throw(CheckFailed("a hospital is gone"))
    found: Trained = end.value.value
    assert found.stopped == "ended after 2 of 8 rounds: a hospital is gone"
    assert found.claim.gaussian[0].count == 8
