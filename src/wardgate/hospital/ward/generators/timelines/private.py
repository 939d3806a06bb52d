"""The private generator of timelines: noisy sums of one hospital, the person with all their rows as the unit."""

from dataclasses import dataclass, field

import numpy as np
import polars as pl

from wardgate.entropy import Entropy
from wardgate.marginals.domain import domain_of, encode
from wardgate.marginals.sampling import Where, sample
from wardgate.marginals.timelines.course import Course, Order, draw, names_of
from wardgate.marginals.timelines.levels import joined
from wardgate.marginals.timelines.people import Shape, bounded, people
from wardgate.marginals.timelines.plan import Shares, TimelinePlan, timeline_plan
from wardgate.marginals.timelines.rules import kept_rules, of_people
from wardgate.marginals.timelines.scale import Scale, numbers
from wardgate.marginals.timelines.sums import Sums, fitted_course, fitted_scales, histogram_ask
from wardgate.marginals.tree.growth import Ask, grow
from wardgate.marginals.tree.links import Links
from wardgate.marginals.tree.model import TreeModel
from wardgate.marginals.tree.plan import Weights
from wardgate.marginals.tree.structure import Edges, choose_edges, dependence
from wardgate.marginals.workload import Groups, count_codes
from wardgate.measures.encoding import LABEL
from wardgate.measures.lines import read, shape_of, written
from wardgate.privacy.accountant import dp_claim, noise_source
from wardgate.privacy.noise import gaussian_release
from wardgate.records.claim import Claim, NoiseSource
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid

COVERS = (
    "number of persons, their rows, and the hours between them",
    "bins of numbers",
    "merging of rare categories",
    "missingness, and what is measured when",
    "choice of pairs of columns of a person",
    "how rows follow each other",
)
EXCLUDES = (
    "ranges, categories and static columns, which the dictionary fixes in public",
    "the cap of rows, the window and the grain of hours, which are public settings",
    "whether the generator refused to fit",
)

