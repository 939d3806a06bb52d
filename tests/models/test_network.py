"""A trained network in a safetensors file: the same predictions again, and nothing else is read as one."""

import json
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "federation"))

from smallest import STUDY, write_hospital

from drawn_networks import architecture, rows, vector
from wardgate.computations.carried import carried, unloaded
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.model_files import load_model, save_model
from wardgate.hospital.ward.cohort.load import load as load_cohort
from wardgate.hospital.ward.cohort.split import tables
from wardgate.hub.pooling.model_scores import evaluation
from wardgate.measures.discrimination import auroc
from wardgate.measures.encoding import design_matrix, labels
from wardgate.measures.layers.forward import logits
from wardgate.measures.layers.start import start
from wardgate.measures.layers.tensors import size, tensors
from wardgate.models.network import MOST_HEADER, NetworkModel
from wardgate.models.saving import load, to_bytes
from wardgate.records.canonical import canonical
from wardgate.records.errors import Invalid, Unsupported
from wardgate.records.feature import Feature
from wardgate.records.network import Activation, Architecture, BatchNorm, Linear
from wardgate.records.study_file import parse

FEATURES = tuple(
    Feature.from_plain(one)
    for one in (
        {"name": "age", "type": "integer", "unit": "a", "range": ["18", "100"], "missing": "refused"},
        {"name": "marker", "type": "number", "unit": "mg/L", "range": ["0", "200"]},
        {"name": "sex", "type": "category", "values": ["female", "male"]},
    )
)
LAYERS = (Linear(units=4), BatchNorm(), Activation(how="relu"), Linear(units=1))
TABLE = pl.DataFrame(
    {"age": [20.0, 64.0, 99.0], "marker": [3.5, None, 200.0], "sex": ["male", "female", None], "label": [0, 1, 1]},
    schema_overrides={"label": pl.Int8},
)


def numbers(count: int) -> tuple[Feature, ...]:
    """Features of one column each."""
    return tuple(
        Feature.from_plain({"name": f"n{i}", "type": "number", "unit": "1", "range": ["-1", "1"], "missing": "refused"})
        for i in range(count)
    )


@pytest.fixture(scope="module")
def model() -> NetworkModel:
    made = Architecture(inputs=design_matrix(FEATURES, TABLE).shape[1] - 1, layers=LAYERS, seed=3)
    return NetworkModel(features=FEATURES, architecture=made, vector=vector(made, 3), noise="")


@pytest.mark.parametrize("seed", range(12))
def test_every_kind_of_network_comes_back_from_its_bytes_to_the_last_bit(seed: int) -> None:
    made = architecture(seed)
    one = NetworkModel(features=numbers(made.inputs), architecture=made, vector=vector(made, seed), noise="eps 1")
    for each in (one, one.rounded()):
        data = to_bytes(each)
        again = load(data)
        assert isinstance(again, NetworkModel) and again.to_bytes() == data == each.to_bytes()
        assert np.array_equal(again.vector, each.vector) and again.architecture == made and again.noise == "eps 1"
        x = rows(made, 5, seed)
        assert np.array_equal(again.decision_function(x), logits(made, each.vector, x))
    kinds = {array.dtype for array in load_arrays(one.rounded().to_bytes()).values()}
    assert kinds == {np.dtype(np.float32)} and len(one.rounded().to_bytes()) < len(one.to_bytes())


def test_any_reader_of_safetensors_finds_the_tensors_by_name(model: NetworkModel) -> None:
    found = load_arrays(model.to_bytes())
    for tensor in tensors(model.architecture):
        assert np.array_equal(found[tensor.name], tensor.of(model.vector))
    assert set(found) == {tensor.name for tensor in tensors(model.architecture)}


def test_a_table_and_its_design_predict_alike_and_probabilities_add_up(model: NetworkModel) -> None:
    x = design_matrix(FEATURES, TABLE)[:, 1:]
    p = model.predict_proba(TABLE)
    assert np.array_equal(p, model.predict_proba(x)) and np.allclose(p.sum(axis=1), 1.0)
    assert np.array_equal(model.predict(TABLE), (p[:, 1] > 0.5).astype(float))
    assert model.feature_names == ("age", "marker", "sex") and len(model.column_names) == x.shape[1]
    with pytest.raises(Invalid, match="'marker'"):
        model.predict_proba(TABLE.drop("marker"))
    with pytest.raises(Invalid, match="shape"):
        model.predict_proba(np.zeros((3, 2)))


