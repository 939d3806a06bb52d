"""The joint road with the site as a column: equal to a central fit, differences survive, what drowns falls back."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from wardgate.marginals.domain import domain_of
from wardgate.marginals.sites.growth import Asked, Summed, grow_summed, plan_summed, with_site
from wardgate.marginals.sites.model import SITE, SiteModel, sample_sites
from wardgate.marginals.tree.model import TreeModel
from wardgate.marginals.workload import count
from wardgate.measures.encoding import LABEL
from wardgate.privacy.accountant import epsilon_of
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import Feature

SITES = ("north", "south", "east", "west", "isle")
Counts = Callable[[Asked], np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def tables(make_persons: Callable[..., pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Five hospitals: the north smokes twice as much, the south has twice the cases, the isle is tiny."""
    found = {}
    for seed, site in enumerate(SITES):
        table = make_persons(60 if site == "isle" else 3_000, seed=seed)
        if site == "north":
            table = pl.concat([table, table.filter(pl.col("smoker") == 1)])
        if site == "south":
            table = pl.concat([table, table.filter(pl.col(LABEL) == 1)])
        found[site] = table
    return found


def whole(tables: Mapping[str, pl.DataFrame], *, without: frozenset[str] = frozenset()) -> pl.DataFrame:
    return pl.concat(
        [table.with_columns(pl.lit(site).alias(SITE)) for site, table in tables.items() if site not in without]
    )


def grown(
    study: Any,
    counts: Counts,
    *,
    epsilon: float = 3.0,
    sites: tuple[str, ...] = SITES,
    gone: Mapping[str, frozenset[str]] | None = None,
    heavier: float = 1.0,
    told: float | None = None,
    seed: int = 0,
) -> TreeModel | SiteModel:
    """Drive the road with Gaussian noise from a seed; `gone` says who is absent in which round.

    The noise is `heavier` than was asked for, and the road is told that it is `told` times as heavy.
    """
    domain = domain_of(study.features)
    plan = plan_summed(domain, epsilon=epsilon, delta=1e-6, by_site=bool(sites))
    road, rng = grow_summed(domain, plan, sites=sites, rules=study.rules), np.random.default_rng(seed)
    asked = next(road)
    while True:
        exact, sigma = counts(asked), asked.sigma * heavier
        there = frozenset(SITES) - (gone or {}).get(asked.name, frozenset())
        noisy = exact + rng.normal(0, sigma, len(exact))
        try:
            asked = road.send(Summed(values=noisy, sigma=asked.sigma * (told or heavier), sites=there))
        except StopIteration as end:
            return end.value


def central(tables: Mapping[str, pl.DataFrame]) -> Counts:
    table = whole(tables)
    return lambda asked: count(asked.workload, table)


def same(one: TreeModel, other: TreeModel) -> bool:
    return np.array_equal(one.label, other.label) and all(
        (left.column, left.parent) == (right.column, right.parent)
        and np.array_equal(left.table, right.table)
        and np.array_equal(left.cells, right.cells)
        for left, right in zip(one.nodes, other.nodes, strict=True)
    )


@pytest.fixture(scope="module")
def model(study: Any, tables: dict[str, pl.DataFrame]) -> SiteModel:
    found = grown(study, central(tables))
    assert isinstance(found, SiteModel)
    return found


def share(table: pl.DataFrame, column: str, site: str = "") -> float:
    part = table.filter(pl.col(SITE) == site) if site else table
    return float(part[column].mean())


def test_sums_over_sites_give_the_very_model_of_a_central_fit(study: Any, tables: dict[str, pl.DataFrame]) -> None:
    parts = [whole({site: table}) for site, table in tables.items()]
    summed = grown(study, lambda asked: sum(count(asked.workload, part) for part in parts))
    one = grown(study, central(tables))
    assert np.array_equal(summed.persons, one.persons)
    assert same(summed.whole, one.whole)
    assert all(same(left, right) for left, right in zip(summed.trees, one.trees, strict=True))


