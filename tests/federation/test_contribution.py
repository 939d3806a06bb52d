"""Who contributed, over real wards and in the open: the same table, refused where it would give a hospital away."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from made_contributions import BLOCKS, LEAST, listed, opened, persons
from made_networks import SITES
from smallest import STUDY, write_hospital

from wardgate.computations.class_moments import ClassMoments
from wardgate.federation.contribution import (
    Contributions,
    check_contribution,
    contribution_record,
    open_contribution,
    seal_contribution,
)
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.plain import plain_sites
from wardgate.federation.session import Federation
from wardgate.hub import layout
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.ask import sum_ask
from wardgate.hub.pooling.contribution import (
    Contributed,
    Wanted,
    block_contributions,
    drawn_blocks,
    site_contributions,
)
from wardgate.records.canonical import sha256
from wardgate.records.contribution import CONTRIBUTION, Contribution
from wardgate.records.envelope import Signer, Statement, seal, unseal
from wardgate.records.errors import Broken, CheckFailed, Invalid
from wardgate.records.parcel import Parcel, pack_vector
from wardgate.records.study_file import parse

QUICK = Wanted(thresholds=(0.4,), redraws=20)
SIGNER = Signer(bytes(range(32)))
GRANTS = "budget: {epsilon_total: 20.0, joint_corpus: 1.0}\n"


@pytest.fixture
def gates(tmp_path: Path) -> Callable[..., Any]:
    """Opens the study over six hospitals with their gates."""

    @contextmanager
    def open_(*, analyses: str = "class_moments") -> Iterator[tuple[Federation, str]]:
        text = STUDY.replace("SITES", ", ".join(SITES)) + f"analyses: [{analyses}]\n{GRANTS}"
        study = parse(text, name="study.yaml")
        for place, site in enumerate(SITES):
            write_hospital(tmp_path / "hospitals" / site, 400, [41, place], inverted=False, note="")
        (tmp_path / "work").mkdir()
        found = find_hospitals(tmp_path / "hospitals", study)
        settings = Settings(seed=1, issued_on="2026-01-02")
        with local(study=study, hospitals=found, settings=settings, work=tmp_path / "work") as federation:
            yield federation, text

    return open_


def in_the_open(**wanted: Any) -> Contributed:
    plain = opened(persons())
    steps = block_contributions(
        study=plain.study, blocks=BLOCKS, wanted=replace(QUICK, **wanted), persons_at_least=LEAST
    )
    return plain.drive(steps)


def parts_of(federation: Federation) -> dict[str, Any]:
    links = federation.carrier.links  # type: ignore[attr-defined]
    benches = [getattr(link, "link", link)._ward._bench for link in links.values()]
    return {bench.site: {split: bench.part(split).table for split in ("train", "holdout")} for bench in benches}


def test_through_the_gates_the_table_is_that_of_the_open_rows(gates: Callable[..., Any], tmp_path: Path) -> None:
    with gates() as (federation, text):
        asked = Contributions(thresholds=(0.4,), blocks=BLOCKS, redraws=20)
        found = asked.run(federation, federation.study)
        tables = parts_of(federation)
        record = contribution_record(found, study=federation.study, issued_on="2026-01-02", drawn=asked.drawn)
        parcel = seal_contribution(found, record, signer=federation.exchange.signer)
        federation.save(tmp_path / "out", study_text=text)
        key, study = federation.exchange.signer.public_key, federation.study
    plain = opened(tables, study)
    steps = block_contributions(study=study, blocks=BLOCKS, wanted=QUICK, persons_at_least=LEAST)
    expected = plain.drive(steps)
    np.testing.assert_allclose(found.shares.by_persons, expected.shares.by_persons, atol=1e-5)
    np.testing.assert_allclose(found.shares.by_players, expected.shares.by_players, atol=1e-5)
    audit(tmp_path / "out").raise_if_broken()
    lines = layout.split_lines((tmp_path / "out" / layout.records_path(layout.HUB)).read_bytes(), where="records")
    sums = [
        said.predicate["total"]["sha256"]
        for said in (unseal(line, keys=(key,)) for line in lines)
        if "total" in said.predicate
    ]
    assert open_contribution(parcel.to_bytes(), hub_key=key, study=study, opened_sums=sums) == record
    assert check_contribution(parcel.to_bytes(), transcript=tmp_path / "out", study=study) == record
    with pytest.raises(Broken, match="opened no such sum"):
        open_contribution(parcel.to_bytes(), hub_key=key, study=study, opened_sums=sums[:-1])


def test_single_hospitals_are_asked_with_noise_through_the_gates(gates: Callable[..., Any], tmp_path: Path) -> None:
    with gates() as (federation, text):
        asked = Contributions(thresholds=(0.4,), epsilon=8.0, delta=1e-5, redraws=20)
        found = asked.run(federation, federation.study)
        record = contribution_record(found, study=federation.study, issued_on="2026-01-02", drawn=asked.drawn)
        federation.save(tmp_path / "out", study_text=text)
    audit(tmp_path / "out").raise_if_broken()
    assert [player.sites for player in record.players] == [(site,) for site in SITES]
    assert record.players_are == "sites" and record.epsilon == 8.0
    assert all(one.noise > 0 for one in record.basis) and len(record.basis) == 2
    gain = found.shares.everybody - found.shares.nobody
    np.testing.assert_allclose(found.shares.by_players.sum(axis=0), gain, atol=1e-9)


def test_a_hospitals_own_sums_without_noise_are_refused(gates: Callable[..., Any]) -> None:
    with gates() as (federation, _):
        bare = sum_ask(ClassMoments(places=tuple(SITES)), what="bare", study=federation.study, sites=federation.sites)
        with pytest.raises(CheckFailed, match="with noise or not"):
            federation.ask(bare)
        cornered = sum_ask(ClassMoments(), what="all but one", study=federation.study, sites=federation.sites[1:])
        federation.ask(sum_ask(ClassMoments(), what="all", study=federation.study, sites=federation.sites))
        with pytest.raises(CheckFailed, match="isolated"):
            federation.ask(cornered)


def test_in_the_open_the_same_words_are_refused() -> None:
    plain = opened(persons())
    with pytest.raises(CheckFailed, match="with noise or not"):
        plain.ask(sum_ask(ClassMoments(places=tuple(SITES)), what="bare", study=plain.study, sites=tuple(SITES)))
    other = sum_ask(
        ClassMoments(places=("h0", "h1", "h2")), what="no place", study=plain.study, sites=tuple(SITES),
        noise_multiplier=1.0,
    )  # fmt: skip
    with pytest.raises(CheckFailed, match="no place for 'h3'"):
        plain.ask(other)


def test_a_study_that_does_not_list_it_is_not_asked(gates: Callable[..., Any]) -> None:
    with gates(analyses="glm") as (federation, _), pytest.raises(Invalid, match="class_moments"):
        Contributions(blocks=BLOCKS).run(federation, federation.study)


@pytest.mark.parametrize(
    ("blocks", "match"),
    [
        ((("h0", "h1"), ("h2", "h3", "h4", "h5")), "by subtraction"),
        ((("h0", "h0", "h1"), ("h2", "h3", "h4")), "by subtraction"),
        ((("h0", "h1", "h2"), ("h2", "h3", "h4")), "stands in two blocks"),
        ((("h0", "h1", "h2"),), "at least two blocks"),
        ((("h0", "h1", "h2"), ("h3", "h4", "x9")), "no site of the study"),
    ],
)
def test_blocks_that_would_give_a_hospital_away_are_refused(blocks: Any, match: str) -> None:
    plain = opened(persons())
    steps = block_contributions(study=plain.study, blocks=blocks, wanted=QUICK, persons_at_least=LEAST)
    with pytest.raises(Invalid, match=match):
        plain.drive(steps)
    assert plain.asked == 0


def test_as_many_blocks_are_drawn_as_the_policy_lets_be_asked() -> None:
    study = listed()
    many = drawn_blocks(study, SITES, coin="c", most=16, persons_at_least=LEAST)
    assert sorted(site for block in many for site in block) == SITES and [len(block) for block in many] == [3, 3]
    with pytest.raises(Invalid, match="single hospitals with noise"):
        drawn_blocks(study, SITES, coin="c", most=16, persons_at_least=dict.fromkeys(SITES, 5))
    with pytest.raises(Invalid, match="two blocks"):
        drawn_blocks(study, SITES[:5], coin="c", most=16, persons_at_least=LEAST)


def test_few_persons_are_asked_fewer_numbers() -> None:
    plain = opened(persons())
    few = block_contributions(study=plain.study, blocks=BLOCKS, wanted=QUICK, persons_at_least=dict.fromkeys(SITES, 14))
    sparse, rich = plain.drive(few), in_the_open()
    assert [one.asked.products for one in sparse.sums if len(one.sites) == 3 and one.split == "train"] == ["none"] * 2
    assert [one.asked.products for one in rich.sums if len(one.sites) == 3 and one.split == "train"] == ["together"] * 2
    np.testing.assert_allclose(sparse.shares.by_persons, rich.shares.by_persons, atol=0.02)


def test_much_noise_finds_the_shares_of_no_noise_within_their_errors() -> None:
    plain = opened(persons(train=1500))
    steps = site_contributions(study=plain.study, sites=tuple(SITES), wanted=QUICK, epsilon=4.0, delta=1e-5)
    noisy = plain.drive(steps)
    steps = site_contributions(study=plain.study, sites=tuple(SITES), wanted=QUICK, epsilon=90.0, delta=1e-5)
    clear = plain.drive(steps)
    far = np.abs(noisy.shares.by_persons - clear.shares.by_persons)
    assert np.all(far <= 6 * noisy.shares.by_persons_error)
    assert noisy.alike == ()


def test_a_hospital_beneath_its_noise_counts_as_bringing_nothing() -> None:
    plain = opened(persons(train=1500, sites={"h0": 3}))
    steps = site_contributions(study=plain.study, sites=tuple(SITES), wanted=QUICK, epsilon=1.0, delta=1e-5)
    found = plain.drive(steps)
    record = contribution_record(found, study=plain.study, issued_on="2026-01-02", drawn="x")
    assert found.drowned == (0,) and np.all(found.shares.by_persons[0] == 0)
    assert "beside the noise" in record.players[0].remark


# ---- hospitals that want a larger share


def of_hospitals(tables: Any, *, blocks: Any = BLOCKS, within: float | None = 0.05) -> Contributed:
    study = listed()
    sites = sorted(tables)
    wide = study.model_copy(update={"sites": tuple(sites)})
    plain = opened(tables, wide)
    steps = block_contributions(
        study=wide, blocks=blocks, wanted=replace(QUICK, within=within), persons_at_least=dict.fromkeys(sites, 1_000)
    )
    return plain.drive(steps)


def copied(tables: Any, site: str, *, change: float, times: int = 4) -> Any:
    rng, rows = np.random.default_rng(5), tables[site]["train"]
    more = [
        rows.with_columns(
            (pl.col("age") + pl.Series(np.round(rng.uniform(-change, change, rows.height) * 80))).clip(18, 100),
            (pl.col("marker") + pl.Series(rng.uniform(-change, change, rows.height) * 200)).clip(0, 200),
        )
        for _ in range(times - 1)
    ]
    return {**tables, site: {**tables[site], "train": pl.concat([rows, *more])}}


@pytest.mark.parametrize("change", [0.0, 0.01])
def test_a_hospital_that_copies_its_rows_raises_its_blocks_share_only_where_copies_count(change: float) -> None:
    tables = persons(train=100, sites={"h0": 300})
    for within, works in ((None, True), (0.05, False)):
        before, after = (
            of_hospitals(tables, within=within),
            of_hospitals(copied(tables, "h0", change=change), within=within),
        )
        raised = after.shares.by_persons[0, 0] - before.shares.by_persons[0, 0]
        assert bool(raised > before.shares.by_persons_error[0, 0]) is works
        if not works:
            assert raised <= 0.5 * before.shares.by_persons_error[0, 0]


def test_a_block_that_tells_another_blocks_sums_is_named() -> None:
    plain = opened(persons())
    seen: dict[str, Any] = {}

    def copies(site: str, ask: Any, honest: Any) -> Any:
        twin = f"h{int(site[1]) % 3}"
        if site in BLOCKS[0]:
            seen[site, ask.split, ask.shape.entries] = honest
            return honest
        return replace(honest, vector=seen.get((twin, ask.split, ask.shape.entries), honest).vector)

    for altered, named in ((None, False), (copies, True)):
        if altered is not None:
            plain.altered = altered
        steps = block_contributions(study=plain.study, blocks=BLOCKS, wanted=QUICK, persons_at_least=LEAST)
        found = plain.drive(steps)
        record = contribution_record(found, study=plain.study, issued_on="2026-01-02", drawn="x")
        assert bool(found.alike) is named
        assert ("look into it" in record.players[1].remark) is named


# ---- the record


@pytest.fixture(scope="module")
def told() -> tuple[Contributed, Contribution, Parcel]:
    found = in_the_open()
    record = contribution_record(found, study=listed(), issued_on="2026-01-02", drawn="named beforehand")
    return found, record, seal_contribution(found, record, signer=SIGNER)


def resealed(
    parcel: Parcel, change: Callable[[dict[str, Any]], None], *, blobs: Any = None, kind: str = CONTRIBUTION
) -> bytes:
    said = unseal(parcel.envelope, keys=(SIGNER.public_key,))
    plain = dict(Contribution.from_plain(said.predicate).plain())
    change(plain)
    envelope = seal(Statement(predicate_type=kind, predicate=plain, subjects=said.subjects), SIGNER)
    return Parcel(envelope, parcel.blobs).to_bytes()


def opens(data: bytes) -> Contribution:
    return open_contribution(data, hub_key=SIGNER.public_key, study=listed())


def test_a_record_opens_and_its_table_is_made_again(told: Any) -> None:
    _, record, parcel = told
    assert opens(parcel.to_bytes()) == record
    assert record.players[0].sites == BLOCKS[0] and record.definition == "by_persons"
    assert [one.name for one in record.worth] == ["auroc", "net_benefit@0.4", "worst_site"]
    assert record.basis[0].total.sha256 == sha256(parcel.blobs[0])


def test_nothing_in_a_record_can_be_altered(told: Any) -> None:
    _, _, parcel = told
    whole = parcel.to_bytes()
    with pytest.raises(Broken):
        opens(whole[:-9])
    with pytest.raises(Broken, match="not expected here"):
        open_contribution(whole, hub_key=Signer(bytes(32)).public_key, study=listed())
    with pytest.raises(Broken, match="another study"):
        open_contribution(whole, hub_key=SIGNER.public_key, study=listed().model_copy(update={"version": 2}))
    other = Parcel(parcel.envelope, (pack_vector("total", np.ones(11))[1], *parcel.blobs[1:])).to_bytes()
    with pytest.raises(Broken):
        opens(other)


def better(plain: dict[str, Any]) -> None:
    plain["players"][0]["shares"][0]["by_persons"] = "0.25"


def surer(plain: dict[str, Any]) -> None:
    plain["players"][0]["shares"][0]["by_persons_error"] = "0.0001"


def fewer(plain: dict[str, Any]) -> None:
    plain["players"][0]["shares"] = plain["players"][0]["shares"][:1]


def quiet(plain: dict[str, Any]) -> None:
    plain["players"][1]["remark"] = "a hospital of merit"


def richer(plain: dict[str, Any]) -> None:
    plain["worth"][0]["everybody"] = "0.99"


def stranger(plain: dict[str, Any]) -> None:
    plain["players"][0]["sites"] = ["h0", "h1", "h3"]


def sumless(plain: dict[str, Any]) -> None:
    plain["basis"] = plain["basis"][:-1]


def ridgeless(plain: dict[str, Any]) -> None:
    plain["ridge"] = "0"


def endless(plain: dict[str, Any]) -> None:
    plain["players"][0]["shares"][0]["low"] = "nan"


@pytest.mark.parametrize(
    "change", [better, surer, fewer, quiet, richer, stranger, sumless, ridgeless, endless], ids=lambda one: one.__name__
)
def test_a_record_that_the_hub_signed_wrongly_is_found(told: Any, change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(Broken):
        opens(resealed(told[2], change))


def test_a_record_of_another_kind_is_none(told: Any) -> None:
    with pytest.raises(Broken, match="expected a record of contributions"):
        opens(resealed(told[2], lambda _: None, kind="sum/v1"))


# ---- what a question may hold


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"products": "none"},
        {"products": "squares", "places": []},
        {"products": "none", "places": "h0"},
        {"products": "none", "places": ["h0", "h0"]},
        {"products": "none", "places": [3]},
        {"products": "none", "places": [], "within": 0.05},
        {"products": "none", "places": [], "within": "0.7"},
        {"products": "none", "places": [], "within": "nan"},
        {"products": "none", "places": [], "beta": "1"},
    ],
)
def test_a_broken_question_is_none(parameters: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        ClassMoments.read(parameters, {})


def test_a_place_for_a_stranger_is_refused() -> None:
    with pytest.raises(Invalid, match="no site of the study"):
        ClassMoments(places=("h0", "x")).shape(listed())


@pytest.mark.parametrize("products", ["none", "together", "apart"])
@pytest.mark.parametrize("places", [(), ("h1", "h0")])
def test_no_person_adds_more_than_the_question_says(products: Any, places: tuple[str, ...]) -> None:
    study = listed()
    asked = ClassMoments(products=products, places=places)
    shape = asked.shape(study)
    site = next(iter(plain_sites(study, persons(), entropy=opened(persons()).entropy).values()))
    part = site.part("train")
    for place in range(60):
        one = slice(place, place + 1)
        vector = asked.vector(study, site="h0", x=part.x[one], y=part.y[one], weights=np.ones(1))
        assert np.all(np.abs(vector) <= shape.bound + 1e-12) and np.linalg.norm(vector) <= shape.l2 + 1e-12


def test_what_is_heard_is_what_was_summed() -> None:
    study = listed()
    plain = opened(persons())
    parts = {site: one.part("train") for site, one in plain.sites.items()}
    for products, blocks in (("together", 1), ("apart", 2)):
        for places in ((), tuple(SITES)):
            asked = ClassMoments(products=products, places=places)
            total = sum(
                asked.vector(study, site=site, x=part.x, y=part.y, weights=np.ones(len(part.y)))
                for site, part in parts.items()
            )
            heard = asked.heard(np.asarray(total), study=study)
            x, y = np.concatenate([p.x for p in parts.values()]), np.concatenate([p.y for p in parts.values()])
            expected = [x.T @ x] if blocks == 1 else [x[y == side].T @ x[y == side] for side in (0, 1)]
            np.testing.assert_allclose(heard.products, expected, atol=1e-9)
            if places:
                own = parts["h2"]
                np.testing.assert_allclose(heard.sums[2, 1], own.x[own.y == 1].sum(axis=0), atol=1e-9)
