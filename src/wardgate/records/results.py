"""Every number of the report, in one value. `results.json` is this value; `report.html` renders it.

Floats here are plain JSON numbers: the file is not itself a signed record, its digest stands in the signed manifest.
Where a figure may not be shown (fewer than eleven events or non-events) it is absent, never zero.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from wardgate.records.verdict import Verdict

ApproachName = Literal["local", "commons", "federated", "hybrid", "pooled"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FlowStep(_Part):
    """One step of the cohort flow; `persons` is a count of at least 11 or `<11`."""

    step: str
    persons: str


class FeatureQuality(_Part):
    """What one hospital's data looks like for one feature.

    Shares are absent where a count below 11 could be derived.
    """

    feature: str
    present: float | None
    out_of_range: float | None
    unit_found: str | None
    converted: bool


class Requirement(_Part):
    """One requirement of the study on one hospital's data, in four states."""

    name: str
    state: Literal["pass", "pass with exceptions", "fail", "not evaluated"]
    reason: str


class Left(_Part):
    """One thing that left a hospital."""

    step: str
    what: str
    kind: Literal["record", "sited", "summed", "corpus", "refusal"]
    protection: str
    bytes: int
    sha256: str


class CorpusAttempt(_Part):
    """One candidate corpus before the gate."""

    corpus: str
    generator: str
    attempt: int
    claim: str
    epsilon: float | None
    verdict: Verdict
    released: bool
    pass_number: int


class BudgetLine(_Part):
    """Spending of one population and split. `epsilon` is the joint cost, not the sum of the parts."""

    split: str
    epsilon: float
    of: float
    exact_answers: int
    exact_ration: int
    parts: tuple[str, ...]


class Calibration(_Part):
    """Recalibration from at most 50 local records: calibration-in-the-large before and after, with its floor."""

    records: int
    shift: float
    before: float
    after: float
    floor: float
    low: float
    high: float


class Site(_Part):
    """One hospital."""

    id: str
    note: str
    persons_band: str
    state: Literal["took part", "refused the study", "excluded: definition mismatch"]
    reason: str
    flow: tuple[FlowStep, ...]
    quality: tuple[FeatureQuality, ...]
    requirements: tuple[Requirement, ...]
    attempts: tuple[CorpusAttempt, ...]
    verdicts: tuple[str, ...]
    road: Literal["own corpus", "joint corpus", "federation only", "none"]
    budget: tuple[BudgetLine, ...]
    left: tuple[Left, ...]
    bytes_out: int
    bytes_in: int
    locked_test_opens: int
    recalibration: Calibration | None


class Recalibrated(_Part):
    """The federated model over all hospitals before and after each hospital's own shift, from summed score bins."""

    auroc_before: float
    auroc_after: float
    oe_before: float
    oe_after: float
    slope_before: float
    slope_after: float


class Curve(_Part):
    """Calibration curve from summed score bins: mean prediction, observed rate with interval, share of persons."""

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    share: tuple[float, ...]


class SiteFigure(_Part):
    """One approach at one hospital's locked test (or holdout, at rehearsal). Rounded to 0.01."""

    id: str
    n_band: str
    auroc: float
    auroc_low: float
    auroc_high: float
    oe: float
    slope: float | None


class SubgroupFigure(_Part):
    """One approach in one subgroup over all hospitals."""

    subgroup: str
    n_band: str
    auroc: float
    auroc_low: float
    auroc_high: float
    oe: float


class Approach(_Part):
    """One way to build the model. Overall figures come from summed score bins."""

    name: ApproachName
    meaning: str
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    auroc_bin_error: float | None
    oe: float | None
    slope: float | None
    worst_site: str | None
    worst_site_auroc: float | None
    sites: tuple[SiteFigure, ...]
    subgroups: tuple[SubgroupFigure, ...]
    subgroup_gap: float | None
    curve: Curve | None
    rounds: int
    bytes_moved: int
    reason_absent: str


class Coefficient(_Part):
    """One coefficient of the joint model; the odds ratio is per full range of a number, or against the reference."""

    name: str
    coefficient: float
    odds_ratio: float
    low: float | None
    high: float | None


class Pass(_Part):
    """One pass of the loop at rehearsal on the holdouts."""

    number: int
    approaches: tuple[Approach, ...]
    missed: tuple[str, ...]
    action: str


class Mismatch(_Part):
    """How one site's outcome relates to the features, against what the others say."""

    site: str
    concordance: float | None
    low: float | None
    high: float | None
    named: bool
    reason: str


class LeaveOut(_Part):
    """A model that never saw `left_out`, tested there."""

    left_out: tuple[str, ...]
    how: str
    auroc: float | None
    auroc_low: float | None
    auroc_high: float | None
    oe: float | None
    reason: str


class FeatureMeaning(_Part):
    """A feature as the study locks it, for people."""

    name: str
    meaning: str
    type: str
    unit: str
    range: str


class Results(_Part):
    """The whole run."""

    schema_version: Literal["wardgate/results/1"] = "wardgate/results/1"
    wardgate_version: str
    study_id: str
    study_version: int
    study_sha256: str
    title: str
    question: str
    label: str
    label_meaning: str
    features: tuple[FeatureMeaning, ...]
    sources: str
    simulated: bool
    isolated: bool
    profile: str
    policy_sha256: str
    sites: tuple[Site, ...]
    joint_corpus: tuple[CorpusAttempt, ...]
    mismatch: tuple[Mismatch, ...]
    mismatched_sites: tuple[str, ...]
    passes: tuple[Pass, ...]
    approaches: tuple[Approach, ...]
    recalibrated: Recalibrated | None = None
    model: tuple[Coefficient, ...]
    leave_out: tuple[LeaveOut, ...]
    bytes_moved: dict[str, int]
    budget: dict[str, float]
    accepted: bool
    acceptance: tuple[str, ...]
    warnings: tuple[str, ...]
