"""The rule by which a way to learn is recommended: simple where it does as well, guarded, never without evidence."""

import numpy as np
import pytest

from wardgate.federation.choosing import RULE, Choice, choose
from wardgate.records.comparison import Comparison, Kind, Tried
from wardgate.records.errors import Invalid, NotEvaluable
from wardgate.records.study import Acceptance

ACCEPTANCE = Acceptance(auroc_min=0.7, worst_site_auroc_min=0.6)
LABELS = {"logistic": "logistic regression", "fedavg": "FedAvg", "scaffold": "SCAFFOLD", "pooled": "pooled network"}
KINDS: dict[str, Kind] = {"logistic": "regression", "fedavg": "network", "scaffold": "network", "pooled": "bound"}
MOVED = {"logistic": 10_000, "fedavg": 1_000_000, "scaffold": 2_000_000, "pooled": 0}


def tried(
    name: str, *, mean: float, noise: float = 0.0, seed: int = 0, failed: int = 0, **others: float
) -> list[Tried]:
    rng = np.random.default_rng(seed)
    found = []
    for k in range(10):
        common, own = 0.01 * np.sin(k), noise * float(rng.standard_normal())
        figures = {"auroc": mean + common + own, "oe": 1.0, "slope": 1.0, "worst": mean - 0.05 + common} | others
        if k < failed:
            found.append(Tried(candidate=name, kind=KINDS[name], way="sizes", seed=k, failed="not-finite"))
        else:
            found.append(
                Tried(candidate=name, kind=KINDS[name], way="sizes", seed=k, rounds=20, moved=MOVED[name], **figures)
            )
    return found


def chosen(*runs: list[Tried]) -> Choice:
    every = [one for run in runs for one in run]
    return choose(
        every, labels={one[0].candidate: LABELS[one[0].candidate] for one in runs}, acceptance=ACCEPTANCE, ways=1
    )


def test_a_simpler_model_that_does_as_well_is_recommended_and_said_to_be_enough() -> None:
    found = chosen(
        tried("logistic", mean=0.790),
        tried("fedavg", mean=0.7915),
        tried("scaffold", mean=0.791),
        tried("pooled", mean=0.8),
    )
    assert found.recommended.name == "logistic"
    assert found.algorithm.name == "fedavg"
    assert any("is enough" in words for words in found.reason)


def test_a_network_that_gains_more_than_chance_is_recommended() -> None:
    found = chosen(tried("logistic", mean=0.77), tried("fedavg", mean=0.80), tried("scaffold", mean=0.79))
    assert found.recommended.name == found.algorithm.name == "fedavg"
    assert any("Logistic regression would be simpler but stays 0.030 behind" in words for words in found.reason)


def test_of_equal_networks_the_one_that_moves_fewer_bytes_is_recommended() -> None:
    found = chosen(tried("fedavg", mean=0.80), tried("scaffold", mean=0.8015))
    assert found.recommended.name == "fedavg"


def test_a_lead_within_its_standard_error_is_no_lead_and_a_sure_one_is() -> None:
    noisy = chosen(tried("fedavg", mean=0.80, noise=0.03, seed=1), tried("scaffold", mean=0.805, noise=0.03, seed=2))
    sure = chosen(tried("fedavg", mean=0.80), tried("scaffold", mean=0.805))
    assert (noisy.recommended.name, sure.recommended.name) == ("fedavg", "scaffold")


@pytest.mark.parametrize(
    "missed",
    [{"oe": 1.6}, {"slope": 0.3}, {"worst": 0.55}, {"failed": 1}],
    ids=lambda missed: next(iter(missed)),
)
def test_the_best_auroc_is_not_recommended_where_it_misses_a_guard(missed: dict[str, float]) -> None:
    leading = tried("scaffold", mean=0.83, **missed)  # type: ignore[arg-type]
    found = chosen(tried("fedavg", mean=0.80), leading)
    assert found.recommended.name == "fedavg"
    assert found.candidates[0].name == "scaffold"
    assert found.candidates[0].guards


def test_a_slope_that_only_chance_puts_outside_misses_no_guard() -> None:
    noisy = [
        one.model_copy(update={"slope": slope})
        for one, slope in zip(tried("logistic", mean=0.83), [0.7, 1.0, 4.5] * 4, strict=False)
    ]
    assert np.mean([one.slope for one in noisy]) > ACCEPTANCE.slope[1]
    assert chosen(noisy, tried("fedavg", mean=0.80)).recommended.name == "logistic"


def test_where_all_miss_a_guard_the_best_is_named_with_what_it_misses() -> None:
    found = chosen(tried("fedavg", mean=0.80, slope=0.3), tried("scaffold", mean=0.83, slope=0.4))
    assert found.recommended.name == "scaffold"
    assert any("No candidate meets every guard" in words for words in found.reason)


def test_a_bound_is_never_recommended() -> None:
    assert chosen(tried("fedavg", mean=0.70), tried("pooled", mean=0.90)).recommended.name == "fedavg"


def test_without_any_network_nothing_is_compared() -> None:
    with pytest.raises(NotEvaluable, match="not-finite"):
        chosen(tried("logistic", mean=0.8), tried("fedavg", mean=0.8, failed=10))


def test_the_record_reads_back_byte_for_byte_and_takes_nothing_else() -> None:
    found = chosen(tried("logistic", mean=0.79), tried("fedavg", mean=0.80, worst=float("nan")))
    record = Comparison(
        study_id="s",
        study_version=1,
        study_sha256="0" * 64,
        network="mlp",
        network_sha256="1" * 64,
        network_numbers=5,
        rows=10,
        sites=3,
        rounds=2,
        ways=("sizes",),
        seeds=(1,),
        tried=tuple(tried("fedavg", mean=0.8, failed=1)),
        candidates=found.candidates,
        recommended=found.recommended.name,
        algorithm=found.algorithm.name,
        rule=RULE,
        reason=found.reason,
        cannot_tell=(),
    )
    assert Comparison.from_plain(record.plain()).to_bytes() == record.to_bytes()
    with pytest.raises(Invalid):
        Comparison.from_plain(record.plain() | {"patients": 1})
