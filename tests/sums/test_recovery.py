"""Sums that survive drop-outs: exact to the bit over the survivors, or a named error."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wardgate.entropy import UnsafeEntropy
from wardgate.records.errors import Broken, Invalid, NotEvaluable, Refused, Unsupported, WardgateError
from wardgate.sums.batch import Batch
from wardgate.sums.plan import SumPlan, contribute, total
from wardgate.sums.recovery import Recovered, recover_total
from wardgate.sums.seat import Seat

Make = Callable[..., Any]


def drawn(plan: SumPlan, *, seed: int = 0) -> dict[str, np.ndarray]:
    values = np.random.default_rng(seed).uniform(-20, 20, (len(plan.roster), plan.entries))
    return dict(zip(plan.roster, values, strict=True))


def plain(plan: SumPlan, vectors: dict[str, np.ndarray]) -> list[float]:
    """The survivors' sum in Python integers, without ring, masks or numpy sums."""
    rounded = [np.rint(np.ldexp(vector, plan.exponents)).tolist() for vector in vectors.values()]
    sums = [sum(int(number) for number in column) for column in zip(*rounded, strict=True)]
    return [float(np.ldexp(float(number), -int(k))) for number, k in zip(sums, plan.exponents, strict=True)]


def lose(names: tuple[str, ...], count: int, *, seed: int) -> set[str]:
    return set(np.random.default_rng(seed).permutation(names)[:count].tolist())


