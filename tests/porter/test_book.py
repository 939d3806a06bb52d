"""The visitors' book: whole, readable, and free of patients."""

import json
from pathlib import Path

import pytest
from town import Town

from wardgate.federation import site as people
from wardgate.hospital.ward.porter.book import Entry, VisitorsBook, clean
from wardgate.hospital.ward.porter.known import KnownKeys
from wardgate.records.errors import Broken
from wardgate.records.messages import Answer
from wardgate.records.parcel import pack_bytes

CANARY = "CANARY"


def entry(words: str = "something", **fields: object) -> Entry:
    return Entry.model_validate({"at": "2026-02-03T04:05:06Z", "event": "question", "words": words} | fields)


def test_no_patient_stands_in_the_book_or_in_anything_that_others_may_read(town: Town) -> None:
    """By every road: an identifier, a category that nobody knows, a number that is none."""
    premises = town.premises["north"]
    data = premises.root / "data" / "patients.csv"
    rows = data.read_text().splitlines()
    rows[1] = f"{CANARY}-1,47,83.25,m,1"
    study = town.agreed()
    town.agreed(lambda plain: plain.update(version=2))
    for number, odd in enumerate((f"{CANARY}-2,47,83.25,{CANARY}-sex,1", f"{CANARY}-3,{CANARY}-age,83.25,m,0")):
        rows[2] = odd
        data.write_text("\n".join(rows) + "\n")
        asked = town.study(lambda plain, number=number: plain.update(version=number + 1))
        packed = [pack_bytes("study", asked.to_bytes())]
        town.say("north", town.question(asked, packed, computation="review"))
        town.say("north", town.question(asked, computation="associations", split="train"))
        town.say("north", town.question(asked, computation="corpus", split="train"))
    assert study.version == 1
    assert CANARY in data.read_text()
    places = [premises.ward / "book.jsonl", premises.ward / "approvals.jsonl", *premises.spool.rglob("*")]
    for path in places:
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path
    assert all(CANARY.encode() not in one.to_bytes() for one in town.heard["north"])


def test_every_question_and_every_answer_stands_in_the_book_once(town: Town) -> None:
    study = town.agreed()
    packed = [pack_bytes("study", study.to_bytes())]
    given: list[Answer] = []
    for fields in (
        {"computation": "review"},
        {"computation": "associations", "split": "train"},
        {"computation": "nil"},
    ):
        brought = packed if fields["computation"] == "review" else ()
        given += [one for one in town.say("north", town.question(study, brought, **fields)) if isinstance(one, Answer)]
    lines = people.book(town.premises["north"])
    assert [one.event for one in lines] == ["proposal", "decision", *["question", "answer"] * 3]
    assert [one.left for one in lines if one.event == "answer"] == ["statement", "figures", "nothing"]
    assert [one.bytes > 0 for one in lines if one.event == "answer"] == [True] * 3
    assert {one.question_sha256 for one in given} == {one.question for one in lines if one.event == "answer"}
    assert all(one.words.isprintable() for one in lines)


def test_a_line_that_a_crash_cut_short_never_counted(tmp_path: Path) -> None:
    book = VisitorsBook(tmp_path)
    book.note(entry("first"))
    path = tmp_path / "book.jsonl"
    path.write_bytes(path.read_bytes() + b'{"at": "2026')
    assert [one.words for one in VisitorsBook(tmp_path).entries()] == ["first"]
    VisitorsBook(tmp_path).note(entry("second"))
    assert [one.words for one in VisitorsBook(tmp_path).entries()] == ["first", "second"]
    assert path.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("line", ["rubbish", "[]", '{"at": "x"}', '{"event": "question", "at": "x", "words": 7}', "["])
def test_a_book_that_was_altered_is_not_read_as_if_it_were_whole(tmp_path: Path, line: str) -> None:
    VisitorsBook(tmp_path).note(entry())
    path = tmp_path / "book.jsonl"
    path.write_text(f"{line}\n{path.read_text()}")
    with pytest.raises(Broken, match=r"line 1 of book\.jsonl"):
        VisitorsBook(tmp_path).entries()


def test_the_same_event_of_the_same_subject_stands_once_also_after_a_restart(tmp_path: Path) -> None:
    assert VisitorsBook(tmp_path).note_once(entry(subject="a" * 64))
    again = VisitorsBook(tmp_path)
    assert not again.note_once(entry(subject="a" * 64))
    assert again.note_once(entry(subject="b" * 64)) and not again.note_once(entry(subject="b" * 64))
    assert len(again.entries()) == 2


def test_words_of_others_are_one_printable_line() -> None:
    assert clean("a\nb\x1b[31m\u202e\u2028c") == "a b [31m  c"
    assert len(clean("x" * 10_000)) == 600


@pytest.mark.parametrize("data", ["{", "[1]", '[{"name": "hub"}]', '{"hub": 1}', "[" * 9000])
def test_pins_that_cannot_be_read_are_no_pins_at_all(tmp_path: Path, data: str) -> None:
    (tmp_path / "known.json").write_text(data)
    with pytest.raises(Broken, match=r"known\.json cannot be read"):
        KnownKeys(tmp_path).all()


def test_the_book_is_json_that_other_programs_read(tmp_path: Path) -> None:
    VisitorsBook(tmp_path).note(entry("Ümlaut"))
    (line,) = (tmp_path / "book.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["words"] == "Ümlaut"
