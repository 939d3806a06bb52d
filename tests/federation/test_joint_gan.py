"""The joint GAN over real wards: the contest of pooled persons, refused where asked amiss, blind to one person."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from smallest import STUDY, write_hospital

from wardgate.computations.critic import Critic
from wardgate.computations.menu import MENU
from wardgate.federation.estimators import FederatedGan
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.session import Federation
from wardgate.hospital.ward.learning.menu import ANSWERS
from wardgate.hub import layout
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.joint_gan import GanSettings, JointGan, joint_gan
from wardgate.marginals.domain import domain_of
from wardgate.marginals.levels import whole
from wardgate.records.errors import Absent, CheckFailed, Invalid, NotEvaluable, Unsupported
from wardgate.records.messages import open_answer
from wardgate.records.parcel import Parcel, pack_vector
from wardgate.records.study_file import parse

SITES = [f"h{place}" for place in range(4)]
SMALL = GanSettings(rounds=4, hidden=(4,), generator_hidden=8, generator_noise=4, batch=200, fakes=300)
GRANTS = "budget: {epsilon_total: 8.0, joint_corpus: 2.0}\n"


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Opens a study over four hospitals that lists the critic."""

    @contextmanager
    def open_(*, more: str = "", analyses: str = "critic", persons: int = 400) -> Iterator[tuple[Federation, str]]:
        text = STUDY.replace("SITES", ", ".join(SITES)) + f"analyses: [{analyses}]\n{GRANTS}{more}"
        study = parse(text, name="study.yaml")
        for place, site in enumerate(SITES):
            write_hospital(tmp_path / "hospitals" / site, persons, [11, place], inverted=False, note="")
        (tmp_path / "work").mkdir()
        found = find_hospitals(tmp_path / "hospitals", study)
        settings = Settings(seed=1, issued_on="2026-01-02")
        with local(study=study, hospitals=found, settings=settings, work=tmp_path / "work") as federation:
            yield federation, text

    return open_


def benches(federation: Federation) -> list[Any]:
    return [getattr(link, "link", link)._ward._bench for link in federation.carrier.links.values()]


def carried(federation: Federation, steps: Any, tell: Callable[[Ask], Told]) -> JointGan:
    """Drive the contest with another way of answering its asks."""
    ask = next(steps)
    while True:
        try:
            ask = steps.send(tell(ask))
        except StopIteration as end:
            found: JointGan = end.value
            return found


def contest(federation: Federation, **settings: Any) -> Any:
    return joint_gan(
        study=federation.study,
        sites=federation.sites,
        rng=np.random.default_rng(3),
        settings=replace(SMALL, **settings),
    )


def critic_of(federation: Federation, weights: np.ndarray[Any, Any] | None = None, **changes: Any) -> Critic:
    groups = whole(domain_of(federation.study.features))
    asked = Critic(groups=groups, hidden=(3,), weights=np.zeros(0), longest=1.0)
    filled = asked.network.start(rng=np.random.default_rng(0)) if weights is None else weights
    return replace(asked, **{"weights": filled, **changes})