def check_every_phase(rehearse: Make, batch: Batch, *, entries: int, lost: int) -> None:
    """Let `lost` sites vanish at each phase in turn, and then a part of them at each."""
    names = batch.roster
    schedules = {(lost, 0, 0), (0, lost, 0), (0, 0, lost), (lost // 3, lost // 3, lost - 2 * (lost // 3))}
    for number, (unprepared, silent, mute) in enumerate(sorted(schedules)):
        order = np.random.default_rng(number).permutation(names).tolist()
        absent, order = set(order[:unprepared]), order[unprepared:]
        gone, order = set(order[:silent]), order[silent:]
        rehearsal = rehearse(batch, absent=absent)
        plan = rehearsal.plan(entries=entries)
        vectors = {site: vector for site, vector in drawn(plan).items() if site not in gone}
        found = rehearsal.whole(plan, vectors, mute=set(order[:mute]))
        assert found.total.tolist() == plain(plan, vectors)
        assert found.survivors == tuple(sorted(vectors))
        assert set(found.dropped) == gone


@pytest.mark.parametrize(
    ("count", "share", "entries"),
    [(3, 0.0, 10_000), (4, 0.25, 300), (10, 0.0, 300), (10, 0.1, 10_000), (10, 0.3, 300), (50, 0.1, 300)],
)
def test_the_sum_of_the_survivors_is_exact_whoever_vanishes_when(
    rehearse: Make, batch_of: Make, count: int, share: float, entries: int
) -> None:
    lost = int(count * share)
    check_every_phase(rehearse, batch_of(count, dropouts=lost), entries=entries, lost=lost)


@pytest.mark.slow
@pytest.mark.parametrize(("count", "entries"), [(50, 10_000), (466, 30)])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_the_sum_of_the_survivors_is_exact_at_scale(
    rehearse: Make, batch_of: Make, count: int, entries: int, share: float
) -> None:
    lost = int(count * share)
    check_every_phase(rehearse, batch_of(count, dropouts=lost), entries=entries, lost=lost)


def test_beyond_fifty_sites_drop_outs_are_survived_on_the_circle(rehearse: Make, batch_of: Make) -> None:
    batch = batch_of(60, dropouts=6)
    assert batch.holders < 59
    check_every_phase(rehearse, batch, entries=8, lost=6)


def test_a_batch_serves_its_slots_one_by_one_with_other_drop_outs_in_each(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(8, dropouts=2, slots=3))
    for index in range(3):
        plan = rehearsal.plan(index=index, context=f"sum {index}".encode())
        vectors = drawn(plan, seed=index)
        for site in lose(plan.roster, 2, seed=index):
            del vectors[site]
        assert rehearsal.whole(plan, vectors).total.tolist() == plain(plan, vectors)


def test_a_sum_over_some_sites_of_the_batch_opens_too(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(10, dropouts=3))
    roster = rehearsal.roster[1:9]
    plan = rehearsal.plan(roster=roster)
    vectors = {site: vector for site, vector in drawn(plan).items() if site != roster[0]}
    assert rehearsal.whole(plan, vectors).total.tolist() == plain(plan, vectors)


def test_real_keys_open_as_well(enrolled: Make, rehearse: Make, batch_of: Make) -> None:
    batch = batch_of(3)
    rehearsal = rehearse(batch, secrets=enrolled(3).secrets)
    plan = rehearsal.plan()
    vectors = drawn(plan)
    assert rehearsal.whole(plan, vectors).total.tolist() == plain(plan, vectors)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_drop_outs_at_any_phase_give_the_exact_sum_or_a_named_error(
    rehearse: Make, batch_of: Make, data: st.DataObject
) -> None:
    count = data.draw(st.integers(3, 12) | st.integers(51, 54))
    colluders = data.draw(st.integers(0, 1)) if count > 3 else 0
    try:
        batch = batch_of(count, dropouts=data.draw(st.integers(0, count // 3)), colluders=colluders)
    except Unsupported:
        return
    everyone = data.draw(st.permutations(batch.roster))
    cuts = sorted(data.draw(st.lists(st.integers(0, count // 3), min_size=3, max_size=3)))
    absent, gone, mute = set(everyone[: cuts[0]]), set(everyone[cuts[0] : cuts[1]]), set(everyone[cuts[1] : cuts[2]])
    bound = data.draw(st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=3))
    full = count <= 50
    allowed = batch.holders - batch.threshold
    try:
        rehearsal = rehearse(batch, absent=absent)
        plan = rehearsal.plan(entries=3, bound=bound)
        scale = np.array(bound) / 1.0
        vectors = {site: vector * scale for site, vector in drawn(plan).items() if site not in gone}
        found = rehearsal.whole(plan, vectors, mute=mute)
    except WardgateError as error:
        assert not full or len(absent | gone | mute) > allowed or count - len(absent | gone) < 3
        assert any(name in str(error) for name in batch.roster) or "survive" in str(error) or "expected" in str(error)
        return
    assert found.total.tolist() == plain(plan, vectors)


def test_too_few_shares_name_whose_secret_is_missing_and_who_was_silent(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(6, dropouts=2))
    plan = rehearsal.plan()
    vectors = drawn(plan)
    gone = plan.roster[0]
    del vectors[gone]
    masked = rehearsal.contribute(plan, vectors)
    survivors = tuple(sorted(vectors))
    reveals = rehearsal.reveal(plan, survivors, by=survivors)
    few = {site: reveals[site] for site in survivors[:2]}
    given = {"survivors": survivors, "deposits": rehearsal.deposits, "masked": masked}
    with pytest.raises(NotEvaluable, match=f"2 shares of the lock key of '{gone}'") as error:
        recover_total(plan, reveals=few, **given)
    assert all(site in str(error.value) for site in survivors[2:])
    # Three is enough, since three of the others hold a share of everybody here.
    assert rehearsal.batch.threshold == 3
    with pytest.raises(NotEvaluable, match=f"2 shares of the self seed of '{survivors[0]}'"):
        recover_total(plan, reveals={site: reveals[site] for site in survivors[:3]}, **given)
    four = {site: reveals[site] for site in survivors[:4]}
    assert recover_total(plan, reveals=four, **given).total.tolist() == plain(plan, vectors)


def opened(rehearsal: Any, plan: SumPlan, vectors: Any, **changes: Any) -> Recovered:
    """Open with one thing changed on the way to the hub."""
    masked = rehearsal.contribute(plan, vectors)
    survivors = tuple(sorted(vectors))
    said = {
        "deposits": dict(rehearsal.deposits),
        "masked": masked,
        "reveals": rehearsal.reveal(plan, survivors, by=survivors),
    }
    for what, change in changes.items():
        change(said[what])
    return recover_total(plan, survivors=survivors, **said)


def flip(place: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_one_wrong_share_is_told_apart_and_its_sender_named(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(8, dropouts=2))
    plan = rehearsal.plan()
    vectors = {site: vector for site, vector in drawn(plan).items() if site != plan.roster[7]}
    liar = plan.roster[2]

    def lie(reveals: dict[str, bytes]) -> None:
        for place in range(72, len(reveals[liar]), 16):
            reveals[liar] = flip(place)(reveals[liar])

    found = opened(rehearsal, plan, vectors, reveals=lie)
    assert found.total.tolist() == plain(plan, vectors)
    assert found.wrong == (liar,)


def test_a_site_that_dealt_wrong_shares_is_named(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(4, dropouts=1))
    plan = rehearsal.plan()
    # Its commitment is to another self seed than the one it shared out.
    with pytest.raises(Broken, match=plan.roster[0]):
        opened(
            rehearsal,
            plan,
            drawn(plan),
            deposits=lambda said: said.update({plan.roster[0]: flip(60)(said[plan.roster[0]])}),
        )


def test_a_lock_that_was_altered_is_named(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(4, dropouts=1))
    plan = rehearsal.plan()
    gone = plan.roster[0]
    vectors = {site: vector for site, vector in drawn(plan).items() if site != gone}
    with pytest.raises(Broken, match=gone):
        opened(rehearsal, plan, vectors, deposits=lambda said: said.update({gone: flip(90)(said[gone])}))


def test_masks_that_do_not_cancel_are_never_a_number(rehearse: Make, batch_of: Make) -> None:
    # One site masks with another pair secret than its partner; the twin is a sum without the 8 bytes of check.
    batch = batch_of(4, dropouts=1)
    rehearsal = rehearse(batch)
    one, other = batch.roster[:2]
    rehearsal.secrets[one] = {**rehearsal.secrets[one], other: bytes(32)}
    plan = rehearsal.plan()
    vectors = drawn(plan)
    with pytest.raises(Broken, match="do not cancel"):
        rehearsal.whole(plan, vectors)


def test_a_site_that_masked_under_another_plan_keeps_the_sum_closed(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(5, dropouts=1))
    plan = rehearsal.plan()
    told = replace(plan, context=b"another sum")
    vectors = drawn(plan)
    odd = plan.roster[4]
    masked = rehearsal.contribute(plan, {site: vectors[site] for site in plan.roster[:4]})
    masked |= rehearsal.contribute(told, {odd: vectors[odd]})
    with pytest.raises(Refused, match="contributed nothing under this plan"):
        rehearsal.seats[odd].confirm(plan, plan.roster)
    reveals = rehearsal.reveal(plan, plan.roster, by=plan.roster[:4])
    with pytest.raises(Broken, match="do not cancel"):
        recover_total(plan, survivors=plan.roster, deposits=rehearsal.deposits, masked=masked, reveals=reveals)


def test_the_hub_names_what_is_missing_or_too_much(rehearse: Make, batch_of: Make) -> None:
    def check(match: str, error: type[WardgateError] = Invalid, **changes: Any) -> None:
        rehearsal = rehearse(batch_of(4, dropouts=1))
        plan = rehearsal.plan()
        with pytest.raises(error, match=match):
            opened(rehearsal, plan, {site: v for site, v in drawn(plan).items() if site != plan.roster[3]}, **changes)

    one, last = "site-000", "site-003"
    check("no masked vector.*site-000", masked=lambda said: said.pop(one))
    check("no deposit.*site-003", deposits=lambda said: said.pop(last))
    check("site-003.*not in the roster", masked=lambda said: said.update({last: said[one]}))
    check("site-003.*no survivor", reveals=lambda said: said.update({last: said[one]}))
    check("uint64.*site-000", masked=lambda said: said.update({one: said[one][:3]}))
    check("uint64.*site-000", masked=lambda said: said.update({one: said[one].astype(np.int64)}))
    check("site-000", error=Broken, reveals=lambda said: said.update({one: said[one][:-1]}))
    check("another plan", error=Broken, reveals=lambda said: said.update({one: flip(9)(said[one])}))
    check("no share", error=Broken, reveals=lambda said: said.update({one: said[one][:-16] + b"\xff" * 16}))
    check("another batch", error=Broken, deposits=lambda said: said.update({one: flip(9)(said[one])}))


def test_a_list_of_survivors_that_does_not_hold_is_refused(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(8, dropouts=3))
    plan = rehearsal.plan(least=6)
    rehearsal.contribute(plan, drawn(plan))
    seat, names = rehearsal.seats["site-000"], plan.roster
    for survivors, error, match in (
        (names[:5], Refused, "at least 6"),
        (names[:1], Refused, "at least 6"),
        (tuple(reversed(names)), Invalid, "sorted"),
        ((*names[:6], names[5]), Invalid, "sorted"),
        ((*names[:6], "stranger"), Invalid, "stranger"),
        (names[1:], Refused, "said to have dropped out"),
    ):
        with pytest.raises(error, match=match):
            seat.confirm(plan, survivors)
    seat.confirm(plan, names)
    loose = rehearse(batch_of(8, dropouts=3)).plan(least=3)
    with pytest.raises(Refused, match="threshold"):
        opened_list(loose, names[:4])


def opened_list(plan: SumPlan, survivors: tuple[str, ...]) -> None:
    recover_total(plan, survivors=survivors, deposits={}, masked={}, reveals={})


def test_a_plan_with_a_slot_goes_no_other_way(enrolled: Make, rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(3))
    plan = rehearsal.plan()
    site = plan.roster[0]
    with pytest.raises(Invalid, match="seat"):
        contribute(
            plan,
            site=site,
            vector=np.zeros(4),
            persons_here=1,
            pair_secrets=enrolled(3).secrets[site],
            entropy=UnsafeEntropy("x"),
        )
    with pytest.raises(Invalid, match="revealed"):
        total(plan, {})
    bare = SumPlan(roster=plan.roster, entries=4, persons=60, bound=1.0, context=b"sum")
    with pytest.raises(Invalid, match="no slot"):
        opened_list(bare, plan.roster)


def test_the_seat_survives_a_restart_at_every_step(rehearse: Make, batch_of: Make) -> None:
    rehearsal = rehearse(batch_of(5, dropouts=1, slots=2))

    def restart() -> None:
        for site, seat in rehearsal.seats.items():
            again = Seat.from_bytes(seat.to_bytes(), batch=rehearsal.batch)
            assert again == seat
            rehearsal.seats[site] = again

    for index in range(2):
        plan = rehearsal.plan(index=index, context=b"sum %d" % index)
        vectors = {site: vector for site, vector in drawn(plan).items() if site != plan.roster[index]}
        restart()
        masked = rehearsal.contribute(plan, vectors)
        restart()
        survivors = tuple(sorted(vectors))
        for site in survivors:
            rehearsal.seats[site].confirm(plan, survivors)
        restart()
        reveals = rehearsal.reveal(plan, survivors, by=survivors)
        found = recover_total(plan, survivors=survivors, deposits=rehearsal.deposits, masked=masked, reveals=reveals)
        assert found.total.tolist() == plain(plan, vectors)
        restart()
        with pytest.raises(Refused, match="was used"):
            rehearsal.contribute(plan, {survivors[0]: vectors[survivors[0]]})


def test_a_broken_stored_seat_is_refused(rehearse: Make, batch_of: Make) -> None:
    batch = batch_of(3)
    stored = rehearse(batch).seats["site-000"].to_bytes()
    other = replace(batch, context=b"another")
    for data, known in ((b"", batch), (b"{}", batch), (b"[]", batch), (stored[:-5], batch), (stored, other)):
        with pytest.raises(Invalid):
            Seat.from_bytes(data, batch=known)
    with pytest.raises(Invalid):
        Seat.from_bytes(stored.replace(b'"slots":[[', b'"slots":[["zz",'), batch=batch)


def test_noise_holds_after_drop_outs_because_the_plan_tolerated_them(rehearse: Make, batch_of: Make) -> None:
    batch = batch_of(10, dropouts=2, colluders=1)
    rehearsal = rehearse(batch)
    given = {"l2": 1.0, "noise_multiplier": 4.0, "entries": 4000}
    with pytest.raises(Invalid, match="tolerate drop-outs plus colluders"):
        rehearsal.plan(least=8, tolerated=2, **given)
    plan = rehearsal.plan(least=8, tolerated=3, **given)
    vectors = dict.fromkeys(plan.roster[:8], np.zeros(4000))
    found = rehearsal.whole(plan, vectors)
    assert found.total.std() == pytest.approx(4.0 * np.sqrt(8 / 7), rel=0.05)
