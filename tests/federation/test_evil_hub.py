"""What a hub may try with its own key: every ward holds by itself, without any other party's help."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from wardgate.entropy import SystemEntropy
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer, Statement, seal
from wardgate.records.errors import Broken
from wardgate.records.messages import ANSWER, open_answer
from wardgate.records.opening import digest_of, list_of
from wardgate.records.parcel import Parcel, pack_bytes, pack_vector
from wardgate.sums.keys import private_key, public_bytes

Make = Callable[..., Any]

BETA = pack_vector("beta", np.zeros(4))
NEWTON = 4 + 10 + 1
BINS = {"model": "m", "bins": 10, "subgroup_bins": 5, "low": "-3", "high": "3", "subgroups": 0}
BINNED = 2 * 10 + 1


def newton(six: Any, site: str, sites: str, packed: Any = (BETA,), **changes: Any) -> Any:
    fields = {"sum": six.terms([f"h{n}" for n in sites], NEWTON), "split": "train"} | changes
    return six.say(site, list(packed), computation="newton", **fields)


def refused(answer: Any, words: str) -> None:
    assert answer.outcome == "refused"
    assert words in answer.refusal
    assert answer.vectors == () and answer.statement == {}


def test_an_honest_sum_is_answered_so_that_the_attacks_have_teeth(shared: Any) -> None:
    answer = newton(shared, "h0", "012345")
    assert (answer.outcome, answer.verdict) == ("released", "pass")


def test_a_replayed_question_gets_no_answer(shared: Any) -> None:
    _, parcel = shared.question([BETA], computation="newton", split="train", sum=shared.terms(shared.sites, NEWTON))
    ledger = shared.wards["h0"]._bench.door.ledger
    before = ledger.exact_answers("train")
    shared.carry("h0", parcel)
    with pytest.raises(Broken, match="asked before"):
        shared.carry("h0", parcel)
    _, twin = shared.question([BETA], computation="close", number=shared.number)
    with pytest.raises(Broken, match="asked before"):
        shared.carry("h0", twin)
    assert ledger.exact_answers("train") == before + 1


def test_a_question_of_another_study_reaches_nobody(shared: Any) -> None:
    _, parcel = shared.question(computation="close", study_sha256="ab" * 32)
    with pytest.raises(Broken, match="another study"):
        shared.couriers["h0"].bring(parcel)
    name = shared.wards["h0"].spool.put("questions", parcel)
    with pytest.raises(Broken, match="another study"):
        shared.wards["h0"].answer(name)


def test_a_question_signed_by_another_key_reaches_nobody(shared: Any) -> None:
    for signer in (Signer(bytes(32)), shared.wards["h1"].signer):
        _, parcel = shared.question(computation="close", signer=signer)
        with pytest.raises(Broken, match="not expected here"):
            shared.couriers["h0"].bring(parcel)
        name = shared.wards["h0"].spool.put("questions", parcel)
        with pytest.raises(Broken, match="not expected here"):
            shared.wards["h0"].answer(name)


def test_a_question_with_other_blobs_than_it_signed_reaches_nobody(shared: Any) -> None:
    _, parcel = shared.question([BETA], computation="newton", split="train", sum=shared.terms(shared.sites, NEWTON))
    other = pack_vector("beta", np.ones(4))[1]
    for blobs in ((other,), (), (parcel.blobs[0], other)):
        with pytest.raises(Broken, match="blob"):
            shared.couriers["h0"].bring(Parcel(parcel.envelope, blobs))


def test_before_the_study_came_nothing_is_answered(make_consortium: Make) -> None:
    bare = make_consortium({"h0": 60, "h1": 60, "h2": 60}, enrolled=False)
    for fields in ({"computation": "close"}, {"computation": "associations", "split": "train"}):
        _, parcel = bare.question(**fields)
        with pytest.raises(Broken, match="first question"):
            bare.carry("h0", parcel)
    other = bare.study.model_copy(update={"title": "A gentler study"})
    _, parcel = bare.question([pack_bytes("study", other.to_bytes())], computation="review")
    with pytest.raises(Broken, match="not the one"):
        bare.carry("h0", parcel)


def test_an_exchange_key_swapped_in_the_roster_is_caught_by_the_neighbour(make_consortium: Make) -> None:
    """With the hub's own key in place of a site's, the hub could take that pair's mask off."""
    met = make_consortium({f"h{place}": 60 for place in range(3)}, enrolled=False)
    met.review()
    evil = public_bytes(private_key(entropy=SystemEntropy())).hex()
    answers = met.introduce(h1={"exchange_key": evil})
    refused(answers["h0"], "another exchange key for 'h1' than the site signed")
    refused(answers["h1"], "does not hold this site with the exchange key that it signed")
    assert met.wards["h0"]._bench.pair_secrets.keys() == set()


