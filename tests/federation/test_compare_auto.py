"""`auto` on real wards: what the commons recommend is what the hospitals are asked."""

from pathlib import Path
from typing import Any

import pytest
from made_networks import study_text, table
from smallest import write_hospital

from wardgate.entropy import SystemEntropy
from wardgate.federation import networks
from wardgate.federation.compare import Settings, compare, recommend
from wardgate.federation.local import Settings as LocalSettings
from wardgate.federation.local import find_hospitals, local
from wardgate.federation.networks import FederatedNetwork
from wardgate.federation.training import Wish, run
from wardgate.hub.intake.audit import audit
from wardgate.records.errors import Invalid
from wardgate.records.study_file import parse
from wardgate.simulate.splits import Way

pytest.importorskip("torch")

QUICK = Settings(
    ways=(Way(kind="sizes"),), seeds=1, rounds=2, rates=(0.05, 0.2), algorithms=("fedavg", "fedadam"), bounds=False
)


@pytest.mark.slow
def test_auto_asks_hospitals_for_what_the_commons_recommend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = study_text()
    study = parse(text, name="study.yaml")
    commons = [table(200, 7, place) for place in range(3)]
    taken: list[str] = []

    def quick(*given: Any, **named: Any) -> Any:
        found, evidence = recommend(*given, **named, settings=QUICK)
        taken.append(found.sha256)
        return found, evidence

    monkeypatch.setattr(networks, "recommend", quick)
    for place, site in enumerate(study.sites):
        write_hospital(tmp_path / "hospitals" / site, 230, [11, place], inverted=False, note="")
    (tmp_path / "work").mkdir()
    found = find_hospitals(tmp_path / "hospitals", study)
    settings = LocalSettings(seed=1, issued_on="2026-01-02")
    with local(study=study, hospitals=found, settings=settings, work=tmp_path / "work") as federation:
        auto = FederatedNetwork(network="small", algorithm="auto", rounds=2, commons=commons, tune_every=None)
        trained = auto.run(federation, study)
        assert trained.checkpoint.digests.algorithm == taken[0]
        wish = Wish(network="small", rounds=2, commons=commons, settings=QUICK)
        finished = run(federation, wish, entropy=SystemEntropy())
        assert finished.record.chosen
        assert finished.comparison is not None
        assert finished.record.algorithm == finished.comparison.algorithm
        assert finished.record.held_out[0].name == "auroc"
        federation.save(tmp_path / "transcript", study_text=text)
    assert audit(tmp_path / "transcript").findings == ()


def test_an_earlier_comparison_is_taken_only_for_what_it_was_made_on() -> None:
    study = parse(study_text(), name="study.yaml")
    commons = [table(120, 8, place) for place in range(3)]
    earlier = compare(study, commons, network="small", entropy=SystemEntropy(), settings=QUICK)
    Wish(network="small", compared=earlier).check(study)
    with pytest.raises(Invalid, match="another study or network"):
        Wish(network="norms", compared=earlier).check(study)
    with pytest.raises(Invalid, match="epsilon"):
        Wish(network="small", compared=earlier, epsilon=1.0).check(study)
    with pytest.raises(Invalid, match="was asked for"):
        Wish(network="small", compared=earlier, algorithm="fedavg").check(study)
