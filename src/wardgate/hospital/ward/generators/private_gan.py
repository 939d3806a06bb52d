"""A GAN trained under differential privacy, for those who ask for it by name. The marginal tree is better."""

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.entropy import Entropy
from wardgate.marginals.domain import CELLS, Codes, Column, Domain, domain_of, encode
from wardgate.marginals.sampling import Where
from wardgate.marginals.tree.growth import differences, histograms, signs
from wardgate.marginals.tree.links import Links, Noisy, links_of
from wardgate.marginals.tree.plan import Plan
from wardgate.marginals.workload import Workload, count_codes
from wardgate.networks.gan.layout import Layout, Rows
from wardgate.networks.installed import require_torch
from wardgate.privacy.accountant import dp_claim, noise_multiplier_for, noise_source, sampled_multiplier_for
from wardgate.privacy.noise import gaussian_release
from wardgate.records.claim import Claim, GaussianEvent, NoiseSource, SampledGaussianEvent
from wardgate.records.dictionary import Dictionary
from wardgate.records.errors import Invalid, Refused

if TYPE_CHECKING:
    from wardgate.networks.gan.drawing import Model
    from wardgate.networks.gan.private_training import Targets

COVERS = (
    "bins of numbers",
    "missingness",
    "tables that the generator starts from",
    "gradients of the critic, and who was in a batch",
    "number of persons",
)
EXCLUDES = (
    "ranges and categories, which the dictionary fixes in public",
    "whether the generator refused to fit",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The noise of each part, fixed before a person is looked at.

    Attributes:
        histograms, links, signs: Noise multiplier of a round of counts.
        critic: Noise multiplier of one batch.
    """

    histograms: float
    links: float
    signs: float
    critic: float
    probability: float
    batches: int

    @property
    def gaussian(self) -> tuple[GaussianEvent, ...]:
        rounds = (
            ("persons, label, and a histogram of each column", self.histograms),
            ("difference that the label makes to each column", self.links),
            ("signed pairs of features", self.signs),
        )
        return tuple(
            GaussianEvent(noise_multiplier=multiplier, count=1, what=what)
            for what, multiplier in rounds
            if math.isfinite(multiplier)
        )

    @property
    def sampled(self) -> tuple[SampledGaussianEvent, ...]:
        return (
            SampledGaussianEvent(
                noise_multiplier=self.critic,
                probability=self.probability,
                count=self.batches,
                what="clipped gradients of the critic",
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivateGan:
    """DP-SGD on the critic, and noisy tables for the generator; preparation included.

    One person is one row and touches one clipped gradient of a batch: the critic judges rows one by one, nothing is
    packed or normalised over a batch, and no penalty joins two rows. Whatever else the fit knows of persons (label
    frequencies, bins, missingness, links) comes from three rounds of noisy counts inside the same budget.

    Attributes:
        cells: Fine cells over the range of a number.
        hidden: Units of each hidden layer.
        batches: Noisy batches that the critic sees.
        probability: With which a person falls into a batch.
        critic_share: Share of the budget that goes to the critic; the rest buys tables.
        judged: Weight of the critic's judgement beside the tables; with 0 the critic is trained and not heard.
    """

    cells: int = CELLS
    hidden: int = 64
    batches: int = 300
    probability: float = 0.05
    critic_share: float = 0.3
    judged: float = 0.2
    name: str = "private-gan"

    def __post_init__(self) -> None:
        if not 0 < self.critic_share < 1:
            raise Invalid(f"expected a critic_share in (0, 1), found {self.critic_share}")
        if self.batches < 1 or not 0 < self.probability <= 1:
            raise Invalid("expected at least one batch, and a probability in (0, 1]")

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
            Invalid: the budget is not positive, or the dictionary has no outcome.
        """
        return self._claim(self._budget(self._domain(dictionary), epsilon=epsilon, delta=delta), delta, noise_source)

    def _domain(self, dictionary: Dictionary) -> Domain:
        if dictionary.label is None:
            raise Invalid("private-gan asks every row for an outcome, and this dictionary names none; name one")
        return domain_of(dictionary.features, cells=self.cells)

    def _budget(self, domain: Domain, *, epsilon: float, delta: float) -> Budget:
        """Split the budget: the tables as if they had their share of 1 / variance, the critic what is left."""
        alone = noise_multiplier_for(epsilon=epsilon, delta=delta)
        features = domain.features
        numbers = sum(column.kind != "nominal" for column in domain.columns)
        parts = {
            "histograms": float(features + 2),
            "links": 2.0 * (features + numbers),
            "signs": 0.25 * features * (features - 1) / 2,
        }
        whole = sum(parts.values()) / (1 - self.critic_share)
        multipliers = {name: alone * math.sqrt(whole / part) if part > 0 else math.inf for name, part in parts.items()}
        found = Budget(critic=math.inf, probability=self.probability, batches=self.batches, **multipliers)
        critic = sampled_multiplier_for(
            epsilon=epsilon,
            delta=delta,
            probability=self.probability,
            count=self.batches,
            gaussian=found.gaussian,
        )
        return Budget(critic=critic, probability=self.probability, batches=self.batches, **multipliers)

    @staticmethod
    def _claim(budget: Budget, delta: float, noise_source: NoiseSource) -> Claim:
        return dp_claim(
            gaussian=budget.gaussian,
            sampled=budget.sampled,
            delta=delta,
            covers=COVERS,
            excludes=EXCLUDES,
            noise_source=noise_source,
        )

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
    ) -> "FittedPrivateGan":
        """Fit a table of training persons, one row a person, on the processor.

        Guarantee: adding or removing one person is hidden by (`epsilon`, `delta`); the claim lists the events.
        Reserve the budget first: it is spent from the first round on, also where the fit is refused.

        Raises:
            Unsupported: torch is not installed.
            Invalid: the budget is not positive, or the table does not fit the dictionary.
            Refused: too few persons for this budget, a label of one class, or the losses were no longer finite.
        """
        require_torch("the generator 'private-gan'")
        from wardgate.networks.gan.conditions import Frequencies
        from wardgate.networks.gan.drawing import Binned, Model
        from wardgate.networks.gan.networks import Sizes
        from wardgate.networks.gan.private_training import PrivateSteps, train_privately

        del tuning  # stopping by their score would need a budget of theirs
        domain = self._domain(dictionary)
        budget = self._budget(domain, epsilon=epsilon, delta=delta)
        source = noise_source(entropy.name)
        codes = encode(domain, table)
        links, signed = _counted(domain, codes, budget, entropy)
        _enough(links, budget, domain)
        layout = _layout(domain, links)
        targets = _targets(layout, links, signed)
        networks = train_privately(
            layout,
            _grouped(links, codes),
            targets,
            persons=links.persons,
            sizes=Sizes(hidden=self.hidden, told=False),
            steps=PrivateSteps(batches=self.batches, probability=self.probability, judged=self.judged),
            noise_multiplier=budget.critic,
            entropy=entropy,
            rng=rng,
        )
        nominal = [at for at, column in enumerate(domain.columns[:-1]) if column.kind == "nominal"]
        frequencies = Frequencies(label=targets.label, tables={at: targets.given[at] for at in nominal})
        return FittedPrivateGan(
            model=Model(
                networks=networks,
                frequencies=frequencies,
                rules=dictionary.rules,
                domain=domain,
                decode=Binned(domain=domain, inside=_inside(domain, links)),
            ),
            persons=max(1, round(links.persons)),
            claim=self._claim(budget, delta, source),
        )


