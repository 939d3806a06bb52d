"""Personal models over real wards: the same as over open tables, never outside the hospital, and audited."""

import json
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smallest import STUDY, write_hospital

from wardgate.computations.likeness import Likeness
from wardgate.computations.menu import read
from wardgate.entropy import UnsafeEntropy
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.personal import personalise, personalise_plain, said
from wardgate.federation.plain import Plain, PlainSite
from wardgate.federation.session import Federation
from wardgate.hospital.ward.learning.likeness import answer
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.ask import sum_ask
from wardgate.hub.pooling.networks.personal import common_model
from wardgate.measures.personal import MENU, START
from wardgate.models.saving import load
from wardgate.records.canonical import text_of
from wardgate.records.errors import Invalid, Refused
from wardgate.records.messages import Question
from wardgate.records.parcel import pack_vector
from wardgate.records.study_file import parse

SITES = [f"h{place}" for place in range(4)]


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Opens a study over four hospitals; the last one's outcome is turned round where asked."""

    @contextmanager
    def open_(*, analyses: str = "likeness", strange: bool = False) -> Iterator[tuple[Federation, str]]:
        text = STUDY.replace("SITES", ", ".join(SITES)) + f"analyses: [{analyses}]\n"
        study = parse(text, name="study.yaml")
        for place, site in enumerate(SITES):
            inverted = strange and place == 3
            write_hospital(tmp_path / "hospitals" / site, 500, [31, place], inverted=inverted, note="")
        (tmp_path / "work").mkdir()
        found = find_hospitals(tmp_path / "hospitals", study)
        settings = Settings(seed=1, issued_on="2026-01-02")
        with local(study=study, hospitals=found, settings=settings, work=tmp_path / "work") as federation:
            yield federation, text

    return open_


def plainly(federation: Federation) -> Plain:
    """The same persons in the open: only a test may hold them."""
    entropy, sites = UnsafeEntropy("personal"), {}
    for site in federation.sites:
        bench = federation.carrier.links[site]._ward._bench
        parts = {split: bench.part(split) for split in ("train", "tuning", "holdout")}
        sites[site] = PlainSite(site=site, study=federation.study, parts=parts, entropy=entropy, seed=bench.seed)
    return Plain(study=federation.study, sites=sites, entropy=entropy)


