"""The whole chain of one study, as one driver: asks go out, totals and released records come back.

lock -> review and split commitments -> roster -> own corpora -> definitions -> joint corpus -> commons ->
federated, hybrid, local -> rehearsal on the holdouts (and one rebalanced repeat) -> leave-out -> locked test -> close.
"""

from collections.abc import Callable, Generator, Mapping, Set
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardgate.hub.acceptance import Shortfall, rebalancing, shortfalls
from wardgate.hub.layout import JOINT
from wardgate.hub.pooling import enrolment
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.commons import choose_ridge, score_range, train
from wardgate.hub.pooling.definitions import Concordance, compare_definitions
from wardgate.hub.pooling.enrolment import Enrolled
from wardgate.hub.pooling.leave_out import LeftOut, leave_blocks_out, leave_corpora_out
from wardgate.hub.pooling.marginals import Joint, JointCorpus, draw_joint, joint_marginals
from wardgate.hub.pooling.newton import Fit, newton
from wardgate.hub.pooling.noisy_glm import noisy_glm
from wardgate.hub.pooling.score_bins import Grid, coarse, grid_for
from wardgate.hub.pooling.transfer import Transfer, spread_of_calibration, test_transfer
from wardgate.measures.encoding import design_columns
from wardgate.measures.subgroups import group_names
from wardgate.privacy.accountant import noise_multiplier_for
from wardgate.records.corpus_file import read_corpus, write_corpus
from wardgate.records.errors import CheckFailed, Invalid, NotEvaluable
from wardgate.records.messages import Answer, SplitName
from wardgate.records.study import Study
from wardgate.sums.agreed import drop_outs
from wardgate.sums.graph import FULL_UP_TO

Vector = NDArray[np.float64]
Steps = Generator[Ask, Told, None]