def _counted(domain: Domain, codes: Codes, budget: Budget, entropy: Entropy) -> tuple[Links, Noisy | None]:
    """Count in three rounds, each with its whole noise; later rounds see only what earlier ones released."""

    def ask(workload: Workload, multiplier: float) -> Noisy:
        values = gaussian_release(
            count_codes(workload, codes), l2=workload.l2, noise_multiplier=multiplier, entropy=entropy
        )
        return Noisy(workload=workload, values=values, sigma=multiplier * workload.l2)

    first = ask(histograms(domain), budget.histograms)
    # The round of differences reads nothing of a plan but the noise of the links.
    plan = Plan(
        structure="summed",
        epsilon=0.0,
        delta=0.0,
        histograms=budget.histograms,
        links=budget.links,
        signs=budget.signs,
        pairs=math.inf,
        choice=0.0,
        choices=0,
    )
    second = ask(differences(domain, first, plan), budget.links)
    links = links_of(domain, [first, second])
    return links, ask(signs(domain, links), budget.signs) if math.isfinite(budget.signs) else None


def _enough(links: Links, budget: Budget, domain: Domain) -> None:
    sigma = budget.links * math.sqrt(domain.features)
    if links.persons < 4 * sigma:
        raise Refused(
            "the noise of this budget is as large as the whole hospital: no corpus can be made; "
            "take part in the joint corpus, or ask for a larger epsilon"
        )
    if float(links.label.min()) < 2 * sigma:
        raise Refused(
            "one class of the label has no more persons than the noise of this budget; a corpus would teach nothing "
            "about it: take part in the joint corpus, or ask for a larger epsilon"
        )


