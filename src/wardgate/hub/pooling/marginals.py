"""The joint corpus: one generator for hospitals too small to share alone, from summed noisy marginals.

The same road as a ward's own corpus; only the counting is a secure sum and the noise comes in shares. What the
hub learns is what a central curator's DP generator would have released. Where the study says so (`joint_site`), each
hospital counts its persons in cells of its own, so that differences between hospitals survive.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from wardgate.computations.marginals import Marginals
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.marginals.domain import domain_of
from wardgate.marginals.sampling import Where, sample
from wardgate.marginals.sites.growth import Summed, grow_summed, plan_summed
from wardgate.marginals.sites.model import SiteModel, sample_sites
from wardgate.marginals.tree.model import TreeModel
from wardgate.policy.decision import decide
from wardgate.privacy.accountant import dp_claim
from wardgate.records.bands import band
from wardgate.records.claim import Claim
from wardgate.records.errors import CheckFailed, Refused
from wardgate.records.gate_policy import GatePolicy
from wardgate.records.measured import Measured
from wardgate.records.study import Study
from wardgate.records.verdict import Evidence, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """A fitted joint generator; `model` is None where the noisy counts showed too few persons.

    `sites` are all whose persons stand in any of its sums.
    """

    model: TreeModel | SiteModel | None
    claim: Claim
    rounds: int
    bytes_moved: int
    reason: str
    sites: tuple[str, ...]


def joint_marginals(*, study: Study, sites: tuple[str, ...], test_noise: bool = False) -> Generator[Ask, Told, Joint]:
    """Fit the joint generator over `sites` at the study's `joint_corpus` epsilon on training persons.

    Hospitals that vanish between two sums leave the road open to the others. The noise that a sum really carries
    counts, not the least that was asked for: hospitals that drop out leave no gap in the promise, and those that stay
    bring more noise than it needs.

    Raises:
        CheckFailed: too few hospitals for a sum, or one that stayed closed; the latter is thrown in by whoever carries
            the asks.
    """
    least = study.gate.min_sites_in_sum
    if len(sites) < least:
        raise CheckFailed(f"{len(sites)} sites for a joint corpus; a sum needs at least {least}")
    by_site = study.joint_site is not None
    domain = domain_of(study.features)
    budget = plan_summed(domain, epsilon=study.budget.joint_corpus, delta=study.budget.delta, by_site=by_site)
    claim = dp_claim(
        gaussian=budget.gaussian,
        delta=study.budget.delta,
        covers=("bins", "rare categories", "missingness", "structure", "number of persons"),
        excludes=("ranges and categories, which the study fixes in public", "which sites take part"),
        noise_source="unsafe-test" if test_noise else "system",
    )
    rounds = moved = 0
    summed: set[str] = set()
    road = grow_summed(domain, budget, sites=study.sites if by_site else (), rules=study.rules)
    model: TreeModel | SiteModel | None = None
    reason = ""
    try:
        asked = next(road)
        while True:
            told = yield sum_ask(
                Marginals(workload=asked.workload.to_parameters()),
                what=f"joint corpus: {asked.name}",
                study=study,
                sites=sites,
                noise_multiplier=asked.noise_multiplier,
            )
            rounds, moved = rounds + 1, moved + told.bytes_moved
            summed |= set(told.sites)
            asked = road.send(Summed(values=told.sum(), sigma=told.noise, sites=frozenset(told.sites)))
    except StopIteration as end:
        model = end.value
    except Refused as refusal:
        reason = str(refusal)
    return Joint(model=model, claim=claim, rounds=rounds, bytes_moved=moved, reason=reason, sites=tuple(sorted(summed)))


@dataclass(frozen=True, slots=True, kw_only=True)
class JointCorpus:
    """What became of one draw of the joint corpus."""

    evidence: Evidence
    verdict: Verdict
    pass_number: int
    rows: int


def draw_rows(
    model: TreeModel | SiteModel,
    rows: int,
    *,
    rng: np.random.Generator,
    where: Where | None = None,
    site: bool = False,
) -> pl.DataFrame:
    """Draw rows of a joint model.

    Args:
        site: Whether the column `site` says which hospital a row stands for; a model without sites has none.

    Raises:
        Invalid: as `sampling.sample` and `site_model.sample_sites`.
    """
    if isinstance(model, SiteModel):
        return sample_sites(model, rows, rng=rng, where=where, column=site)
    return sample(model, rows, rng=rng, where=where)


def draw_joint(
    model: TreeModel | SiteModel,
    *,
    claim: Claim,
    policy: GatePolicy,
    sites: int,
    persons_at_least: int,
    more_of: Mapping[str, Mapping[str, str]],
    pass_number: int,
    rng: np.random.Generator,
    test_noise: bool,
    site: bool = False,
) -> tuple[JointCorpus, pl.DataFrame]:
    """Draw a joint corpus and let the policy judge it by its claim: no ward holds its training rows.

    Args:
        sites, persons_at_least: Behind the summed marginals.
        more_of: Conditions of which half as many rows again are drawn; post-processing, free of cost.
        site: Whether the corpus keeps the column `site`.
    """
    whole = model.whole if isinstance(model, SiteModel) else model
    table = draw_rows(model, whole.persons, rng=rng, site=site)
    for where in more_of.values():
        rows = int(0.5 * _matching(table, where))
        if rows:
            table = pl.concat([table, draw_rows(model, rows, rng=rng, where=dict(where), site=site)])
    evidence = Evidence(
        kind="joint-corpus",
        persons_train=band(persons_at_least),
        attempt=1,
        claim=claim,
        cumulative_epsilon=claim.epsilon or 0.0,
        measured=(Measured(name="sum.sites", value=sites, low=sites, high=sites),),
    )
    verdict = decide(evidence, policy, unsafe_accept_test_noise=test_noise)
    return JointCorpus(evidence=evidence, verdict=verdict, pass_number=pass_number, rows=table.height), table


def _matching(table: pl.DataFrame, where: Mapping[str, str]) -> int:
    for name, value in where.items():
        table = table.filter(pl.col(name).cast(pl.String) == value)
    return table.height
