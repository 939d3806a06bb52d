"""The law of the house holds, and each contract has teeth: planted once, the forbidden import is found."""

import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

LINT = [str(Path(sys.executable).with_name("lint-imports")), "--no-logo", "--no-cache"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """One forbidden line, where it is put, and the contract that must name it."""

    contract: str
    file: str
    line: str


PLANTED = (
    Planted(contract="sides", file="hub/planted.py", line="import wardgate.hospital"),
    Planted(contract="sides", file="hospital/wire/planted.py", line="import wardgate.hub"),
    Planted(contract="sides", file="records/planted.py", line="import wardgate.measures"),
    Planted(contract="sides", file="utils.py", line=""),
    Planted(contract="ward-or-wire", file="hospital/wire/planted.py", line="import wardgate.hospital.ward"),
    Planted(contract="ward-or-wire", file="hospital/ward/cohort/planted.py", line="import wardgate.hospital.wire"),
    Planted(contract="sides-are-launched", file="cli/planted.py", line="import wardgate.hospital.ward.cohort"),
    Planted(contract="wire-sees-no-patient", file="hospital/wire/planted.py", line="import polars"),
    Planted(contract="gate-knows-nobody", file="hospital/ward/gate/planted.py", line="import {ward}.generators"),
    Planted(contract="gate-knows-nobody", file="hospital/ward/gate/planted.py", line="import {ward}.learning"),
    Planted(contract="gate-knows-nobody", file="hospital/ward/cohort/planted.py", line="import {ward}.gate"),
    Planted(contract="source-is-opened-once", file="hospital/ward/learning/planted.py", line="import {ward}.source"),
    Planted(contract="ward-is-silent", file="hospital/ward/cohort/planted.py", line="import socket"),
    Planted(contract="ward-is-silent", file="hospital/ward/gate/planted.py", line="from urllib import request"),
    Planted(contract="ward-is-silent", file="hospital/ward/learning/planted.py", line="import subprocess"),
    Planted(contract="ward-is-silent", file="hospital/ward/generators/planted.py", line="import pickle"),
    Planted(contract="pure-rooms", file="measures/planted.py", line="import os"),
    Planted(contract="pure-rooms", file="records/planted.py", line="from pathlib import Path"),
    Planted(contract="pure-rooms", file="sums/planted.py", line="import secrets"),
    Planted(contract="pure-rooms", file="policy/planted.py", line="import time"),
    Planted(contract="networks-compute", file="networks/planted.py", line="import pathlib"),
    Planted(contract="one-door-to-entropy", file="hub/planted.py", line="import secrets"),
    Planted(contract="hub-is-blind", file="hub/planted.py", line="import pickle"),
    Planted(contract="hub-is-blind", file="hub/pooling/planted.py", line="import duckdb"),
    Planted(
        contract="generators-are-strangers",
        file="hospital/ward/generators/planted.py",
        line="import {ward}.generators.{other}",
    ),
    Planted(contract="no-cycles", file="records/planted.py", line="import wardgate.records.planted_too"),
    Planted(contract="federation-in-one-process", file="federation/planted.py", line="import http.client"),
    Planted(contract="engine-has-one-room-a-side", file="hub/planted.py", line="import nvflare"),
    Planted(contract="engine-has-one-room-a-side", file="hospital/wire/planted.py", line="import nvflare"),
    Planted(contract="road-carries", file="road/planted.py", line="import socket"),
)


def _contracts(root: Path) -> dict[str, str]:
    tool = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["id"]: contract["name"] for contract in tool["contracts"]}


def test_the_contracts_hold(root: Path) -> None:
    done = subprocess.run(LINT, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Contracts: \d+ kept, 0 broken", done.stdout)


def test_every_contract_has_a_broken_twin(root: Path) -> None:
    assert {planted.contract for planted in PLANTED} == set(_contracts(root))


def test_type_checking_imports_count_too(root: Path) -> None:
    tool = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert tool["include_external_packages"] is True
    assert tool["exclude_type_checking_imports"] is False


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: f"{planted.contract}:{planted.line or planted.file}")
def test_a_planted_import_breaks_its_contract(planted: Planted, root: Path, copied, python) -> None:
    source = copied()
    shutil.copy(root / "pyproject.toml", source / "pyproject.toml")
    package = source / "wardgate"
    (package / "hospital/ward/generators/planted_other.py").write_text('"""Another generator."""\n')
    line = planted.line.format(ward="wardgate.hospital.ward", other="planted_other")
    (package / planted.file).write_text(f'"""Planted."""\n{line}\n')
    if planted.contract == "no-cycles":
        (package / "records/planted_too.py").write_text('"""Planted."""\nimport wardgate.records.planted\n')

    script = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = python("-c", script, *LINT[1:], "--contract", planted.contract, source=source)

    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{_contracts(root)[planted.contract]} BROKEN" in done.stdout
    assert Path(planted.file).stem in done.stdout