def test_without_noise_the_contest_over_hospitals_is_that_on_the_pooled_table(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise, and the refusal to go without it, are taken away: then four hospitals are one table."""
    monkeypatch.setattr(Critic, "check_noise", lambda *_: None)
    with opened() as (federation, _):
        pooled = pl.concat([bench.part("train").table for bench in benches(federation)])

        class OneTable:
            study, kept, site = federation.study, {}, "pooled"

            def part(self, _: str) -> Any:
                return type("Part", (), {"table": pooled})

        def central(ask: Ask) -> Told:
            asked = MENU[ask.computation].read(ask.parameters, dict(ask.arrays))
            bounded = ANSWERS[ask.computation].answer(asked, bench=OneTable(), split="train")
            return Told(total=bounded.vector, sites=ask.sites)

        one = carried(federation, contest(federation), central)
        many = carried(federation, contest(federation), lambda ask: federation.ask(replace(ask, noise_multiplier=None)))
    assert many.rounds == one.rounds == 6
    assert np.max(np.abs(many.generator.weights - one.generator.weights)) < 1e-8
    assert np.max(np.abs(many.generator.start - one.generator.start)) < 1e-8
    rows = [found.sample(300, rng=np.random.default_rng(5)) for found in (one, many)]
    assert rows[0].equals(rows[1])


def test_the_contest_draws_rows_says_what_it_cost_and_leaves_a_transcript_that_holds(
    opened: Callable[..., Any], tmp_path: Path
) -> None:
    with opened() as (federation, text):
        found = FederatedGan(settings=SMALL).fit(federation, federation.study)
        ledgers = [bench.door.ledger for bench in benches(federation)]
        assert all(0 < ledger.epsilon("train") <= 2.0 * (1 + 1e-6) for ledger in ledgers)
        federation.save(tmp_path / "out", study_text=text)
    assert found.claim.kind == "dp"
    assert found.claim.epsilon is not None
    assert 1.9 < found.claim.epsilon <= 2.0
    assert sum(event.count for event in found.claim.gaussian) == found.rounds == 6
    assert found.bytes_moved > 0
    assert found.reason == ""
    rng = np.random.default_rng(1)
    table = found.sample(found.persons, rng=rng)
    assert table.columns == ["age", "marker", "sex", "label"]
    assert table["age"].is_between(18, 100).all()
    assert set(table["sex"]) <= {"female", "male"}
    some = found.sample(50, rng=rng, where={"label": 1, "sex": "male", "age": (60, 80)})
    assert some.height == 50
    assert some["label"].eq(1).all()
    assert some["sex"].eq("male").all()
    assert some["age"].is_between(60, 80).all()
    for where in ({"label": 2}, {"nobody": 1}, {"marker": 3.25}, {"age": None}):
        with pytest.raises(Invalid):
            found.sample(5, rng=rng, where=where)
    assert audit(tmp_path / "out").findings == ()


def test_a_round_is_the_sum_of_all_persons_gradients_and_the_promised_noise(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        asked = critic_of(federation)
        ask = sum_ask(asked, what="a round", study=federation.study, sites=federation.sites, noise_multiplier=20.0)
        told = federation.ask(ask)
        plain = sum(ANSWERS["critic"].answer(asked, bench=one, split="train").vector for one in benches(federation))
    assert told.noise >= 20.0
    assert len(plain) > 390
    assert 0.8 < float(np.std(told.sum() - plain)) / told.noise < 1.2, "six deviations of the noise of 395 numbers"


class Vanishing:
    """A road that breaks at the critic's round of a given number and stays broken."""

    def __init__(self, link: Any, after: int) -> None:
        self.link, self.after, self.heard = link, after, 0

    @property
    def public_key(self) -> bytes:
        return bytes(self.link.public_key)

    def send(self, parcel: Parcel) -> None:
        self.heard += layout.peek(parcel.envelope).predicate["computation"] == "critic"
        if self.heard > self.after:
            raise Absent("the road is broken")
        self.link.send(parcel)

    def receive(self) -> Parcel:
        return self.link.receive()  # type: ignore[no-any-return]

    def close(self) -> None:
        self.link.close()


def test_a_hospital_that_vanishes_on_the_way_is_missed_and_the_contest_goes_on(opened: Callable[..., Any]) -> None:
    with opened(more="drop_out: 0.25\n") as (federation, _):
        federation.carrier.links = {
            site: Vanishing(link, 2 if site == "h2" else 99) for site, link in federation.carrier.links.items()
        }
        found = FederatedGan(settings=SMALL).fit(federation, federation.study)
        assert federation.exchange.dropped == {"h2"}
    assert found.rounds == 6
    assert found.reason == ""
    assert found.sites == tuple(SITES)
    assert found.sample(20, rng=np.random.default_rng(0)).height == 20


def test_without_drop_outs_a_broken_round_ends_the_contest_with_what_was_learnt(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        federation.carrier.links = {
            site: Vanishing(link, 2 if site == "h2" else 99) for site, link in federation.carrier.links.items()
        }
        found = FederatedGan(settings=SMALL).fit(federation, federation.study)
    assert found.rounds == 4
    assert "ended after 2 of 4 rounds" in found.reason
    assert "'h2'" in found.reason
    assert sum(event.count for event in found.claim.gaussian) == 6, "the claim covers what was planned, and so spent"


def test_what_the_study_does_not_grant_is_refused_before_anything_is_spent(opened: Callable[..., Any]) -> None:
    with opened(analyses="glm") as (federation, _):
        with pytest.raises(Invalid, match="lists no 'critic'"):
            FederatedGan(settings=SMALL).fit(federation, federation.study)
        with pytest.raises(Invalid, match="more than the 8 that the study grants"):
            next(joint_gan(study=federation.study, sites=federation.sites, rng=np.random.default_rng(0), epsilon=9.0))
        apart = federation.study.model_copy(update={"joint_site": "keep"})
        with pytest.raises(Unsupported, match="keep hospitals apart"):
            next(joint_gan(study=apart, sites=federation.sites, rng=np.random.default_rng(0)))
        with pytest.raises(CheckFailed, match="lists no 'critic'"):
            ask = sum_ask(critic_of(federation), what="a lie", study=federation.study, sites=federation.sites)
            federation.ask(replace(ask, noise_multiplier=20.0))
        assert all(bench.door.ledger.epsilon("train") == 0 for bench in benches(federation))


def test_too_few_persons_for_the_noise_are_not_fitted(opened: Callable[..., Any]) -> None:
    with opened(persons=100) as (federation, _), pytest.raises(NotEvaluable, match="do not stand out of the noise"):
        FederatedGan(settings=SMALL, epsilon=0.05).fit(federation, federation.study)


# A hub that lies.


def asked_amiss(federation: Federation, what: str) -> tuple[Critic, dict[str, Any]]:
    """A good critic, and what is changed in its question."""
    asked = critic_of(federation)
    weights, groups = asked.weights, [list(one) for one in asked.groups]
    spoilt = {
        "nan": {"weights": np.where(np.arange(len(weights)) == 5, np.nan, weights)},
        "infinite": {"weights": np.where(np.arange(len(weights)) == 5, np.inf, weights)},
        "huge": {"weights": np.where(np.arange(len(weights)) == 5, 1e5, weights)},
        "short": {"weights": weights[:-1]},
        "long": {"weights": np.append(weights, 0.0)},
        "wide": {"hidden": [4]},
        "flat": {"hidden": []},
        "deep": {"hidden": [3, 3, 3, 3]},
        "words": {"hidden": ["3"]},
        "negative": {"hidden": [-3]},
        "no-length": {"longest": "0"},
        "endless": {"longest": "inf"},
        "tiny": {"longest": "1e-300"},
        "column-less": {"groups": groups[:-1]},
        "gap": {"groups": [[3 * one for one in groups[0]], *groups[1:]]},
        "cell-less": {"groups": [groups[0][:-1], *groups[1:]]},
        "text": {"groups": "all"},
        "stranger": {"l2": "100"},
    }
    return asked, spoilt[what]


AMISS = {
    "nan": "not finite",
    "infinite": "not finite",
    "huge": "larger than 10000",
    "short": "expected [0-9]+ weights of a critic of this study",
    "long": "expected [0-9]+ weights of a critic of this study",
    "wide": "expected [0-9]+ weights of a critic of this study",
    "flat": "hidden layers",
    "deep": "hidden layers",
    "words": "whole numbers",
    "negative": "at least one unit",
    "no-length": "'longest'",
    "endless": "'longest'|number",
    "tiny": "'longest'",
    "column-less": "groups for 4 columns",
    "gap": "without gaps",
    "cell-less": "without gaps",
    "text": "whole numbers",
    "stranger": "'l2' is amiss",
}


def test_every_ward_refuses_a_critic_that_is_asked_amiss(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        for what, why in AMISS.items():
            asked, spoilt = asked_amiss(federation, what)
            weights = spoilt.pop("weights", asked.weights)
            ask = sum_ask(asked, what="a lie", study=federation.study, sites=federation.sites, noise_multiplier=20.0)
            terms = federation.exchange.terms(ask)
            lie = replace(ask, parameters=ask.parameters | spoilt)
            _, parcel = federation.exchange.sign(lie, [pack_vector("weights", weights)], terms)
            federation.carrier.links["h0"].send(parcel)
            answer = open_answer(
                federation.carrier.links["h0"].receive().envelope, site_key=federation.carrier.links["h0"].public_key
            )
            assert answer.outcome == "refused", what
            assert re.search(why, answer.refusal), (what, answer.refusal)
        assert all(bench.door.ledger.epsilon("train") == 0 for bench in benches(federation))


def test_no_ward_sums_a_critics_gradients_without_noise(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        ask = sum_ask(critic_of(federation), what="a lie", study=federation.study, sites=federation.sites)
        with pytest.raises(CheckFailed, match=r"4 of 4 sites refused.*with noise or not at all"):
            federation.ask(ask)


def test_an_answer_with_a_larger_bound_than_promised_does_not_leave(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened() as (federation, _):
        honest = ANSWERS["critic"].answer

        def boasting(asked: Any, **where: Any) -> Any:
            found = honest(asked, **where)
            return replace(found, shape=replace(found.shape, l2=2.0))

        monkeypatch.setattr(ANSWERS["critic"], "answer", boasting)
        ask = sum_ask(
            critic_of(federation), what="a lie", study=federation.study, sites=federation.sites, noise_multiplier=20.0
        )
        with pytest.raises(CheckFailed, match="within another bound than its question gives"):
            federation.ask(ask)
