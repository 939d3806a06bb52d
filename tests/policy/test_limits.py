"""A site may only tighten the floor: every limit has a strict side, and the loose side is named."""

import pytest

from wardgate.policy.limits import LIMITS, ORDERED, limits_of, tighter_than, weaker_than
from wardgate.records.gate_policy import Disclosure, GatePolicy, Membership, Realism, SmallCells, Tier

FLOOR = GatePolicy()


def test_every_limit_of_a_policy_has_a_strict_side_and_a_source() -> None:
    assert {name for name, _ in limits_of(FLOOR)} == LIMITS.keys()
    assert all(limit.source and limit.words for limit in LIMITS.values())
    assert {name for name, limit in LIMITS.items() if limit.stricter == "same"} == ORDERED.keys()


def test_the_floor_itself_is_neither_weaker_nor_tighter() -> None:
    assert weaker_than(FLOOR, FLOOR) == ()
    assert tighter_than(FLOOR, FLOOR) == ()


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (GatePolicy(max_attempts=4), "max_attempts"),
        (GatePolicy(profile="internal-only"), "profile"),
        (GatePolicy(small_cells=SmallCells(min_count=10)), "small_cells.min_count"),
        (GatePolicy(small_cells=SmallCells(max_numbers_per_person=2.0)), "small_cells.max_numbers_per_person"),
        (GatePolicy(realism=Realism(slope=(0.1, 2.0))), "realism.slope"),
        (GatePolicy(membership=Membership(auc_max=0.56)), "membership.auc_max"),
        (GatePolicy(membership=Membership(battery_level=0.005)), "membership.battery_level"),
        (GatePolicy(disclosure=None), "disclosure.attribute_max"),
        (
            GatePolicy(membership=Membership(tiers=(Tier(members=100, non_members=100, tpr_at_1_percent=0.03),))),
            "membership.tiers",
        ),
        (
            GatePolicy(membership=Membership(tiers=(Tier(members=500, non_members=1000, tpr_at_1_percent=0.03),))),
            "membership.tiers",
        ),
    ],
)
def test_a_weaker_limit_is_named_with_what_the_floor_asks(policy: GatePolicy, name: str) -> None:
    found = weaker_than(policy, FLOOR)
    assert any(line.startswith(f"{name}: found ") for line in found), found


def test_tightening_is_allowed_and_named() -> None:
    site = GatePolicy(
        profile="public-open",
        max_attempts=2,
        small_cells=SmallCells(min_count=20),
        realism=Realism(slope=(0.8, 1.2)),
        disclosure=Disclosure(k_map_min=20),
    )
    assert weaker_than(site, FLOOR) == ()
    assert set(tighter_than(site, FLOOR)) == {
        "profile",
        "max_attempts",
        "small_cells.min_count",
        "realism.slope",
        "disclosure.k_map_min",
    }


def test_a_number_that_is_not_a_number_is_never_strict() -> None:
    policy = GatePolicy.model_construct(**{**dict(FLOOR), "bound_level": float("nan"), "max_attempts": 3})
    assert any(line.startswith("bound_level") for line in weaker_than(policy, FLOOR))


def test_a_floor_signed_before_a_limit_existed_does_not_ask_for_it() -> None:
    old = FLOOR.plain()
    for name in ("disclosure", "images", "population"):
        del old[name]
    del old["realism"]["slope"]
    floor = GatePolicy.from_plain(old)
    assert floor.disclosure is None
    assert floor.realism.slope is None
    assert weaker_than(FLOOR, floor) == ()
    assert weaker_than(floor, FLOOR)
