"""`wardgate gate check` on three tables from anywhere: a verdict or a refusal with its reason, and both on record."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import gate_corpora as corpora
import numpy as np
import polars as pl
import pytest

from wardgate import cli

SIZES = {"train": 1600, "tuning": 150, "holdout": 1000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def site() -> corpora.Hospital:
    return corpora.hospital(np.random.default_rng(3), **SIZES)


@pytest.fixture
def desk(site: corpora.Hospital, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the real tables, a safe candidate, a leaking one, and a policy."""
    monkeypatch.chdir(tmp_path)
    site.train.write_csv("real.csv")
    site.holdout.write_csv("holdout.csv")
    site.tuning.write_csv("tuning.csv")
    rng = np.random.default_rng(4)
    corpora.fresh(site.train, rng).write_parquet("safe.parquet")
    corpora.columns_resampled(site.train, rng).write_csv("reused.csv")
    assert cli.run(["gate", "policy", "init", "policy.yaml"]) == 0
    return tmp_path


@pytest.fixture
def check(desk: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[..., Said]]:
    """Run the check on a candidate with more options."""

    def run(synthetic: str, *more: str, **changed: str) -> Said:
        given = {"real": "real.csv", "holdout": "holdout.csv", "policy": "policy.yaml", "label": "label", **changed}
        arguments = ["gate", "check", "--synthetic", synthetic, *more]
        for name, value in given.items():
            arguments += [f"--{name}", value] if value else []
        capsys.readouterr()
        code = cli.run(arguments)
        printed = capsys.readouterr()
        return Said(code=code, out=printed.out, err=printed.err)

    yield run


def book(desk: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (desk / "gate-record" / "gate-record.jsonl").read_text().splitlines()]


def test_a_safe_corpus_passes_and_leaves_marked_as_synthetic(desk: Path, check: Callable[..., Said]) -> None:
    said = check("safe.parquet", "--tuning", "tuning.csv", "--known", "age", "--out", "out.parquet", "--json")
    assert said.code == 0, said.err
    told = json.loads(said.out)
    assert told["verdict"]["outcome"] == "pass"
    assert told["remedies"] == []
    assert pl.read_parquet(desk / "out.parquet").columns == pl.read_parquet(desk / "safe.parquet").columns
    assert b"SYNTHETIC - NOT REAL PATIENTS" in (desk / "out.parquet").read_bytes()
    again = check("safe.parquet", "--tuning", "tuning.csv", "--known", "age", "--json")
    assert json.loads(again.out)["evidence"] == told["evidence"], "the same candidate is no new attempt"
    assert [(entry["attempt"], entry["outcome"]) for entry in book(desk)] == [(1, "pass"), (1, "pass")]


def test_a_leak_fails_with_what_to_do_and_held_back_it_passes(desk: Path, check: Callable[..., Said]) -> None:
    said = check("reused.csv", "--tuning", "tuning.csv", "--out", "out.parquet")
    assert said.code == 1
    assert said.out.startswith("FAIL")
    assert "copies.reused_values" in said.err
    assert "restrict: coarsen the numbers that single persons have" in " ".join(said.out.split())
    assert not (desk / "out.parquet").exists()
    coarse = [f"--coarsen={name}=20" for name in ("age", "sbp", "dbp", "heart_rate")]
    coarse += [f"--drop={name}" for name in ("creatinine", "sodium", "lactate")]
    held = check("reused.csv", "--tuning", "tuning.csv", *coarse, "--json")
    told = json.loads(held.out)
    failing = {ruling["rule"] for ruling in told["verdict"]["rulings"] if ruling["outcome"] == "fail"}
    assert not {rule for rule in failing if rule.startswith("copies.")}
    assert "sbp coarsened to multiples of 20" in told["heldBack"]
    assert [entry["attempt"] for entry in book(desk)] == [1, 2]


def test_the_sixth_attempt_is_refused_unseen_and_on_record(desk: Path, check: Callable[..., Said]) -> None:
    (desk / "strict.yaml").write_text("schema: wardgate/privacy-gate/1\nmax_attempts: 1\n")
    assert check("reused.csv", policy="strict.yaml").code == 1
    said = check("safe.parquet", policy="strict.yaml")
    assert said.code == 3
    assert "this is attempt 2 of 1" in said.err
    assert book(desk)[-1]["outcome"] == "refused"
    assert "attempt 2 of 1" in str(book(desk)[-1]["reason"])


def _changed(desk: Path, name: str, **columns: pl.Expr) -> str:
    table = pl.read_csv(desk / name) if name.endswith(".csv") else pl.read_parquet(desk / name)
    table.with_columns(**columns).write_csv(desk / "changed.csv")
    return "changed.csv"


def test_a_table_with_an_infinite_value_is_refused(desk: Path, check: Callable[..., Said]) -> None:
    broken = pl.when(pl.int_range(pl.len()) == 7).then(float("inf")).otherwise(pl.col("lactate"))
    said = check(_changed(desk, "safe.parquet", lactate=broken))
    assert said.code == 5
    assert "column 'lactate' of the candidate table holds an infinite number" in said.err
    assert book(desk)[-1]["outcome"] == "refused"


