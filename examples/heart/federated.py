"""Federated regression and boosting on the four Heart hospitals, through the whole gate.

    .venv/bin/python examples/heart/federated.py DIR/uci_heart OUT

Prints both models' accuracy on the hospitals' holdouts, saves them as JSON in OUT, and the signed transcript beside.
"""

import sys
import tempfile
from pathlib import Path

from wardgate.federation.estimators import (
    FederatedGradientBoostingClassifier,
    FederatedLogisticRegression,
    evaluate,
)
from wardgate.federation.local import Settings, find_hospitals, local
from wardgate.federation.model_files import save_model
from wardgate.measures.boosting import Growth
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside

STUDY = Path(__file__).with_name("federated.yaml")


def main(data: Path, out: Path) -> None:
    """Fit, evaluate and save."""
    text = STUDY.read_text(encoding="utf-8")
    study = parse(text, name=STUDY.name)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        homes, work = Path(folder) / "hospitals", Path(folder) / "work"
        work.mkdir()
        divide(data, study, mapping_beside(STUDY), homes)
        settings = Settings(seed=1, issued_on="2026-01-01")
        with local(study=study, hospitals=find_hospitals(homes, study), settings=settings, work=work) as federation:
            models = {
                "logistic": FederatedLogisticRegression(ridge=1.0).fit(federation, study),
                "curves": FederatedLogisticRegression(
                    predictors=["age", "sex", "chest_pain", "exercise_angina", "st_depression", "vessels"],
                    curves={"age": 6, "st_depression": 6},
                ).fit(federation, study),
                "boosting": FederatedGradientBoostingClassifier(growth=Growth(trees=30)).fit(federation, study),
            }
            for name, model in models.items():
                figures = evaluate(federation, model).figures
                print(f"{name:10} AUROC {figures.auroc.value:.3f}, O/E {figures.oe.value:.2f} on the holdouts")
                save_model(model, out / f"{name}.json")
            federation.save(out / "transcript", study_text=text)
    print(f"Models and transcript are in {out}. Check: wardgate verify {out / 'transcript'}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
