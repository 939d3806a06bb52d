"""A person is in one split, wherever the row stands and whoever else is there; a changed split is found."""

import pytest
from cohort_rows import persons
from hypothesis import given
from hypothesis import strategies as st

from wardgate.hospital.ward.cohort.split import NAMES, commitment, disjoint, split, tables
from wardgate.records.errors import Invalid
from wardgate.records.study import Splits

SALT = b"a site's own secret salt"
PERSONS = [f"p{number}" for number in range(20_000)]

people = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=40)


def places(parts: dict[str, list[str]]) -> dict[str, str]:
    return {person: name for name, persons in parts.items() for person in persons}


@given(people, people, st.randoms())
def test_a_person_never_moves_when_others_come_go_or_change_places(here, others, rng) -> None:
    alone = places(split(here, Splits(), salt=SALT))
    together = [*here, *(person for person in others if person not in here)]
    rng.shuffle(together)
    crowded = places(split(together, Splits(), salt=SALT))
    assert {person: crowded[person] for person in here} == alone


@given(people)
def test_everybody_is_in_exactly_one_split(here) -> None:
    parts = split(here, Splits(), salt=SALT)
    assert tuple(parts) == NAMES
    assert sorted(person for persons in parts.values() for person in persons) == sorted(here)


def test_shares_come_out_as_asked() -> None:
    parts = split(PERSONS, Splits(), salt=SALT)
    for name, share in (("train", 0.55), ("tuning", 0.05), ("holdout", 0.20), ("locked_test", 0.20)):
        assert abs(len(parts[name]) / len(PERSONS) - share) < 4 * (share * (1 - share) / len(PERSONS)) ** 0.5


def test_two_sites_split_the_same_persons_differently() -> None:
    here = places(split(PERSONS, Splits(), salt=SALT))
    there = places(split(PERSONS, Splits(), salt=b"another site's secret"))
    same = sum(here[person] == there[person] for person in PERSONS) / len(PERSONS)
    assert abs(same - (0.55**2 + 0.05**2 + 2 * 0.20**2)) < 0.02


def test_linked_persons_stay_together() -> None:
    groups = [f"g{number // 2}" for number in range(len(PERSONS))]
    where = places(split(PERSONS, Splits(), salt=SALT, groups=groups))
    assert all(where[f"p{number}"] == where[f"p{number + 1}"] for number in range(0, len(PERSONS), 2))


def test_a_listed_twice_person_and_a_short_salt_are_refused() -> None:
    with pytest.raises(Invalid, match="listed twice"):
        split(["a", "b", "a"], Splits(), salt=SALT)
    with pytest.raises(Invalid, match="found a salt of 4 bytes"):
        split(["a"], Splits(), salt=b"salt")


def test_one_person_moved_added_or_dropped_changes_the_commitment() -> None:
    parts = {name: persons[:50] for name, persons in split(PERSONS, Splits(), salt=SALT).items()}
    committed = commitment(parts, salt=SALT)
    assert commitment({name: list(reversed(persons)) for name, persons in parts.items()}, salt=SALT) == committed
    moved = parts | {"train": parts["train"][1:], "tuning": [*parts["tuning"], parts["train"][0]]}
    found = commitment(moved, salt=SALT)
    assert {name for name in NAMES if found[name] != committed[name]} == {"train", "tuning"}
    dropped = parts | {"locked_test": parts["locked_test"][:-1]}
    assert commitment(dropped, salt=SALT)["locked_test"] != committed["locked_test"]


def test_equal_splits_commit_differently_and_say_nothing_without_the_salt() -> None:
    parts = {"train": ["a"], "tuning": ["b"]}
    first = commitment(parts, salt=SALT)
    assert first["train"] != commitment({"tuning": ["a"]}, salt=SALT)["tuning"]
    assert set(first.values()).isdisjoint(commitment(parts, salt=b"another site's secret").values())


def test_a_person_in_two_splits_is_refused_without_being_named() -> None:
    parts = {"train": ["CANARY-7731", "b"], "holdout": ["CANARY-7731"]}
    for check in (lambda: disjoint(parts), lambda: commitment(parts, salt=SALT)):
        with pytest.raises(Invalid, match="a person is in 'train' and in 'holdout'") as caught:
            check()
        assert "CANARY" not in str(caught.value)


def test_tables_split_as_persons_do(build) -> None:
    cohort = build(persons(300))
    found = tables(cohort, Splits(), salt=SALT)
    parts = split(cohort.table["person"].to_list(), Splits(), salt=SALT)
    assert {name: table["person"].to_list() for name, table in found.items()} == parts