def _layout(domain: Domain, links: Links) -> Layout:
    """Return a layout whose cells are the bins in which columns were measured beside the label."""
    columns = []
    for column, groups in zip(domain.columns[:-1], links.groups, strict=False):
        size = max(groups) + 1
        if column.kind == "nominal":
            columns.append(column)
            continue
        apart = column.missing and groups[-1] not in groups[:-1]
        edges = tuple(float(edge) for edge in range(size + (not apart)))
        columns.append(Column(name=column.name, kind="number", edges=edges, missing=apart))
    whole = (*columns, domain.columns[-1])
    return Layout(
        domain=Domain(columns=whole, declared=domain.declared),
        kept=tuple((True,) * column.size for column in whole),
        grains=(0.0,) * len(whole),
        spans=tuple(
            tuple((float(cell), float(cell)) for cell in range(column.present))
            for column in whole
            if column.kind != "nominal"
        ),
        placed=False,
    )


def _grouped(links: Links, codes: Codes) -> Rows:
    """Return persons in bins."""
    bins = [np.asarray(groups)[codes[:, at]] for at, groups in enumerate(links.groups[:-1])]
    return Rows(
        codes=np.column_stack([*bins, codes[:, -1]]).astype(np.int32),
        places=np.zeros((len(codes), 0), dtype=np.float32),
    )


def _targets(layout: Layout, links: Links, signed: Noisy | None) -> "Targets":
    """Return what the noisy counts say of labels, of bins beside the label, and of pairs."""
    from wardgate.networks.gan.private_training import Targets

    features = len(links.tables)
    given = tuple(_shares(table.T) for table in links.tables)
    sides = np.zeros(layout.indicators)
    together = np.full((features, features), np.nan)
    if signed is not None:
        for at, start in enumerate(layout.starts[:-1]):
            # A bin may hold cells of both sides; it then counts by its cells' weights.
            cells, groups = links.cells[at], np.asarray(links.groups[at])
            weights = np.bincount(groups, weights=cells)
            mixed = np.bincount(groups, weights=cells * np.asarray(signed.workload.sides[at]))
            sides[start : start + len(weights)] = mixed / np.maximum(weights, 1e-9)
        for query, value in signed.tables().items():
            left, right = query.signs
            together[left, right] = together[right, left] = np.clip(float(value) / max(links.persons, 1.0), -1.0, 1.0)
    return Targets(label=links.label / links.label.sum(), given=given, sides=sides, together=together)


def _shares(table: NDArray[Any]) -> NDArray[np.float64]:
    total = table.sum(axis=-1, keepdims=True)
    return np.where(total > 0, table / np.where(total > 0, total, 1.0), 1.0 / table.shape[-1])


def _inside(domain: Domain, links: Links) -> tuple[NDArray[np.float64], ...]:
    """Return, for every feature, P(cell | bin), shape (bins, cells)."""
    found = []
    for groups, cells in zip(links.groups[:-1], links.cells, strict=True):
        member = np.arange(max(groups) + 1)[:, None] == np.asarray(groups)[None, :]
        weights = member * np.maximum(cells, 0.0)
        found.append(_shares(np.where(weights.sum(axis=1, keepdims=True) > 0, weights, member)))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedPrivateGan:
    """A fitted generator and what it cost.

    Attributes:
        persons: The noisy number of persons: how many rows a corpus should have.
        device: What it was trained on.
    """

    model: "Model"
    persons: int
    claim: Claim
    device: Literal["cpu"] = field(default="cpu")

    def sample(self, rows: int, *, rng: np.random.Generator, where: Where | None = None) -> pl.DataFrame:
        """Draw rows; see `networks.gan.drawing.sample`."""
        from wardgate.networks.gan.drawing import sample

        return sample(self.model, rows, rng=rng, where=where)
