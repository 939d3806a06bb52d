"""The certificate and the gate's report in a real browser: no request, no sideways scrolling, contrast, keyboard."""

import importlib.util
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import made_certificates as made
from wardgate.hub.intake.certificates import Material, examine
from wardgate.papers.certificate import certificate_html
from wardgate.papers.gate_report import gate_report_html

HERE = Path(__file__).resolve().parent


def _load():
    """The browser's driver, which lies beside the test of the report."""
    spec = importlib.util.spec_from_file_location("report_browser", HERE / "test_report_in_a_browser.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


DRIVER = _load()
needs_browser = DRIVER.needs_browser

CONTRAST = """
(() => {
  const parse = text => { const m = text.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m }
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const behind = one => { for (let at = one; at; at = at.parentElement) {
    const c = parse(getComputedStyle(at).backgroundColor); if (c[3] > 0.99) return c } return [255, 255, 255, 1] }
  const bad = []
  for (const one of document.querySelectorAll('body *')) {
    const text = [...one.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())
    if (!text || !one.getClientRects().length || one.closest('.unseen, .skip')) continue
    const style = getComputedStyle(one), svg = one instanceof SVGElement
    const [a, b] = [light(parse(svg ? style.fill : style.color)), light(behind(one))]
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)
    if (ratio < 4.5) bad.push(one.textContent.trim().slice(0, 40) + ' ' + ratio.toFixed(2))
  }
  return bad.slice(0, 5)
})()
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with DRIVER.browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """Three pages: a whole certificate, one that does not hold, and a report of a failing candidate."""
    folder, whole = tmp_path_factory.mktemp("pages"), made.made()
    given = Material(keys=whole.keys, on="2030-01-01", approvals=whole.approvals, files={"corpus.csv": b"other"})
    leak = made.evidence(
        replace={"membership.auc": made.measured("membership.auc", value=0.58, low=0.56, high=0.6)},
        missing={"membership.rehearsal": "too few persons for any tier of the policy", "realism.tstr_loss": "none"},
    )
    failing = made.made(leak)
    texts = {
        "whole": certificate_html(whole.opened, approvals=whole.approvals),
        "broken": certificate_html(whole.opened, checks=examine(whole.envelope, given).checks),
        "report": gate_report_html(
            leak, failing.verdict, policy=failing.policy, remedies=[("membership.auc", "noise")]
        ),
    }
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in texts}


@needs_browser
@pytest.mark.parametrize("which", ["whole", "broken", "report"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_fits_and_asks_nothing(page, pages, which, width) -> None:
    page.open(pages[which], width=width)
    assert [url for url in page.requests.values() if not url.startswith(("file:", "data:"))] == []
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    stuck = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(one => one.scrollWidth > one.clientWidth + 1"
        " && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX) && one.tabIndex < 0).length"
    )
    assert stuck == 0


@needs_browser
@pytest.mark.parametrize("which", ["whole", "broken", "report"])
@pytest.mark.parametrize("dark", [False, True])
def test_every_word_has_the_contrast_that_wcag_asks_for(page, pages, which, dark) -> None:
    page.open(pages[which], dark=dark)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.evaluate(CONTRAST) == []


@needs_browser
def test_words_without_contrast_would_be_found(page, pages, tmp_path) -> None:
    text = pages["whole"].read_text(encoding="utf-8").replace("</style>", ".soft { color: #bbbbbb; }</style>")
    (tmp_path / "pale.html").write_text(text, encoding="utf-8")
    page.open(tmp_path / "pale.html")
    assert page.evaluate(CONTRAST) != []


@needs_browser
def test_every_bar_has_a_name_that_a_reader_of_screens_can_say(page, pages) -> None:
    page.open(pages["whole"])
    names = page.evaluate(
        "[...document.querySelectorAll('svg[role=img]')].map(one => document.getElementById("
        "one.getAttribute('aria-labelledby')).textContent)"
    )
    assert len(names) >= 10 and all("limit:" in name for name in names)
    assert page.evaluate("document.querySelectorAll('h1').length") == 1
    assert page.evaluate("document.documentElement.lang") == "en-GB"