def test_an_enrolment_forged_with_the_hubs_key_is_caught(make_consortium: Make) -> None:
    met = make_consortium({f"h{place}": 60 for place in range(3)}, enrolled=False)
    met.review()
    said = open_answer(met.reviews["h1"], site_key=met.keys["h1"])
    evil = public_bytes(private_key(entropy=SystemEntropy())).hex()
    forged = said.model_copy(update={"statement": {**said.statement, "exchange_key": evil}})
    envelope = seal(Statement(predicate_type=ANSWER, predicate=forged.plain(), subjects=()), met.hub)
    changes = {"exchange_key": evil, "enrolment_sha256": sha256(envelope), "public_key": met.hub.public_key.hex()}
    answers = met.introduce(to=["h0"], enrolments={"h1": envelope}, h1=changes)
    assert answers["h0"].outcome == "refused"
    assert "not expected here" in answers["h0"].refusal


def test_an_enrolment_of_another_site_or_record_is_caught(make_consortium: Make) -> None:
    met = make_consortium({f"h{place}": 60 for place in range(3)}, enrolled=False)
    met.review()
    answers = met.introduce(to=["h0"], enrolments={"h1": met.reviews["h2"]})
    refused(answers["h0"], "not the one that the roster names")
    swapped = {"enrolment_sha256": sha256(met.reviews["h2"])}
    assert met.introduce(to=["h0"], enrolments={"h1": met.reviews["h2"]}, h1=swapped)["h0"].outcome == "refused"
    refused(met.introduce(to=["h0"], enrolments={"ghost": met.reviews["h1"]})["h0"], "'ghost'")


@pytest.mark.parametrize("site", ["h0", "h1"])
def test_a_false_number_of_persons_in_the_roster_is_caught(make_consortium: Make, site: str) -> None:
    """More persons on paper would allow more numbers, and sums over fewer than eleven real persons."""
    met = make_consortium({f"h{place}": 60 for place in range(3)}, enrolled=False)
    met.review()
    answers = met.introduce(**{site: {"persons_band": "1000000+"}})
    assert {name for name, answer in answers.items() if answer.outcome == "refused"} == set(met.sites)


@pytest.mark.parametrize("sent", [None, {}], ids=["with-enrolments", "without"])
def test_a_second_roster_cannot_say_otherwise_than_the_first(six: Any, sent: dict[str, bytes] | None) -> None:
    answers = six.introduce(enrolments=sent, h1={"persons_band": "1000000+"})
    assert {answer.outcome for answer in answers.values()} == {"refused"}
    refused(answers["h0"], "something else of 'h1' than an earlier one")
    assert six.introduce(sites=six.sites[:3])["h0"].outcome == "released", "a smaller honest roster is welcome"


def test_a_sum_under_a_roster_that_this_site_never_saw_is_refused(shared: Any) -> None:
    """All sites mask under one question, so the hub cannot tell two of them different things of a third."""
    for digest in ("ab" * 32, None):
        terms = shared.terms(shared.sites, NEWTON, roster_sha256=digest)
        refused(newton(shared, "h0", "", sum=terms), "no roster that was introduced")


def test_a_coin_that_the_hub_chose_is_refused(shared: Any) -> None:
    """Beyond fifty sites the coin says who masks with whom; a chosen one could ring a site with colluders."""
    refused(newton(shared, "h0", "", sum=shared.terms(shared.sites, NEWTON, coin="ab" * 32)), "coin")


@pytest.mark.parametrize("sites", ["01", "0"])
def test_a_sum_over_fewer_than_three_sites_is_refused_by_the_ward_itself(shared: Any, sites: str) -> None:
    refused(newton(shared, "h0", sites), "at least 3")


def test_a_sum_with_a_site_that_was_never_introduced_is_refused(six: Any) -> None:
    refused(newton(six, "h0", "", sum=six.terms(["ghost", "h0", "h1"], NEWTON)), "'ghost'")
    six.introduce(sites=["h0", "h1", "h2"])
    refused(newton(six, "h0", "0123"), "'h3'")


def test_a_sum_without_this_site_is_refused(shared: Any) -> None:
    refused(newton(shared, "h0", "123"), "without this site")


@pytest.mark.parametrize("entries", [NEWTON - 1, NEWTON + 1, 10**6])
def test_more_or_fewer_entries_than_the_computation_has_are_refused(shared: Any, entries: int) -> None:
    refused(newton(shared, "h0", "", sum=shared.terms(shared.sites, entries)), "this computation gives 15")


@pytest.mark.parametrize("split", ["locked_test", "holdout", "tuning", "none"])
def test_newton_touches_training_persons_alone(shared: Any, split: str) -> None:
    refused(newton(shared, "h0", "012345", split=split), f"may not touch the split '{split}'")
    assert shared.wards["h0"]._bench.door.ledger.openings == 0


@pytest.mark.parametrize("split", ["train", "tuning", "none"])
def test_score_bins_touch_holdout_and_locked_test_alone(shared: Any, split: str) -> None:
    answer = shared.say(
        "h0", [BETA], computation="score_bins", split=split, sum=shared.terms(shared.sites, BINNED), parameters=BINS
    )
    refused(answer, "may not touch the split")


