"""Networks trained over real wards: masks and gates change nothing, and whoever vanishes or slows down is named."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_networks import ANALYSES, NETWORKS, SITES, study_of, study_text
from smallest import write_hospital

from wardgate.entropy import UnsafeEntropy
from wardgate.federation import links
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.networks import FederatedNetwork
from wardgate.federation.plain import Plain, PlainSite
from wardgate.federation.session import Federation
from wardgate.hub import layout
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.networks.algorithms import ALGORITHMS
from wardgate.hub.pooling.networks.gather import Alarm
from wardgate.hub.pooling.networks.robust import Robust
from wardgate.hub.pooling.networks.rounds import Trained, train
from wardgate.records.errors import Absent, CheckFailed, Invalid, Vanished
from wardgate.records.study_file import parse

pytest.importorskip("torch")

WORK: Mapping[str, Any] = {"steps": 3}


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Opens the study of networks over six hospitals."""

    @contextmanager
    def open_(**changes: Any) -> Iterator[tuple[Federation, str]]:
        text = study_text(**changes)
        study = parse(text, name="study.yaml")
        for place, site in enumerate(study.sites):
            write_hospital(tmp_path / "hospitals" / site, 230, [11, place], inverted=False, note="")
        (tmp_path / "work").mkdir()
        found = find_hospitals(tmp_path / "hospitals", study)
        settings = Settings(seed=1, issued_on="2026-01-02")
        with local(study=study, hospitals=found, settings=settings, work=tmp_path / "work") as federation:
            yield federation, text

    return open_


def benches(federation: Federation) -> dict[str, Any]:
    return {site: link._ward._bench for site, link in federation.carrier.links.items()}


class Mirror(PlainSite):
    """A ward's persons in the open, with the ward's own order of batches."""

    bench: Any = None

    def rng(self, purpose: str) -> np.random.Generator:
        found: np.random.Generator = self.bench.rng(purpose)
        return found


def in_the_open(federation: Federation) -> Plain:
    entropy = UnsafeEntropy("mirror")
    sites = {}
    for site, bench in benches(federation).items():
        parts = {split: bench.part(split) for split in ("train", "tuning")}
        sites[site] = Mirror(site=site, study=federation.study, parts=parts, entropy=entropy)
        sites[site].bench = bench
    return Plain(study=federation.study, sites=sites, entropy=entropy)


def test_masks_and_gates_change_nothing_but_the_last_digits(opened: Callable[..., Any]) -> None:
    with opened() as (federation, _):
        study = federation.study
        for name in ALGORITHMS:
            network = "norms" if name == "fedbn" else "small"
            ours = FederatedNetwork(network=network, algorithm=name, rounds=3, work=WORK, tune_every=2)
            found = ours.run(federation, study)
            open_steps = train(
                study=study,
                sites=federation.sites,
                network=network,
                algorithm=ALGORITHMS[name].working(**WORK),
                rounds=3,
                tune_every=2,
                coin=federation.exchange.coin,
            )
            plain = in_the_open(federation).drive(open_steps)
            assert np.max(np.abs(found.model.vector - plain.model.vector)) < 2e-5, name
            assert found.best == plain.best
            assert [one.weight for one in found.history] == pytest.approx([one.weight for one in plain.history])
            assert [dict(one.said) for one in found.history] == [dict(one.said) for one in plain.history]


def test_a_training_leaves_a_transcript_that_holds(opened: Callable[..., Any], tmp_path: Path) -> None:
    with opened() as (federation, text):
        model = FederatedNetwork(network="small", rounds=2, work=WORK, tune_every=2).fit(federation, federation.study)
        assert model.predict_proba(benches(federation)["h0"].part("holdout").table).shape[1] == 2
        federation.save(tmp_path / "out", study_text=text)
    assert audit(tmp_path / "out").findings == ()


def test_what_the_study_does_not_lock_is_refused_before_anybody_is_asked(opened: Callable[..., Any]) -> None:
    changed = NETWORKS.replace("units: 4", "units: 5")
    with opened(analyses="glm, network_gradient") as (federation, _):
        asked = len(federation.exchange.store)
        cases = [
            (FederatedNetwork(network="small"), federation.study, "lists no 'network_update'"),
            (FederatedNetwork(network="large"), federation.study, "no network 'large'"),
            (FederatedNetwork(network="small"), study_of(networks=changed), "opened for study"),
            (FederatedNetwork(network="small", algorithm="auto"), federation.study, "give 'commons'"),
            (FederatedNetwork(network="small", work={"pace": 3}), federation.study, "no setting 'pace'"),
            (FederatedNetwork(network="small", delta=1e-6), federation.study, "without an epsilon"),
        ]
        for ours, study, words in cases:
            with pytest.raises(Invalid, match=words):
                ours.fit(federation, study)
        assert len(federation.exchange.store) == asked


def going(
    monkeypatch: pytest.MonkeyPatch, site: str, at: int, *, times: int | None = None, word: str = "network_update"
) -> list[int]:
    """Let a site not answer from its `at`-th question of this word on; for good, or so many times."""
    kept, heard, lost = links.LocalLink.send, [0], []

    def send(link: links.LocalLink, parcel: Any) -> None:
        if link._ward.hospital.id == site:
            computation = layout.peek(parcel.envelope).predicate["computation"]
            heard[0] += computation == word
            if heard[0] >= at and (times is None or len(lost) < times):
                lost.append(heard[0])
                raise Absent("the road is broken")
        kept(link, parcel)

    monkeypatch.setattr(links.LocalLink, "send", send)
    return lost


