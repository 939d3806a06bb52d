"""The files for hospital IT keep the law: the ward without a network, the wire without the data."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

UNITS = ("wardgate-hub", "wardgate-ward", "wardgate-wire")
SITE, DATA = "/var/lib/wardgate/site", "/srv/wardgate/data"


def _unit(root: Path, name: str) -> dict[str, list[str]]:
    """Settings of a unit by name, all values of a repeated one, split at spaces."""
    found: dict[str, list[str]] = {}
    for line in (root / "deploy" / "systemd" / f"{name}.service").read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(key, []).extend(value.split())
    return found


def _service(root: Path, file: str, name: str) -> dict:
    return yaml.safe_load((root / "deploy" / "containers" / file).read_text())["services"][name]


def _inside(service: dict) -> dict[str, str]:
    """Where each mount appears in a container, and whether it may be written."""
    parts = [re.sub(r"\$\{(\w+):\?\}", r"<\1>", volume).split(":") for volume in service["volumes"]]
    return {part[1]: part[2] if len(part) > 2 else "rw" for part in parts}


def test_the_wards_unit_has_no_network(root: Path) -> None:
    ward = _unit(root, "wardgate-ward")
    assert ward["PrivateNetwork"] == ["yes"]
    assert ward["RestrictAddressFamilies"] == ["AF_UNIX"]
    assert ward["RestrictNamespaces"] == ["yes"], "it could make itself a namespace with another network"
    assert "JoinsNamespaceOf" not in ward


def test_the_wires_unit_finds_neither_data_nor_ward(root: Path) -> None:
    hidden = {path.lstrip("-") for path in _unit(root, "wardgate-wire")["InaccessiblePaths"]}
    assert {f"{SITE}/ward", DATA} <= hidden
    assert f"{SITE}/wire" in _unit(root, "wardgate-ward")["InaccessiblePaths"]


def test_each_side_writes_its_own_folder_and_the_spool_alone(root: Path) -> None:
    for side in ("ward", "wire"):
        assert _unit(root, f"wardgate-{side}")["ReadWritePaths"] == [f"{SITE}/{side}", f"{SITE}/spool"]
    assert _unit(root, "wardgate-ward")["BindReadOnlyPaths"] == [DATA]


@pytest.mark.parametrize("name", UNITS)
def test_every_unit_is_confined(name: str, root: Path) -> None:
    unit = _unit(root, name)
    for key in ("NoNewPrivileges", "PrivateTmp", "PrivateDevices", "ProtectHome", "RestrictSUIDSGID"):
        assert unit[key] == ["yes"], key
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["CapabilityBoundingSet"] == []
    assert unit["LimitCORE"] == ["0"], "a core dump of a ward holds patients"


def test_the_three_units_have_three_users_and_one_group_for_the_spool(root: Path) -> None:
    units = {name: _unit(root, name) for name in UNITS}
    assert len({unit["User"][0] for unit in units.values()}) == 3
    assert "root" not in {unit["User"][0] for unit in units.values()}
    for side in ("ward", "wire"):
        assert units[f"wardgate-{side}"]["SupplementaryGroups"] == ["wardgate"]


@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_every_line(name: str, root: Path, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    text = (root / "deploy" / "systemd" / f"{name}.service").read_text()
    unit = tmp_path / f"{name}.service"
    unit.write_text(re.sub(r"/opt/wardgate/bin/\w+", sys.executable, text))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False)
    if "Failed to" in done.stderr and "unit" not in done.stderr:
        pytest.skip(f"systemd-analyze does not work here: {done.stderr.strip()}")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_wards_container_has_no_network_and_the_wires_no_data(root: Path) -> None:
    ward, wire = _service(root, "hospital.yaml", "ward"), _service(root, "hospital.yaml", "wire")
    assert ward["network_mode"] == "none"
    assert not {"networks", "ports", "expose", "links"} & ward.keys()
    assert _inside(ward)["/data"] == "ro"
    assert not {"/data", "/site/ward", "/site"} & _inside(wire).keys()
    assert not {"/site/wire", "/site"} & _inside(ward).keys()
    assert "ports" not in wire, "nobody connects to a hospital"
    text = (root / "deploy" / "containers" / "hospital.yaml").read_text().partition("  wire:")[2]
    assert "DATA" not in text


def test_the_spool_is_what_both_containers_share_and_nothing_else_that_can_be_written(root: Path) -> None:
    mounts = [_inside(_service(root, "hospital.yaml", side)) for side in ("ward", "wire")]
    both = {place for place in mounts[0] if place in mounts[1] and "rw" in (mounts[0][place], mounts[1][place])}
    assert both == {"/site/spool"}


@pytest.mark.parametrize(("file", "name"), [("hospital.yaml", "ward"), ("hospital.yaml", "wire"), ("hub.yaml", "hub")])
def test_every_container_is_confined(file: str, name: str, root: Path) -> None:
    service = _service(root, file, name)
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"] == {"core": 0}
    assert not {"privileged", "cap_add", "pid", "ipc", "devices"} & service.keys()
    assert not service["user"].startswith("0")


def test_ward_and_wire_are_different_users_in_containers_too(root: Path) -> None:
    sides = [_service(root, "hospital.yaml", side) for side in ("ward", "wire")]
    assert sides[0]["user"] != sides[1]["user"]
    assert sides[0]["group_add"] == sides[1]["group_add"]


def test_the_wards_image_holds_no_engine(root: Path) -> None:
    text = (root / "deploy" / "containers" / "Containerfile").read_text()
    ward = text.partition("FROM base AS ward")[2].partition("FROM base AS speaker")[0]
    assert "engine" not in ward
    assert "USER 10001" in ward


@pytest.mark.parametrize(
    "broken",
    [
        ("PrivateNetwork=yes", "PrivateNetwork=no"),
        ("RestrictAddressFamilies=AF_UNIX", "RestrictAddressFamilies=AF_UNIX AF_INET"),
        ("RestrictNamespaces=yes", ""),
    ],
)
def test_a_ward_unit_with_a_network_is_found(broken: tuple[str, str], root: Path, tmp_path: Path) -> None:
    """The broken twins: what the first test holds against the real unit, it finds in these."""
    shutil.copytree(root / "deploy", tmp_path / "deploy")
    unit = tmp_path / "deploy" / "systemd" / "wardgate-ward.service"
    unit.write_text(unit.read_text().replace(*broken))
    with pytest.raises((AssertionError, KeyError)):
        test_the_wards_unit_has_no_network(tmp_path)


@pytest.mark.parametrize("name", ["systemd/wardgate-ward.service", "systemd/wardgate-wire.service"])
def test_deployment_names_every_file(name: str, root: Path) -> None:
    text = (root / "docs" / "deployment.md").read_text()
    assert f"deploy/{name}" in text or Path(name).name in text
