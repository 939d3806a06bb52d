"""A hospital asks its own ward whether its data satisfy a study, before anything runs."""

from dataclasses import dataclass
from pathlib import Path

from wardgate.hospital.ward.cohort.cohort import satisfies
from wardgate.hospital.ward.cohort.from_files.build import read_mapping
from wardgate.hospital.ward.cohort.load import load
from wardgate.hospital.ward.cohort.shown import shown_flow, shown_quality
from wardgate.hospital.ward.generators.recommendation import recommendation
from wardgate.records.bands import at_least, band
from wardgate.records.results import FeatureQuality, FlowStep, Requirement
from wardgate.records.study import Study


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a hospital's data look like to a study. Holds no count below the study's minimum."""

    can: bool
    reasons: tuple[str, ...]
    flow: tuple[FlowStep, ...]
    quality: tuple[FeatureQuality, ...]
    requirements: tuple[Requirement, ...]
    advice: str

    def plain(self) -> dict[str, object]:
        """Return JSON-ready data."""
        return {
            "satisfies": self.can,
            "reasons": list(self.reasons),
            "flow": [step.model_dump(mode="json") for step in self.flow],
            "quality": [one.model_dump(mode="json") for one in self.quality],
            "requirements": [one.model_dump(mode="json") for one in self.requirements],
            "advice": self.advice,
        }

    def text(self) -> str:
        """Return the same for people."""
        lines = ["Cohort flow"]
        lines += [f"  {step.persons:>24}  {step.step}" for step in self.flow]
        lines.append("Requirements")
        lines += [f"  {one.state:<20}  {one.name}: {one.reason}" for one in self.requirements]
        lines.append("The data satisfy the study." if self.can else "The data do not satisfy the study:")
        lines += [f"  {reason}" for reason in self.reasons]
        lines += ["A corpus of its own", f"  {self.advice}"]
        return "\n".join(lines)


def check_data(study: Study, folder: Path, mapping: Path | None = None) -> Checked:
    """Build the cohort of one folder and say what was found.

    Args:
        folder: The hospital's data files, and its mapping unless `mapping` names another.

    Raises:
        Invalid: the mapping or the files cannot be used.
    """
    cohort = load(folder, study, mapping=None if mapping is None else read_mapping(mapping, study))
    check = satisfies(cohort, study)
    minimum = study.gate.small_cells.min_count
    return Checked(
        can=check.can,
        reasons=check.reasons,
        flow=shown_flow(cohort, minimum=minimum),
        quality=shown_quality(cohort, minimum=minimum),
        requirements=cohort.findings,
        advice=_advice(cohort.table.height, study),
    )


def _advice(persons: int, study: Study) -> str:
    """Say what a private corpus of this hospital would be worth, by its band of training persons."""
    training = at_least(band(int(persons * study.splits.train)))
    if training == 0:
        return "Too few persons for any corpus. Take part in sums."
    return recommendation(training, study.budget.corpus, dictionary=study.dictionary).words
