"""`wardgate federate`: what it prints and writes, and one clear line with its exit code for every bad input."""

import json
from pathlib import Path

import polars as pl
import pytest
from tests.federation.made_comparison import corpora, study

from wardgate import cli
from wardgate.federation.model_files import load_model
from wardgate.hub.intake.audit import audit
from wardgate.records.comparison import Comparison
from wardgate.records.corpus_file import write_corpus
from wardgate.records.study import Study
from wardgate.records.training import Training
from wardgate.simulate.hospitals import build

pytest.importorskip("torch")

QUICK = ("--rounds", "2", "--seeds", "1", "--way", "sizes")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that locks a network, and a commons of four corpora beside a joint one."""
    folder = tmp_path_factory.mktemp("federate")
    (folder / "study.yaml").write_text(json.dumps(study().plain()))
    (folder / "commons").mkdir()
    for name, corpus in zip("abcd", corpora(rows=60, crossed=False), strict=True):
        (folder / "commons" / f"{name}.parquet").write_bytes(write_corpus(corpus, study_sha256="0" * 64))
    whole = pl.concat(corpora(rows=60, crossed=False))
    (folder / "commons" / "joint.parquet").write_bytes(write_corpus(whole, study_sha256="0" * 64))
    return folder


def called(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.run(["federate", *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


@pytest.mark.slow
def test_compare_prints_one_record_and_writes_a_page(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ("compare", str(made / "study.yaml"), str(made / "commons"), "--network", "mlp", *QUICK)
    code, text, error = called(*arguments, "--json", "--out", str(out), capsys=capsys)
    assert (code, error) == (0, "")
    found = Comparison.from_plain(json.loads(text))
    assert found.sites == 4
    assert len(found.corpora) == 4, "the joint corpus holds the same patients' figures once more"
    assert Comparison.from_plain(json.loads((out / "compare.json").read_text())) == found
    page = (out / "compare.html").read_text()
    assert found.of(found.recommended).label in page
    assert "<script" not in page


def test_a_network_is_written_checked_and_refused_where_it_does_not_fit(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = str(made / "study.yaml"), tmp_path / "net.json"
    assert called("architecture", "--study", file, "--hidden", "8,4", "--out", str(out), capsys=capsys)[0] == 0
    code, text, _ = called("architecture", str(out), "--study", file, "--json", capsys=capsys)
    told = json.loads(text)
    assert code == 0
    assert told["refused"] == []
    assert [part["shape"] for part in told["tensors"]][:2] == [[8, 3], [8]]
    wider = tmp_path / "wider.json"
    wider.write_text(out.read_text().replace('"inputs":3', '"inputs":7'))
    code, text, error = called("architecture", str(wider), "--study", file, capsys=capsys)
    assert code == 3
    assert "7 numbers" in error
    code, _, error = called("architecture", str(out), "--persons", "5", capsys=capsys)
    assert code == 3, "a layer with more units than persons could hold one of them in each"
    code, text, _ = called("architecture", "--study", file, "--network", "mlp", capsys=capsys)
    assert code == 0
    assert study().networks["mlp"].sha256 in text


def bad(made: Path, tmp_path: Path) -> dict[str, tuple[tuple[str, ...], int, str]]:
    """Every broken call by name: its words, its exit code, and what its one line must say."""
    file, commons = str(made / "study.yaml"), str(made / "commons")
    real, torn, empty = tmp_path / "real.parquet", tmp_path / "torn.parquet", tmp_path / "empty"
    pl.concat(corpora(rows=20, crossed=False)).write_parquet(real)
    torn.write_bytes((made / "commons" / "a.parquet").read_bytes()[:-100])
    empty.mkdir()
    network = tmp_path / "network.yaml"
    network.write_text("schema: wardgate/network/1\ninputs: 3\nlayers: [{kind: lstm, units: 4}]\n")
    compare = ("compare", file, commons, "--network", "mlp")
    train = ("train", file, "--network", "mlp", "--hospitals", str(empty), "--out", str(tmp_path / "new"))
    return {
        "a table of patients": (("compare", file, str(real), "--network", "mlp"), 4, "not marked"),
        "a torn corpus": (("compare", file, str(torn), "--network", "mlp"), 4, "not a readable"),
        "an empty folder": (("compare", file, str(empty), "--network", "mlp"), 5, "no corpus"),
        "no such corpus": (("compare", file, "nowhere.parquet", "--network", "mlp"), 5, "not a file"),
        "no such network": (("compare", file, commons, "--network", "cnn"), 5, "no network 'cnn'"),
        "no such way": ((*compare, "--way", "labels:x"), 5, "labels:ALPHA"),
        "sizes that are none": ((*compare, "--persons", "many"), 5, "expected numbers or bands"),
        "no rounds": ((*compare, "--rounds", "0"), 5, "rounds"),
        "an out that exists": ((*compare, "--out", str(empty)), 5, "exists"),
        "no corpus at all": (("compare", file, "--network", "mlp"), 64, "CORPUS"),
        "no hospitals": (("train", file, "--network", "mlp", "--out", str(tmp_path / "n")), 5, "--hospitals"),
        "auto without commons": (train, 5, "corpora of the commons"),
        "no such algorithm": ((*train, "--algorithm", "fedmagic"), 5, "fedmagic"),
        "noise without an epsilon": ((*train, "--algorithm", "dp-sgd"), 5, "without noise"),
        "groups with noise": ((*train, "--commons", commons, "--epsilon", "1", "--robust", "median"), 5, "groups"),
        "no such rule": ((*train, "--algorithm", "fedavg", "--robust", "mode"), 5, "no rule 'mode'"),
        "a site without a folder": ((*train, "--algorithm", "fedavg"), 5, "no data for the study's site"),
        "a checkpoint between machines": (
            ("train", file, "--network", "mlp", "--hub", "h", "--out", str(tmp_path / "n"), "--resume", str(real)),
            5,
            "--resume",
        ),
        "noise that would be drawn anew between machines": (
            ("train", file, "--network", "mlp", "--hub", "h", "--out", str(tmp_path / "n"), "--epsilon", "1"),
            5,
            "--compared",
        ),
        "an unknown layer": (("architecture", str(network)), 5, "layers"),
        "nothing to look at": (("architecture",), 5, "give one of"),
        "units that are none": (("architecture", "--study", file, "--hidden", "a,b"), 5, "--hidden"),
    }


def test_bad_input_gets_one_clear_line_and_its_exit_code(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (arguments, expected, words) in bad(made, tmp_path).items():
        code, _, error = called(*arguments, capsys=capsys)
        assert code == expected, f"{name}: {error}"
        assert words in error, f"{name}: {error}"
        assert error.count("\n") <= 2, f"{name}: {error}"
        assert "nobody foresaw" not in error, name
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The simulated hospitals of the demo, and a study of them that locks a network."""
    from wardgate.measures.encoding import design_columns
    from wardgate.measures.layers.mlp import mlp
    from wardgate.records.study_file import parse

    folder = tmp_path_factory.mktemp("hospitals")
    home = folder / "sites"
    home.mkdir()
    path = build(home, seed=1).study
    plain = parse(path.read_text(), name=path.name).plain()
    found = Study.model_validate(plain)
    plain["networks"] = {"mlp": mlp(len(design_columns(found.features)) - 1, (4,), norm="group").plain()}
    plain["analyses"] = ["network_update", "network_gradient", "model_scores"]
    plain["gate"]["small_cells"] = {**plain["gate"].get("small_cells", {}), "max_numbers_per_person": "2"}
    (folder / "study.yaml").write_text(json.dumps(Study.model_validate(plain).plain()))
    return folder / "study.yaml", home


