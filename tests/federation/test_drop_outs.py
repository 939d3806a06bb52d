"""Hospitals that vanish, at any moment of a sum: the sum of the rest is exact, or the sum stays closed and says why."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from smallest import COLUMNS, STUDY, write_hospital

from wardgate.computations.newton import Newton
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.session import Federation
from wardgate.hospital.ward.learning.newton import step
from wardgate.hub import layout
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.hub.pooling.newton import newton
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.records.errors import Absent, CheckFailed, Vanished
from wardgate.records.messages import open_answer
from wardgate.records.parcel import Parcel, pack_bytes
from wardgate.records.study_file import parse

SITES = [f"h{place}" for place in range(7)]
PHASES = ("prepare", "shares", "newton", "confirm", "reveal")


@dataclass(slots=True)
class Unsteady:
    """A road to a hospital that breaks at a step, for so many questions, or for good."""

    link: Any
    step: str = ""
    lasts: int = 10**9
    lost: int = 0
    asked: list[str] = field(default_factory=list)

    @property
    def public_key(self) -> bytes:
        return self.link.public_key

    def send(self, parcel: Parcel) -> None:
        computation = layout.peek(parcel.envelope).predicate["computation"]
        self.asked.append(computation)
        broken = self.lost > 0 or computation == self.step
        if broken and self.lost < self.lasts:
            self.lost += 1
            raise Absent("the road is broken")
        self.link.send(parcel)

    def receive(self) -> Parcel:
        return self.link.receive()

    def close(self) -> None:
        self.link.close()


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    """Opens a study over seven hospitals in which a third may vanish."""

    @contextmanager
    def open_(
        *, drop_out: str | None = "0.3", persons: int = 230, more: str = "", **changes: Any
    ) -> Iterator[Federation]:
        text = STUDY.replace("SITES", ", ".join(SITES)) + (f"drop_out: {drop_out}\n" if drop_out else "") + more
        study = parse(text, name="study.yaml")
        for place, site in enumerate(SITES):
            write_hospital(tmp_path / "hospitals" / site, 230, [7, place], inverted=False, note="")
        (tmp_path / "work").mkdir()
        with local(
            study=study,
            hospitals=find_hospitals(tmp_path / "hospitals", study),
            settings=Settings(seed=1, issued_on="2026-01-02"),
            work=tmp_path / "work",
        ) as federation:
            federation.carrier.links = {site: Unsteady(link) for site, link in federation.carrier.links.items()}
            for name, value in changes.items():
                setattr(federation, name, value)
            yield federation

    return open_


def one_step(federation: Federation, *, noise_multiplier: float | None = None) -> Ask:
    asked = Newton(beta=np.full(COLUMNS, 0.1))
    return sum_ask(
        asked, what="a step", study=federation.study, sites=federation.sites, noise_multiplier=noise_multiplier
    )


def plain_sum(federation: Federation, sites: tuple[str, ...]) -> np.ndarray[Any, Any]:
    """The sum that only a test can see: over the hospitals' own persons."""
    total = np.zeros(0)
    for site in sites:
        part = federation.carrier.links[site].link._ward._bench.part("train")
        vector = step(Newton(beta=np.full(COLUMNS, 0.1)), part.x, part.y).vector
        total = vector if not len(total) else total + vector
    return total


def vanish(federation: Federation, step: str, sites: Mapping[str, int]) -> None:
    for site, lasts in sites.items():
        federation.carrier.links[site].step, federation.carrier.links[site].lasts = step, lasts


def forever(*sites: str) -> dict[str, int]:
    return dict.fromkeys(sites, 10**9)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("gone", [(), ("h2",), ("h2", "h5")])
def test_the_sum_of_the_rest_is_exact_whenever_hospitals_vanish(
    opened: Callable[..., Any], phase: str, gone: tuple[str, ...]
) -> None:
    with opened() as federation:
        vanish(federation, phase, forever(*gone))
        told: Told = federation.ask(one_step(federation))
        late = phase in ("confirm", "reveal")
        survivors = federation.sites if late else tuple(site for site in federation.sites if site not in gone)
        assert told.sites == survivors
        assert told.sum() == pytest.approx(plain_sum(federation, survivors), rel=1e-12, abs=1e-9)
        assert federation.exchange.dropped == set(federation.sites) - set(survivors)