def test_one_person_moves_a_round_by_its_stated_norm_and_one_site_alone(
    study: Any, tables: dict[str, pl.DataFrame]
) -> None:
    seen = []

    def counts(asked: Asked) -> np.ndarray[Any, Any]:
        seen.append(asked)
        return central(tables)(asked)

    grown(study, counts)
    assert [asked.name for asked in seen] == ["histograms", "links", "signs", "pairs", "sites"]
    for asked in seen:
        for site in ("north", "isle"):
            person = whole({site: tables[site]})[5:6]
            moved = count(asked.workload, person)
            assert np.linalg.norm(moved) == pytest.approx(asked.workload.l2)
            for query, table in asked.workload.split(moved).items():
                if query.cells[:1] == (len(study.features),):
                    others = np.delete(table, SITES.index(site), axis=0)
                    assert not others.any(), "a person stands in the cells of one hospital"


@pytest.mark.parametrize("by_site", [True, False])
@pytest.mark.parametrize("epsilon", [0.5, 1.0, 8.0])
def test_all_rounds_together_cost_at_most_what_was_asked(study: Any, epsilon: float, by_site: bool) -> None:
    plan = plan_summed(domain_of(study.features), epsilon=epsilon, delta=1e-6, by_site=by_site)
    cost = epsilon_of(gaussian=plan.gaussian, exponential=(), delta=1e-6)
    assert 0.97 * epsilon < cost <= epsilon
    assert len(plan.gaussian) == 4 + by_site


@pytest.mark.parametrize(("noise", "told"), [(0.0, True), (1.0, False)])
def test_who_knows_everybody_else_in_a_tiny_hospital_cannot_tell_whether_the_last_was_there(
    study: Any, tables: dict[str, pl.DataFrame], noise: float, told: bool
) -> None:
    """The best test there is, over all rounds at epsilon 1: with the noise off it tells every time."""
    rounds, person = [], whole({"isle": tables["isle"]})[7:8]

    def counts(asked: Asked) -> np.ndarray[Any, Any]:
        rounds.append((count(asked.workload, person), asked.sigma))
        return central(tables)(asked)

    grown(study, counts, epsilon=1.0)
    rng, tries = np.random.default_rng(8), 4_000
    apart = np.sqrt(sum(float((moved**2).sum()) / sigma**2 for moved, sigma in rounds))
    without = noise * rng.normal(size=tries)
    there = apart + noise * rng.normal(size=tries)
    limit = np.quantile(without, 0.9)
    caught = float((there > limit).mean())
    assert (caught == 1.0) == told
    if not told:
        assert caught < np.exp(1.0) * 0.1 + 1e-6, "what epsilon 1 allows at one false alarm in ten"


def test_differences_between_hospitals_survive(tables: dict[str, pl.DataFrame], model: SiteModel) -> None:
    """Without the site every hospital would be the mean of all."""
    real, drawn = whole(tables), sample_sites(model, 12_000, rng=np.random.default_rng(1))
    for column in ("smoker", LABEL):
        for site in SITES[:4]:
            off = abs(share(drawn, column, site) - share(real, column, site))
            flat = abs(share(real, column) - share(real, column, site))
            assert off < 0.03
            if (site, column) in (("north", "smoker"), ("south", LABEL)):
                assert flat > 0.08, "the protection off: one table for all would be far away"


def test_what_all_hospitals_show_together_stays(tables: dict[str, pl.DataFrame], model: SiteModel) -> None:
    real, drawn = whole(tables), sample_sites(model, 12_000, rng=np.random.default_rng(2), column=False)
    assert SITE not in drawn.columns
    for column in ("age", "smoker", LABEL):
        assert share(drawn, column) == pytest.approx(share(real, column), rel=0.05)


