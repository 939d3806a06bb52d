"""The study: one locked document that every later record names by its SHA-256."""

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, model_validator

from wardgate.records.concepts import DEATH, ConceptSets
from wardgate.records.dictionary import Dictionary
from wardgate.records.entry import Criterion, Entry, Group, Outcome, Rule
from wardgate.records.feature import ClinicalRule, Feature, Relation, Subgroup
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.network import Architecture
from wardgate.records.record import Name, Number, Record

SCHEMA = "wardgate/study/1"

MOST_DROP_OUT = 0.33
"""Share of sites that a sum can lose; beyond a third, the rest could not give the lost masks back safely."""

RESERVED_SITES = ("hub", "joint", "roster.json", "vectors.bin")
"""Names that a finished run uses for other things."""


class Requirement(Record):
    """An eligibility rule on a named field: keep persons whose value is one of `values` or inside `range`."""

    field: Name
    values: tuple[str, ...] | None = None
    range: tuple[Number, Number] | None = None
    meaning: str = ""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.values is None) == (self.range is None):
            raise ValueError("a requirement needs either 'values' or 'range'")
        return self


class Cohort(Record):
    """Who is in the study.

    Attributes:
        entry: In words.
        requires: Rules on named fields; in a study of events, on its features.
        entries: `single` expects one entry a person. `first` keeps each person's first, before anybody is judged
            eligible. Of events alone: `first-eligible` keeps the first that fulfils everything, `all` keeps all.
        events: The same as events and concept sets, for hospitals that hold records instead of one table.
    """

    entry: str
    requires: tuple[Requirement, ...] = ()
    entries: Literal["single", "first", "first-eligible", "all"] = "single"
    events: Entry | None = None


class Label(Record):
    """The outcome: an event in a window after the index date."""

    name: Name
    meaning: str
    window_days: tuple[int, int]
    events: Outcome | None = None

    @model_validator(mode="after")
    def _after_index(self) -> Self:
        if not 0 <= self.window_days[0] <= self.window_days[1]:
            raise ValueError(f"expected window_days [from, to] with 0 <= from <= to, found {list(self.window_days)}")
        return self


class Splits(Record):
    """Shares of persons, committed before any fit."""

    train: Number = 0.55
    tuning: Number = 0.05
    holdout: Number = 0.20
    locked_test: Number = 0.20

    @model_validator(mode="after")
    def _all(self) -> Self:
        parts = (self.train, self.tuning, self.holdout, self.locked_test)
        if min(parts) <= 0 or abs(sum(parts) - 1) > 1e-9:
            raise ValueError(f"expected four positive shares that add up to 1, found {list(parts)}")
        return self


class Model(Record):
    """One entry of the model menu.

    `ridge` is the L2 penalty on features scaled to [-1, 1]; the intercept is not penalised.
    """

    name: Literal["logistic"] = "logistic"
    ridge: Number = 1.0
    ridge_menu: tuple[Number, ...] = (0.1, 1.0, 10.0)


class Acceptance(Record):
    """What the joint model must reach at rehearsal, or the loop rebalances once."""

    auroc_min: Number
    worst_site_auroc_min: Number
    oe: tuple[Number, Number] = (0.8, 1.25)
    slope: tuple[Number, Number] = (0.8, 1.25)
    subgroup_gap_max: Number = 0.15
    locked_test_opens: int = 1


GeneratorName = Literal[
    "marginal-tree",
    "adaptive-marginals",
    "spanning-tree",
    "sequential-cart",
    "tabular-gan",
    "private-gan",
    "autoregressive",
]


class Generator(Record):
    """How hospitals make their corpora. A hospital may choose another generator; the gate judges it all the same."""

    name: GeneratorName = "marginal-tree"
    rows: Literal["as-training"] = "as-training"


Spend = Literal["exact"] | Number
"""`exact` (true values, small-cell rules only) or an epsilon."""


