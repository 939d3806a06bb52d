import itertools
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardgate.marginals.domain import domain_of, encode
from wardgate.marginals.levels import all_sides, whole
from wardgate.marginals.workload import Query, Workload, count
from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid


@pytest.fixture(scope="module")
def workload(study):
    domain = domain_of(study.features, cells=4)
    queries = (
        Query(),
        Query(signs=(6,)),
        Query(cells=(0,)),
        Query(cells=(3,), signs=(6,)),
        Query(cells=(0, 3)),
        Query(cells=(1, 3, 6)),
        Query(signs=(2, 4)),
        Query(signs=(2, 4, 6)),
    )
    return Workload(domain=domain, groups=whole(domain), sides=all_sides(domain, whole(domain)), queries=queries)


def brute(workload, table):
    """Count by looking at one person after the other."""
    codes = encode(workload.domain, table)
    found = []
    for query in workload.queries:
        for cells in itertools.product(*(range(size) for size in workload.shape(query))):
            total = 0
            for row in codes:
                if all(workload.groups[c][row[c]] == cell for c, cell in zip(query.cells, cells, strict=True)):
                    total += int(np.prod([workload.sides[c][row[c]] for c in query.signs]))
            found.append(total)
    return np.array(found)


def test_counts_equal_those_of_a_slow_oracle(workload, table):
    few = table.head(60)
    assert np.array_equal(count(workload, few), brute(workload, few))
    assert count(workload, few).dtype == np.int64


def test_nobody_counts_nothing(workload, table):
    assert not count(workload, table.clear()).any()


@given(persons=st.lists(st.integers(0, 5_999), min_size=1, max_size=20))
def test_one_person_moves_each_entry_by_at_most_one_and_the_vector_by_its_stated_norm(workload, table, persons):
    with_person, without = table[persons], table[persons[1:]]
    change = count(workload, with_person) - count(workload, without)
    assert np.abs(change).max() <= 1
    assert np.linalg.norm(change) == pytest.approx(workload.l2)


def test_counts_of_sites_add_up_to_the_counts_of_all(workload, table):
    parts = [table.filter(pl.int_range(pl.len()) % 3 == site) for site in range(3)]
    assert np.array_equal(sum(count(workload, part) for part in parts), count(workload, table))


def test_parameters_are_canonical_json_and_read_back_as_the_same_workload(workload):
    travelled = json.loads(canonical(workload.to_parameters()))
    assert Workload.from_parameters(travelled, domain=workload.domain) == workload


def broken(name, change):
    return pytest.param(change, id=name)


@pytest.mark.parametrize(
    "change",
    [
        broken("extra part", lambda p: p | {"l2": "0.1"}),
        broken("no queries", lambda p: {k: v for k, v in p.items() if k != "queries"}),
        broken("queries is text", lambda p: p | {"queries": "age"}),
        broken("unknown column", lambda p: p | {"queries": [{"cells": ["name"], "signs": []}]}),
        broken("column twice", lambda p: p | {"queries": [{"cells": ["age"], "signs": ["age"]}]}),
        broken("four columns", lambda p: p | {"queries": [{"cells": ["age", "sex", "stage", "label"], "signs": []}]}),
        broken("same query twice", lambda p: p | {"queries": [{"cells": ["age"], "signs": []}] * 2}),
        broken("cells is a number", lambda p: p | {"queries": [{"cells": 3, "signs": []}]}),
        broken("query of numbers", lambda p: p | {"queries": [{"cells": [3], "signs": []}]}),
        broken("query part missing", lambda p: p | {"queries": [{"cells": ["age"]}]}),
        broken("group too short", lambda p: p | {"groups": p["groups"] | {"age": [0, 1]}}),
        broken("group with a gap", lambda p: p | {"groups": p["groups"] | {"age": [0, 1, 2, 9]}}),
        broken("negative group", lambda p: p | {"groups": p["groups"] | {"age": [0, 1, 2, -1]}}),
        broken("group is a float", lambda p: p | {"groups": p["groups"] | {"age": [0, 1, 2, 3.0]}}),
        broken("group is true", lambda p: p | {"groups": p["groups"] | {"age": [False, True, 2, 3]}}),
        broken("column without groups", lambda p: p | {"groups": {}}),
        broken("heavy side", lambda p: p | {"sides": p["sides"] | {"sex": [1, 1000]}}),
        broken("side of zero", lambda p: p | {"sides": p["sides"] | {"sex": [1, 0]}}),
        broken("sides is a list", lambda p: p | {"sides": []}),
        broken("not a mapping", lambda p: []),
    ],
)
def test_a_question_that_is_no_workload_is_refused(workload, change):
    with pytest.raises(Invalid):
        Workload.from_parameters(change(workload.to_parameters()), domain=workload.domain)


def test_a_vector_of_another_length_is_refused(workload):
    with pytest.raises(Invalid, match="expected"):
        workload.split(np.zeros(workload.size + 1))