def test_equal_numbers_are_equal_bytes_and_nobody_changes_them_afterwards(model: NetworkModel) -> None:
    given = np.zeros(size(model.architecture))
    one = NetworkModel(features=FEATURES, architecture=model.architecture, vector=given)
    other = NetworkModel(features=FEATURES, architecture=model.architecture, vector=-given)
    assert one.to_bytes() == other.to_bytes()
    before = one.to_bytes()
    given[:] = 7
    assert one.to_bytes() == before
    with pytest.raises(ValueError, match="read-only"):
        one.vector[0] = 1


def test_what_could_not_predict_for_everybody_is_no_model(model: NetworkModel) -> None:
    made, good = model.architecture, model.vector
    variance = next(tensor for tensor in tensors(made) if tensor.role == "variance")
    below = good.copy()
    below[variance.place] = -1e-6
    deep = Architecture(inputs=4, layers=(*(Linear(units=99) for _ in range(60)), Linear(units=1)))
    for features, network, weights, why in (
        (FEATURES, made, good[:-1], "expected"),
        (FEATURES, made, np.where(np.arange(len(good)) == 5, np.inf, good), "not finite"),
        (FEATURES, made, below, "variance below 0"),
        (FEATURES[:2], made, good, "columns"),
        (numbers(4), deep, np.full(size(deep), 1e6), "overflow"),
    ):
        with pytest.raises(Invalid, match=why):
            NetworkModel(features=features, architecture=network, vector=weights)


def test_a_recalibrated_network_has_moved_log_odds(model: NetworkModel) -> None:
    moved = model.recalibrated(intercept=-0.4, slope=0.7, noise="eps 1")
    expected = -0.4 + 0.7 * model.decision_function(TABLE)
    assert moved.decision_function(TABLE) == pytest.approx(expected, abs=1e-12)
    assert moved.noise == "eps 1" and load(moved.to_bytes()).to_bytes() == moved.to_bytes()
    normed = Architecture(inputs=1, layers=(Linear(units=1), BatchNorm()))
    with pytest.raises(Unsupported, match="linear layer"):
        NetworkModel(features=numbers(1), architecture=normed, vector=start(normed)).recalibrated(intercept=1.0)


