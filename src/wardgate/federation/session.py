"""An open study: hospitals that were introduced to each other, and drivers that ask them."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from wardgate.federation.carrier import Carrier
from wardgate.hub.chain import Run, Steps
from wardgate.hub.commons.directory import write_transcript
from wardgate.hub.exchange import Exchange
from wardgate.hub.pooling import enrolment
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.enrolment import Enrolled
from wardgate.records.errors import Aborted, CheckFailed, Invalid, Vanished
from wardgate.records.messages import SplitName
from wardgate.records.parcel import Parcel
from wardgate.records.study import Study

T = TypeVar("T")

OnEvent = Callable[[str, int], None]
"""Called with the words of each ask and the number of its sites."""


@dataclass(slots=True, kw_only=True)
class Federation:
    """The hub's side of one study, and the road to its hospitals.

    Attributes:
        exchange: The conversation so far; every record of it is signed and logged.
        carrier: The road to its hospitals.
        retries: How often an exact sum is asked again after hospitals did not answer.
        enrolled: Who takes part; empty until `enrol`.
        logs: Each site's own log; empty until `close`.
    """

    exchange: Exchange
    carrier: Carrier
    retries: int = 2
    on_event: OnEvent = lambda _, __: None
    enrolled: Enrolled = field(default_factory=lambda: Enrolled(reviews={}, envelopes={}, sites=()))
    logs: dict[str, bytes] = field(default_factory=dict)

    @property
    def study(self) -> Study:
        """The locked study."""
        return self.exchange.study

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that take part, sorted."""
        return self.enrolled.sites

    def persons_at_least(self, split: SplitName) -> int:
        """Return how many persons a sum over all sites holds at least, by the bands that they signed."""
        persons = sum(self.enrolled.persons_at_least(site) for site in self.sites)
        return int(persons * getattr(self.study.splits, split))

    def enrol(self) -> None:
        """Let every hospital review the study, and introduce those that agree to each other.

        Raises:
            CheckFailed: fewer than three hospitals can take part, or one does not accept the roster.
        """
        self.enrolled = self.drive(enrolment.review(self.study))
        met = self.drive(
            enrolment.introduce(
                self.enrolled,
                sites=self.sites,
                keys=self.exchange.site_keys,
                coin=self.exchange.coin,
                drop_out=self.study.drop_out,
            )
        )
        self.enrolled = replace(self.enrolled, sites=met)

    def check(self, study: Study) -> None:
        """Check that this federation was opened for `study`.

        Raises:
            Invalid: it was opened for another one.
        """
        if study.to_bytes() != self.study.to_bytes():
            raise Invalid(
                f"this federation was opened for study '{self.study.id}' version {self.study.version}, not for"
                f" '{study.id}' version {study.version} as given; hospitals answer only the study that they reviewed"
            )

    def close(self) -> dict[str, bytes]:
        """Ask every site for its budget and its log, which end the conversation; return the logs."""
        told = self.ask(Ask(what="close: budgets and logs", computation="close", sites=self.sites))
        self.logs = {site: blobs.get("log", b"") for site, blobs in told.blobs.items()}
        return self.logs

    def save(self, out: Path, *, study_text: str, replace: bool = False) -> None:
        """Close the conversation and write its transcript, which `wardgate verify` replays.

        Args:
            study_text: The study's YAML as it was given.
            replace: Whether an earlier run at `out` may be replaced.

        Raises:
            Invalid: the folder cannot be written, or the text is another study's.
        """
        if not self.logs:
            self.close()
        write_transcript(out, exchange=self.exchange, logs=self.logs, study_text=study_text, replace=replace)

    def drive(self, steps: Generator[Ask, Told, T]) -> T:
        """Carry a driver's asks to the hospitals and what came of them back, until it ends; return what it found.

        A sum that stays closed is told to the driver, which may go on without it.

        Raises:
            Aborted: somebody stopped the study; no driver goes on.
            WardgateError: what the driver raises.
        """
        try:
            ask = next(steps)
            while True:
                told: Told | None = None
                failed: CheckFailed | None = None
                try:
                    told = self.ask(ask)
                except Aborted:
                    raise
                except CheckFailed as error:
                    failed = error
                ask = steps.send(told) if told is not None else steps.throw(failed or CheckFailed(ask.what))
        except StopIteration as end:
            found: T = end.value
            return found

    def ask(self, ask: Ask) -> Told:
        """Ask, and again where an exact sum stayed closed because hospitals did not answer.

        A sum with noise is asked once: its noise is spent even if it does not open. A sum that cannot open without a
        site that is gone is not asked at all: the others would spend for nothing.

        Raises:
            CheckFailed: the sum cannot be opened.
            Broken: an answer is forged or damaged, and nothing can go on without it.
        """
        if ask.beside:
            return self._beside(ask)
        left = self.retries if ask.shape is not None and ask.noise_multiplier is None else 0
        gone = sorted(self.carrier.gone & set(ask.sites))
        if gone and ask.shape is not None and not self.exchange.recovering(len(ask.sites)):
            raise Vanished(
                f"{ask.what}: '{gone[0]}' answers nothing more of this study, so the sum would stay closed, and nobody"
                " was asked; ask without it, or lock a study that allows drop-outs",
                sites=tuple(gone),
            )
        while True:
            try:
                return self._once(ask)
            except Vanished:
                if left == 0 or self.carrier.gone & set(ask.sites):
                    raise
                left -= 1

    def _once(self, ask: Ask) -> Told:
        self.on_event(ask.what, len(ask.sites))
        (told,) = self._converse([ask])
        if isinstance(told, CheckFailed):
            raise told
        return told

    def _beside(self, ask: Ask) -> Told:
        """Ask several groups of sites at the same time; a sum that stays closed keeps no other from opening.

        Raises:
            Invalid: a site is in two of them.
            Broken: an answer is forged or damaged.
        """
        named = [site for one in ask.all for site in one.sites]
        if len(set(named)) != len(named):
            raise Invalid(f"{ask.what}: a site stands in two of the sums that are asked at the same time")
        self.on_event(ask.what, len(named))
        asks = [replace(one, beside=()) for one in ask.all]
        found: list[Told] = []
        for one, told in zip(asks, self._converse(asks), strict=True):
            try:
                if isinstance(told, Vanished) and one.noise_multiplier is None and self.retries:
                    told = self.ask(one)
                if isinstance(told, CheckFailed):
                    raise told
                found.append(told)
            except Aborted:
                raise
            except CheckFailed as failed:
                found.append(Told(sites=one.sites, failed=str(failed)))
        return replace(found[0], beside=tuple(found[1:]))

    def _converse(self, asks: Sequence[Ask]) -> list[Told | CheckFailed]:
        """Hold the conversations of asks of different sites in step; return what came of each."""
        talks = [self.exchange.converse(one) for one in asks]
        found: dict[int, Told | CheckFailed] = {}
        waiting: dict[int, Mapping[str, Parcel]] = {}

        def go_on(place: int, answers: Mapping[str, Parcel] | None) -> None:
            try:
                waiting[place] = talks[place].send(answers)  # type: ignore[arg-type]  # None begins a conversation
            except StopIteration as end:
                found[place] = end.value
            except Aborted:
                raise
            except CheckFailed as failed:
                found[place] = failed

        for place in range(len(talks)):
            go_on(place, None)
        while waiting:
            asked, waiting = waiting, {}
            together = {site: parcel for questions in asked.values() for site, parcel in questions.items()}
            answers = self.carrier.carry(together, computation=asks[0].computation)
            for place, questions in asked.items():
                go_on(place, {site: answers[site] for site in questions if site in answers})
        return [found[place] for place in range(len(talks))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A finished run: what the hub knows, and its whole conversation.

    Attributes:
        issued_on: The day of the run, as an ISO date; a run that was resumed keeps its first.
    """

    run: Run
    exchange: Exchange
    issued_on: str


def whole_chain(
    federation: Federation,
    *,
    seed: int,
    issued_on: str,
    pooled: Callable[[tuple[str, ...], float], NDArray[np.float64]] | None = None,
    course: Callable[[Run], Steps] = Run.steps,
) -> Finished:
    """Take an open study from its review to the locked test, whatever road lies between.

    Args:
        seed: For repeatable sampling of released models.
        pooled: Gives the centralised comparator's coefficients, where there can be one.
        course: The steps to take, the whole chain by default; benchmarks take a part of it.

    Raises:
        CheckFailed: fewer than three hospitals can take part.
        Broken: evidence between hub and hospitals does not hold.
    """
    exchange = federation.exchange
    run = Run(
        study=exchange.study,
        study_sha256=exchange.study_sha256,
        site_keys=exchange.site_keys,
        coin=exchange.coin,
        seed=seed,
        pooled=pooled,
        test_noise=exchange.unsafe_accept_test_noise,
        dropped=exchange.dropped,
    )
    federation.drive(course(run))
    return Finished(run=run, exchange=exchange, issued_on=issued_on)