def test_a_hospital_that_drowns_in_noise_has_the_model_of_all(model: SiteModel) -> None:
    """Sixty persons against a noise of about as many."""
    isle = model.tree("isle")
    for own, common in zip(isle.nodes, model.whole.nodes, strict=True):
        assert np.abs(own.table - common.table).max() < 0.12
    drawn = sample_sites(model, 500, rng=np.random.default_rng(3), where={SITE: "isle"})
    assert set(drawn[SITE]) == {"isle"}
    assert drawn.height == 500


def test_many_hospitals_of_few_persons_cost_little_beside_no_site_at_all(
    study: Any, make_persons: Callable[..., pl.DataFrame]
) -> None:
    table = make_persons(6_000, seed=9)
    sites = tuple(f"s{place:03}" for place in range(300))
    named = table.with_columns(pl.Series(SITE, [sites[place % 300] for place in range(table.height)]))
    domain, off = domain_of(study.features), {}
    for by_site in (True, False):
        plan = plan_summed(domain, epsilon=1.0, delta=1e-6, by_site=by_site)
        road, rng = grow_summed(domain, plan, sites=sites if by_site else ()), np.random.default_rng(4)
        asked = next(road)
        while True:
            exact = count(asked.workload, named)
            noisy = exact + rng.normal(0, asked.sigma, len(exact))
            try:
                asked = road.send(Summed(values=noisy, sigma=asked.sigma, sites=frozenset(sites)))
            except StopIteration as end:
                found = end.value
                break
        tree = found.whole if by_site else found
        assert tree.persons == pytest.approx(6_000, rel=0.1)
        if by_site:
            prevalence = np.array([one.label[1] for one in found.trees])
            off[by_site] = float(np.abs(prevalence - tree.label[1]).max())
    assert off[True] < 0.15, "twenty persons say nothing through this noise, so nothing is believed"


def test_conditions_weigh_hospitals_by_how_many_meet_them(tables: dict[str, pl.DataFrame], model: SiteModel) -> None:
    drawn = sample_sites(model, 6_000, rng=np.random.default_rng(5), where={"smoker": 1})
    assert set(drawn["smoker"]) == {1.0}
    real = whole(tables).filter(pl.col("smoker") == 1)
    for site in SITES[:4]:
        assert (drawn[SITE] == site).mean() == pytest.approx((real[SITE] == site).mean(), abs=0.04)


@pytest.mark.parametrize("where", [{SITE: "elsewhere"}, {SITE: 1.0}, {SITE: None}])
def test_a_site_outside_the_study_is_refused(model: SiteModel, where: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="site"):
        sample_sites(model, 5, rng=np.random.default_rng(0), where=where)


def test_no_rows_are_a_table_all_the_same(model: SiteModel) -> None:
    assert sample_sites(model, 0, rng=np.random.default_rng(0)).columns[-2:] == [SITE, LABEL]


# Hospitals that vanish, and odd ones.


def test_the_road_goes_on_with_the_rest_and_persons_who_left_do_not_tilt_it(
    study: Any, tables: dict[str, pl.DataFrame], model: SiteModel
) -> None:
    """One of five vanishes after the first round: what is left is scaled to the persons of the first."""
    gone = dict.fromkeys(("links", "signs", "pairs", "sites"), frozenset({"west"}))

    def counts(asked: Asked) -> np.ndarray[Any, Any]:
        return count(asked.workload, whole(tables, without=gone.get(asked.name, frozenset())))

    found = grown(study, counts, gone=gone)
    assert found.whole.persons == pytest.approx(model.whole.persons, rel=0.05)
    drawn = sample_sites(found, 10_000, rng=np.random.default_rng(6))
    real = whole(tables)
    for column in ("smoker", LABEL):
        assert share(drawn, column) == pytest.approx(share(real, column), rel=0.08)
    assert (drawn[SITE] == "west").mean() == pytest.approx((real[SITE] == "west").mean(), abs=0.03)


