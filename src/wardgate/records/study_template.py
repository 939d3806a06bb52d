"""Commented studies to start from. Both lint clean."""

from typing import Literal

Of = Literal["table", "events"]


def template(of: Of = "table") -> str:
    """Return a study that asks for the fields of one table, or for events in concept sets."""
    return f"{_TOP}{_OF_TABLE if of == 'table' else _OF_EVENTS}{_REST}"


_TOP = """\
# A study is locked before anything runs: every hospital signs these exact words.
# Check it with `wardgate study lint FILE`, fix it in place with `wardgate study lock FILE`.
schema: wardgate/study/1
id: my-study
version: 1                      # a changed study is a new version; older results are then visibly stale
title: Thirty-day death after emergency admission
question: How likely is this patient to die within 30 days of an emergency admission?

"""

_OF_TABLE = """\
cohort:
  entry: First emergency admission in the study period
  entries: single               # `single`: one row a person; `first`: keep each person's first entry
  requires:                     # who may enter; each names a field of the hospital's mapping
    - field: age
      range: [18, 110]
      meaning: Adults

index_date: Time of admission   # features see nothing after it

label:
  name: died_30d
  meaning: Death from any cause within 30 days of admission
  window_days: [0, 30]

features:
  - name: age
    type: integer
    meaning: Age at admission
    unit: a                     # UCUM; hospitals convert to it
    range: [18, 110]            # plausible values; others are counted, then treated as missing
    missing: refused            # `allowed` adds a missing indicator, `refused` leaves the person out
    quasi_identifier: true      # known to outsiders, so rare combinations of it are guarded
  - name: sex
    type: category
    values: [female, male]      # the first is the reference
    quasi_identifier: true
  - name: systolic_pressure
    type: number
    unit: mm[Hg]
    range: [40, 260]
    aggregation: first          # how several values inside the window become one
    window_hours: [-6, 0]       # hours relative to the index date
    codes: {loinc: 8480-6}
  - name: creatinine
    type: number
    unit: umol/L
    range: [15, 1500]
    codes: {loinc: 2160-0}      # also tells which molar mass turns mg/dL into umol/L

"""

_OF_EVENTS = """\
concept_sets:                   # clinical ideas as codes; hospitals' codes are mapped to them before
  inpatient:
    meaning: Inpatient stay
    concepts:
      - {vocabulary: Visit, code: IP}
  woman:
    concepts: [{vocabulary: Gender, code: F}]
  man:
    concepts: [{vocabulary: Gender, code: M}]
  creatinine:
    meaning: Creatinine in serum, as mass or as molar concentration
    concepts:
      - {vocabulary: LOINC, code: 2160-0}
      - {vocabulary: LOINC, code: 14682-9}
  diabetes:
    concepts:
      - {vocabulary: SNOMED, code: "73211009", descendants: true}     # with everything below it
  dialysis:
    concepts:
      - {vocabulary: SNOMED, code: "302497006", descendants: true}

cohort:
  entry: First inpatient stay of an adult that lasts a day
  entries: first-eligible       # or `first`, before anybody is judged; `all` only for checks
  events:
    concepts: [inpatient]       # each such event is an entry
    index: start                # the model is asked so many hours after its start
    index_hours: 24
    lasting: true               # the stay lasts to the index date, and the person lives
    age_years: [18, 110]
    prior_observation_days: 180
    rules:                      # each is a step of the cohort flow
      - name: no-dialysis-before
        meaning: No haemodialysis in the year before
        concepts: dialysis
        window_days: [-365, 0]
        at_most: 0

index_date: Twenty-four hours after admission

label:
  name: died_30d
  meaning: Death from any cause within 30 days of the index date
  window_days: [0, 30]
  events:
    concepts: [death]           # every source knows death; other outcomes name their concept sets
    follow_up: required         # who is lost inside the window is unknown, and left out

features:                       # none can see past the index date
  - name: age
    type: integer
    unit: a
    range: [18, 110]
    built_in: age
    missing: refused
    quasi_identifier: true
  - name: sex
    type: category
    values: [female, male]      # the first is the reference
    categories: {female: woman, male: man}
    quasi_identifier: true
  - name: creatinine
    type: number
    meaning: Highest creatinine of the first day
    unit: umol/L                # UCUM; hospitals convert to it
    range: [15, 1500]           # plausible values; others are counted, then left out
    concepts: creatinine
    aggregation: max            # last, first, mean, min, max, count, any, slope
    window_hours: [-24, 0]      # hours relative to the index date
    codes: {loinc: 14682-9}
  - name: diabetes
    type: boolean
    concepts: diabetes
    aggregation: any
    window_hours: [-43800, 0]

"""

_REST = """\
subgroups:                      # the model is judged apart in each
  - feature: sex
  - feature: age
    cuts: [65, 80]

splits: {train: 0.55, tuning: 0.05, holdout: 0.20, locked_test: 0.20}

model:
  name: logistic
  ridge: 1.0
  ridge_menu: [0.1, 1.0, 10.0]

generator: {name: marginal-tree}

rules: []                       # e.g. {name: pulse-pressure, left: diastolic, op: "<", right: systolic_pressure}

acceptance:                     # missed at rehearsal: the loop rebalances once
  auroc_min: 0.70
  worst_site_auroc_min: 0.60
  oe: [0.8, 1.25]
  slope: [0.8, 1.25]
  subgroup_gap_max: 0.15
  locked_test_opens: 1

gate:                           # the consortium's floor; a hospital may only tighten it
  profile: commons-controlled
  max_attempts: 3

budget:
  epsilon_total: 3.0            # all releases on one split together
  delta: 1e-6                   # at most 1 / (10 x persons)
  corpus: 1.0
  joint_corpus: 1.0
  fit: exact                    # or an epsilon
  evaluation: exact
  definitions: exact

  # noise: local                # every hospital adds the whole noise; by default they share it

recalibration_records: 50

# drop_out: 0.2                 # share of hospitals that may vanish from a secure sum; by default all must answer
# joint_site: keep              # the joint corpus tells hospitals apart, with (keep) or without (drop) a column for it
# analyses: [glm, cox]          # federated computations beside the chain's own steps; by default none
# networks:                     # neural networks that may be trained, layer by layer (docs/federated-learning.md)
#   mlp: {inputs: 12, layers: [{kind: linear, units: 16}, {kind: activation, how: relu}, {kind: linear, units: 1}]}

sites: [hospital-a, hospital-b, hospital-c]
sources: ""                     # attribution, where the data ask for it
"""