NOISY_TESTS = {"holdout": 6, "locked_test": 4}
"""Noisy score-bin sums that the evaluation epsilon is divided over: three models in two passes, then four models."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """One pass of the loop on the holdouts."""

    number: int
    transfer: Transfer
    missed: tuple[Shortfall, ...]
    action: str


@dataclass(slots=True, kw_only=True)
class Run:
    """Everything the hub knows of a study, filled step by step.

    Attributes:
        study, study_sha256: The locked study.
        site_keys: Long-term public keys.
        coin: Public randomness of the mask graph.
        seed: For repeatable sampling of released models.
        pooled: Gives the centralised comparator's coefficients for the sites and the ridge named, or None.
        test_noise: Whether noise is a test's repeatable stream.
        dropped: Sites that dropped out of a sum so far; the exchange fills it.
    """

    study: Study
    study_sha256: str
    site_keys: Mapping[str, bytes]
    coin: str
    seed: int
    pooled: Callable[[tuple[str, ...], float], Vector] | None = None
    test_noise: bool = False
    dropped: Set[str] = frozenset()
    enrolled: Enrolled = field(default_factory=lambda: Enrolled(reviews={}, envelopes={}, sites=()))
    sites: tuple[str, ...] = ()
    corpus_answers: list[tuple[int, str, Answer]] = field(default_factory=list)
    corpora: dict[str, bytes] = field(default_factory=dict)
    certificates: dict[str, bytes] = field(default_factory=dict)
    corpus_bytes: int = 0
    definitions: tuple[Concordance, ...] = ()
    named: tuple[str, ...] = ()
    joint_sites: tuple[str, ...] = ()
    joint: Joint | None = None
    joint_draws: list[JointCorpus] = field(default_factory=list)
    joint_reason: str = ""
    ridge: float = 0.0
    commons: Vector | None = None
    commons_reason: str = ""
    federated: Fit | None = None
    federated_reason: str = ""
    hybrid: Fit | None = None
    hybrid_reason: str = ""
    reference: Vector | None = None
    grids: dict[str, Grid] = field(default_factory=dict)
    rehearsals: list[Rehearsal] = field(default_factory=list)
    left_out: tuple[LeftOut, ...] = ()
    test: Transfer | None = None
    final_missed: tuple[Shortfall, ...] = ()
    closings: dict[str, Answer] = field(default_factory=dict)
    logs: dict[str, bytes] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def reviews(self) -> Mapping[str, Answer]:
        """What each site answered to the study."""
        return self.enrolled.reviews

    def steps(self) -> Steps:
        """Drive the whole chain.

        Raises:
            CheckFailed: fewer than three sites can take part, or a sum that nothing can replace stayed closed.
        """
        yield from self.review()
        yield from self.introduce(self.sites)
        yield from self.own_corpora(1, {})
        yield from self.check_definitions()
        yield from self.grow_joint_corpus()
        self.train_on_commons()
        for step in (self.fit, self.rehearse, self.leave_out, self.open_locked_test, self.close):
            self.sites = tuple(site for site in self.sites if site not in self.dropped)
            yield from step()

    def review(self) -> Steps:
        """Ask every site of the study to check it against its own data."""
        self.enrolled = yield from enrolment.review(self.study)
        self.sites = self.enrolled.sites

    def introduce(self, sites: tuple[str, ...]) -> Steps:
        """Introduce the sites of a roster to each other; who does not answer stays out."""
        met = yield from enrolment.introduce(
            self.enrolled, sites=sites, keys=self.site_keys, coin=self.coin, drop_out=self.study.drop_out
        )
        self.sites = tuple(site for site in self.sites if site in met or site not in sites)

    def own_corpora(self, number: int, more_of: dict[str, dict[str, str]]) -> Steps:
        """Ask for own corpora; in a second pass only those that were admitted before."""
        again = number > 1
        sites = tuple(site for site in self.corpora if site != JOINT) if again else self.sites
        if not sites:
            return
        parameters: dict[str, object] = {"pass": number}
        if again:
            parameters |= {"again": True, "more_of": more_of}
        told = yield Ask(
            what=f"own corpora, pass {number}", computation="corpus", sites=sites, parameters=parameters, split="train"
        )
        for site, answer in told.answers.items():
            self.corpus_answers.append((number, site, answer))
            if answer.outcome == "released":
                self.corpora[site] = told.blobs[site]["corpus"]
                self.certificates[site] = told.blobs[site]["certificate"]
        self.corpus_bytes += told.bytes_moved

    def check_definitions(self) -> Steps:
        """Name the sites whose definitions contradict the others', and go on without them."""
        if self.study.budget.definitions != "exact" or self.study.gate.dp.exact_sums == "deny":
            reason = "not compared: this study's budget allows no rounded figures of one site"
            self.definitions = tuple(
                Concordance(site=site, value=None, low=None, high=None, named=False, reason=reason)
                for site in self.sites
            )
            return
        self.definitions = yield from compare_definitions(
            sites=self.sites,
            columns=len(design_columns(self.study.features)),
            features=self.study.features,
            step=self.study.gate.small_cells.rounding,
        )
        for found in self.definitions:
            self.warnings += [f"{found.site}: {words}" for words in found.warnings]
        self.named = tuple(found.site for found in self.definitions if found.named)
        for site in self.named:
            if self.corpora.pop(site, None) is not None:
                self.certificates.pop(site)
                self.warnings.append(f"the corpus of {site} was taken out of the commons: its definitions differ")
        self.sites = tuple(site for site in self.sites if site not in self.named)
        if len(self.sites) < 3:
            raise CheckFailed(f"{len(self.sites)} hospitals are left after the definition check, expected at least 3")
        if self.named and len(self.sites) > FULL_UP_TO:
            yield from self.introduce(self.sites)

    def grow_joint_corpus(self) -> Steps:
        """Fit one generator over the sites without a corpus of their own."""
        spent = {
            site
            for _, site, answer in self.corpus_answers
            if answer.evidence is not None and answer.evidence.claim.kind == "dp"
        }
        self.joint_sites = tuple(site for site in self.sites if site not in self.corpora and site not in spent)
        if len(self.joint_sites) < 3:
            self.joint_reason = f"{len(self.joint_sites)} sites without a corpus of their own; a sum needs 3"
            return
        try:
            if FULL_UP_TO < len(self.joint_sites) < len(self.sites):
                yield from self.introduce(self.joint_sites)
            self.joint = yield from joint_marginals(
                study=self.study, sites=self.joint_sites, test_noise=self.test_noise
            )
        except (CheckFailed, Invalid) as failed:
            self.joint_reason = str(failed)
            return
        self.joint_reason = self.joint.reason
        self.joint_sites = self.joint.sites
        self._draw_joint(1, {})

    def _draw_joint(self, number: int, more_of: dict[str, dict[str, str]]) -> None:
        if self.joint is None or self.joint.model is None:
            return
        drawn, table = draw_joint(
            self.joint.model,
            claim=self.joint.claim,
            policy=self.study.gate,
            sites=len(self.joint_sites),
            persons_at_least=sum(self.enrolled.persons_at_least(site) for site in self.joint_sites),
            more_of=more_of,
            pass_number=number,
            rng=np.random.default_rng([self.seed, number]),
            test_noise=self.test_noise,
            site=self.study.joint_site == "keep",
        )
        self.joint_draws.append(drawn)
        if drawn.verdict.outcome == "pass":
            self.corpora[JOINT] = write_corpus(table, study_sha256=self.study_sha256)

    def train_on_commons(self) -> None:
        """Fit the commons model, and choose the ridge of the hybrid there."""
        tables = [read_corpus(data) for _, data in sorted(self.corpora.items())]
        self.ridge = self.study.model.ridge
        if not tables:
            self.commons_reason = "no corpus was admitted to the commons"
            return
        try:
            self.ridge = choose_ridge(self.study, tables)
            self.commons = train(self.study, tables, ridge=self.ridge)
        except Invalid as error:
            self.commons, self.commons_reason = None, str(error)

    def fit(self) -> Steps:
        """Fit the federated and the hybrid model, and the comparator if it was asked for."""
        fit, start = self.study.budget.fit, np.zeros(len(design_columns(self.study.features)))
        try:
            if fit == "exact":
                self.federated = yield from newton(sites=self.sites, start=start, ridge=self.study.model.ridge)
            else:
                self.federated = yield from self._noisy_fit(float(fit))
        except (CheckFailed, Invalid, NotEvaluable) as failed:
            self.federated_reason = str(failed)
        if fit != "exact":
            self.hybrid_reason = "with noise one fit is paid for: the federated one"
        elif self.commons is None:
            self.hybrid_reason = f"nothing to start from: {self.commons_reason}"
        else:
            yield from self._fit_hybrid(self.commons)
        if self.pooled is not None:
            self.reference = self.pooled(self.sites, self.study.model.ridge)

    def _noisy_fit(self, epsilon: float) -> Generator[Ask, Told, Fit]:
        found = yield from noisy_glm(study=self.study, sites=self.sites, epsilon=epsilon, delta=self.study.budget.delta)
        return Fit(beta=found.model.beta, covariance=None, rounds=found.rounds, bytes_moved=found.bytes_moved)

    def _fit_hybrid(self, start: Vector) -> Steps:
        try:
            self.hybrid = yield from newton(sites=self.sites, start=start, ridge=self.ridge)
        except (CheckFailed, Invalid) as failed:
            self.hybrid_reason = str(failed)

    def _models(self) -> dict[str, Vector | None]:
        models: dict[str, Vector | None] = {"local": None}
        if self.commons is not None:
            models["commons"] = self.commons
        if self.federated is not None:
            models["federated"] = self.federated.beta
        if self.hybrid is not None:
            models["hybrid"] = self.hybrid.beta
        return models

    def rehearse(self) -> Steps:
        """Test on the holdouts; where thresholds are missed, rebalance the corpora and repeat once."""
        for number in (1, 2):
            transfer = yield from self._transfer(self._models(), "holdout", prior_deviation=0.5)
            missed = shortfalls(self.study, transfer)
            action = ""
            if number == 1 and missed:
                more_of, action = rebalancing(self.study, missed)
                self.rehearsals.append(Rehearsal(number=1, transfer=transfer, missed=missed, action=action))
                yield from self.own_corpora(2, more_of)
                self._draw_joint(2, more_of)
                self.train_on_commons()
                continue
            action = "accepted for the locked test" if not missed else "went to the locked test as it is"
            self.rehearsals.append(Rehearsal(number=number, transfer=transfer, missed=missed, action=action))
            return

    def _transfer(
        self, models: dict[str, Vector | None], split: SplitName, *, prior_deviation: float
    ) -> Generator[Ask, Told, Transfer]:
        spend = self.study.budget.evaluation
        exact = spend == "exact"
        multiplier = None
        if not exact:
            multiplier = noise_multiplier_for(
                epsilon=float(spend), delta=self.study.budget.delta, count=NOISY_TESTS[split]
            )
        return (
            yield from test_transfer(
                models=models,
                sites=self.sites,
                split=split,
                grid=self._grid(split),
                noise_multiplier=multiplier,
                sited=exact,
                prior_deviation=prior_deviation,
            )
        )

    def _grid(self, split: SplitName) -> Grid:
        if split not in self.grids:
            low, high = -6.0, 6.0
            if self.commons is not None:
                tables = [read_corpus(data) for _, data in sorted(self.corpora.items())]
                low, high = score_range(self.study, tables, self.commons)
            least = len(self.sites) - drop_outs(len(self.sites), self.study.drop_out or 0.0)[0]
            persons = sum(sorted(self.enrolled.persons_at_least(site) for site in self.sites)[:least])
            grid = grid_for(
                persons_at_least=int(persons * getattr(self.study.splits, split)),
                ratio=self.study.gate.small_cells.max_numbers_per_person,
                low=low,
                high=high,
                subgroups=len(group_names(self.study)),
            )
            self.grids[split] = grid if self.study.budget.evaluation == "exact" else coarse(grid)
        return self.grids[split]

    def leave_out(self) -> Steps:
        """Test models on hospitals that they never saw."""
        if self.study.budget.fit != "exact" or self.federated is None:
            self.left_out = ()
        elif len(self.sites) >= 6:
            self.left_out = yield from leave_blocks_out(
                sites=self.sites,
                coin=self.coin,
                start=self.federated.beta,
                ridge=self.study.model.ridge,
                grid=self._grid("holdout"),
                introduce=self.introduce,
            )
        else:
            self.left_out = yield from leave_corpora_out(
                study=self.study,
                corpora={site: read_corpus(data) for site, data in self.corpora.items() if site != JOINT},
                common=[read_corpus(self.corpora[JOINT])] if JOINT in self.corpora else [],
                ridge=self.ridge,
            )

    def open_locked_test(self) -> Steps:
        """Open the locked tests once, for one fixed list of models."""
        models = self._models()
        if self.reference is not None:
            models["pooled"] = self.reference
        prior = spread_of_calibration(self.rehearsals[-1].transfer.sites)
        self.test = yield from self._transfer(models, "locked_test", prior_deviation=prior)
        self.final_missed = shortfalls(self.study, self.test)

    def close(self) -> Steps:
        """Collect budgets and logs."""
        taking_part = tuple(sorted((*self.sites, *self.named)))
        told = yield Ask(what="close: budgets and logs", computation="close", sites=taking_part)
        self.closings = dict(told.answers)
        self.logs = {site: blobs.get("log", b"") for site, blobs in told.blobs.items()}