DROP = "drop_out: 0.2\n"


def test_a_hospital_that_vanishes_before_the_first_sum_is_missed_and_the_others_go_on(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    going(monkeypatch, "h2", 1)
    with opened(more=DROP) as (federation, _):
        found = FederatedNetwork(network="small", rounds=2, work=WORK, tune_every=None).run(
            federation, federation.study
        )
    assert found.sites == tuple(site for site in SITES if site != "h2")
    assert len(found.history) == 2
    assert not found.stopped


def test_a_hospital_that_vanishes_later_is_left_out_with_its_block_and_the_others_go_on(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every gate refuses an exact sum that differs from an earlier one by fewer than three hospitals."""
    going(monkeypatch, "h2", 2)
    with opened(more=DROP) as (federation, _):
        found = FederatedNetwork(network="small", rounds=3, work=WORK, tune_every=None).run(
            federation, federation.study
        )
    assert [len(one.sites) for one in found.history] == [6, 3, 3]
    assert "h2" not in found.history[-1].sites
    (alarm,) = found.alarms
    assert alarm.kind == "block-left-out"
    assert len(alarm.sites) == 3
    assert "h2 did not answer" in alarm.words


@pytest.mark.parametrize("at", [1, 2])
def test_a_hospital_that_vanishes_while_it_judges_is_left_out_of_training_with_its_block(
    at: int, opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    going(monkeypatch, "h2", at, word="model_scores")
    with opened(more=DROP) as (federation, _):
        ours = FederatedNetwork(network="small", rounds=4, work=WORK, tune_every=1)
        found = ours.run(federation, federation.study)
    assert not found.stopped
    assert [len(one.sites) for one in found.history] == [6] * at + [3] * (4 - at)
    assert [alarm.kind for alarm in found.alarms] == ["block-left-out"]
    assert all(np.isfinite(one.loss) for one in found.history)


def test_without_drop_outs_a_hospital_that_vanishes_ends_training_with_what_was_learnt(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    going(monkeypatch, "h2", 2)
    with opened() as (federation, _):
        federation.retries = 0
        found = FederatedNetwork(network="small", rounds=3, work=WORK, tune_every=None).run(
            federation, federation.study
        )
        assert len(found.history) == 1
        assert "ended after 1 of 3 rounds" in found.stopped
        assert "'h2'" in found.stopped


def test_a_hospital_that_is_too_slow_once_is_asked_again_and_nothing_is_lost(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = going(monkeypatch, "h2", 2, times=1)
    with opened() as (federation, _):
        ours = FederatedNetwork(network="small", algorithm="scaffold", rounds=3, work=WORK, tune_every=None)
        found = ours.run(federation, federation.study)
        same = in_the_open(federation).drive(
            train(
                study=federation.study,
                sites=federation.sites,
                network="small",
                algorithm=ALGORITHMS["scaffold"].working(**WORK),
                rounds=3,
                tune_every=None,
            )
        )
    assert len(lost) == 1
    assert len(found.history) == 3
    assert not found.alarms
    assert np.max(np.abs(found.model.vector - same.model.vector)) < 2e-5


def test_a_training_goes_on_from_its_checkpoint_over_real_wards(opened: Callable[..., Any]) -> None:
    ours = FederatedNetwork(network="small", algorithm="scaffold", rounds=3, work=WORK, tune_every=None)
    saved: list[bytes] = []
    with opened() as (federation, _):
        whole = ours.run(federation, federation.study, on_round=lambda point: saved.append(point.to_bytes()))
        again: Trained = ours.run(federation, federation.study, resume=saved[1])
    assert np.array_equal(again.model.vector, whole.model.vector)
    assert again.checkpoint.resumed == 1


def test_groups_vote_and_a_training_over_groups_goes_on_from_its_checkpoint(opened: Callable[..., Any]) -> None:
    robust = Robust(rule="median", every=2)
    ours = FederatedNetwork(network="small", rounds=3, work={"rate": 0.5}, tune_every=3, robust=robust)
    saved: list[bytes] = []
    with opened(sites=9, analyses=f"{ANALYSES}, network_votes") as (federation, _):
        whole = ours.run(federation, federation.study, on_round=lambda point: saved.append(point.to_bytes()))
        again = ours.run(federation, federation.study, resume=saved[1])
        assert not whole.refused
        assert [len(one.sites) for one in whole.history] == [9, 9, 9]
        assert np.array_equal(again.model.vector, whole.model.vector)
        bad = Alarm(kind="final-vote", sites=(), words="the finished model is refused", stops=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FederatedNetwork, "run", lambda *_, **__: replace(whole, alarms=(bad,)))
            with pytest.raises(CheckFailed, match="finished model is refused"):
                ours.fit(federation, federation.study)


def test_a_first_round_that_nobody_answers_is_an_error(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for site in SITES:
        going(monkeypatch, site, 1)
    with opened() as (federation, _), pytest.raises(Vanished):
        FederatedNetwork(network="small", rounds=2, work=WORK, tune_every=None).fit(federation, federation.study)
