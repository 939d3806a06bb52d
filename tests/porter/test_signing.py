"""What an officer signs, and what is not signed whatever the officer types."""

import json
from pathlib import Path

import pytest
from town import Town

from wardgate.entropy import SystemEntropy
from wardgate.federation import site as people
from wardgate.hospital.ward.porter.house import open_house
from wardgate.records.envelope import Signer
from wardgate.records.errors import Invalid, Refused
from wardgate.records.mail import Decision, Standing

OTHER = Signer(SystemEntropy().bytes(32))


def sign(town: Town, proposal, site: str = "north") -> Decision:
    return people.sign(town.premises[site], proposal.study_sha256, code=proposal.code, now=town.clock.now)


def test_a_signature_leaves_as_a_numbered_decision_with_the_code_that_was_seen(town: Town) -> None:
    study = town.study()
    proposal = town.propose(study)
    made = sign(town, proposal)
    (sent,) = town.fetch("north")
    assert town.opened("north", sent) == made
    assert (made.outcome, made.number, made.code, made.site) == ("signed", 1, proposal.code, "north")


def test_a_code_is_typed_as_people_type(town: Town) -> None:
    proposal = town.propose(town.study())
    typed = f" {proposal.code.upper().replace('-', ' ')} "
    made = people.sign(town.premises["north"], "attacked", code=typed, now=town.clock.now)
    assert made.outcome == "signed"


@pytest.mark.parametrize("typed", ["", "0000-0000-0000-0000-0000", "yes"])
def test_another_code_signs_nothing(town: Town, typed: str) -> None:
    proposal = town.propose(town.study())
    with pytest.raises(Refused, match="not the code of this proposal"):
        people.sign(town.premises["north"], proposal.study_sha256, code=typed, now=town.clock.now)
    assert town.fetch("north") == []
    assert people.studies(town.premises["north"])[0].outcome == "proposed"


def test_a_review_says_who_asks_what_and_of_whom(town: Town) -> None:
    proposal = town.propose(town.study())
    seen = people.review(town.premises["north"], "attacked@1", on="2026-02-03")
    assert seen.code == proposal.code
    assert [member.site for member in seen.members] == ["north", "south", "west"]
    assert all(member.known_since == "" for member in seen.members)
    assert seen.objections == ()
    assert any("fitting the study's logistic regression" in line for line in seen.asks)
    assert any("epsilon 3 for the persons of one split" in line for line in seen.spends)
    sign(town, proposal)
    after = people.review(town.premises["north"], "attacked", on="2026-02-03")
    assert after.outcome == "signed"
    assert {member.known_since for member in after.members} == {"2026-02-03"}


def test_a_review_may_look_at_the_data(town: Town) -> None:
    town.propose(town.study())
    seen = people.review(town.premises["north"], "attacked", on="2026-02-03", with_data=True)
    assert seen.data is not None and seen.data.persons_band == "100-199"


def test_a_floor_that_the_study_goes_below_is_named_field_by_field(town: Town, tmp_path: Path) -> None:
    site_file = town.premises["north"].site_file
    site_file.write_text(site_file.read_text() + "policy: floor.yaml\n")
    (town.premises["north"].root / "floor.yaml").write_text(
        "schema: wardgate/privacy-gate/1\nsmall_cells: {min_count: 20}\ndp: {exact_sums: deny}\nmax_attempts: 9\n"
    )
    proposal = town.propose(town.study())
    with pytest.raises(Refused) as refusal:
        sign(town, proposal)
    assert "small_cells.min_count: found 11, the floor asks for at least 20" in str(refusal.value)
    assert "dp.exact_sums: found allow, the floor asks for deny or stricter" in str(refusal.value)
    assert "max_attempts" not in str(refusal.value)
    assert people.studies(town.premises["north"])[0].outcome == "proposed"


def test_another_protocol_says_who_has_to_upgrade(town: Town) -> None:
    for protocol, who in ((0, "the hub has to upgrade"), (2, "this hospital has to upgrade")):
        proposal = town.propose(town.study(), protocol=protocol)
        with pytest.raises(Refused, match=who):
            sign(town, proposal)


def test_a_study_of_other_hospitals_is_not_signed(town: Town) -> None:
    study = town.study(sites=("north", "south", "east"))
    keys = {site: town.keys[site].public_key for site in ("north", "south")} | {"east": OTHER.public_key}
    proposal = town.propose(study, keys=keys)
    with pytest.raises(Refused, match="this hospital is 'west'"):
        sign(town, proposal, "west")


def test_members_without_this_hospital_are_not_signed(town: Town) -> None:
    keys = {site: town.keys[site].public_key for site in ("south", "west")}
    with pytest.raises(Refused, match="names no key for 'north'"):
        sign(town, town.propose(town.study(), keys=keys))


def test_another_key_under_this_hospitals_name_is_not_signed(town: Town) -> None:
    keys = {site: town.keys[site].public_key for site in ("south", "west")} | {"north": OTHER.public_key}
    with pytest.raises(Refused, match="another key for 'north'"):
        sign(town, town.propose(town.study(), keys=keys))


def test_two_hospitals_are_too_few(town: Town) -> None:
    with pytest.raises(Refused, match="2 hospitals, and a sum needs at least 3"):
        sign(town, town.propose(town.study(lambda plain: plain.update(sites=["north", "south"]))))


