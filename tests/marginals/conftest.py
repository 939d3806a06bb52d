"""A small study, and persons with known relations."""

import sys
from pathlib import Path

import polars as pl
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_persons import FEATURES, persons, small_study
from wardgate.records.study import Study


@pytest.fixture(scope="session")
def study() -> Study:
    return small_study(*FEATURES)


@pytest.fixture(scope="session")
def table() -> pl.DataFrame:
    return persons(6_000, seed=1)


@pytest.fixture(scope="session")
def make_study():
    return small_study


@pytest.fixture(scope="session")
def make_persons():
    return persons
