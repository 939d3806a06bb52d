"""A source larger than the memory allowed is streamed: only its cohort is ever held."""

import subprocess
import sys
from pathlib import Path

import pytest

from wardgate.records.study_template import template

ROWS = 1_600_000
PADDING = "x" * 250

MAPPING = """\
schema: wardgate/mapping/1
files: [big.csv]
person: {column: pid}
fields:
  age: {column: age, unit: a}
  sex: {column: sex}
  systolic_pressure: {column: sbp, unit: "mm[Hg]"}
  creatinine: {column: crea, unit: umol/L}
labels:
  died_30d: {column: dead, positive: ["1"], negative: ["0"]}
"""

READER = """
import resource, sys
from pathlib import Path
from wardgate.hospital.ward.cohort.load import load
from wardgate.records.study_file import parse
folder = Path(sys.argv[1])
study = parse((folder / "study.yaml").read_text(), name="study.yaml")
small = load(folder / "small", study)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
cohort = load(folder, study, memory_limit_mb=int(sys.argv[2]))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(cohort.flow[0].persons, cohort.table.height, (after - before) // 1024)
"""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """About 440 MB of CSV; one person in a thousand is an adult."""
    folder = tmp_path_factory.mktemp("big")
    (folder / "small").mkdir()
    for name, rows in (("big.csv", ROWS), ("small/big.csv", 1_000)):
        with (folder / name).open("w", encoding="ascii") as stream:
            stream.write("pid,age,sex,sbp,crea,dead,note\n")
            for start in range(0, rows, 10_000):
                stream.writelines(
                    f"p{i},{50 if i % 1000 == 0 else 9},male,{100 + i % 60},{60 + i % 80},{i % 2},{PADDING}\n"
                    for i in range(start, min(rows, start + 10_000))
                )
    (folder / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    (folder / "small" / "mapping.yaml").write_text(MAPPING, encoding="utf-8")
    (folder / "study.yaml").write_text(template(), encoding="utf-8")
    return folder


def run(folder: Path, memory_limit_mb: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", READER, str(folder), str(memory_limit_mb)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_a_source_larger_than_the_memory_allowed_is_read_whole(big: Path) -> None:
    assert (big / "big.csv").stat().st_size > 400_000_000
    done = run(big, 200)
    assert done.returncode == 0, done.stderr
    persons, kept, grown_mb = (int(word) for word in done.stdout.split())
    assert (persons, kept) == (ROWS, ROWS // 1000)
    assert grown_mb < 320


@pytest.mark.slow
def test_rows_that_do_not_fit_are_refused_and_not_half_kept(big: Path) -> None:
    text = (big / "mapping.yaml").read_text(encoding="utf-8")
    (big / "study.yaml").write_text(template().replace("entries: single ", "entries: first "), encoding="utf-8")
    for folder in (big, big / "small"):
        ordered = text.replace("{column: pid}", "{column: pid, order: age}")
        (folder / "mapping.yaml").write_text(ordered, encoding="utf-8")
    done = run(big, 30)
    assert done.returncode != 0
    assert "do not fit the memory limit" in done.stderr
    assert "p1599999" not in done.stderr