def test_a_hospital_too_many_keeps_the_sum_closed_and_is_named(opened: Callable[..., Any]) -> None:
    with opened(retries=0) as federation:
        vanish(federation, "newton", forever("h1", "h2", "h3"))
        with pytest.raises(Vanished, match=r"4 of 7 sites are in it, expected at least 5.*h1: did not answer 'newton'"):
            federation.ask(one_step(federation))


def test_without_recovery_one_hospital_that_vanishes_closes_the_sum(opened: Callable[..., Any]) -> None:
    """The protection off: the same vanishing ends the sum."""
    with opened(drop_out=None, retries=0) as federation:
        vanish(federation, "newton", forever("h2"))
        with pytest.raises(Vanished, match="1 of 7 sites did not answer, first 'h2'"):
            federation.ask(one_step(federation))


@pytest.mark.parametrize("step", ["prepare", "shares"])
def test_slots_are_prepared_anew_when_a_hospital_that_missed_them_is_back(
    opened: Callable[..., Any], step: str
) -> None:
    with opened() as federation:
        first = federation.ask(one_step(federation))
        federation.exchange.batches.clear()
        vanish(federation, step, {"h4": 1})
        again = federation.ask(one_step(federation))
        assert again.sites == first.sites == federation.sites
        assert again.sum() == pytest.approx(first.sum(), rel=1e-12)


@pytest.mark.parametrize("drop_out", ["0.3", None])
def test_an_exact_fit_waits_for_a_hospital_that_comes_back(opened: Callable[..., Any], drop_out: str | None) -> None:
    with opened(drop_out=drop_out) as federation:
        whole = federation.drive(newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0))
        vanish(federation, "confirm" if drop_out else "newton", {"h4": 1})
        again = federation.drive(newton(sites=federation.sites, start=np.zeros(COLUMNS), ridge=1.0))
        assert again.beta == pytest.approx(whole.beta, abs=1e-12)


def test_an_exact_sum_without_a_hospital_of_earlier_ones_is_refused_by_every_gate(opened: Callable[..., Any]) -> None:
    """Two totals that differ by one hospital are that hospital's own figures."""
    with opened(retries=0) as federation:
        first = federation.ask(one_step(federation))
        assert len(first.sites) == 7
        vanish(federation, "newton", forever("h2"))
        with pytest.raises(Vanished, match=r"0 sites confirm.*gives them away.*sum\.isolated"):
            federation.ask(one_step(federation))


def test_a_hospital_that_dropped_out_of_an_exact_sum_stays_out_when_it_comes_back(opened: Callable[..., Any]) -> None:
    with opened() as federation:
        vanish(federation, "newton", {"h2": 3})
        first = federation.ask(one_step(federation))
        federation.carrier.links["h2"].step = ""
        second = federation.ask(one_step(federation))
        assert first.sites == second.sites == tuple(site for site in federation.sites if site != "h2")
        assert federation.carrier.links["h2"].asked.count("newton") == 1


def test_a_noisy_fit_goes_on_without_a_hospital(opened: Callable[..., Any]) -> None:
    with opened(more="analyses: [glm]\n") as federation:
        vanish(federation, "confirm", forever("h2"))
        fit = federation.drive(noisy_glm(study=federation.study, sites=federation.sites, epsilon=2.0, delta=1e-6))
        assert np.all(np.isfinite(fit.model.beta))
        assert federation.exchange.dropped == {"h2"}


def test_noise_keeps_its_promise_without_the_hospitals_that_vanished(opened: Callable[..., Any]) -> None:
    """Two of seven vanish and a third collude: what is left still has the promised variance."""
    with opened() as federation:
        vanish(federation, "newton", forever("h2", "h5"))
        multiplier = 3.0
        told = federation.ask(one_step(federation, noise_multiplier=multiplier))
        promised = multiplier * one_step(federation, noise_multiplier=multiplier).shape.l2
        assert len(told.sites) == 5
        assert told.noise * np.sqrt(3 / 5) == pytest.approx(promised), "three honest shares of the five that came"


# What `verify` says of it.


def test_a_transcript_with_vanished_hospitals_is_replayed_and_holds(opened: Callable[..., Any], tmp_path: Path) -> None:
    with opened() as federation:
        vanish(federation, "newton", forever("h2"))
        federation.ask(one_step(federation))
        federation.ask(one_step(federation, noise_multiplier=20.0))
        text = STUDY.replace("SITES", ", ".join(SITES)) + "drop_out: 0.3\n"
        federation.save(tmp_path / "out", study_text=text)
    found = audit(tmp_path / "out")
    assert found.findings == ()
    assert dict(found.checked)["sums, recomputed from the masked answers"] == 2
    assert any("h2 dropped out" in note for note in found.notes)


