"""Personal models: made here, judged here on held-out or locked persons, and only rounded figures of them leave."""

from pathlib import Path

import numpy as np

from wardgate.computations.likeness import Likeness
from wardgate.computations.personal import Personal
from wardgate.hospital.ward.answering.bench import Bench
from wardgate.hospital.ward.answering.federated import open_if_locked
from wardgate.hospital.ward.gate.candidate import Sited
from wardgate.hospital.ward.learning.personal import Made, made, scored
from wardgate.hospital.ward.transfer.figures import smallest_class
from wardgate.hospital.ward.transfer.personal import enough, personal_figures
from wardgate.measures.outcomes import predictors
from wardgate.models.linear import LinearModel, Predictor
from wardgate.models.network import NetworkModel
from wardgate.records.bands import band
from wardgate.records.dictionary import LABEL
from wardgate.records.errors import Invalid, Refused
from wardgate.records.messages import Question
from wardgate.records.parcel import Parcel, unpack_vector
from wardgate.records.study import Study


def personalise(bench: Bench, question: Question, parcel: Parcel, *, folder: Path | None) -> Sited:
    """Return the figures of this hospital's personal models; the models themselves go into `folder`, if there is one.

    Raises:
        Refused: the study lists no `likeness`, another split, too few events or non-events, no more openings, or a
            network of which this hospital kept nothing.
        Invalid: the question describes no personal models.
    """
    if Likeness.name not in bench.study.analyses:
        raise Refused(f"the locked study lists no '{Likeness.name}' under 'analyses', so no personal models are made")
    if question.split not in Personal.splits:
        raise Refused(f"personal models are not judged on the split '{question.split}'")
    part = bench.part(question.split)
    smallest, minimum = smallest_class(part.y), bench.study.gate.small_cells.min_count
    if smallest < minimum:
        raise Refused(f"fewer than {minimum} events or non-events: this site's own figures cannot be shown")
    asked = Personal.read(question.parameters, _arrays(question, parcel))
    found = made(asked, bench=bench)
    opening = open_if_locked(bench, question)
    figures = personal_figures(
        scored(found, bench=bench, split=question.split), part.y, against=asked.against, level=asked.level
    )
    if folder is not None:
        _hand_over(found, study=bench.study, folder=folder)
    return Sited(
        split=question.split,
        figures=figures,
        said={"n_band": band(len(part.y)), "enough": enough(part.y), "took": dict(found.took)},
        models=len(asked.models),
        smallest_cell=smallest,
        opening=opening,
    )


def _arrays(question: Question, parcel: Parcel) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    found = {}
    for ref, blob in zip(question.vectors, parcel.blobs, strict=True):
        array = np.asarray(unpack_vector(ref, blob), dtype=np.float64)
        if ref.name in found or not bool(np.isfinite(array).all()):
            raise Invalid(f"the vector '{ref.name}' beside the question is not finite, or came twice")
        found[ref.name] = array
    return found


def _hand_over(found: Made, *, study: Study, folder: Path) -> None:
    """Lay the hospital's models into its own folder, each whole or not at all."""
    files: dict[str, bytes] = {}
    for name, beta in found.betas.items():
        files[f"{name}.json"] = model_over_design(study, beta).to_bytes()
    for name, (network, vector) in found.networks.items():
        model = NetworkModel(features=study.features, architecture=study.networks[network], vector=vector)
        files[f"{name}.safetensors"] = model.to_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        draft = folder / f".{name}.new"
        draft.write_bytes(data)
        draft.replace(folder / name)


def model_over_design(study: Study, beta: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> LinearModel:
    """Return coefficients over the study's design as a model that predicts."""
    return LinearModel(
        family="logistic",
        outcome=LABEL,
        features=study.features,
        predictors=tuple(Predictor(feature=t.feature, segments=t.segments) for t in predictors(study.features, LABEL)),
        coefficients=tuple(float(value) for value in beta),
        largest_mean=4.0,
    )
