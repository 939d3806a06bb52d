"""What stayed at the hospitals when networks were trained, judged beside the common network."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_networks import plain_of, study_of
from smallest import STUDY, write_hospital

from wardgate.computations.likeness import Seen
from wardgate.computations.personal import Kept
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.personal import personalise, personalise_plain
from wardgate.federation.plain import Plain
from wardgate.hospital.ward.learning.personal import made
from wardgate.hub.pooling.networks.algorithms import algorithm_of
from wardgate.hub.pooling.networks.personal import asked_of, common_model
from wardgate.hub.pooling.networks.rounds import train
from wardgate.measures.layers.head import head_columns
from wardgate.models.network import NetworkModel
from wardgate.records.study_file import parse

pytestmark = pytest.mark.skipif(find_spec("torch") is None, reason="torch is not installed")

NETWORKS = """\
networks:
NAMES
"""
ONE = """\
  NAME:
    schema: wardgate/network/1
    inputs: 3
    layers: [{kind: linear, units: 4}, {kind: NORM}, {kind: activation, how: tanh}, {kind: linear, units: 1}]
    seed: 3
"""
NORMS = {"mlp": "group_norm", "heads": "group_norm", "norms": "batch_norm", "alone": "group_norm"}


@pytest.fixture(scope="module")
def trained() -> tuple[Plain, dict[str, Kept], dict[str, Seen]]:
    """Four short trainings over tables in the open."""
    names = "".join(ONE.replace("NAME", name).replace("NORM", norm) for name, norm in NORMS.items())
    study = study_of(analyses="network_update, likeness", networks=NETWORKS.replace("NAMES\n", names))
    plain = plain_of(study)
    algorithms = {"mlp": "ditto", "heads": "local-head", "norms": "fedbn", "alone": "ditto"}
    vectors: dict[str, Any] = {}
    for network, name in algorithms.items():
        work = {"steps": 5, "batch": 16, "rate": 0.3} | ({"personal": 0.0} if network == "alone" else {})
        driver = train(
            study=study,
            sites=tuple(plain.sites),
            network=network,
            algorithm=algorithm_of(name, **work),
            rounds=3,
            tune_every=None,
        )
        vectors[network] = plain.drive(driver).model.vector

    def kept(network: str, **stays: Any) -> Kept:
        return Kept(network=network, sha256=study.networks[network].sha256, weights=vectors[network], **stays)

    found = {
        "network": kept("mlp"),
        "ditto": kept("mlp", personal=True),
        "head": kept("heads", stays=("head",)),
        "norms": kept("norms", stays=("norms",)),
        "alone": kept("alone", personal=True),
    }
    seen = Seen(network="mlp", sha256=study.networks["mlp"].sha256, weights=vectors["mlp"])
    return plain, found, {"mlp": seen}


def test_every_kind_of_personal_network_is_judged_at_every_hospital(trained: Any) -> None:
    plain, kept, networks = trained
    found = personalise_plain(plain, networks=networks, kept=kept, alone="alone")
    models = ("global", "local", "shrunk", "mlp.global", "mlp.local", "mlp.shrunk", *kept)
    assert found.asked.models == models
    assert found.asked.against["ditto"] == ("mlp.global", "alone")
    for site in plain.sites:
        figures = found.sites[site].figures
        assert {f"{name}.auroc" for name in models} <= set(figures)
        assert found.best(site) in models


def test_each_hospital_has_what_it_kept_and_the_rest_in_common(trained: Any) -> None:
    plain, kept, networks = trained
    sites = tuple(plain.sites)
    common = plain.drive(common_model(study=plain.study, sites=sites, ridge=0.1, seen=networks["mlp"]))
    assert len(common.likeness.beta) == head_columns(plain.study.networks["mlp"])
    asked = asked_of({"mlp.": common}, kept=kept, alone="alone")
    one, two = (made(asked, bench=plain.sites[site]).networks for site in sites[:2])
    differ = {name: one[name][1] != two[name][1] for name in one}
    body = 16 + 8  # first layer, and a group norm's scale and shift
    assert differ["ditto"].any() and differ["alone"].any()
    assert differ["head"][body:].all() and not differ["head"][:body].any()
    norms = np.zeros(len(differ["norms"]), dtype=bool)
    norms[16:32] = True  # scale, shift, mean, variance of four units
    assert differ["norms"][16:32].any() and not differ["norms"][~norms].any()
    assert not differ["network"].any() and not differ["mlp.global"].any()
    assert not differ["mlp.shrunk"][:body].any()


@pytest.mark.slow
def test_a_real_ward_judges_the_copy_that_it_kept_and_no_other(tmp_path: Path) -> None:
    text = STUDY.replace("SITES", "h0, h1, h2")
    names = NETWORKS.replace("NAMES\n", ONE.replace("NAME", "mlp").replace("NORM", "group_norm"))
    study = parse(text + "analyses: [network_update, likeness]\n" + names, name="study.yaml")
    for place, site in enumerate(study.sites):
        write_hospital(tmp_path / "hospitals" / site, 400, [41, place], inverted=False, note="")
    (tmp_path / "work").mkdir()
    found = find_hospitals(tmp_path / "hospitals", study)
    with local(
        study=study, hospitals=found, settings=Settings(seed=1, issued_on="2026-01-02"), work=tmp_path / "work"
    ) as federation:
        driver = train(
            study=study,
            sites=tuple(federation.sites),
            network="mlp",
            algorithm=algorithm_of("ditto", steps=5, batch=32, rate=0.3),
            rounds=2,
            tune_every=None,
        )
        vector = federation.drive(driver).model.vector
        sha256 = study.networks["mlp"].sha256
        common = {"network": Kept(network="mlp", sha256=sha256, weights=vector)}
        ditto = {"ditto": Kept(network="mlp", sha256=sha256, weights=vector, personal=True)}
        judged = personalise(federation, study, kept=common | ditto)
        heads = {"head": Kept(network="mlp", sha256=sha256, weights=vector, stays=("head",))}
        refused = personalise(federation, study, kept=heads)
    for one in judged.sites.values():
        assert {"network.auroc", "ditto.auroc", "shrunk.auroc"} <= set(one.figures)
    assert all("kept nothing of the network that 'head' names" in one.refusal for one in refused.sites.values())
    files = sorted(path.name for path in (tmp_path / "work").rglob("ditto.safetensors"))
    assert len(files) == 3
    raw = [NetworkModel.from_bytes(path.read_bytes()).vector for path in (tmp_path / "work").rglob("ditto.safetensors")]
    assert not np.array_equal(raw[0], raw[1]) and not np.array_equal(raw[0], vector)
