"""Two roads to a joint model: a spanning tree of pairs chosen at once, and tables chosen one after the other.

Both fetch noisy counts and private choices from whoever drives them, and turn them into a graphical model. In neither
does a column have to be the outcome.

References: McKenna, Miklau, Sheldon 2021, Winning the NIST Contest (MST), arXiv:2108.04978;
McKenna, Mullins, Sheldon, Miklau 2022, AIM, arXiv:2201.12677.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from wardgate.entropy import Entropy
from wardgate.marginals.domain import Codes, Domain
from wardgate.marginals.equals import graphical
from wardgate.marginals.equals.joint import Alone, JointModel, alone, asked_tables, believed, histograms
from wardgate.marginals.equals.plan import EqualPlan
from wardgate.marginals.estimate import Table
from wardgate.marginals.tree.links import Noisy
from wardgate.marginals.tree.structure import SENSITIVITY, Scores, together
from wardgate.marginals.workload import Workload, count_codes
from wardgate.privacy.choice import exponential_choice
from wardgate.privacy.noise import gaussian_release
from wardgate.records.errors import Invalid, Refused
from wardgate.records.feature import ClinicalRule

Columns = tuple[int, ...]
MOST_TREE = 40_000
"""Cells of all cliques together: what a model may cost."""

PICTURE_ROWS = 20_000
"""Rows drawn from the model to see what it expects of every pair; free, for it is made from noisy counts."""

STEPS, LAST_STEPS = 15, 120
"""Steps of fitting between two choices, and at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Noisy counts that are wanted: each with a standard deviation of `noise_multiplier` x `workload.l2`."""

    name: Literal["alone", "links", "tables"]
    workload: Workload
    noise_multiplier: float


Answers = Generator[Question, NDArray[Any], JointModel]
Choose = Callable[[Scores], int]
"""Picks one of the scores at the cost of one choice; one person moves no score by more than 1."""


def spanning_tree(
    domain: Domain, plan: EqualPlan, codes: Codes, *, rules: tuple[ClinicalRule, ...], choose: Choose
) -> Answers:
    """Ask for histograms, choose a spanning tree of pairs, ask for these pairs, and return the model.

    Args:
        codes: Encoded persons; only scores that go to `choose` are computed from them.

    Raises:
        Refused: too few persons for this budget.
        Invalid: an answer has the wrong length.
    """
    first = yield from _asked(Question(name="alone", workload=histograms(domain), noise_multiplier=plan.alone))
    edges = len(domain.columns) - 1
    sigma = plan.table * math.sqrt(edges) if edges else plan.alone
    known = alone(domain, first, sigma=sigma)
    tables = list(known.tables)
    picked: list[Columns] = []
    if edges:
        exact = together(codes, known.groups)
        margin = np.concatenate([one.values for one in known.tables])
        scores = _distances(exact, np.outer(margin, margin) / known.persons, known, sigma)
        picked = _tree(scores, choices=plan.choices, choose=choose)
    if picked:
        question = asked_tables(domain, known.groups, tuple(picked))
        third = yield from _asked(Question(name="tables", workload=question, noise_multiplier=plan.table))
        tables += believed(third, {one: _independent(known, one) for one in picked})
    return _model(domain, known, graphical.fit(known.sizes, tables, steps=LAST_STEPS), rules)


def closest_tables(
    domain: Domain,
    plan: EqualPlan,
    codes: Codes,
    *,
    rules: tuple[ClinicalRule, ...],
    choose: Choose,
    rng: np.random.Generator,
) -> Answers:
    """Ask for histograms and links to the label, then for one table after the other where the model is most wrong.

    Candidates are all pairs, and with a label all pairs beside it. What the model expects of them is seen in rows drawn
    from it. No table is left to choose, or none is chosen as worth its noise: the road ends early, and the claim stays.

    Args:
        codes: Encoded persons; only scores that go to `choose` are computed from them.
        rng: Of the rows in which the model is seen; it protects nobody.

    Raises:
        Refused: too few persons for this budget, or a label of one class.
        Invalid: an answer has the wrong length.
    """
    first = yield from _asked(Question(name="alone", workload=histograms(domain), noise_multiplier=plan.alone))
    label = domain.features if domain.labelled else -1
    sigma = plan.links * math.sqrt(domain.features) if math.isfinite(plan.links) else plan.table
    known = alone(domain, first, sigma=sigma if math.isfinite(sigma) else plan.alone)
    if label >= 0 and float(known.tables[label].values.min()) < 2 * sigma:
        raise Refused(
            "one class of the label has no more persons than the noise of this budget; a corpus would teach nothing "
            "about it: take part in the joint corpus, or ask for a larger epsilon"
        )
    tables = list(known.tables)
    used: list[Columns] = []
    if math.isfinite(plan.links):
        used = [(column, label) for column in range(domain.features)]
        question = asked_tables(domain, known.groups, tuple(used))
        second = yield from _asked(Question(name="links", workload=question, noise_multiplier=plan.links))
        tables += believed(second, {one: _independent(known, one) for one in used})
    graph = graphical.fit(known.sizes, tables, steps=LAST_STEPS)
    names = [column.name for column in domain.columns]
    exact = _counted(codes, known, label)
    for _ in range(plan.rounds):
        drawn = graphical.draw(graph, PICTURE_ROWS, rng=rng)
        picture = np.column_stack([drawn[name] for name in names]).astype(np.int32)
        scale = known.persons / PICTURE_ROWS
        expected = {key: table * scale for key, table in _counted(picture, known, label, coded=True).items()}
        candidates: list[Columns] = [()]
        scores = [0.0]
        for key, table in exact.items():
            found = _distances(table, expected[key], known, plan.table, halves=2 if key == "label" else 1)
            for columns in _possible(known, used, names, label, key == "label"):
                candidates.append(columns)
                scores.append(float(found[columns[0], columns[1]]))
        picked = candidates[choose(np.array(scores))]
        if not picked:
            break
        question = asked_tables(domain, known.groups, (picked,))
        third = yield from _asked(Question(name="tables", workload=question, noise_multiplier=plan.table))
        tables += believed(third, {picked: graph.table(tuple(names[column] for column in picked))})
        used.append(picked)
        graph = graphical.fit(known.sizes, tables, before=graph, steps=STEPS)
    graph = graphical.fit(known.sizes, tables, before=graph, steps=LAST_STEPS)
    return _model(domain, known, graph, rules)


def answered(road: Answers, codes: Codes, *, entropy: Entropy) -> JointModel:
    """Drive a road where one curator holds all persons: count what is asked and add its whole noise."""
    question = next(road)
    while True:
        noisy = noisy_counts(question, codes, entropy=entropy)
        try:
            question = road.send(noisy)
        except StopIteration as end:
            model: JointModel = end.value
            return model


def noisy_counts(question: Question, codes: Codes, *, entropy: Entropy) -> NDArray[np.float64]:
    """Count encoded persons and add the noise that the question states, shape (question.workload.size,)."""
    return gaussian_release(
        count_codes(question.workload, codes),
        l2=question.workload.l2,
        noise_multiplier=question.noise_multiplier,
        entropy=entropy,
    )


def private_choice(plan: EqualPlan, *, entropy: Entropy) -> Choose:
    """Return a choice by permute-and-flip at the cost that the plan states for each."""

    def choose(scores: Scores) -> int:
        return exponential_choice(scores, epsilon=plan.choice, sensitivity=SENSITIVITY, entropy=entropy)

    return choose


def _asked(question: Question) -> Generator[Question, NDArray[Any], Noisy]:
    values = np.asarray((yield question), dtype=np.float64)
    size = question.workload.size
    if values.shape != (size,) or not np.all(np.isfinite(values)):
        raise Invalid(f"round '{question.name}' expected {size} finite counts, found shape {values.shape}")
    sigma = question.noise_multiplier * question.workload.l2
    return Noisy(workload=question.workload, values=values, sigma=sigma)


def _model(domain: Domain, known: Alone, graph: graphical.Graph, rules: tuple[ClinicalRule, ...]) -> JointModel:
    persons = max(1, round(known.persons))
    return JointModel(domain=domain, persons=persons, graph=graph, inside=known.inside, rules=rules)


def _independent(known: Alone, columns: Columns) -> Table:
    """Return the persons that columns without any relation would put in each cell."""
    left, right = (known.tables[column].values for column in columns)
    return np.asarray(np.outer(left, right) / max(known.persons, 1.0))


def _starts(known: Alone) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum([len(one.values) for one in known.tables])[:-1]])


def _distances(exact: Table, expected: Table, known: Alone, sigma: float, *, halves: int = 1) -> Scores:
    """Return for each pair of columns the L1 distance, less the noise that measuring the table would bring.

    One person moves one cell of a pair's exact table by 1, and nothing else.

    Args:
        exact, expected: Counts of every two groups, shape (halves x groups, groups).
    """
    starts = _starts(known)
    off = np.abs(exact - expected).reshape(halves, exact.shape[1], exact.shape[1]).sum(axis=0)
    distance = np.add.reduceat(np.add.reduceat(off, starts, axis=0), starts, axis=1)
    sizes = np.array([len(one.values) for one in known.tables], dtype=np.float64)
    return np.asarray(distance - math.sqrt(2 / math.pi) * sigma * halves * np.outer(sizes, sizes))


def _tree(scores: Scores, *, choices: int, choose: Choose) -> list[Columns]:
    """Grow a forest edge by edge, by private choice; it stops early where no edge is worth its noise."""
    component = np.arange(len(scores))
    found: list[Columns] = []
    for _ in range(choices):
        left, right = np.nonzero(np.triu(component[:, None] != component[None, :], k=1))
        if not len(left):
            break
        picked = choose(np.append(scores[left, right], 0.0))
        if picked == len(left):
            break
        found.append((int(left[picked]), int(right[picked])))
        component[component == component[right[picked]]] = component[left[picked]]
    return found


def _counted(codes: Codes, known: Alone, label: int, *, coded: bool = False) -> dict[str, Table]:
    """Return how often every two groups fall together: in all rows, and with a label also in each half of it.

    Args:
        coded: The rows hold groups already, not cells.
    """
    groups = tuple(tuple(range(len(one.values))) for one in known.tables) if coded else known.groups
    if label < 0:
        return {"pair": together(codes, groups)}
    halves = [together(codes[codes[:, label] == value], groups) for value in (0, 1)]
    return {"pair": halves[0] + halves[1], "label": np.concatenate(halves)}


def _possible(known: Alone, used: list[Columns], names: list[str], label: int, beside: bool) -> list[Columns]:
    """Return the tables that were not chosen yet and that a model can still carry; follows from noisy counts alone."""
    sizes = known.sizes
    taken = {frozenset(one) for one in used}
    free = [column for column in range(len(names)) if column != label]
    pairs = [one for one in used if len(one) > 1]
    near = {column: column for column in range(len(names))}
    for table in pairs:
        for left, right in pairwise([column for column in table if column != label]):
            old, new = near[right], near[left]
            near = {column: new if tree == old else tree for column, tree in near.items()}
    found: list[Columns] = []
    for pair in combinations(free, 2):
        one: Columns = (*pair, label) if beside else pair
        if frozenset(one) in taken or math.prod(sizes[names[column]] for column in one) > MOST_TREE // 4:
            continue
        if near[pair[0]] == near[pair[1]] and frozenset(pair) not in taken and not _fits(sizes, names, [*pairs, one]):
            continue
        found.append(one)
    return found


def _fits(sizes: dict[str, int], names: list[str], tables: list[Columns]) -> bool:
    return graphical.tree_cells(sizes, [tuple(names[column] for column in one) for one in tables]) <= MOST_TREE