CELLS = 128
"""Fine cells of numbers in a person's own row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateTimelines:
    """Differentially private for persons with all their rows; preparation included.

    Every setting is public and must not be read off the data.

    Attributes:
        most_rows: Rows of one person that count, the earliest first.
        window_hours: Hours from the index that count; later rows are left out.
        grain_hours: Times are whole multiples of it: 1/60 for minutes, 24 for days.
        rising, ending, clocks: Names of changing features with an order that no person violates; see `course.Order`.
        groups: Groups of persons by pace and by number of rows.
        shares: How the budget is split.
        weights: How the marginal family splits its part.
    """

    most_rows: int = 200
    window_hours: float = 8766.0
    grain_hours: float = 1 / 60
    rising: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    clocks: tuple[str, ...] = ()
    groups: int = 4
    shares: Shares = field(default_factory=Shares)
    weights: Weights = field(default_factory=lambda: Weights(link=4.0, pair=0.25))
    name: str = "private-timelines"

    def promise(
        self,
        dictionary: Dictionary,
        *,
        epsilon: float,
        delta: float,
        noise_source: NoiseSource = "system",
    ) -> Claim:
        """Return what a fit will cost, before anybody is looked at.

        Raises:
            Invalid: the budget is not positive, the dictionary describes no timelines with an outcome and static
                columns, or a setting is out of bounds.
        """
        return _claim(self._plan(self._shape(dictionary), epsilon=epsilon, delta=delta), noise_source)

    def _shape(self, dictionary: Dictionary) -> Shape:
        static, changing = shape_of(dictionary)
        if dictionary.label is None:
            raise Invalid(
                "private-timelines hangs every column on the outcome, and this dictionary names none; name one"
            )
        wrong = names_of(changing, Order(rising=self.rising, ending=self.ending, clocks=self.clocks))
        if wrong:
            raise Invalid(f"'{wrong[0]}' is no changing feature of a type that can rise, end or run as a clock")
        if not 0 < self.grain_hours <= self.window_hours / 2 or not 1 <= self.groups <= 16:
            raise Invalid("expected a grain above 0 and at most half of the window, and 1 to 16 groups")
        return Shape(
            statics=tuple(static),
            features=tuple(changing),
            most_rows=self.most_rows,
            window_hours=float(self.window_hours),
        )

    def _plan(self, shape: Shape, *, epsilon: float, delta: float) -> TimelinePlan:
        return timeline_plan(
            domain_of(shape.columns, cells=CELLS),
            epsilon=epsilon,
            delta=delta,
            shares=self.shares,
            weights=self.weights,
            numbers=bool(numbers(shape.features)),
            tracks=any(feature.type != "category" for feature in shape.features),
            categories=any(feature.type == "category" for feature in shape.features),
        )

    def fit(
        self,
        lines: pl.DataFrame,
        dictionary: Dictionary,
        *,
        tuning: pl.DataFrame | None = None,
        epsilon: float,
        delta: float,
        entropy: Entropy,
        rng: np.random.Generator,
    ) -> "FittedPrivateTimelines":
        """Fit the rows of training persons.

        Guarantee: adding or removing one person, with all their rows, whatever they hold, is hidden by (`epsilon`,
        `delta`); the claim lists the events. Reserve the budget first: it is spent from the first release on, also
        where the fit is refused.

        Raises:
            Invalid: the budget is not positive, or the rows do not fit the dictionary.
            Refused: too few persons for this budget, or a label of one class.
        """
        del tuning  # nothing is tuned on persons
        shape = self._shape(dictionary)
        budget = self._plan(shape, epsilon=epsilon, delta=delta)
        source = noise_source(entropy.name)
        real = bounded(read(lines, dictionary), shape)

        def release(asked: Sums) -> np.ndarray:
            return gaussian_release(asked.values, l2=asked.l2, noise_multiplier=asked.noise_multiplier, entropy=entropy)

        scales: tuple[Scale, ...] = ()
        if numbers(shape.features):
            asked = histogram_ask(real, budget.scales)
            scales = fitted_scales(shape, asked, release(asked))
        table = people(real, shape, scales)
        tree = _tree(table, shape, budget, dictionary, entropy)
        road = fitted_course(
            real,
            table,
            shape,
            scales,
            budget,
            tree,
            order=Order(rising=self.rising, ending=self.ending, clocks=self.clocks),
            grain_hours=self.grain_hours,
            groups=self.groups,
            rng=rng,
        )
        asked = next(road)
        while True:
            try:
                asked = road.send(release(asked))
            except StopIteration as end:
                course = end.value
                break
        return FittedPrivateTimelines(tree=tree, course=course, dictionary=dictionary, claim=_claim(budget, source))


def _claim(budget: TimelinePlan, noise_source: NoiseSource) -> Claim:
    return dp_claim(
        gaussian=budget.gaussian,
        exponential=budget.exponential,
        delta=budget.delta,
        covers=COVERS,
        excludes=EXCLUDES,
        noise_source=noise_source,
    )


def _tree(
    table: pl.DataFrame, shape: Shape, budget: TimelinePlan, dictionary: Dictionary, entropy: Entropy
) -> TreeModel:
    """Fit persons' own rows by the marginal family."""
    domain = domain_of(shape.columns, cells=CELLS)
    codes = encode(domain, table)

    def choose(links: Links, groups: Groups, sigma: float) -> Edges:
        scores = dependence(codes, links, groups, sigma=sigma)
        return choose_edges(scores, epsilon=budget.people.choice, choices=budget.people.choices, entropy=entropy)

    def noisy(ask: Ask) -> np.ndarray:
        exact = count_codes(ask.workload, codes)
        return gaussian_release(exact, l2=ask.workload.l2, noise_multiplier=ask.noise_multiplier, entropy=entropy)

    road = grow(domain, budget.people, rules=of_people(dictionary, shape), choose=choose)
    ask = next(road)
    while True:
        try:
            ask = road.send(noisy(ask))
        except StopIteration as end:
            found: TreeModel = end.value
            return found


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPrivateTimelines:
    """A fitted model and what it cost.

    Attributes:
        tree: Persons' own rows.
        course: How their rows follow each other.
    """

    tree: TreeModel
    course: Course
    dictionary: Dictionary
    claim: Claim

    @property
    def persons(self) -> int:
        """The noisy number of persons: how many a corpus should have."""
        return self.tree.persons

    def sample(self, persons: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw the rows of persons, in the form of `measures.lines`, numbered from 0.

        Raises:
            Invalid: a negative number of persons, a condition on a column that changes, one that nobody meets, or
                rules that no drawn person keeps.
        """
        known = {feature.name for feature in self.course.shape.statics} | {LABEL}
        for name in where or {}:
            if name not in known:
                raise Invalid(f"a condition on '{name}': only static columns and '{LABEL}' can be asked for")

        def drawn(count: int) -> pl.DataFrame:
            table = sample(self.tree, count, rng=rng, where=where)
            table = joined(table, self.course.by, self.course.related, rng)
            return written(draw(self.course, table, rng), self.dictionary)

        if persons < 0:
            raise Invalid(f"expected a number of persons from 0 up, found {persons}")
        if persons == 0:
            return drawn(1).clear()
        return kept_rules(drawn, persons, self.dictionary, changing=self.course.shape.features, rng=rng)