@pytest.mark.slow
def test_train_leaves_a_model_a_report_and_evidence_that_verifies(
    hospitals: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, home = hospitals
    out, again = tmp_path / "out", tmp_path / "again"
    common = ("train", str(file), "--network", "mlp", "--hospitals", str(home), "--algorithm", "fedavg")
    code, text, error = called(*common, "--rounds", "3", "--out", str(out), "--json", capsys=capsys)
    assert code == 0, error
    record = Training.from_plain(json.loads(text))
    assert len(record.rounds) == 3
    assert {one.name for one in record.held_out} >= {"auroc", "oe", "slope"}
    assert load_model(out / "model.safetensors").feature_names
    assert audit(out / "transcript").findings == ()
    assert "AUROC" in (out / "report.html").read_text()
    longer = (*common, "--rounds", "5", "--resume", str(out / "checkpoint.safetensors"))
    code, text, error = called(*longer, "--out", str(again), "--json", capsys=capsys)
    assert code == 0, error
    assert len(Training.from_plain(json.loads(text)).rounds) == 5
    code, _, error = called(
        *common, "--resume", str(out / "model.safetensors"), "--out", str(tmp_path / "x"), capsys=capsys
    )
    assert code == 5
    assert "checkpoint" in error


@pytest.mark.slow
def test_train_with_noise_says_what_it_costs(
    hospitals: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, home = hospitals
    out = tmp_path / "out"
    arguments = ("train", str(file), "--network", "mlp", "--hospitals", str(home), "--algorithm", "dp-sgd")
    code, text, error = called(
        *arguments, "--epsilon", "1", "--rounds", "3", "--out", str(out), "--json", capsys=capsys
    )
    assert code == 0, error
    record = Training.from_plain(json.loads(text))
    assert record.claim.kind == "dp"
    assert (record.claim.epsilon or 9.0) <= 1.0 + 1e-9
    assert all(one.after != one.after for one in record.rounds), "with noise nobody says a loss"
    assert audit(out / "transcript").findings == ()


def test_a_folder_gives_three_own_corpora_or_the_joint_one(made: Path, tmp_path: Path) -> None:
    from wardgate.cli.federate import read_corpora

    assert len(read_corpora([made / "commons"])[0]) == 4
    few = tmp_path / "commons"
    few.mkdir()
    for name in ("a", "joint"):
        (few / f"{name}.parquet").write_bytes((made / "commons" / f"{name}.parquet").read_bytes())
    (found,), _ = read_corpora([tmp_path])
    assert found.height == 240, "the joint corpus, which knows of all four hospitals"
