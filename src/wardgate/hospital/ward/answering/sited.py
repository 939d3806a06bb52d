"""One site's own figures: what definitions are compared by, and a model's transfer to its persons."""

from wardgate.computations.definitions.statistics import figures_of
from wardgate.hospital.ward.answering.bench import Bench, Vector
from wardgate.hospital.ward.answering.federated import beta_of, open_if_locked
from wardgate.hospital.ward.gate.candidate import Sited
from wardgate.hospital.ward.learning.associations import associations
from wardgate.hospital.ward.learning.site_statistics import site_statistics
from wardgate.hospital.ward.transfer.figures import local_shift, model_figures, smallest_class
from wardgate.measures.logistic import linear
from wardgate.records.bands import band
from wardgate.records.canonical import number_of
from wardgate.records.errors import Refused
from wardgate.records.messages import Question
from wardgate.records.parcel import Parcel


def associate(bench: Bench, question: Question) -> Sited:
    """Return what definitions are compared by, of training persons.

    How each column of the design goes with the outcome, by its number; then prevalence and each feature's own figures
    (computations/definitions/statistics.py). They count as two exact answers.
    """
    if question.split != "train":
        raise Refused("associations are taken on training persons only")
    train = bench.part("train")
    smallest = smallest_class(train.y)
    minimum = bench.study.gate.small_cells.min_count
    values = associations(train.x, train.y, smallest_cell=minimum).tolist() if smallest > 0 else []
    figures = {str(index): float(value) for index, value in enumerate(values)}
    if smallest >= minimum:
        told = site_statistics(
            train.table,
            train.y,
            bench.study.features,
            site=bench.hospital.id,
            smallest_cell=minimum,
            step=bench.study.gate.small_cells.rounding,
        )
        figures |= figures_of(told, bench.study.features)
    return Sited(
        split="train",
        figures=figures,
        said={"n_band": band(len(train.y))},
        models=2,
        smallest_cell=smallest,
    )


def evaluate(bench: Bench, question: Question, parcel: Parcel) -> Sited:
    """Return the figures of each named model on this site's persons, and the local recalibration of one."""
    if question.split not in ("train", "holdout", "locked_test"):
        raise Refused(f"models are not evaluated on the split '{question.split}'")
    part = bench.part(question.split)
    smallest = smallest_class(part.y)
    minimum = bench.study.gate.small_cells.min_count
    if smallest < minimum:
        raise Refused(f"fewer than {minimum} events or non-events: this site's own figures cannot be shown")
    opening = open_if_locked(bench, question)
    level = number_of(question.parameters.get("level", "0.95"))
    figures: dict[str, float] = {}
    said: dict[str, object] = {"n_band": band(len(part.y))}
    names = list(dict.fromkeys(question.parameters["models"]))
    for name in names:
        beta = _model(bench, question, parcel, str(name))
        for key, value in model_figures(linear(part.x, beta), part.y, level=level).items():
            figures[f"{name}.{key}"] = value
    shifted = question.parameters.get("recalibrate")
    train = bench.part("train")
    records = min(bench.study.recalibration_records, len(train.y))
    if shifted is not None and smallest_class(train.y[:records]) >= minimum:
        beta = _model(bench, question, parcel, str(shifted))
        learned = local_shift(
            train_logits=linear(train.x, beta),
            train_y=train.y,
            test_logits=linear(part.x, beta),
            test_y=part.y,
            records=records,
            prior_deviation=number_of(question.parameters["prior_deviation"]),
        )
        said["recalibration_records"] = learned.records
        for key in ("shift", "before", "after", "floor", "low", "high"):
            figures[f"recalibration.{key}"] = getattr(learned, key)
    return Sited(
        split=question.split,
        figures=figures,
        said=said,
        models=len(names) + int("recalibration_records" in said),
        smallest_cell=smallest,
        opening=opening,
    )


def _model(bench: Bench, question: Question, parcel: Parcel, name: str) -> Vector:
    return bench.local_model() if name == "local" else beta_of(bench, question, parcel, name)
