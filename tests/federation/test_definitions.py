"""The site whose outcome runs backwards is named; nobody else is, and too few sites name nobody."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wardgate.hub.pooling.definitions import compare_definitions, consensus, contradictions, judge

Make = Callable[..., Any]


def compared(made: Any) -> dict[str, Any]:
    found = made.drive(compare_definitions(sites=made.sites, columns=4), made.desk())
    return {one.site: one for one in found}


def test_in_a_clean_study_nobody_is_named(make_consortium: Make) -> None:
    found = compared(make_consortium({f"h{place}": 300 for place in range(4)}))
    assert [one.named for one in found.values()] == [False] * 4
    assert all(one.value > 0.6 and one.low > 0.5 for one in found.values())


@pytest.mark.parametrize(
    "persons",
    [{"h0": 300, "h1": 300, "h2": 300, "h3": 300}, {"h0": 300, "h1": 300, "h2": 300, "h3": 1100}],
    ids=["equal", "largest"],
)
def test_the_inverted_site_is_named_also_where_it_is_the_largest(
    make_consortium: Make, persons: dict[str, int]
) -> None:
    found = compared(make_consortium(persons, inverted=["h3"]))
    assert [site for site, one in found.items() if one.named] == ["h3"]
    assert found["h3"].high < 0.5
    assert "backwards" in found["h3"].reason


def test_a_unit_swapped_at_one_site_is_named_over_the_wards_and_again_by_whoever_receives(
    make_consortium: Make,
) -> None:
    made = make_consortium({f"h{place}": 600 for place in range(4)}, enrolled=False)
    file = made.wards["h2"].folder / "patients.csv"
    head, *rows = [line.split(",") for line in file.read_text().splitlines()]
    file.write_text(
        "\n".join(",".join(row) for row in [head, *([*r[:2], f"{float(r[2]) / 10:.2f}", *r[3:]] for r in rows)])
    )
    made.review()
    made.introduce()
    found = {
        one.site: one
        for one in made.drive(
            compare_definitions(sites=made.sites, columns=4, features=made.study.features), made.desk()
        )
    }
    assert [site for site, one in found.items() if one.named] == ["h2"]
    assert "probably in mg/dL" in found["h2"].reason
    assert all(not one.warnings for one in found.values())
    made.number += 100
    said = {site: made.say(site, computation="associations", split="train").statement for site in made.sites}
    again = contradictions(said, made.study.features, step=0.01)
    assert [(one.site, one.subject, one.kind, one.unit) for one in again] == [("h2", "marker", "unit", "mg/dL")]


def test_what_earlier_versions_answered_names_nobody(make_consortium: Make) -> None:
    said = {
        site: {"n_band": "500-999", "figures": {"0": "0", "1": text}}
        for site, text in zip("abc", ("0.1", "0.2", "0.3"), strict=True)
    }
    assert contradictions(said, (), step=0.01) == ()


def test_a_site_with_more_than_half_of_the_weight_turns_the_direction(make_consortium: Make) -> None:
    """What the check cannot do: it needs the majority to be right. It is written down in its docstring."""
    weights = np.sqrt([200.0, 200.0, 200.0, 100_000.0])
    assert weights[3] > 0.5 * weights.sum()
    assert consensus(np.array([[1.0], [1.0], [1.0], [-1.0]]), weights).tolist() == [-1.0]


def test_fewer_than_three_sites_that_can_be_shown_name_nobody(make_consortium: Make) -> None:
    made = make_consortium({"h0": 300, "h1": 300, "h2": 20, "h3": 20}, inverted=["h1"])
    found = compared(made)
    assert [one.named for one in found.values()] == [False] * 4
    assert [one.value for one in found.values()] == [None] * 4
    assert "fewer than 3 sites" in found["h0"].reason
    assert "smallest_cell" in found["h2"].reason


def test_a_site_too_small_for_figures_is_left_out_and_not_named(make_consortium: Make) -> None:
    found = compared(make_consortium({"h0": 300, "h1": 300, "h2": 300, "h3": 20}, inverted=["h3"]))
    assert found["h3"].value is None and not found["h3"].named and found["h3"].reason
    assert [found[site].value is not None for site in ("h0", "h1", "h2")] == [True] * 3


@pytest.mark.parametrize(
    ("low", "high", "named"), [(0.2, 0.49, True), (0.2, 0.5, False), (0.45, 0.55, False), (0.51, 0.6, False)]
)
def test_only_an_interval_wholly_below_one_half_names(low: float, high: float, named: bool) -> None:
    assert judge("h0", (low + high) / 2, low, high).named is named


@given(
    hnp.arrays(np.float64, st.tuples(st.integers(3, 9), st.integers(1, 4)), elements=st.floats(-1, 1)),
    st.data(),
)
def test_a_minority_of_weight_cannot_leave_the_range_of_the_others(found: Any, data: st.DataObject) -> None:
    weights = np.array(data.draw(st.lists(st.floats(0.1, 9), min_size=len(found), max_size=len(found))))
    liars = data.draw(st.lists(st.booleans(), min_size=len(found), max_size=len(found)).map(np.array))
    if weights[liars].sum() >= 0.499 * weights.sum():
        return
    moved = found.copy()
    moved[liars] = data.draw(st.sampled_from([-1e9, 1e9, 0.0]))
    middle = consensus(moved, weights)
    honest = found[~liars]
    assert np.all((honest.min(axis=0) <= middle) & (middle <= honest.max(axis=0)))
