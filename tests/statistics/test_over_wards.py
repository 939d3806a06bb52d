"""The same statistics through wards, gates, masks and logs, on four real hospitals; and what a ward refuses."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from wardgate.computations.model_scores import ModelScores
from wardgate.computations.tables import Tables
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.session import Federation
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.split import tables as split_tables
from wardgate.hub.pooling.ask import sum_ask
from wardgate.hub.pooling.kway import adaptive
from wardgate.hub.pooling.model_scores import evaluation
from wardgate.hub.pooling.moments import components
from wardgate.hub.pooling.platt import recalibrated, recalibration
from wardgate.hub.pooling.quantiles import quantiles
from wardgate.hub.pooling.summaries import summaries
from wardgate.hub.pooling.tables import counts
from wardgate.measures.encoding import LABEL, design_matrix, labels
from wardgate.measures.logistic import fit
from wardgate.models.linear import LinearModel
from wardgate.records.errors import CheckFailed
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside

pytestmark = pytest.mark.data

SETTINGS = Settings(seed=1, issued_on="2026-01-01")
Opened = tuple[Federation, Study, dict[str, pl.DataFrame]]


@pytest.fixture(scope="module")
def opened(root: Path, data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    path = root / "examples/heart/study.yaml"
    plain = parse(path.read_text(encoding="utf-8"), name=path.name).plain()
    study = Study.from_plain(plain | {"analyses": ["summaries", "moments", "tables", "model_scores", "platt"]})
    homes = tmp_path_factory.mktemp("heart") / "hospitals"
    divide(data_folder / "uci_heart", study, mapping_beside(path), homes)
    found = find_hospitals(homes, study)
    with local(study=study, hospitals=found, settings=SETTINGS, work=tmp_path_factory.mktemp("work")) as federation:
        split = [
            split_tables(load(found[site], study), study.splits, salt=SETTINGS.salt(site)) for site in federation.sites
        ]
        parts = {
            part: pl.concat([one[part] for one in split]) for part in ("train", "tuning", "holdout", "locked_test")
        }
        yield federation, study, parts


def model_of(study: Study, train: pl.DataFrame) -> LinearModel:
    beta = fit(design_matrix(study.features, train), labels(train), ridge=1.0)
    return LinearModel.from_plain(
        {
            "schema": "wardgate/model/glm/1",
            "family": "logistic",
            "outcome": LABEL,
            "features": [feature.plain() for feature in study.features],
            "predictors": [{"feature": feature.name} for feature in study.features],
            "coefficients": [float(value) for value in beta],
        }
    )


def test_statistics_over_wards_are_those_of_the_pooled_rows(opened: Opened) -> None:
    federation, study, parts = opened
    sites, train = federation.sites, parts["train"]
    for one in federation.drive(summaries(study=study, sites=sites)).groups[0]:
        values = train[one.feature].drop_nulls().to_numpy()
        assert one.mean == pytest.approx(values.mean(), rel=1e-12)
        assert one.variance == pytest.approx(values.var(ddof=1), rel=1e-9)
    principal, _ = federation.drive(components(study=study, sites=sites))
    truth = np.linalg.eigvalsh(np.cov(design_matrix(study.features, train)[:, 1:].T))[::-1]
    assert principal.variance[:20] == pytest.approx(truth[:20], rel=1e-9)
    table = federation.drive(counts(study=study, sites=sites, persons_at_least=400, by_label=True)).table("sex", LABEL)
    assert table.cells[1, 1] == train.filter((pl.col("sex") == "male") & (pl.col(LABEL) == 1)).height
    for one in federation.drive(quantiles(study=study, sites=sites, features=("age",), persons_at_least=400)).found:
        true = np.quantile(train["age"].drop_nulls().to_numpy(), one.level, method="inverted_cdf")
        assert one.low <= true < one.high


def test_a_model_is_judged_recalibrated_and_opened_over_wards(opened: Opened) -> None:
    federation, study, parts = opened
    model = model_of(study, parts["train"])
    found = federation.drive(recalibration(study=study, sites=federation.sites, model=model, split="holdout"))
    better = recalibrated(model, found)
    for split, one in (("holdout", model), ("holdout", better), ("locked_test", better)):
        figures = federation.drive(
            evaluation(study=study, sites=federation.sites, model=one, persons_at_least=130, split=split)
        ).figures
        p, y = one.predict_proba(parts[split])[:, 1], labels(parts[split])
        assert abs(figures.auroc.value - roc_auc_score(y, p)) <= figures.auroc_error + 1e-9
        assert figures.oe.value == pytest.approx(y.sum() / p.sum(), rel=1e-9)
    with pytest.raises(CheckFailed, match="opened"):
        federation.drive(
            evaluation(study=study, sites=federation.sites, model=model, persons_at_least=130, split="locked_test")
        )


def test_a_joint_model_grows_over_wards(opened: Opened) -> None:
    federation, study, _ = opened
    columns = ("sex", "chest_pain", LABEL)
    found = federation.drive(
        adaptive(study=study, sites=federation.sites, epsilon=2.0, ways=3, tables=2, columns=columns)
    )
    assert found.rounds == 4
    assert found.adapted.graph.persons == pytest.approx(528, abs=60)


def test_a_ward_refuses_exact_tables_that_would_single_persons_out(opened: Opened) -> None:
    """A hub that goes around its own driver; with noise the same table is answered."""
    federation, study, parts = opened
    asked = Tables(tables=(("age", "cholesterol"),), cuts={"age": tuple(range(30, 80)), "cholesterol": (200, 300)})
    ages = parts["train"]["age"].value_counts()["count"]
    assert int((ages == 1).sum()) > 0, "some ages are one patient's, so an answer would single them out"
    with pytest.raises(CheckFailed, match="one cell for every 11 persons"):
        federation.ask(sum_ask(asked, what="evil", study=study, sites=federation.sites))
    told = federation.ask(sum_ask(asked, what="noisy", study=study, sites=federation.sites, noise_multiplier=20.0))
    assert told.noise >= 20.0


def test_a_ward_opens_its_locked_test_for_no_recalibration_and_no_description(opened: Opened) -> None:
    federation, study, parts = opened
    asked = Tables(tables=((LABEL,),), cuts={})
    with pytest.raises(CheckFailed, match="may not touch the split 'locked_test'"):
        federation.ask(sum_ask(asked, what="evil", study=study, sites=federation.sites, split="locked_test"))
    broken = ModelScores(model=b'{"schema":"wardgate/model/none/1"}', edges=np.array([0.5]))
    with pytest.raises(CheckFailed):
        federation.ask(sum_ask(broken, what="evil", study=study, sites=federation.sites, split="holdout"))
    del parts