class Budget(Record):
    """Epsilon per population and split (a person is in one split), and what each step may take.

    Attributes:
        epsilon_total: What all releases on one split may cost together (joint PLD).
        delta: For every statement; at most 1 / (10 x persons).
        corpus, joint_corpus: Epsilon of the synthetic corpora (training persons).
        fit: Federated fit on training persons: `exact` or an epsilon.
        evaluation: Score bins on holdout and locked test: `exact` or an epsilon.
        definitions: Comparison of definitions between sites: `exact` or an epsilon.
        noise: `shared`: the sites of a sum add one noise together, which survives a third of them colluding. `local`:
            every site adds the whole noise by itself, which survives all others, at the price of as many times the
            variance as there are sites. Absent means shared.
    """

    epsilon_total: Number = 3.0
    delta: Number = 1e-6
    corpus: Number = 1.0
    joint_corpus: Number = 1.0
    fit: Spend = "exact"
    evaluation: Spend = "exact"
    definitions: Spend = "exact"
    noise: Literal["shared", "local"] | None = None

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if not 0 < self.delta < 1e-3:
            raise ValueError("expected 0 < delta < 0.001")
        if min(self.epsilon_total, self.corpus, self.joint_corpus) <= 0:
            raise ValueError("every epsilon must be positive")
        for part in ("fit", "evaluation", "definitions"):
            spend = getattr(self, part)
            if spend != "exact" and spend <= 0:
                raise ValueError(f"{part}: every epsilon must be positive")
        if max(self.corpus, self.joint_corpus) > self.epsilon_total:
            raise ValueError("epsilon_total is smaller than one corpus costs")
        return self


class Study(Record):
    """A whole study. Its canonical bytes have one SHA-256; every site signs it; every later record names it.

    Attributes:
        drop_out: Share of the sites that may vanish from a secure sum at any moment; absent, all must answer.
        joint_site: Whether the joint corpus tells hospitals apart: `keep` counts by site and leaves the column `site`
            in the corpus, `drop` counts by site and leaves it out; absent, all hospitals count as one.
        analyses: Federated computations that hospitals answer beside the chain's own.
        networks: Neural networks that may be trained, by name, layer by layer; hospitals train no others.
        concept_sets: Clinical ideas as codes, by the names under which entry, label and features ask for them.
        relations, joint, sensitive: What the gate asks of a corpus beside its rules; see `records.dictionary`.
    """

    schema_: Literal["wardgate/study/1"] = Field(alias="schema")
    id: Name
    version: int
    title: str
    question: str
    cohort: Cohort
    index_date: str
    label: Label
    features: tuple[Feature, ...]
    subgroups: tuple[Subgroup, ...] = ()
    splits: Splits = Field(default_factory=Splits)
    model: Model = Field(default_factory=Model)
    generator: Generator = Field(default_factory=Generator)
    rules: tuple[ClinicalRule, ...] = ()
    relations: tuple[Relation, ...] | None = None
    joint: tuple[tuple[Name, ...], ...] | None = None
    sensitive: tuple[Name, ...] | None = None
    acceptance: Acceptance
    gate: GatePolicy = Field(default_factory=GatePolicy)
    budget: Budget = Field(default_factory=Budget)
    drop_out: Number | None = None
    joint_site: Literal["keep", "drop"] | None = None
    concept_sets: ConceptSets | None = None
    analyses_: tuple[Name, ...] | None = Field(default=None, alias="analyses")
    networks_: dict[Name, Architecture] | None = Field(default=None, alias="networks")
    recalibration_records: int = Field(default=50, ge=0, le=50)
    sites: tuple[Name, ...]
    sources: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [feature.name for feature in self.features]
        if not names:
            raise ValueError("a study needs at least one feature")
        if len(set(names)) != len(names):
            raise ValueError("two features have the same name")
        for site in self.sites:
            if site in RESERVED_SITES:
                raise ValueError(f"no site may be called '{site}': that name is taken in a run's evidence")
        if self.label.name in names:
            raise ValueError(f"'{self.label.name}' is both the label and a feature")
        if len(set(self.sites)) != len(self.sites):
            raise ValueError("'sites' names a site twice")
        known = {feature.name: feature for feature in self.features}
        for subgroup in self.subgroups:
            feature = known.get(subgroup.feature)
            if feature is None:
                raise ValueError(f"subgroup '{subgroup.feature}' is not a feature")
            numeric = feature.type in ("number", "integer")
            if numeric != bool(subgroup.cuts):
                raise ValueError(f"subgroup '{subgroup.feature}': cuts belong to numbers, and numbers need cuts")
        for rule in self.rules:
            for name in (rule.left, *rule.when):
                if name not in known:
                    raise ValueError(f"rule '{rule.name}' names '{name}', which is not a feature")
        for finding in _event_gaps(self):
            raise ValueError(finding)
        if self.joint_site is not None and ("site" in known or len(self.sites) < 2):
            raise ValueError("joint_site needs at least two sites, and the name 'site' for its own column")
        if self.drop_out is not None and not 0 <= self.drop_out <= MOST_DROP_OUT:
            raise ValueError(f"drop_out: expected a share of sites from 0 to {MOST_DROP_OUT}, found {self.drop_out}")
        if self.gate.dp.exact_sums == "deny" and "exact" in (
            self.budget.fit,
            self.budget.evaluation,
            self.budget.definitions,
        ):
            raise ValueError(
                "gate.dp.exact_sums is 'deny', so budget.fit, .evaluation and .definitions need an epsilon"
            )
        return self

    @property
    def of_events(self) -> bool:
        """Whether cohort, label and features are asked for as events, so that a hospital's records can answer."""
        return self.cohort.events is not None

    @property
    def analyses(self) -> tuple[str, ...]:
        """Federated computations that hospitals answer beside the chain's own; none unless the study lists them."""
        return self.analyses_ or ()

    @property
    def networks(self) -> dict[str, Architecture]:
        """Networks that may be trained, by name; none unless the study locks them."""
        return self.networks_ or {}

    @property
    def dictionary(self) -> Dictionary:
        """What the gate has to know of a cohort's table."""
        return Dictionary(
            schema="wardgate/dictionary/1",
            features=self.features,
            label=self.label.name,
            subgroups=self.subgroups,
            rules=self.rules,
            relations=self.relations or (),
            joint=self.joint or (),
            sensitive=self.sensitive,
            ridge=self.model.ridge,
        )

    def feature(self, name: str) -> Feature:
        """Return the feature called `name`."""
        return next(feature for feature in self.features if feature.name == name)