def test_wards_say_what_open_tables_say_and_the_transcript_is_audited(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    with opened() as (federation, text):
        found = personalise(federation, federation.study)
        open_ = personalise_plain(plainly(federation))
        federation.save(tmp_path / "transcript", study_text=text)
    assert np.allclose(found.commons[""].likeness.beta, open_.commons[""].likeness.beta, atol=1e-6)
    assert np.allclose(found.commons[""].likeness.shares, open_.commons[""].likeness.shares, atol=1e-4)
    step = federation.study.gate.small_cells.rounding
    for site in SITES:
        assert found.sites[site].took == open_.sites[site].took
        assert set(found.sites[site].figures) == set(open_.sites[site].figures)
        for name, value in found.sites[site].figures.items():
            assert value == pytest.approx(open_.sites[site].figures[name], abs=step / 2 + 1e-4), name
    assert found.judged == tuple(SITES)
    assert "hospitals with 20 events or more" in said(found)
    assert audit(tmp_path / "transcript").findings == ()


def test_hospitals_that_are_alike_share_and_a_strange_one_goes_its_own_way(opened: Callable[..., Any]) -> None:
    with opened(strange=True) as (federation, _):
        found = personalise(federation, federation.study)
    strange = found.sites["h3"].figures
    assert strange["global.auroc"] < 0.5 < strange["local.auroc"] <= strange["shrunk.auroc"] + 0.02
    assert found.commons[""].alike < 0.7
    assert found.worse("shrunk") == ()


def patterns(path: Path) -> list[bytes]:
    """How a model's coefficients could be written: raw in both orders, and as text."""
    model: Any = load(path.read_bytes())
    return [
        form
        for value in model.coefficients
        for form in (struct.pack("<d", value), struct.pack(">d", value), text_of(value)[:12].encode())
    ]


def test_no_personal_coefficient_is_in_anything_that_left(opened: Callable[..., Any], tmp_path: Path) -> None:
    with opened(strange=True) as (federation, text):
        personalise(federation, federation.study)
        federation.save(tmp_path / "transcript", study_text=text)
    left = b"".join(path.read_bytes() for path in sorted((tmp_path / "transcript").rglob("*")) if path.is_file())
    files = [path for path in (tmp_path / "work").rglob("*.json") if path.parent.parent.name == "models"]
    assert {path.name for path in files} == {"global.json", "local.json", "shrunk.json"}
    assert len(files) == 3 * len(SITES)
    for path in files:
        hits = [form for form in patterns(path) if form in left]
        if path.name == "global.json":
            assert hits, "the search finds the common coefficients, which the hub itself sent"
        else:
            assert not hits, path.name


def test_noise_hides_the_shares_and_hospitals_still_get_their_models(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        found = personalise(federation, federation.study, noise_multiplier=10.0)
        exact = personalise_plain(plainly(federation))
    shares = found.commons[""].likeness.shares
    assert not np.allclose(shares, exact.commons[""].likeness.shares, atol=0.02)
    assert shares.sum() == pytest.approx(1.0) and np.all(shares >= 0)
    assert found.judged == tuple(SITES)


def test_a_study_without_likeness_is_told_what_to_lock(opened: Callable[..., Any]) -> None:
    with opened(analyses="glm") as (federation, _), pytest.raises(Invalid, match=r"analyses: \[likeness\]"):
        personalise(federation, federation.study)


def test_two_hospitals_alone_are_no_sum(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        study = federation.study
        asked = Likeness(wants="curvature", beta=np.zeros(4), ridge=1.0)

        def two() -> Any:
            yield sum_ask(asked, what="two hospitals", study=study, sites=("h0", "h1"))

        with pytest.raises(Refused, match="at least 3 sites"):
            federation.drive(two())


def shares_asked(plain: Plain) -> Likeness:
    """The last question about shares, over open tables."""
    return plain.drive(common_model(study=plain.study, sites=tuple(plain.sites), ridge=1.0)).likeness


def test_one_hospitals_shares_tell_that_it_is_strange_and_the_sum_does_not_tell_which(
    opened: Callable[..., Any],
) -> None:
    """The attack works on a single answer, which nobody gets; the sum is the same whoever is strange."""
    with opened(strange=True) as (federation, _):
        plain = plainly(federation)
    asked = shares_asked(plain)
    alone = {site: answer(asked, bench=bench, split="train").vector for site, bench in plain.sites.items()}
    same = {site: float(vector[0]) for site, vector in alone.items()}
    assert min(same, key=lambda site: same[site]) == "h3" and same["h3"] < 0.01
    total = np.sum(list(alone.values()), axis=0)
    renamed = dict(zip(plain.sites, [*list(plain.sites.values())[1:], plain.sites["h0"]], strict=True))
    for site, bench in renamed.items():
        bench.site, bench.kept = site, {}
    turned = Plain(study=plain.study, sites=renamed, entropy=plain.entropy)
    told = turned.ask(sum_ask(asked, what="again", study=plain.study, sites=tuple(renamed))).sum()
    assert np.allclose(told, total, atol=1e-9)


def test_one_person_moves_a_hospitals_answer_within_its_bound(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        plain = plainly(federation)
    asked, bench = shares_asked(plain), plain.sites["h0"]
    shape, whole = asked.shape(plain.study), answer(asked, bench=bench, split="train").vector
    part = bench.part("train")
    for left_out in range(5):
        keep = np.arange(len(part.y)) != left_out
        fewer = type(part)(table=part.table.filter(keep), x=part.x[keep], y=part.y[keep])
        bench.parts, bench.kept = {**bench.parts, "train": fewer}, {}
        moved = answer(asked, bench=bench, split="train").vector - whole
        assert np.linalg.norm(moved) <= shape.l2 and np.all(np.abs(moved) <= shape.bound)
        bench.parts = {**bench.parts, "train": part}


def test_a_hospital_without_persons_adds_nothing(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        plain = plainly(federation)
    asked, bench = shares_asked(plain), plain.sites["h0"]
    part = bench.part("train")
    nobody = type(part)(table=part.table.head(0), x=part.x[:0], y=part.y[:0])
    bench.parts = {**bench.parts, "train": nobody}
    assert not answer(asked, bench=bench, split="train").vector.any()


def test_the_question_is_read_as_it_was_asked() -> None:
    asked = Likeness(wants="shares", beta=np.zeros(4), ridge=1.0, hessian=np.eye(4), shares=np.array(START))
    packed = [pack_vector(name, array) for name, array in asked.arrays()]
    question = Question.model_validate(
        {"study_sha256": "ab" * 32, "number": 1, "computation": "likeness", "split": "train"}
        | {"parameters": json.loads(json.dumps(asked.parameters())), "vectors": tuple(ref for ref, _ in packed)}
    )
    found = read(question, [data for _, data in packed])
    assert isinstance(found, Likeness) and len(found.shares) == len(MENU)
