"""Every attack works where nothing protects, and fails where groups, the default rule and votes do."""

import pytest
from made_robust import SITES, loss, missed, study_of, trained

from wardgate.hub.pooling.networks.groups import groups_of
from wardgate.hub.pooling.networks.robust import Robust
from wardgate.hub.pooling.networks.trusted import Stopped
from wardgate.simulate.attacks import Kind

pytest.importorskip("torch")

STUDY = study_of()
GROUPS = groups_of(SITES, coin=STUDY.fingerprint())
ONE, GROUP = GROUPS[0][:1], GROUPS[0]
SPREAD = tuple(group[0] for group in GROUPS[:4])
"""One hospital in each of four of five groups."""


@pytest.fixture(scope="module")
def clean() -> tuple[float, float]:
    """Loss of the plain mean without attack, and share of frail persons whom it misses."""
    vector = trained(STUDY).model.vector
    return loss(STUDY, vector), missed(STUDY, vector)


@pytest.mark.parametrize(
    ("kind", "harm", "corrupt", "strength"),
    [
        ("label-flip", 0.04, GROUP, {}),
        ("sign-flip", 0.04, ONE, {"times": 10.0}),
        ("sign-flip", 1.0, GROUP, {"times": 10.0}),
        ("alie", 0.01, GROUP, {"deviations": 4.0}),
        ("ipm", 0.04, ONE, {"times": 12.0}),
        ("replacement", 0.1, ONE, {}),
        ("free-riding", 0.1, GROUP, {"claims": 20.0}),
    ],
)
def test_an_attack_does_harm_to_the_mean_and_none_with_protection_on(
    kind: Kind, harm: float, corrupt: tuple[str, ...], strength: dict[str, float], clean: tuple[float, float]
) -> None:
    off = trained(STUDY, kind, corrupt=corrupt, **strength).model.vector
    on = trained(STUDY, kind, corrupt=corrupt, settings=Robust(), **strength).model.vector
    assert loss(STUDY, off) - clean[0] > harm
    assert loss(STUDY, on) - clean[0] < 0.006


def test_a_backdoor_on_a_rare_subgroup_opens_in_the_mean_and_not_with_protection_on(clean: tuple[float, float]) -> None:
    off = trained(STUDY, "backdoor", corrupt=ONE).model.vector
    on = trained(STUDY, "backdoor", corrupt=ONE, settings=Robust()).model.vector
    assert missed(STUDY, off) - clean[1] > 0.5
    assert missed(STUDY, on) - clean[1] <= 0.05


@pytest.mark.parametrize("kind", ["sign-flip", "replacement", "backdoor"])
def test_beyond_the_breakdown_of_groups_there_is_a_named_stop_and_never_a_wrong_model(
    kind: Kind, clean: tuple[float, float]
) -> None:
    """Four of fifteen hospitals touch four of five groups. No rule could bear that, and the mean is wrong by far."""
    off = trained(STUDY, kind, corrupt=SPREAD).model.vector
    assert loss(STUDY, off) - clean[0] > 0.05
    with pytest.raises(Stopped, match=r"too-few-groups|final-vote") as stop:
        trained(STUDY, kind, corrupt=SPREAD, settings=Robust())
    named = {one.sites for one in stop.value.alarms if one.kind == "too-few-groups"}
    assert all(set(group) & set(SPREAD) for group in GROUPS[:4] if any(set(group) <= set(sites) for sites in named))


def test_the_rule_alone_follows_liars_in_most_groups_and_votes_do_not(clean: tuple[float, float]) -> None:
    blind = trained(STUDY, "sign-flip", corrupt=SPREAD, settings=Robust(judge=False)).model.vector
    assert loss(STUDY, blind) - clean[0] > 0.05
    with pytest.raises(Stopped):
        trained(STUDY, "sign-flip", corrupt=SPREAD, settings=Robust())


def test_without_an_attack_protection_costs_next_to_nothing_and_names_nobody(clean: tuple[float, float]) -> None:
    found = trained(STUDY, settings=Robust())
    assert abs(loss(STUDY, found.model.vector) - clean[0]) < 0.003
    assert found.alarms == ()


@pytest.mark.parametrize("rule", ["mean", "trimmed-mean", "multi-krum", "nnm-trimmed-mean", "centred-clipping"])
def test_with_nobody_corrupt_assumed_groups_give_the_weights_of_one_sum(rule: str) -> None:
    """Groups' weights are capped at twice the median, which none of these reaches."""
    plain = trained(STUDY, rounds=3).model.vector
    grouped = trained(STUDY, rounds=3, settings=Robust(rule=rule, corrupt=0.0, judge=False)).model.vector
    assert abs(plain - grouped).max() < 1e-9
