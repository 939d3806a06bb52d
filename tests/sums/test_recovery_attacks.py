"""Attacks on sums with recovery. Each is first shown to work with one protection off, and then to fail with it on."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from wardgate.entropy import UnsafeEntropy
from wardgate.records.errors import Broken, Invalid, Refused
from wardgate.sums import ring, seat
from wardgate.sums.batch import Batch
from wardgate.sums.deposit import packet_for, pair_seed, read_deposit, seal, self_key, unlock, unseal
from wardgate.sums.keys import pair_secrets, private_key, public_bytes, sum_key
from wardgate.sums.mask import add_stream
from wardgate.sums.plan import SumPlan, partners
from wardgate.sums.recovery import recover_total
from wardgate.sums.reveal import read_reveal
from wardgate.sums.seat import Seat, Used, prepare
from wardgate.sums.shamir import combine, to_bytes
from wardgate.sums.survivors import survivors_digest

Make = Callable[..., Any]
ENTRIES = 2000


def ones(plan: SumPlan) -> dict[str, np.ndarray]:
    return {site: np.full(plan.entries, float(number + 1)) for number, site in enumerate(plan.roster)}


def unmasked(
    plan: SumPlan, masked: Any, *, site: str, seeds: Mapping[str, bytes], self_seed: bytes | None
) -> np.ndarray:
    """What the hub reads of one site's vector when it takes off the masks that it knows."""
    left = stripped(plan, masked, site=site, seeds=seeds)
    if self_seed is not None:
        add_stream(left, self_key(self_seed, site=site, context=plan.digest), negative=True)
    return ring.decode(left[: plan.entries], exponents=plan.exponents)


def stripped(plan: SumPlan, masked: Any, *, site: str, seeds: Mapping[str, bytes]) -> Any:
    """Take off the pair masks that come from these seeds."""
    left = masked.copy()
    for other, seed in seeds.items():
        add_stream(left, sum_key(seed, context=plan.digest), negative=site < other)
    return left


def is_noise(plan: SumPlan, read: np.ndarray) -> bool:
    """Whether what was read is uniform over the whole ring."""
    places = np.ldexp(read, plan.exponents) / 2.0**plan.bits + 0.5
    return bool(stats.kstest(places, "uniform").pvalue > 1e-4)


def lock_seeds(rehearsal: Any, plan: SumPlan, *, site: str, shares: Mapping[str, int]) -> dict[str, bytes] | None:
    """Reconstruct a site's lock key from shares by holder, and open its pair seeds, as the hub can."""
    key = secret_of(rehearsal.batch, site=site, shares=shares)
    deposit = read_deposit(rehearsal.batch, rehearsal.deposits[site], site=site)
    seeds = unlock(deposit.locks[plan.slot.index], key=key, site=site, slot=plan.slot.name)
    return None if seeds is None else dict(zip(rehearsal.batch.partners(site), seeds, strict=True))


def secret_of(batch: Batch, *, site: str, shares: Mapping[str, int]) -> bytes:
    places = {other: place for place, other in enumerate(batch.partners(site), start=1)}
    return to_bytes(combine({places[other]: share for other, share in sorted(shares.items())[: batch.threshold]}))


def shares_of(plan: SumPlan, survivors: tuple[str, ...], reveals: Mapping[str, bytes], *, site: str) -> dict[str, int]:
    digest = survivors_digest(plan, survivors)
    return {
        holder: read_reveal(plan, data, site=holder, survivors=digest)[site]
        for holder, data in reveals.items()
        if holder != site
    }


# --- a hub that calls a site dropped out whose vector it holds


def feigned(rehearse: Make, batch_of: Make) -> tuple[SumPlan, str, dict[str, bytes], Any]:
    """The hub holds everybody's vector, says that one site dropped out, and gets its lock key."""
    rehearsal = rehearse(batch_of(6, dropouts=1))
    plan = rehearsal.plan(entries=ENTRIES)
    masked = rehearsal.contribute(plan, ones(plan))
    victim = plan.roster[0]
    survivors = plan.roster[1:]
    reveals = rehearsal.reveal(plan, survivors, by=survivors)
    seeds = lock_seeds(rehearsal, plan, site=victim, shares=shares_of(plan, survivors, reveals, site=victim))
    return plan, victim, seeds or {}, masked[victim]


