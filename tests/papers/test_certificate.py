"""The page of a certificate: every rule, what it means for one patient, and nothing that it should not say."""

import dataclasses
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import made_certificates as made
from wardgate.hub.intake.certificates import Material, examine
from wardgate.papers.certificate import certificate_html
from wardgate.papers.certificate_text import certificate_text, checks_text
from wardgate.papers.one_patient import for_one_patient
from wardgate.papers.rulings import bar_of, families, limits_in, row_of, untested
from wardgate.privacy.accountant import dp_claim
from wardgate.records.approval import ROLES, approve
from wardgate.records.certificate import approvable
from wardgate.records.claim import Claim, GaussianEvent
from wardgate.records.finding import Check
from wardgate.records.verdict import Ruling

FEW = {"membership.rehearsal": "too few persons for any tier of the policy"}


@pytest.fixture(scope="module")
def whole() -> made.Made:
    return made.made()


@pytest.fixture(scope="module")
def page(whole) -> str:
    return certificate_html(whole.opened, approvals=whole.approvals)


def ruling(rule: str, limit: str, value: float = 0.5, low: float = 0.4, high: float = 0.6, **more) -> Ruling:
    found = made.measured(rule, value=value, low=low, high=high)
    return Ruling(rule=rule, outcome="pass", limit=limit, meaning="It means something.", measured=found, **more)


def test_equal_certificates_give_equal_pages(whole, page) -> None:
    assert certificate_html(whole.opened, approvals=whole.approvals) == page


def test_every_ruling_is_on_the_page_with_its_limit_and_meaning(whole, page) -> None:
    text = page.replace("<wbr>", "")
    for one in whole.verdict.rulings:
        assert f"<code>{one.rule}</code>" in text
        assert one.limit in text and one.meaning.replace("'", "&#39;") in text
        if one.measured is not None:
            assert f'aria-labelledby="bar-{1 + [r.rule for r in order(whole)].index(one.rule)}-t"' in text


def order(whole) -> list[Ruling]:
    return [row.ruling for family in families(whole.verdict) for row in family.rows]


def test_the_page_asks_nothing_of_anybody(page) -> None:
    assert "default-src 'none'" in page and "<script" not in page
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!#|data:)""", page)
    assert "url(" not in page and "@import" not in page


def test_every_name_in_the_page_is_unique_and_every_reference_leads_somewhere(page) -> None:
    names = re.findall(r'\bid="([^"]+)"', page)
    assert len(names) == len(set(names))
    wanted = re.findall(r'(?:href="#|aria-labelledby="|aria-describedby=")([^"]+)"', page)
    assert set(wanted) <= set(names)


def test_words_of_others_are_escaped(whole) -> None:
    evil = "<script>alert(1)</script>"
    found = made.evidence(missing={"membership.rehearsal": evil})
    for text in (
        certificate_html(made.made(found).opened),
        certificate_html(whole.opened, checks=(Check(what=evil, state="broken", words=evil),)),
    ):
        assert "<script" not in text and "&lt;script&gt;" in text


def test_an_unchecked_page_says_so_and_a_broken_one_first_of_all(whole) -> None:
    assert "The signature was not checked for this page" in certificate_html(whole.opened)
    checks = examine(whole.envelope, Material(keys=whole.keys, on="2030-01-01", approvals=whole.approvals)).checks
    broken = certificate_html(whole.opened, checks=checks)
    assert "may not be relied on:</strong> validity: it expired on 2027-11-21" in broken
    assert "was not checked for this page" not in broken
    assert broken.index("may not be relied on") < broken.index("What left the hospital")


def test_simulated_approvals_stand_at_the_top(whole) -> None:
    digest = approvable(whole.opened.certificate, whole.opened.subjects)
    given = tuple(
        approve(digest, role=role, at=made.ISSUED, signer=made.signer(role), simulated=True) for role in ROLES
    )
    certificate = whole.opened.certificate.model_copy(update={"approvals": given})
    text = certificate_html(dataclasses.replace(whole.opened, certificate=certificate))
    assert text.index("SIMULATED APPROVALS") < text.index("<main")
    assert "SIMULATED APPROVALS" not in certificate_html(whole.opened, approvals=whole.approvals)


def test_what_was_not_tested_and_what_is_not_said_have_their_reasons(whole) -> None:
    found = made.evidence(missing=FEW)
    one = made.made(found)
    text = certificate_html(one.opened).replace("<wbr>", "")
    assert "not decided" in text and FEW["membership.rehearsal"] in text
    for field, reason in one.opened.certificate.reasons.items():
        assert f"<code>{field}</code>" in text and reason.replace("'", "&#39;") in text
    assert untested(whole.evidence, whole.verdict) == ()


def test_a_waiver_is_shown_with_its_reason_and_both_who_signed() -> None:
    found = made.evidence(missing=FEW)
    waiver = made.waiver("membership.rehearsal", found)
    text = certificate_html(made.made(found, exceptions=(waiver,)).opened)
    assert waiver.reason in text
    assert all(one.key_id[:16] in text for one in waiver.approvals)
    assert "Pass with exceptions" in text