def test_a_hospital_that_vanished_before_the_first_sum_has_no_rows_and_the_model_of_all(
    study: Any, tables: dict[str, pl.DataFrame]
) -> None:
    names = ("histograms", "links", "signs", "pairs", "sites")
    gone = dict.fromkeys(names, frozenset({"west"}))
    table = whole(tables, without=frozenset({"west"}))
    found = grown(study, lambda asked: count(asked.workload, table), gone=gone)
    assert found.persons[SITES.index("west")] == 0
    assert "west" not in set(sample_sites(found, 2_000, rng=np.random.default_rng(0))[SITE])
    assert sample_sites(found, 10, rng=np.random.default_rng(0), where={SITE: "west"}).height == 10


def test_a_hospital_without_persons_gets_next_to_no_rows(study: Any, tables: dict[str, pl.DataFrame]) -> None:
    found = grown(study, central({**tables, "isle": tables["isle"][:0]}))
    assert found.persons[SITES.index("isle")] < 0.02 * found.persons.sum()
    assert sample_sites(found, 10, rng=np.random.default_rng(0), where={SITE: "isle"}).height == 10


@pytest.mark.parametrize("only", [0, 1])
def test_a_hospital_of_one_class_keeps_a_little_of_the_other(
    study: Any, tables: dict[str, pl.DataFrame], only: int
) -> None:
    found = grown(study, central({**tables, "east": tables["east"].filter(pl.col(LABEL) == only)}))
    label = found.tree("east").label
    assert label[only] > 0.85
    assert label.min() > 0


def test_one_hospital_with_nearly_everybody_is_the_whole(study: Any, tables: dict[str, pl.DataFrame]) -> None:
    lone = {site: table if site == "north" else table[:15] for site, table in tables.items()}
    found = grown(study, central(lone))
    assert found.persons[0] > 0.9 * found.persons.sum()
    drawn = sample_sites(found, 3_000, rng=np.random.default_rng(0))
    assert share(drawn, "smoker", "north") == pytest.approx(share(whole(lone), "smoker"), abs=0.03)


def test_noise_heavier_than_asked_is_believed_less(study: Any, tables: dict[str, pl.DataFrame]) -> None:
    """Shares for drop-outs and colluders make sums noisier. The broken twin takes them for as light as was asked."""
    apart = {}
    for told in (1.0, 6.0):
        found = grown(study, central(tables), heavier=6.0, told=told)
        apart[told] = sum(abs(tree.label[1] - found.whole.label[1]) for tree in found.trees)
    assert apart[6.0] < apart[1.0]


def test_a_sum_with_less_noise_than_was_asked_for_is_refused(study: Any, tables: dict[str, pl.DataFrame]) -> None:
    with pytest.raises(Invalid, match="was given"):
        grown(study, central(tables), heavier=0.9)


@pytest.mark.parametrize("sites", [SITES, ()])
def test_too_few_persons_or_one_class_in_all_are_refused(
    study: Any, tables: dict[str, pl.DataFrame], sites: tuple[str, ...]
) -> None:
    few = {site: table[:6] for site, table in tables.items()}
    with pytest.raises(Refused, match=r"all hospitals together|more hospitals"):
        grown(study, central(few), epsilon=0.5, sites=sites)
    one = {site: table.filter(pl.col(LABEL) == 0) for site, table in tables.items()}
    with pytest.raises(Refused, match="one class of the label"):
        grown(study, central(one), epsilon=0.5, sites=sites)


def test_the_site_needs_two_names_and_a_name_of_its_own(study: Any) -> None:
    domain = domain_of(study.features)
    for sites in ((), ("north",), ("north", "north")):
        with pytest.raises(Invalid, match="two different sites"):
            with_site(domain, sites)
    taken = domain_of((*study.features, Feature(name=SITE, type="boolean")))
    with pytest.raises(Invalid, match="a feature is called 'site'"):
        with_site(taken, SITES)
