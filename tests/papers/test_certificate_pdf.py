"""The PDF of a certificate: equal bytes for equal certificates, readable text, nothing from outside."""

import re
import sys
import zlib
from base64 import a85decode
from pathlib import Path

import pytest

pytest.importorskip("reportlab")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import made_certificates as made
from wardgate.hub.intake.certificates import Material, examine
from wardgate.papers.certificate_pdf import _fitting, _fonts, certificate_pdf


@pytest.fixture(scope="module")
def whole() -> made.Made:
    return made.made()


def streams(pdf: bytes) -> list[bytes]:
    """Every stream of a PDF, unpacked."""
    found = []
    for match in re.finditer(rb"stream\r?\n(.*?)endstream", pdf, flags=re.DOTALL):
        data = match[1].rstrip(b"\r\n")
        packed = data if data.startswith(b"x\x9c") else a85decode(b"<~" + data, adobe=True)
        found.append(zlib.decompress(packed))
    return found


def test_equal_certificates_give_equal_bytes(whole) -> None:
    pdf = certificate_pdf(whole.opened, approvals=whole.approvals)
    assert pdf == certificate_pdf(whole.opened, approvals=whole.approvals)
    assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")
    other = made.made(rules=made.policy(max_attempts=2))
    assert pdf != certificate_pdf(other.opened, approvals=whole.approvals)


def test_its_fonts_travel_with_it_and_it_asks_for_nothing(whole) -> None:
    pdf = certificate_pdf(whole.opened)
    assert pdf.count(b"/FontFile2") == 2
    for forbidden in (b"/URI", b"/JavaScript", b"/Launch", b"/EmbeddedFile", b"/GoToR"):
        assert all(forbidden not in part for part in (pdf, *streams(pdf)))
    assert b"(en-GB)" in pdf
    assert len(streams(pdf)) >= 4


def test_it_is_a_few_pages_long(whole) -> None:
    assert 2 <= len(re.findall(rb"/Type /Page\b", certificate_pdf(whole.opened))) <= 6


def test_signs_that_the_font_lacks_become_plain_ones() -> None:
    _fonts()
    assert _fitting("10⁻⁶ −0.5 ε Łódź 日本") == _fitting(_fitting("10⁻⁶ −0.5 ε Łódź 日本"))
    assert "10" in _fitting("10⁻⁶") and _fitting("abc") == "abc" and _fitting("日本") == "??"


def test_words_of_others_are_no_markup() -> None:
    evil = "<b>bold</b> & <img src='http://x/y.png'/> </para>"
    found = made.evidence(missing={"membership.rehearsal": evil})
    assert certificate_pdf(made.made(found).opened).startswith(b"%PDF-")


def test_a_broken_certificate_is_marked_on_its_first_page(whole) -> None:
    checks = examine(whole.envelope, Material(keys=whole.keys, on="2030-01-01")).checks
    assert certificate_pdf(whole.opened, checks=checks) != certificate_pdf(whole.opened)
