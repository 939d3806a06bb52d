"""Broken exports: refused with the file's name, or counted with file and line. Never silently less."""

import gzip
import json
import os
import traceback
from pathlib import Path

import polars as pl
import pytest

from wardgate.hospital.ward.source.fhir.lines import LONGEST_LINE
from wardgate.hospital.ward.source.fhir.opened import opened_fhir
from wardgate.records.errors import Invalid
from wardgate.records.source_file import SourceFile

CANARY = "CANARY-7731"


def raw(*resources: dict) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in resources)


def conditions(diagnosis, count: int) -> list[bytes]:
    return [raw(diagnosis(f"c{number}")) for number in range(count)]


def height(events: pl.DataFrame) -> int:
    return events.filter(pl.col("table") == "condition").height


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (b'{"resourceType":"Condition","id":"x","subje\n', "lines that are no JSON, or cut off"),
        (b"[" * 50_000 + b"\n", "lines that are no JSON, or cut off"),
        (b'{"resourceType":"Condition","id":"x","value":NaN}\n', "lines that are no JSON, or cut off"),
        (b'{"resourceType":"Condition","id":"x"}{"a":1}\n', "lines that are no JSON, or cut off"),
        (b'{"resourceType":"Condition","id":"x","n":' + b"9" * 5000 + b"}\n", "lines that are no JSON, or cut off"),
        (b'{"resourceType":"Condition","id":"x\xff"}\n', "lines that are not UTF-8"),
        (b'{"resourceType":"Condition","id":"\\ud800"}\n', "lines that are not UTF-8"),
        (b'{"resourceType":"Observation","id":"x"}\n', "lines that hold no resource of this type"),
        (b'["Condition"]\n', "lines that hold no resource of this type"),
        (b"null\n", "lines that hold no resource of this type"),
        (b'{"resourceType":"Condition"}\n', "resources without an id"),
        (b'{"resourceType":"Condition","id":7}\n', "resources without an id"),
        (b'{"x":"' + b"y" * 1_000_000 + b'"}\n', f"lines longer than {LONGEST_LINE:,} bytes"),
    ],
)  # fmt: skip
def test_one_bad_line_is_counted_with_its_number_and_the_rest_is_read(
    export, open_export, person, diagnosis, broken, what
) -> None:
    held = conditions(diagnosis, 20)
    folder = export([person()], Condition=b"".join([*held[:6], broken, *held[6:]]))
    with open_export(folder) as source:
        events = pl.concat(source.engine.batches(source.every()))
        noticed = source.noticed()
    assert height(events) == 20
    assert [(one.what, one.count, one.of, one.where, one.harm) for one in noticed] == [
        (f"Condition: {what}", 1, 21, ("Condition.ndjson, line 7",), "lost")
    ]


def test_a_last_line_that_is_cut_off_is_counted(export, read, person, diagnosis) -> None:
    folder = export([person()], Condition=b"".join(conditions(diagnosis, 20))[:-30])
    events, noticed = read(folder)
    assert height(events) == 19
    assert noticed == {"Condition: lines that are no JSON, or cut off": 1}


def test_a_last_line_without_a_line_break_is_whole(export, read, person, diagnosis) -> None:
    events, noticed = read(export([person()], Condition=b"".join(conditions(diagnosis, 3))[:-1]))
    assert (height(events), noticed) == (3, {})


def test_empty_lines_and_windows_line_breaks_are_no_fault(export, read, person, diagnosis) -> None:
    held = b"\n\n".join(conditions(diagnosis, 3)).replace(b"\n", b"\r\n")
    events, noticed = read(export([person()], Condition=held))
    assert (height(events), noticed) == (3, {})


def test_a_line_that_is_longer_than_memory_is_skipped_in_pieces(export, read, person, diagnosis, monkeypatch) -> None:
    asked: list[int] = []

    class Stream:
        """Says of every read how much was asked for, so that no reader takes a whole line at once."""

        def __init__(self, stream) -> None:
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *_) -> None:
            self.stream.close()

        def readline(self, size: int = -1) -> bytes:
            asked.append(size)
            return self.stream.readline(size)

    whole = Path.open
    long = b'{"x":"' + b"y" * 20_000_000 + b'"}\n'
    folder = export([person()], Condition=long + b"".join(conditions(diagnosis, 3)))
    monkeypatch.setattr(Path, "open", lambda path, mode, **more: Stream(whole(path, mode, **more)))
    events, noticed = read(folder)
    assert (height(events), noticed) == (3, {f"Condition: lines longer than {LONGEST_LINE:,} bytes": 1})
    assert min(asked) > 0 and max(asked) <= LONGEST_LINE + 1


