"""Drivers over tables in the open: the same questions and the same answers, without gate, masks or signatures.

For tables that protect nobody: corpora of the commons divided into simulated hospitals, and public data in benchmarks
and attacks. A sum with noise bears the noise that it would bear between hospitals.
"""

import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from wardgate.computations.menu import read
from wardgate.computations.network_update import check_sitting_out
from wardgate.entropy import Entropy
from wardgate.hospital.ward.cohort.part import Part, part_of
from wardgate.hospital.ward.learning.menu import ANSWERS
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.measures.logistic import fit
from wardgate.privacy.noise import gaussian_release
from wardgate.records.errors import CheckFailed, Invalid, Refused, Unsupported
from wardgate.records.messages import Question, SplitName
from wardgate.records.parcel import pack_vector
from wardgate.records.study import Study
from wardgate.sums.shape import Bounded

Vector = NDArray[np.float64]
T = TypeVar("T")

Altered = Callable[[str, Ask, Bounded], Bounded]
"""What a site makes of its addend before it is summed, by its name: an evil one anything, an honest one nothing."""


@dataclass(slots=True, kw_only=True)
class PlainSite:
    """One simulated hospital's persons; what a ward's answer needs of its bench.

    Attributes:
        parts: Persons by split.
        entropy: For secret batches.
        kept, own: What computations remember; see `hospital.ward.learning.bench`.
    """

    site: str
    study: Study
    parts: Mapping[SplitName, Part]
    entropy: Entropy
    seed: int = 0
    kept: dict[str, Any] = field(default_factory=dict)
    own: dict[str, bytes] = field(default_factory=dict)
    _local: Vector | None = None

    def part(self, split: SplitName) -> Part:
        """Return the persons of a split.

        Raises:
            Invalid: there is no such split here.
        """
        if split not in self.parts:
            raise Invalid(f"'{self.site}' has no persons in the split '{split}'")
        return self.parts[split]

    def local_model(self) -> Vector:
        """Return the coefficients of this site's own logistic regression."""
        if self._local is None:
            train = self.part("train")
            self._local = fit(train.x, train.y, ridge=self.study.model.ridge)
        return self._local

    def rng(self, purpose: str) -> np.random.Generator:
        """Return a repeatable generator for work that protects nobody."""
        name = hashlib.sha256(f"{self.site}/{purpose}".encode()).digest()
        return np.random.default_rng([int.from_bytes(name, "big"), self.seed])


def plain_sites(
    study: Study, tables: Mapping[str, Mapping[SplitName, pl.DataFrame]], *, entropy: Entropy, seed: int = 0
) -> dict[str, PlainSite]:
    """Return simulated hospitals.

    Args:
        tables: By site and split; study features and `label`.

    Raises:
        Invalid: a table does not fit the study.
    """
    return {
        site: PlainSite(
            site=site,
            study=study,
            parts={split: part_of(study, table) for split, table in splits.items()},
            entropy=entropy,
            seed=seed,
        )
        for site, splits in tables.items()
    }


def _honest(_: str, __: Ask, addend: Bounded) -> Bounded:
    return addend


@dataclass(slots=True, kw_only=True)
class Plain:
    """Sites of one study whose tables lie in the open.

    Attributes:
        study: Its computations' shapes and words are what hospitals would be asked.
        sites: By name; their order is not used.
        entropy: For the noise of sums that bear it.
        altered: What each site makes of its addend; nothing by default.
        asked: How many sums were asked so far.
    """

    study: Study
    sites: Mapping[str, PlainSite]
    entropy: Entropy
    altered: Altered = _honest
    asked: int = 0

    def drive(self, steps: Generator[Ask, Told, T]) -> T:
        """Carry a driver's asks to the sites until it ends; return what it found. A closed sum is told to the driver.

        Raises:
            WardgateError: what the driver raises.
        """
        try:
            ask = next(steps)
            while True:
                told: Told | None = None
                failed: CheckFailed | None = None
                try:
                    told = self.ask(ask)
                except CheckFailed as error:
                    failed = error
                ask = steps.send(told) if told is not None else steps.throw(failed or CheckFailed(ask.what))
        except StopIteration as end:
            found: T = end.value
            return found

    def ask(self, ask: Ask) -> Told:
        """Return the sum over an ask's sites, and those of the asks beside it.

        Raises:
            Unsupported: it asks for no sum.
            CheckFailed: a site refused, so that the sum stays closed.
        """
        if not ask.beside:
            return self._sum(ask)
        found = []
        for one in ask.all:
            try:
                found.append(self._sum(one))
            except CheckFailed as error:
                found.append(Told(failed=str(error), sites=one.sites))
        first, *others = found
        return Told(
            total=first.total,
            noise=first.noise,
            sites=first.sites,
            bytes_out=first.bytes_out,
            bytes_in=first.bytes_in,
            said=first.said,
            failed=first.failed,
            beside=tuple(others),
        )

    def _sum(self, ask: Ask) -> Told:
        if ask.shape is None:
            raise Unsupported(f"'{ask.computation}' is answered by no sum; tables in the open answer sums alone")
        self.asked += 1
        packed = [pack_vector(name, array) for name, array in ask.arrays]
        question = Question(
            study_sha256=self.study.fingerprint(),
            number=self.asked,
            computation=ask.computation,
            parameters=ask.parameters,
            split=ask.split,
            sum=None,
            vectors=tuple(ref for ref, _ in packed),
        )
        asked = read(question, [data for _, data in packed])
        total, said = np.zeros(ask.shape.entries), {}
        for site in ask.sites:
            addend = self._addend(site, ask, asked)
            total += addend.vector
            if addend.said:
                said[site] = dict(addend.said)
        noise = 0.0
        if ask.noise_multiplier is not None:
            local = self.study.budget.noise == "local"
            shares = len(ask.sites) - (len(ask.sites) - 1 if local else len(ask.sites) // 3)
            multiplier = ask.noise_multiplier * float(np.sqrt(len(ask.sites) / shares))
            total = gaussian_release(total, l2=ask.shape.l2, noise_multiplier=multiplier, entropy=self.entropy)
            noise = multiplier * ask.shape.l2
        sent = sum(len(data) for _, data in packed)
        return Told(
            total=total,
            noise=noise,
            sites=tuple(sorted(ask.sites)),
            bytes_out=len(ask.sites) * ask.shape.entries * (8 if ask.noise_multiplier is None else 4),
            bytes_in=len(ask.sites) * sent,
            said=said,
        )

    def _addend(self, site: str, ask: Ask, asked: Any) -> Bounded:
        try:
            check = getattr(asked, "check_noise", None)
            if check is not None and ask.computation in _NOISE_IS_CHECKED:
                check(ask.noise_multiplier)
            asked.shape(self.study)
            honest = ANSWERS[ask.computation].answer(asked, bench=self.sites[site], split=ask.split)
            check_sitting_out(honest.said, sites=len(ask.sites), least=self.study.gate.min_sites_in_sum)
        except (Invalid, Refused) as error:
            raise CheckFailed(f"{ask.what}: '{site}' refused, so the sum stays closed; {error}") from error
        return self.altered(site, ask, honest)


_NOISE_IS_CHECKED = frozenset({"class_moments", "critic", "network_update", "network_gradient"})