def test_one_key_behind_two_names_is_not_signed(town: Town) -> None:
    keys = dict.fromkeys(("south", "west"), OTHER.public_key) | {"north": town.keys["north"].public_key}
    with pytest.raises(Refused, match="two of the proposal's names have one key"):
        sign(town, town.propose(town.study(), keys=keys))


def test_a_hub_that_swaps_a_key_between_two_studies_is_refused_until_a_person_forgets(town: Town) -> None:
    sign(town, town.propose(town.study()))
    swapped = {site: signer.public_key for site, signer in town.keys.items()} | {"west": OTHER.public_key}
    proposal = town.propose(town.study(lambda plain: plain.update(version=2)), keys=swapped)
    with pytest.raises(Refused, match="the key of 'west' is another one"):
        sign(town, proposal)
    assert "another one" in people.review(town.premises["north"], "attacked@2", on="2026-02-03").objections[0]
    people.forget(town.premises["north"], "west", now=town.clock.now)
    assert sign(town, proposal).outcome == "signed"
    assert any(entry.event == "keys" for entry in people.book(town.premises["north"]))


def test_a_known_key_under_another_name_is_refused(town: Town) -> None:
    sign(town, town.propose(town.study()))
    crossed = {"north": town.keys["north"].public_key, "south": town.keys["west"].public_key, "west": OTHER.public_key}
    proposal = town.propose(town.study(lambda plain: plain.update(version=2)), keys=crossed)
    people.forget(town.premises["north"], "south", now=town.clock.now)
    with pytest.raises(Refused, match="is known here as the key of 'west'"):
        sign(town, proposal)


def test_another_hub_is_not_served_until_a_person_forgets_the_first(town: Town) -> None:
    sign(town, town.propose(town.study()))
    town.enrol("north", OTHER)
    with pytest.raises(Refused, match="the hub's key is another one"):
        open_house(town.premises["north"])
    people.forget(town.premises["north"], people.HUB, now=town.clock.now)
    assert open_house(town.premises["north"]).hub_key == OTHER.public_key


def test_the_same_study_with_other_keys_is_not_taken_after_the_signature(town: Town) -> None:
    study = town.study()
    first = town.propose(study)
    sign(town, first)
    town.fetch("north")
    swapped = {site: signer.public_key for site, signer in town.keys.items()} | {"west": OTHER.public_key}
    (said,) = town.say("north", town.proposal(study, keys=swapped)[1])
    assert isinstance(said, Standing) and said.state == "broken" and first.code in said.words
    assert people.studies(town.premises["north"])[0].code == first.code


def test_before_the_signature_a_new_proposal_takes_the_place_of_the_first(town: Town) -> None:
    study = town.study()
    first = town.propose(study)
    second = town.propose(study, seed=4)
    with pytest.raises(Refused, match="not the code"):
        sign(town, first)
    assert sign(town, second).outcome == "signed"


def test_a_proposal_that_comes_again_brings_the_decision_again(town: Town) -> None:
    study = town.study()
    made = sign(town, town.propose(study))
    town.fetch("north")
    assert town.say("north", town.proposal(study)[1]) == [made]


def test_a_refusal_needs_a_reason_and_may_be_thought_over(town: Town) -> None:
    proposal = town.propose(town.study())
    north = town.premises["north"]
    with pytest.raises(Invalid, match="say why"):
        people.refuse(north, "attacked", reason=" ", now=town.clock.now)
    made = people.refuse(north, "attacked", reason="our board\nhas not decided", now=town.clock.now)
    assert (made.outcome, made.reason, made.number) == ("refused", "our board has not decided", 1)
    assert sign(town, proposal).number == 2


@pytest.mark.parametrize("act", ["pause", "resume", "leave"])
def test_what_is_not_signed_can_be_neither_paused_nor_resumed_nor_left(town: Town, act: str) -> None:
    town.propose(town.study())
    words = {"reason": "because"} if act == "leave" else {}
    with pytest.raises(Invalid, match="now: nobody here has decided"):
        getattr(people, act)(town.premises["north"], "attacked", now=town.clock.now, **words)


def test_leaving_is_final(town: Town) -> None:
    proposal = town.propose(town.study())
    sign(town, proposal)
    people.leave(town.premises["north"], "attacked", reason="no staff", now=town.clock.now)
    for act in (lambda: sign(town, proposal), lambda: people.resume(town.premises["north"], "attacked", now="x")):
        with pytest.raises(Invalid, match="left it, which is final"):
            act()


def test_a_decision_that_was_kept_and_not_sent_is_sent_by_the_porter(town: Town) -> None:
    proposal = town.propose(town.study())
    made = sign(town, proposal)
    town.fetch("north")
    lines = town.premises["north"].studies / proposal.study_sha256 / "decisions.jsonl"
    kept = [line for line in lines.read_text().splitlines() if "sent" not in json.loads(line)]
    lines.write_text("\n".join(kept) + "\n")
    assert [town.opened("north", one) for one in town.work("north")] == [made]
    assert town.work("north") == []


@pytest.mark.parametrize("name", ["other", "attacked@9", "0" * 64, "abc"])
def test_a_study_that_was_not_proposed_is_named_with_those_that_were(town: Town, name: str) -> None:
    town.propose(town.study())
    with pytest.raises(Invalid, match="known: attacked@1"):
        people.review(town.premises["north"], name, on="2026-02-03")


def test_an_id_means_the_newest_version(town: Town) -> None:
    town.propose(town.study())
    town.propose(town.study(lambda plain: plain.update(version=2)))
    assert people.review(town.premises["north"], "attacked", on="2026-02-03").study.version == 2
