"""`wardgate synth` as a hospital uses it, and everything that may go wrong on the way."""

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from wardgate import cli
from wardgate.hospital.ward.answering.synthesis.fit import opened
from wardgate.records.corpus_file import LABEL_TEXT

LABEL = "outcome"


@pytest.fixture
def say(tables: Path, capsys: pytest.CaptureFixture[str]):
    """Run a command; paths of tables may be written as @real.csv."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.run(["synth", *(str(word).replace("@", f"{tables}/") for word in words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def fitted(say, tmp_path: Path) -> Path:
    out = tmp_path / "fit"
    code, _, err = say("fit", "--real", "@real.csv", "--dictionary", "@dictionary.yaml", "--epsilon", 1, "--out", out)
    assert code == 0, err
    return out


def test_a_fit_is_private_to_its_owner_and_says_what_it_is(fitted: Path):
    assert fitted.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in fitted.iterdir())
    record = opened(fitted).record
    assert (record.generator, record.claim.kind, record.claim.epsilon) == ("marginal-tree", "dp", 1.0)
    assert json.loads((fitted / "claim.json").read_text()) == record.claim.plain()


def test_drawing_twice_with_one_seed_gives_the_same_bytes(say, fitted: Path, tmp_path: Path):
    digests = []
    for name in ("a.parquet", "b.parquet"):
        code, out, _ = say("sample", fitted, "--out", tmp_path / name, "--rows", 300, "--json")
        assert code == 0
        digests.append(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
        assert json.loads(out)["sha256"] == digests[-1]
    assert digests[0] == digests[1]


def test_a_drawn_table_is_marked_named_and_meets_its_conditions(say, fitted: Path, tmp_path: Path):
    where = ("--where", "sex=F", "--where", "age=60..70", "--where", f"{LABEL}=1")
    code, _, err = say("sample", fitted, "--out", tmp_path / "c.csv", "--rows", 200, *where)
    assert code == 0, err
    table = pl.read_csv(tmp_path / "c.csv")
    assert table.height == 200
    assert set(table["synthetic"]) == {LABEL_TEXT}
    assert set(table["sex"]) == {"F"}
    assert table["age"].is_between(60, 70).all()
    assert table["age"].dtype == pl.Int64
    assert set(table[LABEL]) == {1}
    card = json.loads((tmp_path / "c.csv.croissant.json").read_text())
    assert card["distribution"][0]["sha256"] == hashlib.sha256((tmp_path / "c.csv").read_bytes()).hexdigest()


def test_the_gate_judges_what_was_drawn_with_the_claim_of_the_fit(
    say, fitted: Path, tables: Path, tmp_path: Path, capsys
):
    assert say("sample", fitted, "--out", tmp_path / "c.parquet")[0] == 0
    assert cli.run(["gate", "policy", "init", str(tmp_path / "policy.yaml")]) == 0
    capsys.readouterr()
    code = cli.run(
        [
            *("gate", "check", "--real", f"{tables}/real.csv", "--holdout", f"{tables}/tuning.csv"),
            *("--synthetic", str(tmp_path / "c.parquet"), "--policy", str(tmp_path / "policy.yaml")),
            *("--dictionary", str(fitted / "dictionary.yaml"), "--claim", str(fitted / "claim.json")),
            *("--record", str(tmp_path / "record"), "--json"),
        ]
    )
    found = json.loads(capsys.readouterr().out)
    assert code in (0, 3, 5), "judged, whatever the verdict"
    assert found["evidence"]["claim"]["epsilon"] == "1"
    rulings = {one["rule"]: one["outcome"] for one in found["verdict"]["rulings"]}
    assert rulings["claim.sound"] == "pass"
    assert "copies.exact" in rulings


def test_omop_form_is_a_folder_of_tables(say, fitted: Path, tmp_path: Path):
    assert say("sample", fitted, "--out", tmp_path / "omop", "--format", "omop", "--rows", 50)[0] == 0
    assert {path.name for path in (tmp_path / "omop").iterdir()} == {
        f"{name}.parquet" for name in ("person", "observation_period", "measurement", "observation")
    }
    assert pl.read_parquet(tmp_path / "omop" / "person.parquet").height == 50
    assert say("sample", fitted, "--out", tmp_path / "omop", "--format", "omop")[0] != 0


def test_a_private_fit_without_a_dictionary_is_refused(say, tmp_path: Path):
    code, _, err = say("fit", "--real", "@real.csv", "--label", LABEL, "--epsilon", 1, "--out", tmp_path / "fit")
    assert code == 3 and "outside the budget" in err
    assert not (tmp_path / "fit").exists()


def test_without_a_guarantee_no_dictionary_is_needed_and_the_claim_says_none(say, tmp_path: Path):
    said = ("fit", "--real", "@real.csv", "--label", LABEL, "--generator", "sequential-cart", "--out", tmp_path / "fit")
    code, out, err = say(*said, "--json")
    assert code == 0, err
    assert json.loads(out)["claim"]["kind"] == "none"
    first = opened(tmp_path / "fit").fitted
    assert first.persons == 1_500


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--epsilon", 0), "epsilon"),
        (("--epsilon", -1), "epsilon"),
        (("--epsilon", "nan"), "epsilon"),
        (("--epsilon", 1, "--delta", 2), "delta"),
        (("--generator", "gan9", "--epsilon", 1), "there is no generator 'gan9'"),
        (("--generator", "marginal-tree"), "--epsilon"),
        (("--epsilon", 1, "--set", "leaves=3"), "has no setting 'leaves'"),
        (("--epsilon", 1, "--set", "cells"), "SETTING=VALUE"),
        (("--epsilon", 1, "--set", "cells=1"), "cells"),
        (("--epsilon", 0.002, "--generator", "marginal-tree"), "noise"),
    ],
    ids=str,
)
def test_wrong_wishes_are_named(say, tmp_path: Path, words, message):
    code, _, err = say(
        "fit", "--real", "@real.csv", "--dictionary", "@dictionary.yaml", "--out", tmp_path / "fit", *words
    )
    assert code not in (0, 70), err
    assert message in err
    assert not (tmp_path / "fit").exists()


def test_wrong_tables_are_named(say, tables: Path, tmp_path: Path):
    real = pl.read_csv(tables / "real.csv")
    broken = {
        "empty.csv": real.clear(),
        "lacking.csv": real.drop("glucose"),
        "foreign.csv": real.with_columns(pl.lit("V").alias("stage")),
        "one_class.csv": real.with_columns(pl.lit(1).alias(LABEL)),
    }
    for name, table in broken.items():
        table.write_csv(tmp_path / name)
        code, _, err = say(
            "fit",
            "--real",
            tmp_path / name,
            "--dictionary",
            "@dictionary.yaml",
            "--epsilon",
            1,
            "--out",
            tmp_path / "fit",
        )
        assert code not in (0, 70), (name, err)
        assert not (tmp_path / "fit").exists()


def test_a_taken_folder_and_a_changed_fit_are_refused(say, fitted: Path, tmp_path: Path):
    code, _, err = say(
        "fit", "--real", "@real.csv", "--dictionary", "@dictionary.yaml", "--epsilon", 1, "--out", fitted
    )
    assert code != 0 and "is there already" in err
    model = fitted / "model.private"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    code, _, err = say("sample", fitted, "--out", tmp_path / "c.csv")
    assert code == 4 and "not the model" in err
    assert not (tmp_path / "c.csv").exists()
    code, _, err = say("sample", tmp_path, "--out", tmp_path / "c.csv")
    assert code != 0 and "holds no fit" in err


@pytest.mark.parametrize(
    "words", [("--rows", 0), ("--where", "sex=X"), ("--where", "nobody"), ("--format", "xml")], ids=str
)
def test_a_drawing_that_cannot_be_leaves_nothing(say, fitted: Path, tmp_path: Path, words):
    code, _, _ = say("sample", fitted, "--out", tmp_path / "c.csv", *words)
    assert code not in (0, 70)
    assert not list(tmp_path.glob("c.csv*"))


def test_several_generators_are_compared_on_persons_that_no_gate_will_use(say, tmp_path: Path):
    assert cli.run(["gate", "policy", "init", str(tmp_path / "policy.yaml")]) == 0
    said = ("compare", "--real", "@real.csv", "--tuning", "@tuning.csv", "--dictionary", "@dictionary.yaml")
    names = ("--generator", "marginal-tree", "--generator", "sequential-cart")
    code, out, err = say(*said, "--policy", tmp_path / "policy.yaml", "--epsilon", 1, *names, "--json")
    assert code == 0, err
    found = {one["generator"]: one for one in json.loads(out)}
    assert found["marginal-tree"]["claim"]["kind"] == "dp"
    assert "claim.sound" not in found["marginal-tree"]["failing"]
    assert float(found["sequential-cart"]["measures"]["realism.pairwise_error"]) < 0.2
    code, out, _ = say(*said, "--policy", tmp_path / "policy.yaml", "--generator", "marginal-tree")
    assert code == 0 and "give --epsilon" in out


def test_rebalancing_writes_what_may_be_used_and_says_why(say, fitted: Path, tmp_path: Path):
    said = ("rebalance", fitted, "--real", "@real.csv", "--tuning", "@tuning.csv", "--out", tmp_path / "more.parquet")
    code, out, err = say(*said, "--more", "stage=IV:2")
    assert code == 0, err
    assert "wanted 2 times as many" in out and "accepted" in out
    assert pl.read_parquet(tmp_path / "more.parquet").height >= 1_000
    for request in ("stage=IV", "stage=IV:0", "stage=IV:-2", "stage=V:2", "stage=IV:140%", "stage=IV:nan"):
        code, _, err = say(*said, "--more", request)
        assert code not in (0, 70), (request, err)


def test_a_recommendation_warns_where_a_demand_is_hopeless(say):
    code, out, _ = say("recommend", "--persons", 300, "--epsilon", 1)
    assert code == 0 and "Hopeless" in out
    code, out, _ = say("recommend", "--persons", 20_000, "--json")
    assert code == 0 and json.loads(out)["generator"] != "marginal-tree"
    assert say("recommend", "--persons", 0)[0] != 0
