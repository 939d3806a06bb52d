"""Encrypted sums: exact on their grid, and nothing but a whole total of all sites is ever decrypted."""

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from wardgate.entropy import UnsafeEntropy
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer, seal, unseal
from wardgate.records.errors import Broken, Invalid, Refused, Unsupported
from wardgate.sums import ckks, homomorphic
from wardgate.sums.batch import Batch, Slot
from wardgate.sums.homomorphic import (
    Addend,
    StudyKey,
    agreed_total,
    contribute_encrypted,
    deal_key,
    decrypt_total,
    evaluation_context,
    make_key,
    open_key,
    total_encrypted,
)
from wardgate.sums.plan import SumPlan

STUDY = "5" * 64
SITES = ("amber", "birch", "cedar", "delta")
PERSONS = 1000
BOUND = 1.0
UNIT = PERSONS * BOUND * 2.0**-40
"""A grid step is at most twice this (the scale is a power of two)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    plan: SumPlan
    key: StudyKey
    vectors: dict[str, NDArray[np.float64]]
    addends: dict[str, Addend]
    total: bytes

    def open_at(self, site: str, **other: object) -> NDArray[np.int64]:
        given = {
            "key": self.key,
            "addends": self.addends,
            "own_sha256": sha256(self.addends[site].blob),
            "total": self.total,
            "public_keys": public_keys(self.plan.roster),
        }
        return decrypt_total(self.plan, site=site, **{**given, **other})


def library() -> None:
    pytest.importorskip("tenseal", reason="the extra 'he' is not installed")


@pytest.fixture(scope="module")
def key() -> StudyKey:
    library()
    return make_key()


def signer(site: str) -> Signer:
    return Signer(sha256(site.encode())[:32].encode())


def public_keys(roster: tuple[str, ...]) -> dict[str, bytes]:
    return {site: signer(site).public_key for site in roster}


def plan_for(entries: int, *, sites: tuple[str, ...] = SITES, context: bytes = b"round 1", **noise: object) -> SumPlan:
    return SumPlan(roster=sites, entries=entries, persons=PERSONS, bound=BOUND, context=context, **noise)


def add(plan: SumPlan, site: str, vector: NDArray[np.float64], key: StudyKey, persons: int = 250) -> Addend:
    return contribute_encrypted(
        plan,
        site=site,
        vector=vector,
        persons_here=persons,
        key=key,
        signer=signer(site),
        entropy=UnsafeEntropy(site),
    )


def send(plan: SumPlan, key: StudyKey, seed: int = 1) -> Sent:
    rng = np.random.default_rng(seed)
    vectors = {site: rng.uniform(-250, 250, plan.entries) for site in plan.roster}
    addends = {site: add(plan, site, vector, key) for site, vector in vectors.items()}
    total = total_encrypted(plan, addends, evaluation=evaluation_context(key))
    return Sent(plan=plan, key=key, vectors=vectors, addends=addends, total=total)


@pytest.fixture(scope="module")
def sent(key: StudyKey) -> Sent:
    return send(plan_for(30), key)


def read_single(context: bytes, addend: Addend, entries: int) -> NDArray[np.int64]:
    """What whoever holds `context` reads from one site's ciphertext."""
    return ckks.decrypt(ckks.read_context(context), addend.blob, entries=entries)


# Sums


@pytest.mark.parametrize("entries", [1, 30, 2048, 2049, 5000])
def test_the_total_is_the_exact_sum_of_the_rounded_vectors(key: StudyKey, entries: int) -> None:
    sent = send(plan_for(entries), key)
    opened = {site: sent.open_at(site) for site in SITES[:3]}
    exponents = sent.plan.exponents - homomorphic.COARSER
    expected = sum(np.floor(np.ldexp(vector, exponents) + 0.5).astype(np.int64) for vector in sent.vectors.values())
    for found in opened.values():
        assert np.array_equal(found, expected)
    total = agreed_total(sent.plan, opened)
    assert np.max(np.abs(total - sum(sent.vectors.values()))) <= len(SITES) * UNIT