def test_noise_is_told_as_belief_and_called_weak_where_it_is() -> None:
    event = GaussianEvent(noise_multiplier=1.2, count=1, what="counts")
    claim = dp_claim(gaussian=(event,), delta=1e-6, covers=("counts",), excludes=(), noise_source="system")
    text = certificate_html(made.made(made.evidence(claim=claim, cumulative=4.0)).opened)
    assert "whoever believed 50 %" in text and "98 %" in text and "little protection by itself" in text
    assert "No noise protects the patients" in certificate_html(
        made.made(made.evidence(claim=Claim(kind="none"))).opened
    )


@pytest.mark.parametrize(
    ("words", "limits"),
    [
        ("at most 0.55", (float("-inf"), 0.55)),
        ("at most 0.03 (tier 500/1000)", (float("-inf"), 0.03)),
        ("chance of at least 0.01 under no leak", (0.01, float("inf"))),
        ("planted copies caught with probability at least 0.9", (0.9, float("inf"))),
        ("from 0.5 to 2", (0.5, 2.0)),
        ("at least 1e-06", (1e-6, float("inf"))),
        ("at most -0.5", (float("-inf"), -0.5)),
        ("every number finite", None),
        ("", None),
    ],
)
def test_limits_are_read_from_the_words_of_a_ruling(words: str, limits) -> None:
    assert limits_in(words) == limits


@pytest.mark.parametrize(
    ("value", "low", "high", "limit"),
    [
        (0.5, 0.4, 0.6, "at most 0.55"),
        (1e-9, 1e-9, 1e-9, "chance of at least 0.01 under no leak"),
        (1.0, 1.0, 1.0, "chance of at least 0.01 under no leak"),
        (0.0, 0.0, 0.0, "at most 0"),
        (-0.02, -0.4, 0.1, "at most 0.08"),
        (250.0, 250.0, 250.0, "at least 3"),
        (1.0, 0.7, 1.4, "from 0.5 to 2"),
    ],
)
def test_every_bar_holds_its_value_and_its_limit(value, low, high, limit) -> None:
    bar = bar_of(ruling("membership.auc", limit, value, low, high))
    assert bar is not None and bar.edges
    place = bar.axis.onto(0.0, 100.0)
    assert place(bar.low) <= place(bar.value) <= place(bar.high)
    assert all(0 < place(edge) < 100 for edge in bar.edges), "a limit at the end of the axis could not be seen past"


def test_no_bar_is_drawn_of_what_is_no_number() -> None:
    assert bar_of(ruling("membership.auc", "at most 0.55", float("nan"), float("nan"), float("nan"))) is None
    assert bar_of(ruling("membership.auc", "in words alone")) is None
    assert row_of(Ruling(rule="attempts", outcome="pass", limit="attempt 1 to 3", meaning="m")).found == "in order"


@pytest.mark.parametrize(
    ("rule", "limit", "value", "words"),
    [
        ("membership.auc", "at most 0.55", (0.512, 0.498, 0.527), "right 51 times in 100, at worst 53 times"),
        ("membership.tpr_at_1_percent", "at most 0.02", (0.011, 0.006, 0.019), "names 11, at worst 19"),
        ("membership.tpr_at_0_1_percent", "at most 0.005", (0.001, 0.0, 0.004), "names 10, at worst 40"),
        (
            "copies.near",
            "chance of at least 0.01 under no leak",
            (0.34, 0.34, 0.34),
            "of 100 corpora that leak nobody, 34",
        ),
        (
            "copies.near",
            "chance of at least 0.01 under no leak",
            (0.004,) * 3,
            "Of 1,000 corpora that leak nobody, about 4",
        ),
        ("copies.near", "chance of at least 0.01 under no leak", (2e-9,) * 3, "a probability of 2 × 10⁻⁹"),
        ("disclosure.identity", "at most 0.09", (0.01, 0.0, 0.03), "at most 3.0 %"),
        ("disclosure.k_map", "at least 11", (14.0, 12.0, 20.0), "at most 1 time in 12"),
        ("disclosure.attribute", "at most 0.09", (0.01, -0.02, 0.04), "1.0 times more in 100 tries"),
        ("realism.tstr_loss", "at most 0.08", (0.01, 0.0, 0.04), ""),
        ("membership.auc", "at most 0.55", (0.5, 0.6, 0.4), ""),
    ],
)
def test_numbers_are_told_for_one_patient_at_their_worse_end(rule, limit, value, words) -> None:
    told = for_one_patient(ruling(rule, limit, *value))
    assert (words in told) if words else told == ""


def test_the_terminal_shows_the_same_rulings_within_its_width(whole) -> None:
    text = certificate_text(whole.opened, checks=())
    assert all(one.rule in text for one in whole.verdict.rulings)
    assert "NOT CHECKED" in text and "Not a legal finding of anonymity." in text
    evil = "\x1b[2Jcleared"
    assert "\x1b" not in certificate_text(made.made(made.evidence(missing={"copies.near": evil})).opened, checks=())


def test_a_check_ends_with_what_it_comes_to() -> None:
    def line(state) -> Check:
        return Check(what="signature", state=state, words="words")

    assert checks_text("c.json", [line("holds"), line("refused"), line("broken")]).endswith("do not use it.")
    assert "may not be relied on" in checks_text("c.json", [line("holds"), line("refused")])
    assert checks_text("c.json", [line("holds")]).endswith("Everything that was checked holds.")
    assert "Not checked: 1" in checks_text("c.json", [line("holds"), line("not checked")])