def test_free_text_dates_and_empty_columns_are_named_with_the_way_out(desk: Path, check: Callable[..., Said]) -> None:
    for name, value, word in (
        ("note", pl.concat_str(pl.lit("seen by doctor "), pl.int_range(pl.len()).cast(pl.String)), "free text"),
        ("seen", pl.lit("2020-03-01") + pl.lit(""), "dates"),
        ("empty", pl.lit(None, dtype=pl.String), "no value in any table"),
    ):
        for table in ("real.csv", "holdout.csv", "safe.parquet"):
            source = pl.read_csv(desk / table) if table.endswith("csv") else pl.read_parquet(desk / table)
            source.with_columns(value.alias(name)).write_csv(desk / f"x-{table}.csv")
        said = check("x-safe.parquet.csv", real="x-real.csv.csv", holdout="x-holdout.csv.csv")
        assert said.code == 5
        assert f"column '{name}' holds {word}" in said.err
        assert f"--drop {name}" in said.err


def test_tables_that_differ_are_refused_with_the_columns(desk: Path, check: Callable[..., Said]) -> None:
    pl.read_parquet(desk / "safe.parquet").drop("lactate").write_csv(desk / "short.csv")
    said = check("short.csv")
    assert said.code == 5
    assert "short.csv and real.csv differ in columns (lactate)" in said.err


def test_a_holdout_that_shares_persons_is_no_control(desk: Path, check: Callable[..., Said]) -> None:
    for name, first in (("real", 0), ("holdout", 1500)):
        numbered = pl.int_range(first, first + pl.len()).cast(pl.String)
        pl.read_csv(desk / f"{name}.csv").with_columns(number=numbered).write_csv(desk / f"n-{name}.csv")
    said = check("safe.parquet", "--person", "number", real="n-real.csv", holdout="n-holdout.csv")
    assert said.code == 3
    assert "the holdout overlaps the training table" in said.err
    assert book(desk)[-1]["outcome"] == "refused"


def test_too_few_persons_are_never_a_pass(desk: Path, check: Callable[..., Said]) -> None:
    for name in ("real", "holdout"):
        pl.read_csv(desk / f"{name}.csv").head(300).write_csv(desk / f"few-{name}.csv")
    said = check("safe.parquet", real="few-real.csv", holdout="few-holdout.csv")
    assert said.code in (1, 2)
    assert "too few persons for any tier" in said.out


def test_a_policy_that_is_missing_weaker_or_broken_is_refused(desk: Path, check: Callable[..., Said]) -> None:
    assert "expected a policy" in check("safe.parquet", policy="nowhere.yaml").err
    (desk / "weak.yaml").write_text("schema: wardgate/privacy-gate/1\nmembership: {auc_max: 0.9}\n")
    said = check("safe.parquet", "--floor", "policy.yaml", policy="weak.yaml")
    assert said.code == 3
    assert "membership.auc_max: found 0.9, the floor asks for at most 0.55" in said.err
    assert book(desk)[-1]["outcome"] == "refused"
    (desk / "odd.yaml").write_text("schema: wardgate/privacy-gate/1\nmembership: {luck: 1}\n")
    assert "unknown field 'luck'" in check("safe.parquet", policy="odd.yaml").err


def test_a_book_of_attempts_that_was_changed_stops_the_gate(desk: Path, check: Callable[..., Said]) -> None:
    assert check("safe.parquet", real="missing.csv").code == 5
    assert "a column" in check("safe.parquet", "--known", "shoe_size").err
    assert "a column" in check("safe.parquet", "--known", "shoe_size").err
    path = desk / "gate-record" / "gate-record.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[1])
    said = check("safe.parquet")
    assert said.code == 4
    assert "line 1 of gate-record.jsonl was changed" in said.err
    path.write_text("".join(lines)[:-5])
    assert "ends inside a line" in check("safe.parquet").err


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [
        ("--coarsen", "age", "expected COLUMN=STEP"),
        ("--coarsen", "region=5", "'region' is no number"),
        ("--coarsen", "age=-5", "step above 0"),
        ("--coarsen", "region=north+nowhere", "no category 'nowhere'"),
        ("--without", "region", "expected COLUMN=VALUE"),
        ("--without", "age=5", "'age' is a number"),
        ("--drop", "shoe_size", "no table has a column 'shoe_size'"),
    ],
)
def test_a_restriction_that_fits_nothing_is_refused(
    check: Callable[..., Said], option: str, value: str, word: str
) -> None:
    said = check("safe.parquet", option, value)
    assert said.code == 5
    assert word in said.err


def test_the_dictionary_is_printed_for_review_and_read_back(
    desk: Path, check: Callable[..., Said], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    tables = ["real.csv", "holdout.csv", "safe.parquet"]
    assert cli.run(["gate", "dictionary", *tables, "--label", "label", "--known", "age"]) == 0
    text = capsys.readouterr().out
    assert "quasi_identifier: true" in text
    (desk / "dictionary.yaml").write_text(text)
    pl.read_parquet(desk / "safe.parquet").with_columns(region=pl.lit("atlantis")).write_csv(desk / "odd.csv")
    said = check("odd.csv", "--dictionary", "dictionary.yaml", label="")
    assert said.code == 5
    assert "column 'region' of odd.csv holds something else than the categories of the dictionary" in said.err


def test_every_rule_is_explained_and_an_unknown_one_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["gate", "explain"]) == 0
    rules = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert "membership.battery" in rules
    assert cli.run(["gate", "explain", "membership.auc"]) == 0
    assert cli.run(["gate", "explain", "membership.luck"]) == 5
    assert "no rule is called 'membership.luck'" in capsys.readouterr().err
