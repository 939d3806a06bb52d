"""Who contributed, for people: every figure with its error, what it is not for, and nothing that could be mark-up."""

import re
from html import unescape

import pytest

from wardgate.papers.contribution_page import contribution_page
from wardgate.papers.contribution_text import NOT_FOR, contribution_text, credit_lines
from wardgate.records.contribution import Basis, Contribution, Player, Share, Worth
from wardgate.records.parcel import VectorRef

NAMES = ("auroc", "net_benefit@0.5", "worst_site")


def share(worth: str, value: float) -> Share:
    return Share(
        worth=worth,
        by_persons=value,
        by_persons_error=0.0123,
        low=value - 0.0241,
        high=value + 0.0241,
        by_players=0.0312,
        by_players_error=0.002,
        sampling_error=0.0,
        left_out=-0.0004,
        left_out_error=0.0001,
    )


def record(*, remark: str = "", epsilon: float | None = None, within: float | None = 0.05) -> Contribution:
    players = (
        Player(
            name="block-1",
            sites=("h1", "h2", "h3"),
            persons_band="500-999",
            shares=tuple(share(name, 0.0512) for name in NAMES),
        ),
        Player(
            name="block-2",
            sites=("h4", "h5", "h6"),
            persons_band="50-99",
            shares=tuple(share(name, -0.0034) for name in NAMES),
            remark=remark,
        ),
    )
    return Contribution(
        study_sha256="a" * 64,
        issued_on="2026-01-02",
        players_are="blocks" if epsilon is None else "sites",
        drawn="by the study's public coin",
        stands_for="a logistic model",
        worth=tuple(Worth(name=name, meaning=f"meaning of {name}", nobody=0.5, everybody=0.79) for name in NAMES),
        players=players,
        basis=(
            Basis(
                what="contribution: train sums of 3 hospitals",
                split="train",
                sites=("h1", "h2", "h3"),
                products="together",
                noise=0.0 if epsilon is None else 2.5,
                total=VectorRef(name="total", sha256="b" * 64, dtype="<f8", shape=(11,)),
            ),
        ),
        ridge=1.0,
        thresholds=(0.5,),
        within=within,
        epsilon=epsilon,
        delta=None if epsilon is None else 1e-6,
        seed=1,
        pairs=200,
        coalitions=4,
        redraws=60,
        bytes_moved=12_345,
    )


@pytest.mark.parametrize("written", [contribution_page, contribution_text])
def test_every_share_stands_with_its_error_interval_and_comparison(written) -> None:  # type: ignore[no-untyped-def]
    text = unescape(written(record()))
    for shown in ("0.0512", "0.0123", "0.0271 to 0.0753", "−0.0034", "0.0312", "−0.0004", "12.3 kB", "500-999"):
        assert shown in text
    assert "not a price" in text.lower()
    for words in NOT_FOR:
        assert words.split(":")[0] in text


def test_the_page_is_one_file_that_asks_nothing_of_any_network() -> None:
    text = contribution_page(record())
    assert "<script" not in text and not re.search(r'(?:src|href)="https?://', text)
    assert contribution_page(record()) == text
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert all(target in ids for target in re.findall(r'href="#([^"]+)"', text))


def test_a_remark_cannot_be_mark_up_and_is_seen_in_every_form() -> None:
    text = contribution_page(record(remark="<b>look into it</b>"))
    assert "<b>look" not in text and "&lt;b&gt;look into it" in text and "see below" in text
    assert "block-2: look into it" in contribution_text(record(remark="look into it"))


def test_noise_and_copies_that_nobody_looked_for_are_said() -> None:
    text = contribution_text(record(epsilon=3.0, within=None))
    assert "epsilon 3 a split" in text and "were not looked for" in text and "and the noise" in text
    assert "count as one person" in contribution_text(record())


def test_credit_lines_name_every_hospital_and_no_count_of_persons() -> None:
    text = credit_lines(record())
    assert all(f"h{place}" in text for place in range(1, 7))
    assert "data curation" in text and "500" not in text
