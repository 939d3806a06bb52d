"""`site.yaml`: what stands in it, and what is wrong with it, by line."""

import pytest
from town import Town

from wardgate.hospital.ward.porter.house import open_house
from wardgate.records.errors import Broken, Invalid, Unsupported
from wardgate.records.site_file import parse
from wardgate.records.yaml_file import Findings

GOOD = "schema: wardgate/site/1\nsite: north\nsource: data\n"


def test_what_is_left_out_has_its_default() -> None:
    read = parse(GOOD, name="site.yaml")
    assert (read.site, read.source, read.policy, read.questions) == ("north", "data", None, "study")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "an empty file"),
        ("site: north\nsource: data\n", "schema: found nothing, expected one of the versions known here"),
        (GOOD.replace("/1", "/2"), "site.yaml:1: schema: found 'wardgate/site/2'"),
        (GOOD.replace("site: north", "site: ../north"), "site.yaml:2: site: found '../north', expected a name"),
        (GOOD.replace("source: data", "source:"), "site.yaml:3: source: found nothing"),
        ("schema: wardgate/site/1\nsite: north\n", "source: found nothing, expected this field"),
        (GOOD + "questions: sometimes\n", "site.yaml:4: questions: found 'sometimes', expected 'study' or 'each'"),
        (GOOD + "qestions: each\n", "site.yaml:4: qestions: found the unknown field 'qestions', expected 'questions'"),
        (GOOD + "site: south\n", "site.yaml:4: site: found 'site' a second time"),
        (GOOD + 'policy: ""\n', "site.yaml:4: policy"),
        ("- site", "something other than fields"),
    ],
)
def test_what_is_wrong_is_named_by_its_line(text: str, expected: str) -> None:
    with pytest.raises(Findings) as found:
        parse(text, name="site.yaml")
    assert expected in str(found.value)


def test_a_house_that_fits_opens(town: Town) -> None:
    house = open_house(town.premises["north"])
    assert house.site == "north" and house.floor is None
    assert house.signer.public_key == town.keys["north"].public_key


@pytest.mark.parametrize(
    ("name", "data", "kind", "words"),
    [
        ("site.yaml", b"\xff\xfe", Invalid, "is not UTF-8"),
        ("site.yaml", GOOD.replace("north", "south").encode(), Invalid, "hospital.yaml names 'north'"),
        ("site.yaml", GOOD.replace("data", "nowhere").encode(), Invalid, "hospital.yaml cannot be read"),
        ("site.yaml", (GOOD + "policy: no.yaml\n").encode(), Invalid, "names it as this hospital's floor"),
        ("ward/key.json", b"{}", Invalid, "KeyFile"),
        ("hub.response", b"", Broken, "not a request or response"),
        ("hub.response", b"{}", Broken, "not a request or response"),
        ("data/hospital.yaml", b"id: south\n", Invalid, "hospital.yaml names 'south', site.yaml 'north'"),
    ],
)
def test_a_house_that_does_not_fit_says_why(
    town: Town, name: str, data: bytes, kind: type[Exception], words: str
) -> None:
    (town.premises["north"].root / name).write_bytes(data)
    with pytest.raises(kind, match=words):
        open_house(town.premises["north"])


@pytest.mark.parametrize("name", ["site.yaml", "ward/key.json", "hub.response"])
def test_a_missing_file_says_what_makes_it(town: Town, name: str) -> None:
    (town.premises["north"].root / name).unlink()
    with pytest.raises(Invalid, match=r"cannot be read \(No such file or directory\): .*(init|enrol)"):
        open_house(town.premises["north"])


def test_a_response_for_another_hospital_is_not_taken(town: Town) -> None:
    town.premises["north"].response.write_bytes(town.premises["south"].response.read_bytes())
    with pytest.raises(Invalid, match="the hub's response is for 'south'"):
        open_house(town.premises["north"])


def test_a_response_of_another_protocol_says_who_upgrades(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wardgate.records.enrolment_file.PROTOCOL", 2)
    with pytest.raises(Unsupported, match="has to upgrade"):
        open_house(town.premises["north"])
