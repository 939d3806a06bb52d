"""A certificate as PDF, for a file of paper. The HTML page is the accessible form; this one has the same words."""

import io
import unicodedata
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from reportlab.graphics.shapes import Circle, Drawing, Line, Rect, String
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.enums import TA_LEFT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from wardgate.papers.certificate import held_back
from wardgate.papers.rulings import Row, families, in_numbers, untested
from wardgate.papers.words import OUTCOMES, belief, chance, listed, measure, persons
from wardgate.records.approval import Approval
from wardgate.records.certificate import Certificate, Opened
from wardgate.records.finding import Check

TEXT, BOLD = "Vera", "VeraBd"
"""Bitstream Vera, which the library brings; embedded, so that the file needs nothing of its reader's machine."""

INK, SOFT, LINE, BAND = HexColor("#1a2530"), HexColor("#4c5b68"), HexColor("#b9c0c4"), HexColor("#e4e6e3")
BEYOND = HexColor("#fbe8e6")
COLOURS = {
    "pass": HexColor("#17643a"),
    "fail": HexColor("#a41f19"),
    "waived": HexColor("#855000"),
    "pass_with_exceptions": HexColor("#855000"),
    "not_evaluable": HexColor("#4c5b68"),
    "covered_by_dp": HexColor("#1d4f91"),
}

PLAIN = ParagraphStyle(
    "plain", fontName=TEXT, fontSize=8.4, leading=11.6, textColor=INK, alignment=TA_LEFT, spaceAfter=3
)
SMALL = ParagraphStyle("small", parent=PLAIN, fontSize=7, leading=9.4, textColor=SOFT, spaceAfter=2)
TITLE = ParagraphStyle("title", parent=PLAIN, fontName=BOLD, fontSize=17, leading=21, spaceAfter=2)
HEAD = ParagraphStyle("head", parent=PLAIN, fontName=BOLD, fontSize=11, leading=14, spaceBefore=10, spaceAfter=4)
ITEM = ParagraphStyle("item", parent=PLAIN, leftIndent=9, bulletIndent=1)
MARK = ParagraphStyle("mark", parent=PLAIN, fontName=BOLD, backColor=HexColor("#fff1cf"), borderPadding=4, spaceAfter=8)

BAR_WIDTH, BAR_HEIGHT = 48 * mm, 9.4 * mm


def certificate_pdf(opened: Opened, *, checks: Sequence[Check] = (), approvals: Sequence[Approval] = ()) -> bytes:
    """Return a certificate as PDF. Equal arguments give equal bytes: no clock and no name of a machine is in it."""
    _fonts()
    said = opened.certificate
    buffer = io.BytesIO()
    name = f"Certificate of {said.site.id}: {OUTCOMES[said.verdict.outcome]}"
    document = SimpleDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=17 * mm,
        rightMargin=17 * mm,
        topMargin=17 * mm,
        bottomMargin=16 * mm,
        title=_fitting(name),
        author=_fitting(said.site.id),
        subject=_fitting(said.claim),
        creator=f"{said.tool.name} {said.tool.version}",
        lang="en-GB",
        invariant=1,
    )
    given = tuple(dict.fromkeys((*said.approvals, *approvals)))
    story = [
        *_head(opened, checks),
        *_left(opened),
        *_attacker(said),
        *_rules(said),
        *_untested(said),
        *_signed(opened, given),
        *_verify(opened, checks),
        *_absent(said),
    ]

    def footer(canvas: Any, page: Any) -> None:
        canvas.setFont(TEXT, 6.5)
        canvas.setFillColor(SOFT)
        canvas.drawString(17 * mm, 9 * mm, f"Certificate {opened.sha256[:32]} - synthetic, no patient is in this file")
        canvas.drawRightString(A4[0] - 17 * mm, 9 * mm, f"page {page.page}")

    document.build(story, onFirstPage=footer, onLaterPages=footer)
    return buffer.getvalue()


def _fonts() -> None:
    known = pdfmetrics.getRegisteredFontNames()
    for font in (TEXT, BOLD):
        if font not in known:
            pdfmetrics.registerFont(TTFont(font, f"{font}.ttf"))
    pdfmetrics.registerFontFamily(TEXT, normal=TEXT, bold=BOLD, italic=TEXT, boldItalic=BOLD)


def _fitting(text: str) -> str:
    """Return a text whose every sign the font has: others become their plain form, or a question mark."""
    face = pdfmetrics.getFont(TEXT).face.charToGlyph
    return "".join(_sign(sign, face) for sign in text)


