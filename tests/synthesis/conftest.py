"""Tables of a made-up hospital as files, and their dictionary."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from small_persons import FEATURES, persons, small_study
from wardgate.records import dictionary_file
from wardgate.records.dictionary import Dictionary


@pytest.fixture(scope="session")
def dictionary() -> Dictionary:
    return small_study(*FEATURES).dictionary


@pytest.fixture(scope="session")
def tables(tmp_path_factory: pytest.TempPathFactory, dictionary: Dictionary) -> Path:
    """real.csv, tuning.csv and dictionary.yaml."""
    folder = tmp_path_factory.mktemp("tables")
    for name, count, seed in (("real", 1_500, 1), ("tuning", 900, 2)):
        persons(count, seed=seed).rename({"label": str(dictionary.label)}).write_csv(folder / f"{name}.csv")
    (folder / "dictionary.yaml").write_text(dictionary_file.text_of(dictionary))
    return folder
