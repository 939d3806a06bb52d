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
from wardgate.measures import logistic
from wardgate.measures.encoding import design_matrix, labels
from wardgate.models.linear import LinearModel, Predictor
from wardgate.privacy.accountant import dp_claim
from wardgate.records import dictionary_file
from wardgate.records.claim import GaussianEvent

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


def _coarse_rows(desk: Path, leave_out: int = 0) -> None:
    pl.read_csv(desk / "real.csv").head(1600 - leave_out).write_csv(desk / f"rows{leave_out}.csv")


def test_a_table_is_made_safe_and_one_that_differs_by_a_person_is_refused(
    desk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for left_out in (0, 1, 40):
        _coarse_rows(desk, left_out)

    def asked(rows: int, *more: str) -> tuple[int, str, str]:
        given = ["gate", "table", f"rows{rows}.csv", "--by", "region", "--policy", "policy.yaml", "--memory", "memory"]
        capsys.readouterr()
        code = cli.run([*given, *more])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    code, _, err = asked(0, "--out", "table.csv")
    assert code == 0, err
    shown = pl.read_csv(desk / "table.csv")
    assert shown["persons"].drop_nulls().min() >= 11
    assert all(count % 5 == 0 for count in shown["persons"].drop_nulls())
    assert asked(0)[0] == 0, "the same table again tells nothing new"
    code, _, err = asked(1)
    assert code == 1
    assert "aggregate.differencing" in err
    assert asked(0, "--statistic", "median")[0] == 5
    assert asked(0, "--by", "shoe_size")[0] == 5
    assert asked(0, "--statistic", "mean")[0] == 5


def test_a_model_is_judged_beside_the_persons_it_was_fitted_on(
    desk: Path, site: corpora.Hospital, capsys: pytest.CaptureFixture[str]
) -> None:
    study = corpora.study()
    beta = logistic.fit(design_matrix(study.features, site.train), labels(site.train), ridge=1.0)
    model = LinearModel(
        family="logistic",
        outcome="label",
        features=study.features,
        predictors=tuple(Predictor(feature=feature.name) for feature in study.features),
        coefficients=tuple(float(one) for one in beta),
    )
    (desk / "model.json").write_bytes(model.to_bytes())
    (desk / "dictionary.yaml").write_text(dictionary_file.text_of(study.dictionary.model_copy(update={"label": "y"})))
    for name in ("real", "holdout", "tuning"):
        pl.read_csv(desk / f"{name}.csv").rename({"label": "y"}).write_csv(desk / f"y-{name}.csv")
    given = [
        "--real",
        "y-real.csv",
        "--holdout",
        "y-holdout.csv",
        "--tuning",
        "y-tuning.csv",
        "--policy",
        "policy.yaml",
    ]
    capsys.readouterr()
    code = cli.run(["gate", "model", "model.json", *given, "--dictionary", "dictionary.yaml", "--json"])
    told = json.loads(capsys.readouterr().out)
    rules = {ruling["rule"]: ruling["outcome"] for ruling in told["verdict"]["rulings"]}
    assert code == 0, rules
    assert {"model.type", "model.smallest_leaf", "model.membership_auc"} <= rules.keys()
    (desk / "model.pkl").write_bytes(b"\x80\x04K*.")
    assert cli.run(["gate", "model", "model.pkl", *given, "--dictionary", "dictionary.yaml"]) == 5


def test_images_are_judged_and_copies_refused(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(5)
    drawn = (rng.random((1900, 12, 12)) ** 2 * 255).astype(np.uint8)
    real, holdout, tuning, safe = drawn[:600], drawn[600:1000], drawn[1000:1300], drawn[1300:]
    for name, images in (("real", real), ("holdout", holdout), ("tuning", tuning)):
        np.savez(desk / f"{name}.npz", images=images)
    leak = safe.copy()
    leak[:60] = real[:60]
    np.savez(desk / "leak.npz", images=leak)
    np.savez(desk / "named.npz", images=safe, patients=np.arange(len(safe)))
    given = ["--real", "real.npz", "--holdout", "holdout.npz", "--tuning", "tuning.npz", "--policy", "policy.yaml"]
    assert cli.run(["gate", "images", *given, "--synthetic", "leak.npz"]) == 1
    assert "images.near" in capsys.readouterr().err
    assert cli.run(["gate", "images", *given, "--synthetic", "named.npz"]) == 5
    assert "synthetic images are nobody's" in capsys.readouterr().err


def test_two_persons_waive_what_cannot_be_told_and_the_certificate_says_so(
    desk: Path, check: Callable[..., Said], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("real", "holdout"):
        pl.read_csv(desk / f"{name}.csv").head(300).write_csv(desk / f"few-{name}.csv")
    few = {"real": "few-real.csv", "holdout": "few-holdout.csv"}
    said = check("safe.parquet", "--json", **few)
    told = json.loads(said.out)
    open_rules = [one["rule"] for one in told["verdict"]["rulings"] if one["outcome"] == "not_evaluable"]
    failed = [one["rule"] for one in told["verdict"]["rulings"] if one["outcome"] == "fail"]
    assert open_rules
    assert all(rule.startswith("realism.") for rule in failed)
    (desk / "judged.json").write_text(said.out)
    keys = []
    for name, role in (("lee", "privacy_officer"), ("ada", "second_person"), ("site-a", "site")):
        capsys.readouterr()
        assert cli.run(["certificate", "key", f"{name}.key", "--name", name, "--role", role]) == 0
        keys.append(json.loads(capsys.readouterr().out))
    (desk / "keys.json").write_text(json.dumps({"schema": "wardgate/keys/1", "keys": keys}))
    reason = "Too few patients to attack; the study board weighed the risk and accepts it."
    for rule in (*open_rules, *failed):
        first = ["certificate", "waive", "judged.json", rule, "--waivers", "waivers.json", "--key", "lee.key"]
        assert cli.run([*first, "--reason", reason]) == 0
    alone = check("safe.parquet", "--waivers", "waivers.json", "--keys", "keys.json", **few)
    assert alone.code == 3
    for rule in (*open_rules, *failed):
        second = ["certificate", "waive", "judged.json", rule, "--waivers", "waivers.json", "--key", "ada.key"]
        assert cli.run(second) == 0
    options = ["--waivers", "waivers.json", "--keys", "keys.json", "--key", "site-a.key", "--out", "out.parquet"]
    both = check("safe.parquet", *options, **few)
    assert both.code == 0, both.err
    assert both.out.startswith("PASS WITH EXCEPTIONS")
    capsys.readouterr()
    assert cli.run(["certificate", "show", "out.parquet.certificate.json", "--html", "shown.html", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert {one["rule"] for one in shown["exceptions"]} == {*open_rules, *failed}
    assert {one["reason"] for one in shown["exceptions"]} == {reason}
    assert reason in (desk / "shown.html").read_text()
    material = ["--keys", "keys.json", "--corpus", "out.parquet"]
    assert cli.run(["certificate", "verify", "out.parquet.certificate.json", *material]) == 3
    assert "the privacy officer and the second person did not sign" in capsys.readouterr().out
    for name in ("lee", "ada"):
        approving = ["certificate", "approve", "out.parquet.certificate.json", "--key", f"{name}.key"]
        assert cli.run([*approving, "--keys", "keys.json"]) == 0
    assert cli.run(["certificate", "verify", "out.parquet.certificate.json", *material]) == 0


def test_a_holdout_of_another_period_is_no_control_and_it_is_said(desk: Path, check: Callable[..., Said]) -> None:
    for name, year in (("real", "2021"), ("holdout", "2024")):
        pl.read_csv(desk / f"{name}.csv").with_columns(year=pl.lit(year)).write_csv(desk / f"p-{name}.csv")
    said = check("safe.parquet", "--period", "year", real="p-real.csv", holdout="p-holdout.csv")
    assert said.code == 2
    assert "a control that is no control" in " ".join(said.out.split())
    assert book(desk)[-1]["outcome"] == "not_evaluable"


def test_tables_that_say_nothing_are_judged_and_not_crashed(desk: Path, check: Callable[..., Said]) -> None:
    for name, rows in (("real", 1600), ("holdout", 1000), ("safe", 1600)):
        constant = {"age": [50] * rows, "region": ["north"] * rows, "label": [i % 2 for i in range(rows)]}
        pl.DataFrame(constant).write_csv(desk / f"c-{name}.csv")
    said = check("c-safe.csv", real="c-real.csv", holdout="c-holdout.csv")
    assert said.code in (0, 1, 2), said.err
    assert "membership.battery" in said.out


def test_what_leaves_is_spent_once_and_beyond_the_budget_nothing_leaves(
    desk: Path, check: Callable[..., Said], capsys: pytest.CaptureFixture[str]
) -> None:
    event = GaussianEvent(noise_multiplier=5.0, count=1, what="marginals")
    claim = dp_claim(gaussian=(event,), delta=1e-6, covers=(), excludes=(), noise_source="system")
    (desk / "claim.json").write_text(json.dumps(claim.plain()))
    given = ["--tuning", "tuning.csv", "--claim", "claim.json", "--memory", "memory", "--json"]
    first = json.loads(check("safe.parquet", *given).out)
    assert first["verdict"]["outcome"] == "pass"
    again = json.loads(check("safe.parquet", *given).out)
    assert again["evidence"] == first["evidence"], "shown again it costs nothing"
    capsys.readouterr()
    assert cli.run(["budget", "show", "memory", "--json"]) == 0
    state = capsys.readouterr().out
    assert f"{claim.epsilon:.3f}"[:4] in state
    (desk / "small.yaml").write_text("schema: wardgate/privacy-gate/1\npopulation: {epsilon_total: 1.0}\n")
    pl.read_parquet(desk / "safe.parquet").reverse().write_parquet(desk / "other.parquet")
    said = check("other.parquet", *given, policy="small.yaml")
    assert said.code == 3
    assert "budget of the population exhausted" in said.err