def test_the_encryption_error_stays_far_below_half_a_step_at_the_largest_totals(
    key: StudyKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites = tuple(f"s{index:02d}" for index in range(40))
    rng = np.random.default_rng(2)
    signs = np.where(rng.random(2048) < 0.5, -1.0, 1.0)
    plan = plan_for(2048, sites=sites)
    addends = {site: add(plan, site, 25 * signs, key, persons=25) for site in sites}
    total = total_encrypted(plan, addends, evaluation=evaluation_context(key))
    seen = ckks.read_context(key.secret)
    monkeypatch.setattr(ckks, "LARGEST_ERROR", 2.0**-8)
    assert np.array_equal(ckks.decrypt(seen, total, entries=2048), np.ldexp(1000 * signs, plan.exponents - 22))


def test_noise_comes_in_shares_as_under_masks(key: StudyKey) -> None:
    plan = plan_for(2000, l2=45.0, noise_multiplier=4.0, tolerated=1, bits=32)
    sent = send(plan, key)
    total = agreed_total(plan, {site: sent.open_at(site) for site in SITES[1:]})
    error = total - sum(sent.vectors.values())
    assert plan.sigma is not None
    promised = np.ldexp(plan.sigma, -int(plan.exponents[0]))
    assert np.std(error) == pytest.approx(promised * np.sqrt(4 / 3), rel=0.08)


def test_noise_in_the_large_ring_and_slots_are_refused(key: StudyKey) -> None:
    plan = plan_for(5, l2=1.0, noise_multiplier=4.0)
    with pytest.raises(Unsupported, match="32 bits"):
        add(plan, "amber", np.zeros(5), key)
    batch = Batch(roster=SITES, context=b"batch", slots=1, threshold=2)
    with pytest.raises(Unsupported, match="every site"):
        add(plan_for(5, slot=Slot(batch=batch, index=0)), "amber", np.zeros(5), key)


def test_a_vector_out_of_bound_is_refused_before_encryption(key: StudyKey) -> None:
    with pytest.raises(Invalid, match="clip each person"):
        add(plan_for(3), "amber", np.array([251.0, 0, 0]), key)
    with pytest.raises(Invalid, match="roster"):
        add(plan_for(3), "elder", np.zeros(3), key)


# The hub


def test_a_hub_with_the_secret_key_reads_every_site_and_one_without_reads_none(sent: Sent) -> None:
    # The broken twin keeps the secret key in the context that it hands to the hub.
    exponents = sent.plan.exponents - homomorphic.COARSER
    read = np.ldexp(read_single(sent.key.secret, sent.addends["amber"], 30).astype(float), -exponents)
    assert np.max(np.abs(read - sent.vectors["amber"])) <= UNIT
    with pytest.raises(ValueError, match="secret_key"):
        read_single(evaluation_context(sent.key), sent.addends["amber"], 30)
    with pytest.raises(ValueError, match="secret_key"):
        read_single(evaluation_context(make_key()), sent.addends["amber"], 30)


def test_another_key_reads_nothing(sent: Sent) -> None:
    with pytest.raises(Refused, match="too noisy"):
        read_single(make_key().secret, sent.addends["amber"], 30)


def test_the_hub_refuses_to_work_with_a_secret_key(sent: Sent) -> None:
    with pytest.raises(Refused, match="must not have it"):
        total_encrypted(sent.plan, sent.addends, evaluation=sent.key.secret)


def test_the_evaluation_context_holds_no_key_bytes(key: StudyKey) -> None:
    context = ckks.read_context(evaluation_context(key))
    assert not context.is_private()
    assert len(evaluation_context(key)) < 200
    with pytest.raises(ValueError, match=r"key|encrypt"):
        ckks.encrypt(context, np.arange(3))


# What a site refuses to decrypt


def single(sent: Sent, victim: str) -> bytes:
    return ckks.add(ckks.read_context(evaluation_context(sent.key)), [sent.addends[victim].blob], entries=30)


def test_a_single_addend_in_place_of_the_total_is_refused(sent: Sent) -> None:
    # Without the check the site would hand out what the victim sent.
    assert np.array_equal(
        ckks.decrypt(ckks.read_context(sent.key.secret), single(sent, "birch"), entries=30),
        read_single(sent.key.secret, sent.addends["birch"], 30),
    )
    for wrong in (single(sent, "birch"), sent.addends["birch"].blob, b""):
        with pytest.raises(Refused, match="not the sum"):
            sent.open_at("amber", total=wrong)


def test_a_list_that_lacks_a_site_or_holds_a_stranger_is_refused(sent: Sent) -> None:
    fewer = {site: sent.addends[site] for site in SITES[:3]}
    with pytest.raises(Refused, match="expected an addend of each"):
        sent.open_at("amber", addends=fewer)
    with pytest.raises(Refused, match="expected an addend of each"):
        sent.open_at("amber", addends=sent.addends | {"elder": sent.addends["birch"]})
    with pytest.raises(Invalid, match="not in the roster"):
        decrypt_total(
            sent.plan,
            site="elder",
            key=sent.key,
            addends=sent.addends,
            own_sha256="",
            total=sent.total,
            public_keys=public_keys(SITES),
        )


def test_one_addend_counted_for_two_sites_is_refused(sent: Sent) -> None:
    twice = sent.addends | {"cedar": sent.addends["birch"]}
    with pytest.raises(Broken):
        sent.open_at("amber", addends=twice)
    # Also where two sites have one long-term key.
    with pytest.raises(Broken, match="for this plan and key"):
        sent.open_at("amber", addends=twice, public_keys=public_keys(SITES) | {"cedar": signer("birch").public_key})


def test_a_ciphertext_that_its_site_did_not_sign_is_refused(sent: Sent) -> None:
    swapped = replace(sent.addends["birch"], blob=sent.addends["cedar"].blob)
    with pytest.raises(Broken, match="is not this ciphertext"):
        sent.open_at("amber", addends=sent.addends | {"birch": swapped})


def test_a_hub_that_puts_its_own_ciphertext_beside_one_victim_is_refused(sent: Sent) -> None:
    """All others replaced by zeros, the total would be the victim. With a copy of the key the hub could make them."""
    zeros = {site: add(sent.plan, site, np.zeros(30), sent.key) for site in SITES if site != "birch"}
    forged = {"birch": sent.addends["birch"]}
    hub = Signer(b"h" * 32)
    for site, addend in zeros.items():
        said = unseal(addend.envelope, keys=[signer(site).public_key])
        forged[site] = replace(addend, envelope=seal(said, hub))
    total = total_encrypted(sent.plan, forged, evaluation=evaluation_context(sent.key))
    with pytest.raises(Broken, match="key"):
        sent.open_at("amber", addends=forged, total=total, own_sha256=sha256(forged["amber"].blob))
    # Colluding sites may sign zeros of their own, but not the ciphertext of the site that is asked.
    with pytest.raises(Refused, match="does not hold what 'amber' sent"):
        sent.open_at("amber", addends={**sent.addends, **zeros}, total=total)


def test_addends_of_another_plan_or_key_are_refused(sent: Sent) -> None:
    later = send(plan_for(30, context=b"round 2"), sent.key)
    with pytest.raises(Broken, match="for this plan and key"):
        sent.open_at("amber", addends=sent.addends | {"birch": later.addends["birch"]})
    foreign = add(sent.plan, "birch", np.zeros(30), make_key())
    with pytest.raises(Broken, match="for this plan and key"):
        sent.open_at("amber", addends=sent.addends | {"birch": foreign})


def test_a_site_unknown_to_the_enrolment_is_refused(sent: Sent) -> None:
    known = public_keys(SITES)
    del known["cedar"]
    with pytest.raises(Broken, match="not expected"):
        sent.open_at("amber", public_keys=known)


def test_an_addend_with_too_much_noise_lets_nothing_out(key: StudyKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounding hides the encryption error only while that is small; a site that makes it large is noticed."""
    plan = plan_for(30)
    monkeypatch.setattr(ckks, "encrypt", _half_steps)
    bad = add(plan, "birch", np.zeros(30), key)
    monkeypatch.undo()
    addends = {site: add(plan, site, np.zeros(30), key) for site in SITES} | {"birch": bad}
    total = total_encrypted(plan, addends, evaluation=evaluation_context(key))
    forged = Sent(plan=plan, key=key, vectors={}, addends=addends, total=total)
    with pytest.raises(Refused, match="too noisy"):
        forged.open_at("amber")


def _half_steps(context: object, steps: NDArray[np.int64]) -> bytes:
    return ckks._join([ckks.tenseal().ckks_vector(context, (steps + 0.5).tolist(), ckks.SCALE)])


# Agreement


def test_fewer_than_three_openings_or_two_that_differ_give_no_total(sent: Sent) -> None:
    found = sent.open_at("amber")
    with pytest.raises(Refused, match="at least 3"):
        agreed_total(sent.plan, {"amber": found, "birch": found, "elder": found})
    lie = found.copy()
    lie[3] += 1
    with pytest.raises(Broken, match="different totals"):
        agreed_total(sent.plan, {"amber": found, "birch": found, "cedar": lie})
    with pytest.raises(Broken, match="different totals"):
        agreed_total(sent.plan, {"amber": found, "birch": found, "cedar": found[:5]})


# The key


def test_a_dealt_key_opens_at_its_site_alone(key: StudyKey) -> None:
    secrets = {site: sha256(site.encode()).encode()[:32] for site in SITES[1:]}
    sealed = deal_key(key, site="amber", pair_secrets=secrets, study_sha256=STUDY, entropy=UnsafeEntropy("deal"))
    assert key.secret not in sealed["birch"]

    def opened(site: str, **other: object) -> StudyKey:
        given: Mapping[str, object] = {"dealer": "amber", "pair_secret": secrets[site], "study_sha256": STUDY}
        return open_key(sealed[site], site=site, **{**given, **other})

    assert opened("birch") == key
    assert opened("birch").key_id == key.key_id
    for wrong in ({"dealer": "cedar"}, {"pair_secret": secrets["cedar"]}, {"study_sha256": "6" * 64}):
        with pytest.raises(Broken, match="does not open"):
            opened("birch", **wrong)
    for damaged in (b"", sealed["birch"][:-1], sealed["birch"][:5], sealed["cedar"]):
        with pytest.raises(Broken, match="does not open"):
            open_key(damaged, site="birch", dealer="amber", pair_secret=secrets["birch"], study_sha256=STUDY)


def test_a_dealt_context_without_a_secret_key_is_refused(key: StudyKey) -> None:
    empty = StudyKey(secret=evaluation_context(key))
    sealed = deal_key(
        empty, site="amber", pair_secrets={"birch": b"s" * 32}, study_sha256=STUDY, entropy=UnsafeEntropy("deal")
    )
    with pytest.raises(Broken, match="no secret key"):
        open_key(sealed["birch"], site="birch", dealer="amber", pair_secret=b"s" * 32, study_sha256=STUDY)


def test_a_key_does_not_show_itself(key: StudyKey) -> None:
    assert "secret" not in repr(key)


def test_one_colluding_site_and_the_hub_read_single_addends_as_documented(sent: Sent) -> None:
    """The known weakness, kept true: the key is shared, and TenSEAL has no threshold keys."""
    read = read_single(sent.key.secret, sent.addends["delta"], 30)
    assert np.array_equal(read, np.floor(np.ldexp(sent.vectors["delta"], sent.plan.exponents - 22) + 0.5))


# Broken input


@pytest.mark.parametrize("cut", [0, 3, 8, 11, 12, 500, -1])
def test_a_damaged_ciphertext_is_invalid(sent: Sent, cut: int) -> None:
    damaged = Addend(envelope=b"", blob=sent.addends["birch"].blob[:cut])
    with pytest.raises(Invalid, match="ciphertext"):
        total_encrypted(sent.plan, sent.addends | {"birch": damaged}, evaluation=evaluation_context(sent.key))


def test_ciphertexts_of_another_length_form_or_scale_are_invalid(sent: Sent) -> None:
    context = ckks.read_context(sent.key.secret)
    coarse = ckks._join([ckks.tenseal().ckks_vector(context, [0.0] * 30, 2.0**20)])
    own = sent.addends["birch"].blob
    for blob in (ckks.encrypt(context, np.zeros(29, dtype=np.int64)), own + b"\0", b"WGCKKS99" + own[8:], coarse):
        with pytest.raises(Invalid, match="ciphertext"):
            total_encrypted(
                sent.plan,
                sent.addends | {"birch": Addend(envelope=b"", blob=blob)},
                evaluation=evaluation_context(sent.key),
            )


def test_unreadable_parameters_are_invalid() -> None:
    library()
    for damaged in (b"", b"x", b"\0" * 50):
        with pytest.raises(Invalid, match="parameters"):
            ckks.read_context(damaged)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "tenseal":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(Unsupported, match=r"wardgate\[he\]"):
        make_key()