def test_one_altered_byte_in_what_reopens_a_sum_is_found(opened: Callable[..., Any], tmp_path: Path) -> None:
    with opened() as federation:
        vanish(federation, "newton", forever("h2"))
        federation.ask(one_step(federation))
        federation.save(tmp_path / "out", study_text=STUDY.replace("SITES", ", ".join(SITES)) + "drop_out: 0.3\n")
    vectors = tmp_path / "out" / layout.VECTORS
    whole = vectors.read_bytes()
    rng = np.random.default_rng(3)
    for place in rng.integers(len(whole), size=12):
        vectors.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert audit(tmp_path / "out").findings
    vectors.write_bytes(whole)
    assert audit(tmp_path / "out").findings == ()


# A hub that lies. It holds the hub's key, and may sign whatever it likes.


def lying(
    federation: Federation, site: str, computation: str, blobs: tuple[tuple[str, bytes], ...], **said: Any
) -> Any:
    """Ask one ward whatever the hub likes, and return its signed answer."""
    ask = Ask(what="a lie", computation=computation, sites=(site,), parameters=said)
    question, parcel = federation.exchange.sign(ask, [pack_bytes(name, data) for name, data in blobs], None)
    link = federation.carrier.links[site].link
    link.send(parcel)
    del question
    return open_answer(link.receive().envelope, site_key=link.public_key)


def held_at_confirm(federation: Federation) -> tuple[str, tuple[str, ...]]:
    """Ask for a sum up to the masked answers, and stop there."""
    conversation = federation.exchange.converse(one_step(federation))
    questions = next(conversation)
    while True:
        computation = layout.peek(next(iter(questions.values())).envelope).predicate["computation"]
        if computation == "confirm":
            said = layout.peek(next(iter(questions.values())).envelope).predicate["parameters"]
            return said["sum"], tuple(said["survivors"])
        questions = conversation.send(federation.carrier.carry(questions, computation="confirm"))


def test_a_hub_that_feigns_a_drop_out_gets_no_second_story_from_anybody(opened: Callable[..., Any]) -> None:
    with opened() as federation:
        digest, everybody = held_at_confirm(federation)
        without = [site for site in everybody if site != "h2"]
        first = lying(federation, "h0", "confirm", (), sum=digest, survivors=list(everybody))
        assert first.outcome == "released"
        second = lying(federation, "h0", "confirm", (), sum=digest, survivors=without)
        assert second.outcome == "refused"
        victim = lying(federation, "h2", "confirm", (), sum=digest, survivors=without)
        assert victim.outcome == "refused"
        assert "said to have dropped out" in victim.refusal


def test_nobody_reveals_before_enough_partners_signed_the_same_list(opened: Callable[..., Any]) -> None:
    with opened() as federation:
        digest, everybody = held_at_confirm(federation)
        said = {"sum": digest, "survivors": list(everybody)}
        signed = {}
        for site in everybody:
            answer = lying(federation, site, "confirm", (), **said)
            signed[site] = answer.statement["signature"]
        few = dict(list(signed.items())[:3])
        forged = dict.fromkeys(everybody, "00" * 64)
        swapped = dict(zip(signed, reversed(list(signed.values())), strict=True))
        for confirmations in (few, forged, swapped):
            blob = (("confirmations", layout.canonical(confirmations)),)
            answer = lying(federation, "h0", "reveal", blob, **said)
            assert answer.outcome == "refused", confirmations
            assert "confirmed this list" in answer.refusal
        blob = (("confirmations", layout.canonical(signed)),)
        assert lying(federation, "h0", "reveal", blob, **said).outcome == "released"


def test_a_slot_hides_one_vector_only(opened: Callable[..., Any]) -> None:
    """Asked for a second sum in a used slot, every ward refuses."""
    with opened() as federation:
        federation.ask(one_step(federation))
        prepared = federation.exchange.batches[frozenset(federation.sites)]
        prepared.used -= 1
        with pytest.raises(CheckFailed, match=r"0 of 7 sites are in it.*slot 0 was used"):
            federation.ask(one_step(federation))


def test_a_sum_with_a_lower_least_number_of_survivors_than_the_study_gives_is_refused(
    opened: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened() as federation:
        monkeypatch.setattr("wardgate.hub.recovery.least_survivors", lambda *_, **__: 3)
        with pytest.raises(CheckFailed, match="fewer survivors than the locked study allows"):
            federation.ask(one_step(federation))
