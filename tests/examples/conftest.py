"""The examples on real data: their scripts as modules, their folders, and what the product makes of them."""

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

from wardgate.hospital.ward.cohort.cohort import Cohort
from wardgate.hospital.ward.cohort.from_events.build import build
from wardgate.hospital.ward.source.events import Noticed
from wardgate.hospital.ward.source.opening import opened
from wardgate.records.study import Study
from wardgate.records.study_file import parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One example, opened once for all tests."""

    folder: Path
    study: Study
    events: pl.DataFrame
    noticed: tuple[Noticed, ...]
    cohort: Cohort


def script(path: Path) -> ModuleType:
    """Load a script of `examples` that imports its neighbours."""
    sys.path.insert(0, str(path.parent))
    try:
        spec = importlib.util.spec_from_file_location(f"example_{path.parent.name}_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    return module


def _opened(folder: Path, study: Path) -> Example:
    asked = parse(study.read_text(encoding="utf-8"), name=study.name)
    with opened(folder, threads=1) as source:
        events = pl.concat(source.engine.batches(source.every()))
        cohort = build(source, asked)
        return Example(folder=folder, study=asked, events=events, noticed=source.noticed(), cohort=cohort)


@pytest.fixture(scope="session")
def eicu_data(data_folder: Path) -> tuple[Path, Path]:
    """Folders of the demo's tables and of the hourly values."""
    return data_folder / "eicu_demo", data_folder / "yaib_demo" / "los" / "eicu_demo"


@pytest.fixture(scope="session")
def eicu(root: Path, eicu_data: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """The whole eICU demo as one hospital."""
    folder = tmp_path_factory.mktemp("eicu") / "whole"
    script(root / "examples" / "eicu" / "regions.py").gather(*eicu_data, folder)
    yield _opened(folder, root / "examples" / "eicu" / "study.yaml")
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def physionet(root: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """The coronary units of PhysioNet 2012 as one hospital."""
    out = tmp_path_factory.mktemp("physionet") / "divided"
    script(root / "examples" / "physionet" / "unit_types.py").divide(data_folder / "physionet2012_icu", out)
    yield _opened(out / "coronary", root / "examples" / "physionet" / "study.yaml")
    shutil.rmtree(out)
