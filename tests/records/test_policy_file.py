"""A policy file is read whole or refused line by line; nothing in it can be switched off by leaving it blank."""

from pathlib import Path

import pytest

from wardgate.papers.policy_text import markdown, table, template
from wardgate.policy import weaker_than
from wardgate.policy.limits import LIMITS
from wardgate.records.gate_policy import GatePolicy, Profile
from wardgate.records.policy_file import parse
from wardgate.records.yaml_file import Findings

HEAD = "schema: wardgate/privacy-gate/1\n"


@pytest.mark.parametrize("profile", ["public-open", "commons-controlled", "internal-only"])
def test_the_file_to_start_from_reads_back_as_the_profile(profile: Profile) -> None:
    policy = parse(template(profile), name="p.yaml")
    assert policy.profile == profile
    assert policy.max_attempts == 5
    assert all(limit.words in template(profile) for limit in LIMITS.values())
    assert policy.realism == GatePolicy().realism
    assert policy.membership == GatePolicy().membership


def test_the_public_profile_is_no_weaker_than_the_controlled_one() -> None:
    public, controlled = (parse(template(one), name="p.yaml") for one in ("public-open", "commons-controlled"))
    assert weaker_than(public, controlled) == ()
    assert weaker_than(controlled, public)


def test_every_limit_is_shown_with_its_source() -> None:
    rows = table(GatePolicy())
    assert {row[0] for row in rows} == LIMITS.keys()
    assert all(all(row) for row in rows)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "an empty file"),
        ("profile: public-open\n", "schema: found nothing"),
        ("schema: wardgate/privacy-gate/9\n", "schema: found 'wardgate/privacy-gate/9'"),
        (HEAD + "disclosure:\n", "disclosure: found nothing"),
        (HEAD + "disclosure: {k_map_min: ~}\n", "disclosure.k_map_min: found nothing"),
        (HEAD + "realism: {slope: null}\n", "realism.slope: found nothing"),
        (HEAD + "membership: {auc_maximum: 0.5}\n", "the unknown field 'auc_maximum', expected 'auc_max'"),
        (HEAD + "membership: {auc_max: many}\n", "membership.auc_max: found 'many'"),
        (HEAD + "membership: {auc_max: 1.5}\n", "membership.auc_max: found 1.5"),
        (HEAD + "membership: {auc_max: .nan}\n", "membership.auc_max"),
        (HEAD + "membership: {tiers: []}\n", "no tier"),
        (HEAD + "profile: public\n", "profile: found 'public'"),
        (HEAD + "profile: public-open\n", "dp.required: found false"),
        (HEAD + "small_cells: {min_count: 1}\n", "small_cells.min_count: found 1"),
        (HEAD + "max_attempts: 0\n", "max_attempts: found '0'"),
        (HEAD + "max_attempts: 2\nmax_attempts: 9\n", "a second time"),
        (HEAD + "{", "breaks YAML"),
    ],
)
def test_a_broken_policy_is_refused_with_line_and_reason(text: str, found: str) -> None:
    with pytest.raises(Findings) as caught:
        parse(text, name="p.yaml")
    assert found in str(caught.value)
    assert str(caught.value).startswith("p.yaml:")


def test_the_page_of_limits_is_that_of_the_policy_to_start_from(root: Path) -> None:
    policy = parse(template("commons-controlled"), name="p.yaml")
    page = (root / "docs/gate/policy.md").read_text()
    assert page == markdown(policy), (
        "run: wardgate gate policy init P.yaml; wardgate gate policy show P.yaml --markdown"
    )