def _sign(sign: str, face: dict[int, int]) -> str:
    if ord(sign) in face:
        return sign
    plain = "".join(part for part in unicodedata.normalize("NFKD", sign) if ord(part) in face)
    return plain or "?"


def _p(words: str, style: ParagraphStyle = PLAIN) -> Paragraph:
    """Return a paragraph of text; nothing in it is markup."""
    return Paragraph(escape(_fitting(words), quote=False), style)


def _items(items: Sequence[str]) -> list[Paragraph]:
    return [Paragraph(escape(_fitting(words), quote=False), ITEM, bulletText="-") for words in items]


def _head(opened: Opened, checks: Sequence[Check]) -> Iterator[Any]:
    said = opened.certificate
    yield _p("Certificate of a synthetic release", SMALL)
    yield _p(f"{said.evidence.kind.replace('-', ' ').capitalize()} of {said.site.id}", TITLE)
    yield Paragraph(
        f'<font color="#{COLOURS[said.verdict.outcome].hexval()[2:]}"><b>'
        f"{escape(OUTCOMES[said.verdict.outcome].capitalize())}</b></font>",
        ParagraphStyle("verdict", parent=TITLE, fontSize=14, leading=18, spaceAfter=4),
    )
    yield _p(said.claim)
    if opened.simulated:
        yield _p("SIMULATED APPROVALS: keys that stand for nobody. It binds nobody outside a demo.", MARK)
    trouble = [one for one in checks if one.state in ("broken", "refused")]
    if trouble:
        yield _p(f"It may not be relied on: {trouble[0].what}: {trouble[0].words}.", MARK)
    elif not checks:
        yield _p("The signature was not checked for this copy; the last part says how to check it.", MARK)
    study = f"study {said.study.id}, version {said.study.version}" if said.study else "no study"
    yield _p(
        f"{study}; issued on {said.issued_on or 'a day not told'}, valid until {said.valid_until or 'no day told'};"
        f" policy {said.policy.sha256[:16]} ({said.policy.profile}); attempt {said.attempts.number} of"
        f" {said.attempts.of}; {said.tool.name} {said.tool.version}.",
        SMALL,
    )


def _left(opened: Opened) -> Iterator[Any]:
    said = opened.certificate
    passed = said.verdict.outcome in ("pass", "pass_with_exceptions")
    yield _p("What left the hospital" if passed else "What was to leave, and did not", HEAD)
    for name, digest in opened.subjects:
        yield _p(f"{name}, SHA-256 {digest}", SMALL)
    yield _p(
        f"Made from {persons(said.source.persons_band)} persons by {said.generator.name}"
        f"{', ' + said.generator.version if said.generator.version else ''}."
    )
    kept = held_back(said)
    yield _p(f"Held back: {'; '.join(kept)}." if kept else "Nothing was held back: the candidate was judged whole.")
    if said.exact_sums_also_released:
        yield _p("The policy lets exact sums over the same patients leave as well. No epsilon covers those.")


def _attacker(said: Certificate) -> Iterator[Any]:
    yield _p("What an attacker could do", HEAD)
    yield from _items(in_numbers(said.verdict)) or [_p("No attack on membership could be run on this release.")]
    claim, total = said.evidence.claim, said.evidence.cumulative_epsilon
    if claim.kind == "dp" and claim.epsilon is not None and claim.delta is not None:
        yield _p(
            f"Noise: epsilon {measure(claim.epsilon)} at delta {measure(claim.delta)} for one person; with everything"
            f" before it {measure(total)}. Whoever believed 50 % that a patient was used believes at most"
            f" {chance(belief(total, 0.5))} afterwards."
        )
    else:
        yield _p("No noise protects the patients by design; the tests below do, and nothing else.")
    yield _p("What remains:")
    yield from _items(said.residual_risks)


def _rules(said: Certificate) -> Iterator[Any]:
    for family in families(said.verdict):
        yield _p(family.title, HEAD)
        rows = [[_bar(row), _words(row)] for row in family.rows]
        table = Table(rows, colWidths=[BAR_WIDTH + 4 * mm, None], hAlign="LEFT")
        table.setStyle(
            TableStyle(
                [
                    ("VALIGN", (0, 0), (-1, -1), "TOP"),
                    ("LINEABOVE", (0, 0), (-1, -1), 0.4, LINE),
                    ("LEFTPADDING", (0, 0), (0, -1), 0),
                ]
            )
        )
        yield table


