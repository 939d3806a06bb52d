"""The joint corpus that tells hospitals apart, over real wards and the real secure sum."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from smallest import STUDY, write_hospital

from wardgate.computations.marginals import Marginals
from wardgate.federation.local import Settings, find_hospitals, run_study
from wardgate.hospital.ward.learning.marginals import answer
from wardgate.hub import layout
from wardgate.hub.commons.directory import write_run
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.marginals import Joint, draw_rows, joint_marginals
from wardgate.hub.telling.results import results_of
from wardgate.marginals.domain import domain_of
from wardgate.marginals.sites.growth import Summed, grow_summed, plan_summed
from wardgate.marginals.sites.model import SITE, SiteModel
from wardgate.marginals.workload import count
from wardgate.papers.report import render
from wardgate.records.corpus_file import read_corpus, write_corpus
from wardgate.records.errors import CheckFailed, Invalid
from wardgate.records.study import Study
from wardgate.records.study_file import parse

SITES = tuple(f"h{place}" for place in range(5))
TOLD_APART = """\
joint_site: keep
drop_out: 0.2
budget: {epsilon_total: 9.0, joint_corpus: 4.0, corpus: 1.0}
"""
POLICY = "gate:\n  dp: {epsilon_claim_max: 4.0}\n"


def told_apart(plain: dict[str, Any]) -> None:
    other = parse(study_text(), name="study.yaml").plain()
    plain.update({name: other[name] for name in ("joint_site", "drop_out", "budget", "gate")})


def study_text(setting: str = "keep") -> str:
    text = STUDY.replace("gate:\n", POLICY).replace("SITES", ", ".join(SITES))
    return text + TOLD_APART.replace("keep", setting)


@pytest.fixture(scope="module")
def five(make_consortium: Callable[..., Any]) -> Any:
    """Five hospitals of 230 persons, told apart; one of them may vanish."""
    return make_consortium(dict.fromkeys(SITES, 230), change=told_apart)


@dataclass(slots=True, kw_only=True)
class Heard:
    """One sum as the hub heard it."""

    ask: Ask
    told: Told


def drive(made: Any, *, gone: Mapping[str, frozenset[str]] | None = None) -> tuple[Joint, list[Heard]]:
    """Drive the joint road; `gone` names by round who answers none of the masked sum and what follows it."""
    exchange, heard = made.desk(), []
    steps = joint_marginals(study=made.study, sites=made.sites)

    def carried(ask: Ask) -> Told:
        absent = next((sites for name, sites in (gone or {}).items() if ask.what.endswith(name)), frozenset())
        conversation = exchange.converse(ask)
        try:
            questions = next(conversation)
            while True:
                questions = conversation.send(
                    {
                        site: made.carry(site, parcel)
                        for site, parcel in questions.items()
                        if site not in absent
                        or layout.peek(parcel.envelope).predicate["computation"] in ("prepare", "shares")
                    }
                )
        except StopIteration as end:
            return end.value

    try:
        ask = next(steps)
        while True:
            told = carried(ask)
            heard.append(Heard(ask=ask, told=told))
            ask = steps.send(told)
    except StopIteration as end:
        return end.value, heard


def own_rows(made: Any, site: str) -> pl.DataFrame:
    return made.wards[site]._bench.part("train").table.with_columns(pl.lit(site).alias(SITE))


def exact(made: Any, one: Heard) -> np.ndarray[Any, Any]:
    """What only a test can see: the counts of the hospitals in a sum."""
    workload = Marginals.read(one.ask.parameters, {}).over(made.study)
    return count(workload, pl.concat([own_rows(made, site) for site in one.told.sites]))


@pytest.fixture(scope="module")
def whole(five: Any) -> tuple[Joint, list[Heard]]:
    return drive(five)


def test_the_hub_hears_the_central_counts_with_noise_and_nothing_else(
    five: Any, whole: tuple[Joint, list[Heard]]
) -> None:
    joint, heard = whole
    assert isinstance(joint.model, SiteModel)
    assert joint.sites == SITES
    assert [one.ask.what.removeprefix("joint corpus: ") for one in heard][-1] == "sites"
    for one in heard:
        assert not one.told.answers, "no site's own answer, the total alone"
        off = (one.told.sum() - exact(five, one)) / one.told.noise
        assert np.abs(off).max() < 7
        assert off.std() > 1 - 6 / np.sqrt(2 * len(off)), "and the noise is really there"


def test_a_curator_with_all_rows_and_the_same_noise_has_the_same_model(
    five: Any, whole: tuple[Joint, list[Heard]]
) -> None:
    joint, heard = whole
    domain, left = domain_of(five.study.features), iter(heard)
    budget = five.study.budget
    plan = plan_summed(domain, epsilon=budget.joint_corpus, delta=budget.delta, by_site=True)
    assert joint.claim.gaussian == plan.gaussian
    road = grow_summed(domain, plan, sites=five.study.sites, rules=five.study.rules)
    asked = next(road)
    table = pl.concat([own_rows(five, site) for site in SITES])
    while True:
        one = next(left)
        noise = one.told.sum() - exact(five, one)
        values = count(asked.workload, table) + noise
        try:
            asked = road.send(Summed(values=values, sigma=one.told.noise, sites=frozenset(SITES)))
        except StopIteration as end:
            central = end.value
            break
    for mine, theirs in zip(central.trees, joint.model.trees, strict=True):
        for left_node, right_node in zip(mine.nodes, theirs.nodes, strict=True):
            assert left_node.table == pytest.approx(right_node.table, abs=1e-6)
            assert left_node.cells == pytest.approx(right_node.cells, abs=1e-6)


@pytest.mark.parametrize("name", ["histograms", "sites"])
def test_the_road_goes_on_when_a_fifth_vanishes_in_the_middle_of_it(five: Any, name: str) -> None:
    joint, heard = drive(five, gone={name: frozenset({"h2"})})
    assert isinstance(joint.model, SiteModel), joint.reason
    first = name == "histograms"
    assert ("h2" in joint.sites) != first, "who stands in any sum is named"
    rounds = [one.ask.what.removeprefix("joint corpus: ") for one in heard]
    for place, one in enumerate(heard):
        promised = one.ask.noise_multiplier * one.ask.shape.l2
        assert one.told.noise >= promised, "a share that is missing is not missed"
        assert ("h2" in one.told.sites) == (place < rounds.index(name)), "who vanished stays out of later sums"
        assert np.abs((one.told.sum() - exact(five, one)) / one.told.noise).max() < 7
    drawn = draw_rows(joint.model, 50, rng=np.random.default_rng(0), where={SITE: "h2"}, site=True)
    assert set(drawn[SITE]) == {"h2"}


def test_fewer_sites_than_the_policy_asks_for_are_told_so_before_anything_is_spent(five: Any) -> None:
    steps = joint_marginals(study=five.study, sites=SITES[:2])
    with pytest.raises(CheckFailed, match="2 sites for a joint corpus; a sum needs at least 3"):
        next(steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneBench:
    """A bench of one hospital that says who it is."""

    site: str
    study: Study
    table: pl.DataFrame

    def part(self, split: str) -> "OneBench":
        return self


def test_a_ward_counts_its_persons_in_its_own_cells_whatever_the_table_says(
    five: Any, whole: tuple[Joint, list[Heard]]
) -> None:
    asked = Marginals.read(whole[1][-1].ask.parameters, {})
    table = own_rows(five, "h3")
    for given in (table, table.drop(SITE), table[:0]):
        found = answer(asked, bench=OneBench(site="h1", study=five.study, table=given), split="train")
        for query, counts in asked.over(five.study).split(found.vector).items():
            assert query.cells[0] == len(five.study.features)
            assert not np.delete(counts, SITES.index("h1"), axis=0).any()
        assert found.persons == given.height
    with pytest.raises(Invalid, match="does not name"):
        answer(asked, bench=OneBench(site="stranger", study=five.study, table=table), split="train")


# The whole chain, and what `verify` says of it.


def finished(folder: Path, setting: str) -> tuple[Any, Path]:
    text = study_text(setting)
    study = parse(text, name="study.yaml")
    for place, site in enumerate(SITES):
        write_hospital(folder / "hospitals" / site, 230, [7, place], inverted=False, note="")
    (folder / "work").mkdir()
    done = run_study(
        study=study,
        hospitals=find_hospitals(folder / "hospitals", study),
        settings=Settings(seed=1, issued_on="2026-01-02"),
        work=folder / "work",
    )
    results = results_of(done.run, done.exchange, simulated=True, isolated=False)
    write_run(
        folder / "out",
        exchange=done.exchange,
        run=done.run,
        results=results,
        report_html=render(results),
        study_text=text,
        replace=False,
        issued_on="2026-01-02",
    )
    return done.run, folder / "out"


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["keep", "drop"])
def test_a_run_with_sites_told_apart_is_verified(tmp_path: Path, setting: str) -> None:
    run, out = finished(tmp_path, setting)
    table = read_corpus(run.corpora[layout.JOINT])
    assert (SITE in table.columns) == (setting == "keep")
    if setting == "keep":
        assert set(table[SITE]) <= set(run.joint_sites)
    assert audit(out).findings == ()
    if setting == "keep":
        path = out / layout.corpus_path(layout.JOINT)
        other = table.with_columns(pl.lit("elsewhere").alias(SITE))
        path.write_bytes(write_corpus(other, study_sha256=run.study_sha256))
        assert audit(out).findings