def _event_gaps(study: Study) -> Iterator[str]:
    """Yield what keeps a study from being asked of events, or mixes the two ways of asking."""
    entry, outcome, sets = study.cohort.events, study.label.events, study.concept_sets or {}
    asked = [feature for feature in study.features if feature.of_events]
    if entry is None:
        if outcome is not None or sets or asked or study.cohort.entries in ("first-eligible", "all"):
            yield "concept sets and events need 'cohort.events': which events enter, and when the index date is"
        return
    if outcome is None:
        yield "a study of events needs 'label.events': which events are the outcome"
        return
    if study.cohort.entries == "single":
        yield "a study of events says which entries of a person count: entries first, first-eligible or all"
    if DEATH in sets:
        yield f"no concept set may be called '{DEATH}': every source knows what it is"
    for feature in study.features:
        if not feature.of_events:
            yield f"feature '{feature.name}' needs 'concepts', 'categories' or 'built_in' in a study of events"
    mentioned = [("cohort.events", name) for name in entry.concepts]
    mentioned += [(f"rule '{rule.name}'", name) for rule in entry.rules for name in _sets_of(rule)]
    mentioned += [("label.events", name) for name in (*outcome.concepts, *outcome.competing)]
    mentioned += [(f"feature '{feature.name}'", name) for feature in asked for name in feature.sets]
    for where, name in mentioned:
        if name != DEATH and name not in sets:
            yield f"{where} names the concept set '{name}', which the study does not define"


def _sets_of(rule: Rule) -> Iterator[str]:
    if isinstance(rule, Criterion):
        yield rule.concepts
    elif isinstance(rule, Group):
        for part in rule.rules:
            yield from _sets_of(part)