def _words(row: Row) -> list[Paragraph]:
    ruling = row.ruling
    said = f"{row.found} ({row.interval})" if row.interval else row.found
    colour = COLOURS[ruling.outcome].hexval()[2:]
    head = (
        f'<b>{escape(_fitting(ruling.rule))}</b>: <font color="#{colour}"><b>{escape(OUTCOMES[ruling.outcome])}</b>'
        f"</font>. Found {escape(_fitting(said))}; allowed: {escape(_fitting(ruling.limit))}."
    )
    more = [row.one_patient or ruling.meaning]
    if ruling.reason:
        more.append(f"Why: {ruling.reason}.")
    if ruling.detects:
        more.append(f"It would have caught: {ruling.detects}.")
    return [Paragraph(head, PLAIN), *(_p(words, SMALL) for words in more)]


def _bar(row: Row) -> Drawing | Paragraph:
    bar = row.bar
    if bar is None:
        return _p("", SMALL)
    drawing, place, middle = Drawing(BAR_WIDTH, BAR_HEIGHT), bar.axis.onto(2, BAR_WIDTH - 2), 17.5
    colour = COLOURS[row.ruling.outcome]
    drawing.add(Rect(2, middle - 5, BAR_WIDTH - 4, 10, fillColor=BAND, strokeColor=None))
    for start, end in ((bar.axis.low, bar.allowed_low), (bar.allowed_high, bar.axis.high)):
        if start < end and abs(start) != float("inf") and abs(end) != float("inf"):
            width = place(end) - place(start)
            drawing.add(Rect(place(start), middle - 5, width, 10, fillColor=BEYOND, strokeColor=None))
    for edge in bar.edges:
        x = place(edge)
        drawing.add(Line(x, middle - 8, x, middle + 8, strokeColor=INK, strokeWidth=0.9, strokeDashArray=(2, 1.2)))
        drawing.add(_label(measure(edge), x))
    drawing.add(Line(place(bar.low), middle, place(bar.high), middle, strokeColor=colour, strokeWidth=1.5))
    drawing.add(Circle(place(bar.value), middle, 2.4, fillColor=colour, strokeColor=Color(1, 1, 1), strokeWidth=0.5))
    return drawing


def _label(text: str, x: float) -> String:
    anchor = "start" if x < 14 else "end" if x > BAR_WIDTH - 14 else "middle"
    return String(x, 2, _fitting(text), fontName=BOLD, fontSize=6, fillColor=SOFT, textAnchor=anchor)


def _untested(said: Certificate) -> Iterator[Any]:
    yield _p("What was not tested", HEAD)
    missing = [f"{name}: {what}; {why}" for name, what, why in untested(said.evidence, said.verdict)]
    yield from _items(missing) or [_p("Every measure that the rules ask for was taken.")]
    yield from _items([f"known gap: {words}" for words in said.known_gaps])


def _signed(opened: Opened, approvals: Sequence[Approval]) -> Iterator[Any]:
    said = opened.certificate
    lines = [_p("Who signed", HEAD), _p(f"Issued by {said.site.id}, key {opened.key_id}.")]
    for one in approvals:
        mark = " (SIMULATED)" if one.simulated else ""
        lines.append(_p(f"Approved by the {one.role.replace('_', ' ')} on {one.at}, key {one.key_id[:32]}{mark}."))
    if not approvals:
        lines.append(_p("Nobody has approved it yet; a privacy officer and a second person have to."))
    for waiver in said.exceptions:
        who = " and ".join(f"{one.role.replace('_', ' ')} ({one.key_id[:16]})" for one in waiver.approvals)
        lines.append(_p(f"Exception: {waiver.rule}. {waiver.reason} Signed by {who}."))
    if said.subgroups:
        lines.append(_p(f"Attacked apart, group by group: {listed(said.subgroups.reported)}."))
    yield KeepTogether(lines)


def _verify(opened: Opened, checks: Sequence[Check]) -> Iterator[Any]:
    yield _p("How to check it", HEAD)
    yield _p(
        "wardgate verify CERTIFICATE.json --keys KEYS.json --corpus FILE --floor FLOOR.yaml"
        " --revocations REVOCATIONS.jsonl --approvals APPROVALS.json"
    )
    yield _p(f"Offline. The certificate's file has SHA-256 {opened.sha256}.", SMALL)
    yield from _items([f"{one.state}: {one.what}: {one.words}" for one in checks])
    yield Spacer(1, 2)


def _absent(said: Certificate) -> Iterator[Any]:
    if said.absent:
        yield _p("What it does not say", HEAD)
        yield from (_p(f"{one.field}: {one.reason}.", SMALL) for one in said.absent)
