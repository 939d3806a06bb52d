"""The report as bytes: well formed, self-contained, escaped, complete, deterministic."""

import math
import re
from collections import Counter
from functools import cached_property
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from wardgate.papers.report import render
from wardgate.papers.words import persons
from wardgate.records.results import Results

VOID = {"meta", "link", "br", "img", "hr", "input", "wbr"}


class Reader(HTMLParser):
    """Reads a page and keeps what the claims below ask for; raises on the first tag out of balance."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.stack, self.ids, self.tags, self.text = [], Counter(), [], []
        self.tables, self.pictures = [], []
        self.feed(html)
        self.close()
        assert self.stack == [], f"never closed: {self.stack}"

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        assert len(known) == len(attributes), f"an attribute twice in <{tag}>"
        self.tags.append((tag, known))
        if "id" in known:
            self.ids[known["id"]] += 1
        if tag == "svg":
            self.pictures.append((known, []))
        elif "svg" in self.stack:
            self.pictures[-1][1].append((tag, known))
        if tag == "table":
            self.tables.append([])
        elif self.stack and "table" in self.stack:
            self.tables[-1].append((tag, known))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        assert "svg" in self.stack, f"<{tag}/> outside a picture"
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        assert self.stack and self.stack[-1] == tag, f"</{tag}> closes {self.stack[-3:]}"
        self.stack.pop()

    def handle_data(self, data):
        if self.stack and self.stack[-1] not in ("style", "title", "desc"):
            self.text.append(data)

    @cached_property
    def words(self):
        return " ".join(" ".join(self.text).split())


def squeezed(text):
    return re.sub(r"\s+", "", text)


@pytest.fixture(scope="module", params=["six_hospitals", "many_hospitals"])
def results(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def html(results):
    return render(results)


@pytest.fixture(scope="module")
def page(html):
    return Reader(html)


def test_the_page_is_balanced_and_its_ids_are_unique(page):
    assert [name for name, count in page.ids.items() if count > 1] == []


def test_every_inner_link_and_label_points_at_something(page):
    for tag, known in page.tags:
        targets = [known[key] for key in ("aria-labelledby", "aria-describedby") if key in known]
        if (known.get("href") or "").startswith("#"):
            targets.append(known["href"][1:])
        for target in targets:
            assert target in page.ids, f"<{tag}> points at {target}"


def test_every_table_has_a_caption_and_scoped_headings(page):
    assert page.tables
    for table in page.tables:
        assert table[0][0] == "caption"
        headings = [known for tag, known in table if tag == "th"]
        assert headings and all(known.get("scope") in ("row", "col") for known in headings)


def test_every_picture_is_labelled_or_hidden_from_readers(page):
    assert page.pictures
    for known, inside in page.pictures:
        if known.get("aria-hidden") == "true":
            continue
        assert known.get("role") == "img"
        names = [tag for tag, _ in inside[:2]]
        assert names == ["title", "desc"]
        assert [one["id"] for _, one in inside[:2]] == [known["aria-labelledby"], known["aria-describedby"]]
    assert not any(tag == "img" for tag, _ in page.tags)


def test_headings_skip_no_level_and_landmarks_are_there(page):
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    body = levels[levels.index(1) :]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(body))
    tags = Counter(tag for tag, _ in page.tags)
    assert tags["main"] == tags["nav"] == tags["header"] == 1
    assert ("a", {"class": "skip", "href": "#main"}) in page.tags


def test_nothing_points_outside_the_page(html, page):
    for tag, known in page.tags:
        assert tag not in ("script", "iframe", "object", "embed", "base", "form")
        for key in ("src", "href", "srcset", "action", "data", "poster", "xlink:href"):
            assert (known.get(key) or "#").startswith(("#", "data:,")), (tag, key, known[key])
        assert not any(key.startswith("on") for key in known)
    assert not re.search(r"url\(|@import|https?://|//[a-z]+\.", html)


def test_the_policy_of_the_page_forbids_the_network(page):
    policy = [known["content"] for tag, known in page.tags if known.get("http-equiv") == "Content-Security-Policy"]
    assert len(policy) == 1
    assert policy[0].startswith("default-src 'none'; style-src 'unsafe-inline'; img-src data:;")


def test_equal_results_give_equal_bytes(results, html):
    again = Results.model_validate_json(results.model_dump_json())
    turned = again.model_copy(update={"bytes_moved": dict(reversed(again.bytes_moved.items()))})
    assert render(again) == html
    assert render(turned) == html


def test_no_absent_figure_becomes_a_number(page):
    assert not re.search(r"(?<![A-Za-z])(nan|inf|None|undefined)(?![A-Za-z])", page.words)
    assert not any(
        re.search(r"(?<![a-z])(nan|inf|none)(?![a-z])", str(known.get(key, "")).lower())
        for tag, known in page.tags
        for key in ("x", "y", "x1", "x2", "y1", "y2", "cx", "cy", "points", "width", "height", "style")
    )
    assert "not shown" in page.words


def test_every_ruling_is_told_with_its_meaning(results, page):
    told = squeezed(page.words)
    attempts = [attempt for site in results.sites for attempt in site.attempts] + list(results.joint_corpus)
    expected = Counter(r.meaning for attempt in attempts for r in attempt.verdict.rulings)
    for meaning, count in expected.items():
        assert told.count(squeezed(meaning)) == count
    for ruling in (r for attempt in attempts for r in attempt.verdict.rulings):
        for words in (ruling.rule, ruling.limit, ruling.reason, ruling.detects):
            assert squeezed(words) in told


def test_everything_that_left_is_counted(results, page):
    items = sum(len(site.left) for site in results.sites)
    assert f"{items:,} items" in page.words
    for site in results.sites:
        assert (f"Everything that left {site.id}" in page.words) is bool(site.left)
    if items <= 3000:
        for left in (left for site in results.sites for left in site.left):
            assert left.sha256[:12] in page.words
    else:
        more = [int(n) for n in re.findall(r"and (\d+) more like it", page.words)]
        lines = sum(len({(x.step, x.kind, x.protection) for x in site.left}) for site in results.sites)
        assert sum(more) + lines == items


def test_every_hospital_stands_in_the_page_with_its_state_and_reason(results, page):
    for site in results.sites:
        assert site.id in page.words and site.reason in page.words
        assert persons(site.persons_band) in page.words
    assert page.words.count("took part") >= len(results.sites) - 2


def test_the_study_and_policy_digests_and_the_way_to_verify_are_told(results, page):
    assert results.study_sha256 in page.words and results.policy_sha256 in page.words
    assert "wardgate verify OUT" in page.words


def test_text_is_inert(six_hospitals):
    note = next(site.note for site in six_hospitals.sites if site.note)
    html = render(six_hospitals)
    assert "<script" in note and "<script" not in html
    assert note in Reader(html).words
    nasty = six_hospitals.model_copy(update={"title": '</title></style><img src=x onerror="1">{{ 7 * 7 }}'})
    page = Reader(render(nasty))
    assert not any(tag == "img" for tag, _ in page.tags)
    assert nasty.title in page.words and "49" not in page.words[:400]


def test_the_marks_of_the_page_are_there_and_anonymity_is_never_claimed(six_hospitals, many_hospitals):
    simulated, real = Reader(render(six_hospitals)).words, Reader(render(many_hospitals)).words
    for words in (simulated, real):
        assert "SYNTHETIC AND AGGREGATES ONLY" in words
        assert "Not a legal finding of anonymity." in words
        assert not re.search(r"\b(is|are|fully|now) anonymous\b|\banonymi[sz]ed\b", words)
    assert "SIMULATED HOSPITALS, SIMULATED APPROVALS" in simulated
    assert "SIMULATED HOSPITALS" not in real


def test_the_pooled_comparator_is_marked_impossible(six_hospitals, many_hospitals):
    assert "impossible in reality, shown for comparison only" in Reader(render(six_hospitals)).words
    assert "runs only with --reference" in Reader(render(many_hospitals)).words


def test_an_empty_or_broken_run_still_makes_a_page_without_numbers_it_does_not_have(six_hospitals):
    bare = [
        a.model_copy(
            update=dict.fromkeys(("auroc", "auroc_low", "auroc_high", "auroc_bin_error", "oe", "slope", "curve"))
            | {"worst_site": None, "worst_site_auroc": None, "subgroup_gap": None, "sites": (), "subgroups": ()}
            | {"reason_absent": "too few persons"}
        )
        for a in six_hospitals.approaches
    ]
    empty = {"passes": (), "mismatch": (), "mismatched_sites": (), "leave_out": (), "model": (), "joint_corpus": ()}
    more = {"warnings": (), "acceptance": (), "bytes_moved": {}, "budget": {}, "features": (), "accepted": False}
    page = Reader(render(six_hospitals.model_copy(update={"approaches": tuple(bare), **empty, **more})))
    assert "No joint model has a figure that may be shown." in page.words and "not accepted" in page.words
    nothing = six_hospitals.model_copy(update={"approaches": (), "sites": (), **empty, **more})
    assert "Nobody" in Reader(render(nothing)).words


def test_figures_that_are_not_finite_are_said_in_words(six_hospitals):
    nan = math.nan
    approach = six_hospitals.approaches[2]
    figures = tuple(f.model_copy(update={"auroc": nan, "auroc_low": nan, "oe": nan}) for f in approach.sites)
    curve = approach.curve.model_copy(update={"observed": (nan,) * len(approach.curve.observed)})
    broken = approach.model_copy(update={"sites": figures, "curve": curve, "oe": nan, "auroc": nan, "slope": math.inf})
    terms = tuple(c.model_copy(update={"odds_ratio": nan, "high": math.inf}) for c in six_hospitals.model)
    page = Reader(render(six_hospitals.model_copy(update={"approaches": (broken,), "model": terms})))
    assert not re.search(r"(?<![A-Za-z])(nan|inf)(?![A-Za-z])", page.words)
    assert "could not be computed" in page.words


def test_a_page_of_464_hospitals_stays_below_six_megabytes(ist_sized):
    html = render(ist_sized)
    assert len(html.encode()) < 6_000_000
    Reader(html)


def _luminance(colour):
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one, other):
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_text_and_marks_have_the_contrast_of_wcag_aa_in_both_schemes(six_hospitals):
    style = render(six_hospitals).split("<style>")[1].split("</style>")[0]
    light, dark = [
        {k: v + v[1:] if len(v) == 4 else v for k, v in re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block)}
        for block in re.findall(r":root \{(.*?)\}", style, re.S)[:2]
    ]
    text = [(ink, paper) for ink in ("ink", "soft", "accent") for paper in ("page", "paper", "wash")]
    text += [(state, f"{state}-wash") for state in ("pass", "warn", "fail", "none", "dp")]
    text += [("ink", "warn-wash"), ("ink", "fail-wash"), ("accent", "fail-wash"), ("fail", "fail-wash")]
    text += [("banner-ink", "banner"), ("mark-ink", "mark"), ("ink", "none-wash"), ("soft", "none-wash")]
    marks = [(kind, "paper") for kind in ("local", "commons", "federated", "hybrid", "pooled", "edge", "accent")]
    for scheme in (light, dark):
        assert [pair for pair in text if _contrast(*(scheme[name] for name in pair)) < 4.5] == []
        assert [pair for pair in marks if _contrast(*(scheme[name] for name in pair)) < 3.0] == []