def test_too_many_bad_lines_refuse_the_export_and_quote_nothing(export, read, person, diagnosis) -> None:
    bad = f'{{"resourceType":"Condition","id":"{CANARY}\n'.encode()
    folder = export([person()], Condition=b"".join([*conditions(diagnosis, 100), bad, bad]))
    assert read(folder)[1] == {"Condition: lines that are no JSON, or cut off": 2}
    (folder / "Condition.ndjson").write_bytes(b"".join([*conditions(diagnosis, 100), bad, bad, bad]))
    with pytest.raises(Invalid, match=r"3 of 103 lines of Condition .*line 101; .*line 102") as caught:
        read(folder)
    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_the_share_of_bad_lines_counts_from_one_in_a_hundred(export, read, person, diagnosis) -> None:
    folder = export([person()], Condition=b"".join([*conditions(diagnosis, 297), b"{\n", b"{\n", b"{\n"]))
    assert height(read(folder)[0]) == 297
    (folder / "Condition.ndjson").write_bytes(b"".join([*conditions(diagnosis, 296), b"{\n", b"{\n", b"{\n"]))
    with pytest.raises(Invalid, match="3 of 299 lines"):
        read(folder)


def test_a_file_of_nothing_but_bad_lines_is_refused(export, read, person) -> None:
    with pytest.raises(Invalid, match="1 of 1 lines of Condition"):
        read(export([person()], Condition=b"{\n"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_refused_by_name(export, read, person, diagnosis, encoding) -> None:
    text = raw(diagnosis()).decode().encode(encoding)
    with pytest.raises(Invalid, match=r"Condition.ndjson is UTF-16 or UTF-32, expected UTF-8"):
        read(export([person()], Condition=text))


def test_a_byte_order_mark_of_utf_8_is_no_part_of_the_first_resource(export, read, person, diagnosis) -> None:
    events, noticed = read(export([person()], Condition=b"\xef\xbb\xbf" + raw(diagnosis())))
    assert (height(events), noticed) == (1, {})


def test_gzip_says_the_same_as_plain(export, read, person, diagnosis) -> None:
    folder = export([person()], Condition=b"".join(conditions(diagnosis, 50)))
    plain, _ = read(folder)
    packed = gzip.compress((folder / "Condition.ndjson").read_bytes())
    (folder / "Condition.ndjson").unlink()
    (folder / "Condition.ndjson.gz").write_bytes(packed)
    again, noticed = read(folder)
    assert again.equals(plain)
    assert noticed == {}


@pytest.mark.parametrize("keep", [5, 40, -6])
def test_gzip_that_is_cut_off_is_refused(export, read, person, diagnosis, keep) -> None:
    folder = export([person()])
    (folder / "Condition.ndjson.gz").write_bytes(gzip.compress(b"".join(conditions(diagnosis, 50)))[:keep])
    with pytest.raises(Invalid, match=r"Condition.ndjson.gz is cut off or not gzip"):
        read(folder)


def test_what_is_no_gzip_is_refused(export, read, person, diagnosis) -> None:
    folder = export([person()])
    (folder / "Condition.ndjson.gz").write_bytes(raw(diagnosis()))
    with pytest.raises(Invalid, match="cut off or not gzip"):
        read(folder)


def test_an_empty_folder_is_refused(tmp_path: Path, read) -> None:
    (tmp_path / "export").mkdir()
    with pytest.raises(Invalid, match=r"holds no file that ends in \.ndjson"):
        read(tmp_path / "export")


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(Invalid, match="nowhere is no folder"),
        opened_fhir(tmp_path, SourceFile(kind="fhir", place="nowhere")),
    ):
        pass


@pytest.mark.parametrize("patients", [None, b"", b"\n\n"])
def test_an_export_of_nobody_is_refused(export, read, diagnosis, patients) -> None:
    folder = export([diagnosis()], **({} if patients is None else {"Patient": patients}))
    with pytest.raises(Invalid, match="holds no"):
        read(folder)


def test_an_export_without_a_time_zone_is_refused_once_it_needs_one(export, read, person, diagnosis) -> None:
    assert height(read(export([person(), diagnosis(onsetDateTime="2020-03-01")]), timezone=None)[0]) == 1
    with pytest.raises(Invalid, match=r"set 'timezone' in source\.yaml"):
        read(export([person(), diagnosis()]), timezone=None)


def test_a_zone_that_nobody_knows_is_refused(export, read, person) -> None:
    with pytest.raises(Invalid, match="found 'Mars/Olympus', expected an IANA name"):
        read(export([person()]), timezone="Mars/Olympus")


def test_files_of_other_resources_are_named_and_not_read(export, read, person) -> None:
    folder = export([person()], Immunization=[{"resourceType": "Immunization", "id": "i"}], log=b'{"event": 1}\n')
    assert read(folder)[1] == {"files of Immunization, not read": 1, "files without FHIR resources, not read": 1}


def test_hidden_files_are_no_part_of_an_export(export, read, person) -> None:
    folder = export([person()])
    (folder / "._Patient.ndjson").write_bytes(b"\x00\x05\x16\x07" * 100)
    assert read(folder)[1] == {}


def test_a_file_with_another_name_is_known_by_its_resources(export, read, person, diagnosis) -> None:
    folder = export([person()], part_7=raw(diagnosis("c1")), Condition=raw(diagnosis("c2")))
    events, noticed = read(folder)
    assert (height(events), noticed) == (2, {})


def test_of_resources_with_one_id_the_newest_stays(export, read, person, diagnosis) -> None:
    held = [
        diagnosis("c1", meta={"lastUpdated": "2020-05-01T00:00:00Z"}, onsetDateTime="2001-01-01"),
        diagnosis("c1", meta={"lastUpdated": "2020-06-01T00:00:00Z"}, onsetDateTime="2002-01-01"),
        diagnosis("c1", meta={"lastUpdated": "2020-04-01T00:00:00Z"}, onsetDateTime="2003-01-01"),
        diagnosis("c2", onsetDateTime="2004-01-01"),
        diagnosis("c2", onsetDateTime="2005-01-01"),
        diagnosis("c3", onsetDateTime="2006-01-01"),
    ]
    events, noticed = read(export([person(), person(), *held]))
    assert events.filter(pl.col("table") == "condition")["time"].dt.year().sort().to_list() == [2002, 2005, 2006]
    assert events.filter(pl.col("code") == "MEDS_BIRTH").height == 1
    what = "resources whose id comes again: the newest lastUpdated counts, of equals the last"
    assert noticed == {f"Patient: {what}": 1, f"Condition: {what}": 3}


@pytest.mark.parametrize("how", ["written", "replaced", "added", "removed"])
def test_an_export_that_changes_while_it_is_read_is_refused(export, open_export, person, diagnosis, how) -> None:
    folder = export([person(), diagnosis()])
    path = folder / "Condition.ndjson"
    with open_export(folder) as source:
        source.check_unchanged()
        if how == "written":
            with path.open("ab") as stream:
                stream.write(raw(diagnosis("c2")))
        elif how == "replaced":
            stat = path.stat()
            (folder / "other").write_bytes(path.read_bytes())
            os.utime(folder / "other", ns=(stat.st_atime_ns, stat.st_mtime_ns))
            (folder / "other").rename(path)
        elif how == "added":
            (folder / "Procedure.ndjson").write_bytes(b"")
        else:
            path.unlink()
        with pytest.raises(Invalid, match="changed while it was read"):
            source.check_unchanged()


def test_a_link_out_of_the_folder_is_not_followed(export, read, person, tmp_path: Path) -> None:
    folder = export([person()])
    (tmp_path / "secret").write_bytes(b"{}\n")
    (folder / "Condition.ndjson").symlink_to(tmp_path / "secret")
    with pytest.raises(Invalid, match="leads out of the export's folder"):
        read(folder)


def test_an_export_that_does_not_fit_memory_is_refused_with_what_to_do(export, person, diagnosis) -> None:
    many = [
        diagnosis(f"c{number}", code={"coding": [{"system": "urn:x", "code": f"{number:0200}"}]})
        for number in range(30_000)
    ]
    folder = export([person(), *many])
    settings = SourceFile(kind="fhir", place=folder.name, timezone="UTC")
    with (
        pytest.raises(Invalid, match="do not fit the memory limit of 12 MB; raise it"),
        opened_fhir(folder.parent, settings, memory_limit_mb=12, threads=1),
    ):
        pass


def test_null_characters_and_lone_fields_of_other_types_do_not_stop_the_reading(
    export, read, person, diagnosis
) -> None:
    strange = [
        diagnosis("c1", code="SNOMED"),
        diagnosis("c2", code={"coding": "SNOMED"}),
        diagnosis("c3", code={"coding": [None, 7, {"system": 1, "code": 2}]}),
        diagnosis("c4", encounter=[1]),
        diagnosis("c5", meta=7, verificationStatus=[], abatementPeriod="soon"),
        {"resourceType": "Condition", "id": "c6", "subject": ["Patient/p1"]},
        diagnosis("c7", code={"coding": [{"system": "urn:x", "code": "a\u0000b"}]}),
    ]
    observations = [
        {"resourceType": "Observation", "id": f"o{at}", "subject": {"reference": "Patient/p1"}, "code": {}, **more}
        for at, more in enumerate([{"component": 7}, {"component": [7]}, {"category": 7}, {"category": [{"coding": 7}]},
            {"effectiveDateTime": {}, "valueQuantity": []}, {"effectivePeriod": {}, "valueString": 7}])
    ]  # fmt: skip
    events, noticed = read(export([person(), *strange, *observations]))
    assert height(events) == 3
    assert sum(noticed.values()) >= 9