def reheaded(data: bytes, change: Any) -> bytes:
    """A file with its header changed and padded anew."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    change(header)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + data[8 + length :]


def retold(data: bytes, **fields: Any) -> bytes:
    """A file that says something else beside the same tensors."""

    def change(header: dict[str, Any]) -> None:
        told = json.loads(header["__metadata__"]["wardgate"]) | fields
        header["__metadata__"]["wardgate"] = canonical({k: v for k, v in told.items() if v is not None}).decode()

    return reheaded(data, change)


def test_the_museum_of_files_that_are_no_network(model: NetworkModel) -> None:
    data = model.to_bytes()
    arrays = load_arrays(data)
    length = int.from_bytes(data[:8], "little")
    told = {"wardgate": json.loads(data[8 : 8 + length])["__metadata__"]["wardgate"]}
    wider = Architecture(inputs=model.architecture.inputs, layers=(Linear(units=5), *LAYERS[1:]), seed=3)
    swapped = {name: arrays[name] for name in arrays} | {"0.bias": arrays["3.bias"], "3.bias": arrays["0.bias"]}
    huge = {"kind": "linear", "units": 16384}
    museum: dict[str, bytes] = {
        "cut in the header": data[:40],
        "cut in the tensors": data[:-1],
        "longer than it says": data + b"\0",
        "a header longer than the file": (2**60).to_bytes(8, "little") + data[8:],
        "a header beyond reason": (MOST_HEADER + 8).to_bytes(8, "little") + b"{" + b" " * (MOST_HEADER + 7),
        "a header of nothing": (0).to_bytes(8, "little") + data[8:],
        "a header that is no object": (16).to_bytes(8, "little") + b"{}[]" + b" " * 12,
        "a header as deep as a well": (8000).to_bytes(8, "little") + b'{"a":' * 1600,
        "half floats": save_arrays({k: v.astype(np.float16) for k, v in arrays.items()}, told),
        "whole numbers": save_arrays({k: v.astype(np.int64) for k, v in arrays.items()}, told),
        "two precisions": save_arrays(arrays | {"0.bias": arrays["0.bias"].astype(np.float32)}, told),
        "single precision without need of double": save_arrays({k: np.round(v) for k, v in arrays.items()}, told),
        "other shapes": save_arrays(swapped, told),
        "a tensor transposed": save_arrays(arrays | {"0.weight": np.ascontiguousarray(arrays["0.weight"].T)}, told),
        "a tensor missing": save_arrays({k: v for k, v in arrays.items() if k != "0.bias"}, told),
        "a tensor too many": save_arrays(arrays | {"9.bias": np.zeros(1)}, told),
        "not a number": save_arrays(arrays | {"3.bias": np.array([np.nan])}, told),
        "infinite": save_arrays(arrays | {"3.bias": np.array([-np.inf])}, told),
        "minus nothing": save_arrays(arrays | {"3.bias": np.array([-0.0])}, told),
        "a variance below 0": save_arrays(arrays | {"1.variance": np.array([1, 1, 1, -1.0])}, told),
        "no metadata": save_arrays(arrays),
        "more metadata": save_arrays(arrays, told | {"note": "hello"}),
        "metadata that are no JSON": save_arrays(arrays, {"wardgate": "{"}),
        "metadata that are not canonical": save_arrays(arrays, {"wardgate": told["wardgate"] + " "}),
        "another schema": retold(data, schema="wardgate/model/glm/1"),
        "a field too many": retold(data, pickle="gASV"),
        "no features": retold(data, features=None),
        "another architecture": retold(data, architecture=wider.plain()),
        "an architecture beyond reason": retold(data, architecture=model.architecture.plain() | {"layers": [huge] * 9}),
        "layers that do not follow": retold(data, architecture=model.architecture.plain() | {"layers": [huge]}),
        "another seed written out": retold(data, architecture=model.architecture.plain() | {"seed": -1}),
        "offsets that overlap": reheaded(data, lambda h: h["0.bias"].update(data_offsets=h["3.bias"]["data_offsets"])),
        "offsets as text": reheaded(data, lambda h: h["0.bias"].update(data_offsets=["0", "32"])),
        "an entry that is no object": reheaded(data, lambda h: h.update({"0.bias": 7})),
        "a shape beyond reason": reheaded(data, lambda h: h["0.bias"].update(shape=[2**62, 4])),
        "a header in another order": reheaded(data, lambda h: h.update({"0.bias": h.pop("0.bias")})),
        "a pickle": pickle.dumps(arrays),
        "a pickle behind eight bytes": (64).to_bytes(8, "little") + pickle.dumps(arrays),
        "nothing": b"",
        "eight bytes": bytes(8),
    }
    for name, broken in museum.items():
        with pytest.raises(Invalid):
            NetworkModel.from_bytes(broken)
        with pytest.raises(Invalid):
            load(broken)
        assert broken != data, name
    assert load(reheaded(data, lambda _: None)).to_bytes() == data


def test_a_noise_free_file_says_what_noise_it_was_told(model: NetworkModel) -> None:
    assert load(retold(model.to_bytes(), noise="eps 3")).noise == "eps 3"


def test_a_network_on_disk_is_whole_or_not_there(model: NetworkModel, tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_model(model, path)
    assert load_model(path).to_bytes() == model.to_bytes() == path.read_bytes()
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(Invalid):
        load_model(path)


def test_a_network_travels_beside_a_question(model: NetworkModel) -> None:
    assert unloaded(carried(model.to_bytes())) == model.to_bytes()


def test_hospitals_judge_a_network_and_no_ward_loads_torch(tmp_path: Path) -> None:
    sites = ("h0", "h1", "h2")
    study = parse(STUDY.replace("SITES", ", ".join(sites)) + "analyses: [model_scores]\n", name="study.yaml")
    for place, site in enumerate(sites):
        write_hospital(tmp_path / "hospitals" / site, 400, [5, place], inverted=False, note="")
    (tmp_path / "work").mkdir()
    hospitals = find_hospitals(tmp_path / "hospitals", study)
    settings = Settings(seed=1, issued_on="2026-01-02")
    made = Architecture(inputs=3, layers=(Linear(units=6), Activation(how="tanh"), Linear(units=1)), seed=4)
    model = NetworkModel(features=study.features, architecture=made, vector=start(made))
    loaded = {name for name in sys.modules if name.split(".")[0] == "torch"}
    with local(study=study, hospitals=hospitals, settings=settings, work=tmp_path / "work") as federation:
        steps = evaluation(study=study, sites=federation.sites, model=model, persons_at_least=100)
        figures = federation.drive(steps).figures
        held = [
            tables(load_cohort(hospitals[site], study), study.splits, salt=settings.salt(site))["holdout"]
            for site in federation.sites
        ]
    persons = pl.concat(held)
    p, y = model.predict_proba(persons)[:, 1], labels(persons)
    assert abs(figures.auroc.value - auroc(y, p).value) <= figures.auroc_error + 1e-9
    assert figures.oe.value == pytest.approx(y.sum() / p.sum(), rel=1e-9)
    assert {name for name in sys.modules if name.split(".")[0] == "torch"} == loaded