def test_a_summed_computation_without_a_sum_is_refused(shared: Any) -> None:
    refused(newton(shared, "h0", "", sum=None), "secure sum")


@pytest.mark.parametrize("beta", [np.zeros(3), np.zeros(5), np.full(4, np.nan), np.array([0, 0, 0, np.inf])], ids=str)
def test_coefficients_of_another_length_or_not_finite_are_refused(shared: Any, beta: Any) -> None:
    assert newton(shared, "h0", "012345", packed=[pack_vector("beta", beta)]).outcome == "refused"
    assert newton(shared, "h0", "012345", packed=[]).outcome == "refused"


def locked(listed: dict[str, Any], name: str = "m", **more: Any) -> dict[str, Any]:
    return BINS | {"model": name, "listed": listed, "models_sha256": digest_of(listed)} | more


def test_the_locked_test_opens_once_for_one_fixed_list_of_models(six: Any) -> None:
    first, other = BETA, pack_vector("beta", np.ones(4))
    listed = list_of({"m": first[1], "local": None})
    ask = {"computation": "score_bins", "split": "locked_test", "sum": six.terms(six.sites, BINNED)}
    for name, packed in (("m", [first]), ("local", [])):
        answer = six.say("h0", packed, parameters=locked(listed, name), **ask)
        assert (answer.outcome, answer.opening) == ("released", 1)
    second = list_of({"m": other[1]})
    refused(six.say("h0", [other], parameters=locked(second), **ask), "may be opened 1 time")
    assert six.wards["h0"]._bench.door.ledger.openings == 1


def test_the_first_lists_digest_opens_nothing_for_another_model(six: Any) -> None:
    """Otherwise one digest would stand for any number of models, and the locked test would be a tuning set."""
    listed = list_of({"m": BETA[1]})
    other = pack_vector("beta", np.ones(4))
    wider = list_of({"m": BETA[1], "n": other[1]})
    ask = {"computation": "score_bins", "split": "locked_test", "sum": six.terms(six.sites, BINNED)}
    assert six.say("h0", [BETA], parameters=locked(listed), **ask).outcome == "released"
    for parameters in (
        locked(listed),
        locked(listed, "n"),
        locked(wider, "n", models_sha256=digest_of(listed)),
        locked(listed, "local"),
        {**locked(listed), "listed": {}},
        {**BINS, "models_sha256": digest_of(listed)},
    ):
        assert six.say("h0", [other], parameters=parameters, **ask).outcome == "refused"
    for twice in ([other, BETA], [BETA, other]):
        refused(six.say("h0", twice, parameters=locked(listed), **ask), "two vectors under one name")
    named = pack_vector("m", np.ones(4))
    evaluate = {"models": ["m"], "listed": listed, "models_sha256": digest_of(listed)}
    answer = six.say("h0", [named], computation="evaluate", split="locked_test", parameters=evaluate)
    refused(answer, "not in it")
    right = six.say(
        "h0", [pack_vector("m", np.zeros(4))], computation="evaluate", split="locked_test", parameters=evaluate
    )
    assert (right.outcome, right.opening) == ("released", 1)


def test_leaving_one_site_out_of_a_second_sum_is_refused_by_every_ward(six: Any) -> None:
    for site in six.sites:
        assert newton(six, site, "012345").outcome == "released"
    for site in six.sites[:5]:
        refused(newton(six, site, "01234"), "sum.isolated")


def test_a_second_review_gives_no_new_attempts_and_no_new_key(six: Any) -> None:
    """Joining again must not forget how often a corpus was tried."""
    bench = six.wards["h0"]._bench
    bench.attempts = 2
    before = open_answer(six.reviews["h0"], site_key=six.keys["h0"]).statement["exchange_key"]
    answer = six.say("h0", [pack_bytes("study", six.study.to_bytes())], computation="review")
    assert answer.statement["exchange_key"] == before
    assert six.wards["h0"]._bench is bench and bench.attempts == 2


def test_a_thousand_models_in_one_question_are_a_thousand_answers(shared: Any) -> None:
    packed = [pack_vector(f"m{k}", np.full(4, k / 1000)) for k in range(300)]
    names = [ref.name for ref, _ in packed]
    answer = shared.say("h0", packed, computation="evaluate", split="holdout", parameters={"models": names})
    refused(answer, "ration")
    assert shared.wards["h0"]._bench.door.ledger.exact_answers("holdout") == 0


def test_what_breaks_beside_patients_leaves_as_a_reference_only(shared: Any) -> None:
    answer = shared.say("h0", [BETA], computation="evaluate", split="holdout", parameters={"models": 7})
    assert answer.outcome == "refused"
    assert "private log under reference" in answer.refusal
    for parameters in ({}, {**BINS, "bins": "many"}, {**BINS, "bins": -1}, {**BINS, "low": "x"}):
        answer = shared.say(
            "h0",
            [BETA],
            computation="score_bins",
            split="holdout",
            sum=shared.terms(shared.sites, BINNED),
            parameters=parameters,
        )
        assert answer.outcome == "refused"
        assert "h0-" not in answer.refusal
