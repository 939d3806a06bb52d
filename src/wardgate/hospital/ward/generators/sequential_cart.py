"""A baseline without a guarantee: each column from a tree on the columns before it, values drawn from real leaves."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from wardgate.entropy import Entropy
from wardgate.marginals.sampling import Where, keep_rules
from wardgate.measures.encoding import LABEL, labels
from wardgate.records.claim import Claim, NoiseSource
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid
from wardgate.records.feature import ClinicalRule, Feature

Matrix = NDArray[np.float64]

TRIES = 200
"""Draws, each of the size asked for, before a condition counts as one that nobody meets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SequentialCart:
    """Sequential trees with sampling from leaves. It protects nobody by design: the gate has to judge what it makes.

    Attributes:
        min_leaf: Least persons in a leaf. With 1 the trees grow to single persons and the corpus replays its
            training rows; that exists to show the gate refusing it.

    Reference: Reiter 2005, Using CART to generate partially synthetic public use microdata, Journal of Official
        Statistics 21(3).
    """

    min_leaf: int = 5
    name: str = "sequential-cart"

    def __post_init__(self) -> None:
        if self.min_leaf < 1:
            raise Invalid(f"expected min_leaf of at least 1, found {self.min_leaf}")

    def promise(
        self,
        dictionary: Dictionary,
        *,
        epsilon: float,
        delta: float,
        noise_source: NoiseSource = "system",
    ) -> Claim:
        """Return the claim of any fit: none."""
        del dictionary, epsilon, delta, noise_source
        return Claim(kind="none", excludes=("everything: values are drawn from real persons without noise",))

    def fit(
        self,
        table: pl.DataFrame,
        dictionary: Dictionary,
        *,
        tuning: pl.DataFrame | None = None,
        epsilon: float,
        delta: float,
        entropy: Entropy,
        rng: np.random.Generator,
    ) -> "FittedCart":
        """Fit a table of training persons, one row a person. Takes no budget and gives no guarantee.

        Raises:
            Invalid: the table does not fit the dictionary, or has fewer rows than one leaf.
        """
        del delta, entropy, tuning
        columns = [feature.name for feature in dictionary.features]
        absent = [name for name in columns if name not in table.columns]
        if absent:
            raise Invalid(f"column '{absent[0]}' is missing; the dictionary names it")
        if table.height < max(self.min_leaf, 1):
            raise Invalid(f"expected at least one leaf of {self.min_leaf} persons")
        encoded = np.column_stack(
            [
                *(_encoded(feature, table[feature.name]) for feature in dictionary.features),
                labels(table).astype(np.float64),
            ]
        )
        steps = []
        for column in range(1, encoded.shape[1]):
            nominal = column == len(columns) or dictionary.features[column].type in ("category", "boolean")
            steps.append(_step(encoded[:, :column], encoded[:, column], nominal, self.min_leaf, rng))
        return FittedCart(
            features=dictionary.features,
            rules=dictionary.rules,
            table=table.select([*columns, pl.col(LABEL).cast(pl.Int8)]),
            encoded=encoded,
            steps=tuple(steps),
            claim=self.promise(dictionary, epsilon=epsilon, delta=0.0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One tree, with its training rows sorted by leaf.

    Attributes:
        column, threshold, left, right: Of each node: rows whose `column` is at most `threshold` go left. A leaf has no
            left node (-1).
        rows: Training rows, those of one leaf together.
        starts, sizes: Where the rows of each node start, and how many they are; 0 for nodes that are no leaves.
    """

    column: NDArray[np.int64]
    threshold: Matrix
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    rows: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]

    def leaf(self, seen: Matrix) -> NDArray[np.int64]:
        """Return the leaf of each row of the columns before, shape (n,)."""
        found = np.zeros(len(seen), dtype=np.int64)
        narrow = seen.astype(np.float32)
        inside = np.flatnonzero(self.left[found] >= 0)
        while len(inside):
            at = found[inside]
            low = narrow[inside, self.column[at]] <= self.threshold[at]
            found[inside] = np.where(low, self.left[at], self.right[at])
            inside = inside[self.left[found[inside]] >= 0]
        return found

    def donors(self, seen: Matrix, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return a training row from the leaf that each row falls into."""
        leaf = self.leaf(seen)
        picked = np.floor(rng.random(len(leaf)) * self.sizes[leaf]).astype(np.int64)
        return np.asarray(self.rows[self.starts[leaf] + picked])


def _step(seen: Matrix, target: Matrix, nominal: bool, min_leaf: int, rng: np.random.Generator) -> Step:
    kind = DecisionTreeClassifier if nominal else DecisionTreeRegressor
    tree = kind(min_samples_leaf=min_leaf, random_state=int(rng.integers(2**31)))
    tree.fit(seen.astype(np.float32), target)
    leaf = tree.apply(seen.astype(np.float32))
    sizes = np.bincount(leaf, minlength=tree.tree_.node_count)
    return Step(
        column=tree.tree_.feature.astype(np.int64),
        threshold=tree.tree_.threshold.astype(np.float64),
        left=tree.tree_.children_left.astype(np.int64),
        right=tree.tree_.children_right.astype(np.int64),
        rows=np.argsort(leaf, kind="stable"),
        starts=np.concatenate([[0], np.cumsum(sizes)[:-1]]),
        sizes=sizes,
    )


def _encoded(feature: Feature, series: pl.Series) -> Matrix:
    """Return numbers that a tree can cut; missing lies below everything."""
    if feature.type == "category":
        place = {value: float(position) for position, value in enumerate(feature.values or ())}
        texts = series.cast(pl.String)
        if not bool(texts.drop_nulls().is_in(list(place)).all()):
            raise Invalid(f"column '{feature.name}' holds a category that the dictionary does not name")
        return texts.replace_strict(place, default=-1.0, return_dtype=pl.Float64).to_numpy()
    low, high = feature.range or (0.0, 1.0)
    numbers = series.cast(pl.Float64).fill_nan(None).fill_null(low - (high - low))
    return numbers.to_numpy()


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCart:
    """Fitted trees and the rows that they draw from. It never leaves the ward."""

    features: tuple[Feature, ...]
    rules: tuple[ClinicalRule, ...]
    table: pl.DataFrame
    encoded: Matrix
    steps: tuple[Step, ...]
    claim: Claim

    @property
    def persons(self) -> int:
        """Training rows, exactly: nothing here is noisy."""
        return self.table.height

    def sample(self, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw rows; conditions are met by drawing again.

        Raises:
            Invalid: a condition names an unknown column, or too few drawn rows meet the conditions.
        """
        if rows < 0:
            raise Invalid(f"expected a number of rows from 0 up, found {rows}")

        def draw(count: int) -> pl.DataFrame:
            if not where:
                return self._draw(count, rng)
            kept = self.table.clear()
            for _ in range(TRIES):
                if kept.height >= count:
                    break
                drawn = self._draw(max(count, 100), rng)
                kept = pl.concat([kept, drawn.filter(_meets(where, drawn))])
            if kept.height < count:
                raise Invalid("too few sampled rows meet these conditions")
            return kept.head(count)

        return keep_rules(draw, rows, rules=self.rules, features=self.features, rng=rng)

    def _draw(self, rows: int, rng: np.random.Generator) -> pl.DataFrame:
        seen = np.empty((rows, self.encoded.shape[1]))
        donors = rng.integers(len(self.encoded), size=rows)
        series = []
        for column in range(self.encoded.shape[1]):
            if column:
                donors = self.steps[column - 1].donors(seen[:, :column], rng)
            seen[:, column] = self.encoded[donors, column]
            series.append(self.table[:, column].gather(donors))
        return pl.DataFrame(series)


def _meets(where: Where, table: pl.DataFrame) -> pl.Expr:
    met = pl.lit(True)
    for name, value in where.items():
        if name not in table.columns:
            raise Invalid(f"there is no column '{name}'; expected one of the study's features or '{LABEL}'")
        if value is None:
            met = met & pl.col(name).is_null()
        elif isinstance(value, tuple):
            met = met & pl.col(name).is_between(value[0], value[1])
        elif isinstance(value, str) != (table[name].dtype == pl.String):
            raise Invalid(f"a condition on '{name}' asks for a value that the dictionary does not name")
        else:
            met = met & (pl.col(name) == value)
    return met