def test_a_feigned_drop_out_opens_the_site_without_self_masks(
    rehearse: Make, batch_of: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Protection off: nobody adds a self mask.
    monkeypatch.setattr(seat, "add_stream", lambda *_: None)
    plan, victim, seeds, held = feigned(rehearse, batch_of)
    assert np.all(unmasked(plan, held, site=victim, seeds=seeds, self_seed=None) == 1.0)


def test_a_feigned_drop_out_reads_noise_under_the_self_mask(rehearse: Make, batch_of: Make) -> None:
    plan, victim, seeds, held = feigned(rehearse, batch_of)
    assert is_noise(plan, unmasked(plan, held, site=victim, seeds=seeds, self_seed=None))


def test_a_vector_that_comes_late_is_not_opened_either(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(6, dropouts=1))
    plan = rehearsal.plan(entries=ENTRIES)
    vectors, victim = ones(plan), plan.roster[0]
    survivors = plan.roster[1:]
    found = rehearsal.whole(plan, {site: vectors[site] for site in survivors})
    assert np.all(found.total == 2 + 3 + 4 + 5 + 6)
    late = rehearsal.contribute(plan, {victim: vectors[victim]})[victim]
    # The twin: had its self seed been known, it would lie open now; so nobody may reveal that any more.
    seeds = {other: pair_seed(rehearsal.secrets[victim][other], slot=plan.slot.name) for other in survivors}
    own = prepare(
        rehearsal.batch, site=victim, pair_secrets=rehearsal.secrets[victim], entropy=UnsafeEntropy("seat" + victim)
    )[0]
    assert np.all(unmasked(plan, late, site=victim, seeds=seeds, self_seed=own.slots[0].self_seed) == 1.0)
    assert is_noise(plan, unmasked(plan, late, site=victim, seeds=seeds, self_seed=None))
    for site in survivors:
        with pytest.raises(Refused, match="changed after it was confirmed"):
            rehearsal.seats[site].confirm(plan, plan.roster)
        with pytest.raises(Refused, match="reveals nothing"):
            rehearsal.seats[site].reveal(plan, survivors=plan.roster, confirmed_by=plan.roster)
    with pytest.raises(Refused, match="stays out"):
        rehearsal.seats[victim].confirm(plan, survivors)


# --- a hub that asks for both shares of a site


class Forgetful(Seat):
    """The broken twin: it forgets which list it confirmed, and deletes nothing."""

    def confirm(self, plan: SumPlan, survivors: tuple[str, ...]) -> bytes:
        index = plan.slot.index
        slots, held = self.slots[index], {other: list(shares) for other, shares in self.held.items()}
        digest = super().confirm(plan, survivors)
        self.revealed = self.slots[index].revealed
        self.slots[index], self.held = slots, held
        return digest

    def reveal(self, plan: SumPlan, *, survivors: tuple[str, ...], confirmed_by: Iterable[str]) -> bytes:
        self.confirm(plan, survivors)
        return self.revealed


def forget(rehearsal: Any) -> None:
    for site, kept in rehearsal.seats.items():
        rehearsal.seats[site] = Forgetful(
            batch=kept.batch, site=site, slots=kept.slots, held=kept.held, heard=kept.heard
        )


def ask_twice(rehearsal: Any, plan: SumPlan) -> np.ndarray:
    """Open the whole sum, then ask the same sites again as if the victim had dropped out."""
    victim = plan.roster[0]
    masked = rehearsal.contribute(plan, ones(plan))
    first = rehearsal.reveal(plan, plan.roster, by=plan.roster)
    second = rehearsal.reveal(plan, plan.roster[1:], by=plan.roster[1:])
    self_seed = secret_of(rehearsal.batch, site=victim, shares=shares_of(plan, plan.roster, first, site=victim))
    seeds = lock_seeds(rehearsal, plan, site=victim, shares=shares_of(plan, plan.roster[1:], second, site=victim))
    return unmasked(plan, masked[victim], site=victim, seeds=seeds, self_seed=self_seed)


def test_sites_that_forget_give_both_shares_and_the_victim_lies_open(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(6, dropouts=1))
    forget(rehearsal)
    plan = rehearsal.plan(entries=20)
    assert np.all(ask_twice(rehearsal, plan) == 1.0)


def test_nobody_gives_both_shares_however_often_it_is_asked(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(6, dropouts=1))
    plan = rehearsal.plan(entries=20)
    with pytest.raises(Refused, match="changed after it was confirmed"):
        ask_twice(rehearsal, plan)
    # The same question again is answered by the same bytes, and the other shares are gone from the seat.
    for kept in rehearsal.seats.values():
        again = [kept.reveal(plan, survivors=plan.roster, confirmed_by=plan.roster) for _ in range(3)]
        assert len(set(again)) == 1
        assert all(shares[0] is None for shares in kept.held.values())
        with pytest.raises(Refused, match="reveals nothing"):
            kept.reveal(plan, survivors=plan.roster[1:], confirmed_by=plan.roster)


def test_two_questions_on_one_slot_do_not_get_both_shares(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(6, dropouts=1))
    plan = rehearsal.plan(entries=20)
    other = replace(plan, context=b"another sum")
    rehearsal.contribute(plan, ones(plan))
    rehearsal.reveal(plan, plan.roster, by=plan.roster)
    for kept in rehearsal.seats.values():
        with pytest.raises(Refused, match="contributed nothing under this plan"):
            kept.confirm(other, plan.roster)
        with pytest.raises(Refused, match="reveals nothing"):
            kept.reveal(other, survivors=plan.roster, confirmed_by=plan.roster)


def split_lists(rehearsal: Any, plan: SumPlan, *, victim: str, colluders: tuple[str, ...]) -> tuple[int, int]:
    """Tell half of the honest sites that the victim survived and half that it dropped; colluders give all.

    Returns how many shares of its self seed and of its lock key the hub gets. Confirmations are forged: each half
    is told that everybody confirmed its list.
    """
    rehearsal.contribute(plan, ones(plan))
    honest = [site for site in plan.roster if site != victim and site not in colluders]
    without = tuple(site for site in plan.roster if site != victim)
    counts = []
    for survivors, told in ((plan.roster, honest[::2]), (without, honest[1::2])):
        reveals = {}
        for site in told:
            rehearsal.seats[site].confirm(plan, survivors)
            reveals[site] = rehearsal.seats[site].reveal(plan, survivors=survivors, confirmed_by=plan.roster)
        counts.append(len(shares_of(plan, survivors, reveals, site=victim)) + len(colluders))
    return counts[0], counts[1]


@pytest.mark.parametrize("colluders", [0, 2])
def test_two_lists_for_two_halves_give_both_secrets_only_below_the_enforced_threshold(
    rehearse: Make, batch_of: Make, colluders: int
) -> None:
    batch = batch_of(11, colluders=colluders)
    names = batch.roster
    evil = names[1 : 1 + colluders]
    # Protection off: the threshold that is safe against nobody, half of the partners, smuggled past the check.
    weak = replace(batch)
    object.__setattr__(weak, "threshold", (batch.holders + colluders) // 2)
    rehearsal = rehearse(weak)
    got = split_lists(rehearsal, rehearsal.plan(), victim=names[0], colluders=evil)
    assert min(got) >= weak.threshold
    with pytest.raises(Invalid, match="threshold"):
        replace(batch, threshold=weak.threshold)
    rehearsal = rehearse(batch)
    got = split_lists(rehearsal, rehearsal.plan(), victim=names[0], colluders=evil)
    assert min(got) < batch.threshold


def test_colluders_who_were_not_reckoned_with_do_break_it(rehearse: Make, batch_of: Make) -> None:
    # What the threat model says: two colluders under a threshold for none.
    batch = batch_of(11, colluders=0)
    rehearsal = rehearse(batch)
    got = split_lists(rehearsal, rehearsal.plan(), victim=batch.roster[0], colluders=batch.roster[1:3])
    assert min(got) >= batch.threshold


def test_without_confirmations_a_site_reveals_nothing(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(11, colluders=2))
    plan = rehearsal.plan()
    rehearsal.contribute(plan, ones(plan))
    kept = rehearsal.seats[plan.roster[0]]
    kept.confirm(plan, plan.roster)
    needed = rehearsal.batch.threshold
    for names in (
        (),
        plan.roster[1:needed],
        (plan.roster[0], *plan.roster[1:needed]),
        ("x", "y", *plan.roster[1:needed]),
    ):
        with pytest.raises(Refused, match="confirmed this list"):
            kept.reveal(plan, survivors=plan.roster, confirmed_by=names)
    assert kept.reveal(plan, survivors=plan.roster, confirmed_by=plan.roster[1 : needed + 1])


def test_two_honest_sites_cannot_both_be_shown_enough_confirmations_of_two_lists(batch_of: Make) -> None:
    # Each honest site confirms one list, each colluder both; two sites that reveal need threshold each.
    for count in range(3, 51):
        for colluders in range(count - 2):
            batch = batch_of(count, colluders=colluders)
            honest = count - colluders
            # List A is confirmed by a of the honest, B by the rest; a site counts its partners and not itself.
            for a in range(1, honest):
                shown_a, shown_b = a - 1 + colluders, honest - a - 1 + colluders
                assert min(shown_a, shown_b) < batch.threshold


# --- a hub that replays a slot


def replayed(rehearsal: Any, plan: SumPlan, other: SumPlan) -> np.ndarray:
    """Ask one site twice in one slot and look at the difference."""
    victim = plan.roster[0]
    first = rehearsal.contribute(plan, {victim: np.zeros(plan.entries)})[victim]
    second = rehearsal.contribute(other, {victim: np.full(plan.entries, 7.0)})[victim]
    return ring.decode((second - first)[: plan.entries], exponents=plan.exponents)


def refill(rehearsal: Any) -> None:
    """The broken twin: a slot that is never spent."""
    for kept in rehearsal.seats.values():

        class Always(list):  # type: ignore[type-arg]
            def __setitem__(self, *_: Any) -> None:
                pass

        kept.slots = Always(kept.slots)


def test_a_slot_used_twice_gives_the_difference_away_and_is_refused(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(4))
    refill(rehearsal)
    plan = rehearsal.plan(entries=ENTRIES)
    assert np.all(replayed(rehearsal, plan, plan) == 7.0)
    # One protection back on: masks are keyed by the plan, so another plan on the same slot tells nothing.
    assert is_noise(plan, replayed(rehearsal, plan, replace(plan, context=b"another sum")))
    # And the other: a slot is spent by its first vector.
    for other in (plan, replace(plan, context=b"another sum")):
        with pytest.raises(Refused, match="was used"):
            replayed(rehearse(batch_of(4)), plan, other)


def test_self_masks_of_two_plans_do_not_cancel_either(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(4))
    refill(rehearsal)
    plan, victim = rehearsal.plan(entries=ENTRIES), rehearsal.roster[0]
    seeds = {other: pair_seed(rehearsal.secrets[victim][other], slot=plan.slot.name) for other in plan.roster[1:]}

    def without_pairs(asked: SumPlan, value: float) -> Any:
        masked = rehearsal.contribute(asked, {victim: np.full(ENTRIES, value)})[victim]
        return stripped(asked, masked, site=victim, seeds=seeds)[:ENTRIES]

    def difference(other: SumPlan) -> np.ndarray:
        return ring.decode(without_pairs(other, 7.0) - without_pairs(plan, 0.0), exponents=plan.exponents)

    # The twin is one plan asked twice by a hub that feigned a drop-out; then the self masks are the same.
    assert np.all(difference(plan) == 7.0)
    for change in ({"context": b"another sum"}, {"slot": replace(plan.slot, least=4)}, {"persons": 79}):
        assert is_noise(plan, difference(replace(plan, **change)))


def test_a_vector_that_was_refused_leaves_the_slot_open(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(3))
    plan = rehearsal.plan()
    for bad in ([math.nan, 0, 0, 0], [math.inf, 0, 0, 0], [20.5, 0, 0, 0], [0, 0, 0]):
        with pytest.raises(Invalid) as error:
            rehearsal.contribute(plan, {"site-000": np.array(bad)})
        assert "20.5" not in str(error.value)
    assert rehearsal.whole(plan, ones(plan)).total.tolist() == [6.0] * 4


def two_lives(rehearsal: Any, again: Any, plan: SumPlan) -> np.ndarray:
    """Open a sum in one life of the sites, and call the victim dropped out in the other."""
    victim, others = plan.roster[0], plan.roster[1:]
    masked = rehearsal.contribute(plan, ones(plan))
    again.contribute(plan, ones(plan))
    first = rehearsal.reveal(plan, plan.roster, by=plan.roster)
    second = again.reveal(plan, others, by=others)
    self_seed = secret_of(rehearsal.batch, site=victim, shares=shares_of(plan, plan.roster, first, site=victim))
    seeds = lock_seeds(again, plan, site=victim, shares=shares_of(plan, others, second, site=victim))
    return unmasked(plan, masked[victim], site=victim, seeds=seeds or {}, self_seed=self_seed)


def test_sites_that_all_prepare_twice_under_one_batch_are_read_and_one_memory_refuses(
    rehearse: Make, batch_of: Make
) -> None:
    # What a ward must never do: it loses its memory and answers the same question to prepare once more.
    batch = batch_of(5, dropouts=1)
    rehearsal, again = rehearse(batch), rehearse(batch, seed="another life")
    plan = rehearsal.plan(entries=20)
    assert np.all(two_lives(rehearsal, again, plan) == 1.0)
    # Another batch has other pair seeds, so what it reveals does not fit the first.
    elsewhere = rehearse(replace(batch, context=b"another batch"))
    rehearsal = rehearse(batch)
    victim, others = batch.roster[0], batch.roster[1:]
    masked = rehearsal.contribute(plan, ones(plan))
    first = rehearsal.reveal(plan, plan.roster, by=plan.roster)
    other_plan = elsewhere.plan(entries=20)
    elsewhere.contribute(other_plan, ones(other_plan))
    second = elsewhere.reveal(other_plan, others, by=others)
    self_seed = secret_of(batch, site=victim, shares=shares_of(plan, plan.roster, first, site=victim))
    seeds = lock_seeds(elsewhere, other_plan, site=victim, shares=shares_of(other_plan, others, second, site=victim))
    read = unmasked(plan, masked[victim], site=victim, seeds=seeds or {}, self_seed=self_seed)
    assert not np.any(read == 1.0)
    # A site that remembers takes no second set of shares.
    with pytest.raises(Refused, match="two different sets"):
        rehearsal.seats[others[0]].accept(
            {victim: packet_for(batch, again.deposits[victim], sender=victim, recipient=others[0])},
            pair_secrets=rehearsal.secrets[others[0]],
        )


# --- a hub that swaps keys or shows a false roster


def enrolled_keys(names: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, bytes]]:
    privates = {site: private_key(entropy=UnsafeEntropy(site)) for site in names}
    return privates, {site: public_bytes(private) for site, private in privates.items()}


def test_a_hub_in_the_middle_reads_the_victim_if_its_keys_are_believed_and_is_caught_if_not(
    rehearse: Make, batch_of: Make
) -> None:
    batch = batch_of(4, dropouts=1)
    victim, *others = batch.roster
    privates, publics = enrolled_keys(batch.roster)
    hub = private_key(entropy=UnsafeEntropy("hub"))
    false = {**dict.fromkeys(others, public_bytes(hub)), victim: publics[victim]}
    study = "5" * 64

    def attack(believed: Mapping[str, bytes]) -> tuple[SumPlan, np.ndarray]:
        known = pair_secrets(privates[victim], site=victim, publics=believed, study_sha256=study)
        middle = {
            other: pair_secrets(hub, site=other, publics={victim: publics[victim]}, study_sha256=study)[victim]
            for other in others
        }
        kept, deposit = prepare(batch, site=victim, pair_secrets=known, entropy=UnsafeEntropy("victim"))
        forged = {}
        for other in others:
            _, fake = prepare(
                batch,
                site=other,
                pair_secrets=dict.fromkeys(batch.partners(other), middle[other]),
                entropy=UnsafeEntropy(other),
            )
            forged[other] = packet_for(batch, fake, sender=other, recipient=victim)
        kept.accept(forged, pair_secrets=known)
        rehearsal = rehearse(batch)
        plan = rehearsal.plan(entries=50)
        masked = kept.contribute(
            plan, vector=np.ones(50), persons_here=1, pair_secrets=known, entropy=UnsafeEntropy("noise")
        )
        # The hub is every partner: it opens all shares of the victim, and so its self seed.
        shares = {
            other: unseal(
                packet_for(batch, deposit, sender=victim, recipient=other),
                secret=middle[other],
                batch=batch,
                sender=victim,
                recipient=other,
            )[0].self_share
            for other in others
        }
        seeds = {other: pair_seed(middle[other], slot=plan.slot.name) for other in others}
        self_seed = secret_of(batch, site=victim, shares=shares)
        return plan, unmasked(plan, masked, site=victim, seeds=seeds, self_seed=self_seed)

    # Protection off: the victim takes the keys from the hub. On: it takes those of the signed enrolments.
    assert np.all(attack(false)[1] == 1.0)
    with pytest.raises(Broken, match="do not open"):
        attack(publics)


def test_one_swapped_key_or_another_roster_is_noticed_before_any_vector_is_masked(
    rehearse: Make, batch_of: Make
) -> None:
    batch = batch_of(4, dropouts=1)
    rehearsal = rehearse(batch)
    one, other = batch.roster[:2]
    told = replace(batch, roster=("a-stranger", *batch.roster), threshold=3)
    fresh, _ = prepare(batch, site=one, pair_secrets=rehearsal.secrets[one], entropy=UnsafeEntropy("fresh"))
    packet = packet_for(batch, rehearsal.deposits[other], sender=other, recipient=one)
    swapped = {**rehearsal.secrets[one], other: bytes(32)}
    with pytest.raises(Broken, match=other):
        fresh.accept({other: packet}, pair_secrets=swapped)
    wider = {**rehearsal.secrets[other], "a-stranger": bytes(32)}
    _, elsewhere = prepare(told, site=other, pair_secrets=wider, entropy=UnsafeEntropy("elsewhere"))
    with pytest.raises(Broken, match=other):
        fresh.accept(
            {other: packet_for(told, elsewhere, sender=other, recipient=one)}, pair_secrets=rehearsal.secrets[one]
        )
    plan = rehearsal.plan()
    with pytest.raises(Invalid, match="leave them out"):
        fresh.contribute(plan, vector=np.ones(4), persons_here=1, pair_secrets=swapped, entropy=UnsafeEntropy("noise"))


def test_a_packet_for_one_site_is_none_for_another(rehearse: Make, batch_of: Make) -> None:
    batch = batch_of(4, dropouts=1)
    rehearsal = rehearse(batch)
    one, other, third = batch.roster[:3]
    packet = packet_for(batch, rehearsal.deposits[other], sender=other, recipient=third)
    for sender, recipient in ((other, one), (third, other), (one, other)):
        with pytest.raises(Broken):
            unseal(packet, secret=rehearsal.secrets[other][third], batch=batch, sender=sender, recipient=recipient)


# --- sites that send nonsense, or two things


def test_a_partner_that_sends_two_sets_of_shares_is_left_out(rehearse: Make, batch_of: Make) -> None:
    batch = batch_of(4, dropouts=1)
    rehearsal = rehearse(batch)
    one, other = batch.roster[:2]
    packet = packet_for(batch, rehearsal.deposits[other], sender=other, recipient=one)
    kept = rehearsal.seats[one]
    before = kept.to_bytes()
    with pytest.raises(Invalid, match="no mask partner"):
        kept.accept({"stranger": packet}, pair_secrets={"stranger": rehearsal.secrets[one][other]})
    kept.accept({other: packet}, pair_secrets=rehearsal.secrets[one])
    assert kept.to_bytes() == before
    _, again = prepare(batch, site=other, pair_secrets=rehearsal.secrets[other], entropy=UnsafeEntropy("again"))
    with pytest.raises(Refused, match="two different sets"):
        kept.accept({other: packet_for(batch, again, sender=other, recipient=one)}, pair_secrets=rehearsal.secrets[one])


def test_a_packet_with_too_few_shares_or_none_at_all_is_refused(rehearse: Make, batch_of: Make) -> None:
    batch = batch_of(4, dropouts=1, slots=2)
    rehearsal = rehearse(batch)
    one, other = batch.roster[:2]
    secret = rehearsal.secrets[one][other]
    shares = [share for share in rehearsal.seats[one].held[other] if share is not None]
    given = {"secret": secret, "salt": bytes(16), "batch": batch, "sender": other, "recipient": one}
    for wrong in (
        bytes(16) + seal(shares[:1], **given),
        bytes(16) + seal([*shares, shares[0]], **given),
        bytes(16) + seal([replace(shares[0], self_share=2**127 - 1), shares[1]], **given),
        b"",
        bytes(16),
        bytes(200),
    ):
        with pytest.raises(Broken, match=other):
            unseal(wrong, secret=secret, batch=batch, sender=other, recipient=one)


# --- two colluding sites and the hub


def test_two_colluders_and_the_hub_see_the_honest_sum_and_nothing_in_it(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(6, colluders=2))
    plan = rehearsal.plan(entries=ENTRIES)
    masked = rehearsal.contribute(plan, ones(plan))
    reveals = rehearsal.reveal(plan, plan.roster, by=plan.roster)
    victim, evil = plan.roster[0], plan.roster[4:]
    # After the reveal its self seed is public, as it must be; the pair masks with honest sites remain.
    self_seed = secret_of(rehearsal.batch, site=victim, shares=shares_of(plan, plan.roster, reveals, site=victim))
    known = {other: pair_seed(rehearsal.secrets[victim][other], slot=plan.slot.name) for other in evil}
    assert is_noise(plan, unmasked(plan, masked[victim], site=victim, seeds=known, self_seed=self_seed))
    # The twin: with all its partners colluding it lies open, as the threat model says.
    everyone = {
        other: pair_seed(rehearsal.secrets[victim][other], slot=plan.slot.name) for other in partners(plan, site=victim)
    }
    assert np.all(unmasked(plan, masked[victim], site=victim, seeds=everyone, self_seed=self_seed) == 1.0)
    found = recover_total(plan, survivors=plan.roster, deposits=rehearsal.deposits, masked=masked, reveals=reveals)
    assert np.all(found.total - 5 - 6 == 1 + 2 + 3 + 4)


# --- what all of this is for


def test_a_gradient_in_the_open_is_the_patient_and_under_masks_it_is_nothing(rehearse: Make, batch_of: Make) -> None:
    rng = np.random.default_rng(3)
    patient = np.concatenate([[1.0], rng.uniform(-1, 1, ENTRIES - 1)])
    beta = rng.normal(0, 0.05, ENTRIES)
    outcome = 1.0
    gradient = patient * (outcome - 1 / (1 + np.exp(-patient @ beta)))
    rehearsal = rehearse(batch_of(3))
    plan = rehearsal.plan(entries=ENTRIES)

    def recovered(read: np.ndarray) -> tuple[np.ndarray, float]:
        """The intercept's entry is y - p, of which the sign is the outcome; the rest divided by it is the patient."""
        return read / read[0], float(read[0] > 0)

    bare = ring.encode(gradient, exponents=plan.exponents, bound=1.0, persons_here=1)
    found, label = recovered(ring.decode(bare, exponents=plan.exponents))
    assert found == pytest.approx(patient, abs=1e-12)
    assert label == outcome
    kept = rehearsal.seats[plan.roster[0]]
    masked = kept.contribute(
        plan,
        vector=gradient,
        persons_here=1,
        pair_secrets=rehearsal.secrets[plan.roster[0]],
        entropy=UnsafeEntropy("noise"),
    )
    read = ring.decode(masked[:ENTRIES], exponents=plan.exponents)
    assert is_noise(plan, read)
    assert abs(np.corrcoef(recovered(read)[0][1:], patient[1:])[0, 1]) < 0.1


def test_a_deposit_says_nothing_of_the_secrets_in_it(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(5, dropouts=1))
    for site, kept in rehearsal.seats.items():
        used: Used = kept.slots[0]
        seeds = [pair_seed(rehearsal.secrets[site][other], slot=rehearsal.plan().slot.name) for other in kept.heard]
        held = [to_bytes(share) for one in kept.held.values() for share in (one[0].self_share, one[0].lock_share)]
        everything = b"".join(rehearsal.deposits.values())
        assert all(secret not in everything for secret in (used.self_seed, *seeds, *held))
