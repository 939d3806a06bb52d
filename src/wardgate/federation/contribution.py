"""Who contributed, over an open federation; the signed record of it, and the same table made again by anybody."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wardgate.computations.class_moments import ClassMoments
from wardgate.federation.estimators import drive_listed
from wardgate.federation.session import Federation
from wardgate.hub import layout
from wardgate.hub.intake.audit import audit
from wardgate.hub.pooling import enrolment
from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.contribution import (
    Contributed,
    Introduce,
    Opened,
    Wanted,
    block_contributions,
    contributed,
    drawn_blocks,
    site_contributions,
)
from wardgate.measures.contribution.shapley import EXACT_UP_TO
from wardgate.measures.contribution.shares import interval
from wardgate.measures.contribution.utilities import meanings
from wardgate.records.bands import band
from wardgate.records.contribution import CONTRIBUTION, Basis, Contribution, Player, Share, Worth
from wardgate.records.envelope import Signer, Statement, seal, unseal
from wardgate.records.errors import Broken, Invalid
from wardgate.records.messages import SUM
from wardgate.records.parcel import Parcel, pack_vector, unpack_vector
from wardgate.records.study import Study
from wardgate.sums.graph import FULL_UP_TO

STANDS_FOR = (
    "a logistic model on the study's features; for a network of the same study the shares are those of this stand-in"
)
COIN = "by the study's public coin"
NAMED = "named beforehand"
SINGLE = "every hospital for itself"

CLOSE = 1e-6
"""By how much a table may differ that another machine makes from the same sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributions:
    """Shares of hospitals in what the joint model is worth.

    Attributes:
        thresholds: Risks from which one treats, for net benefit.
        blocks: Of at least three hospitals, fixed for the study; drawn by its public coin by default.
        most: Blocks at most, where they are drawn; as many as the policy lets be asked.
        epsilon, delta: Single hospitals as players, each split's answer with noise that costs so much.
        within: Copies of a record within this part of a number's range count once; None looks for none.
        seed: Of redraws and permutations.
        pairs, redraws: How many of them.
    """

    thresholds: tuple[float, ...] = (0.5,)
    blocks: tuple[tuple[str, ...], ...] = ()
    most: int = EXACT_UP_TO
    epsilon: float | None = None
    delta: float | None = None
    within: float | None = 0.05
    seed: int = 0
    pairs: int = 200
    redraws: int = 60

    @property
    def wanted(self) -> Wanted:
        """The public settings."""
        return Wanted(
            thresholds=self.thresholds, within=self.within, seed=self.seed, pairs=self.pairs, redraws=self.redraws
        )

    @property
    def drawn(self) -> str:
        """How players came about."""
        return SINGLE if self.epsilon is not None else NAMED if self.blocks else COIN

    def run(self, federation: Federation, study: Study) -> Contributed:
        """Ask the hospitals and return their shares.

        Raises:
            Invalid: another study's federation, an analysis that it does not list, blocks that are none, or holdouts
                that cannot judge.
            CheckFailed: a sum stayed closed.
        """
        if self.epsilon is not None:
            if self.blocks:
                raise Invalid("single hospitals are players where there is noise; leave out the blocks, or epsilon")
            noisy = site_contributions(
                study=study,
                sites=federation.sites,
                wanted=self.wanted,
                epsilon=self.epsilon,
                delta=study.budget.delta if self.delta is None else self.delta,
            )
            return drive_listed(federation, study, noisy, ClassMoments.name)
        least = {site: federation.enrolled.persons_at_least(site) for site in federation.sites}
        blocks = self.blocks or drawn_blocks(
            study, federation.sites, coin=federation.exchange.coin, most=self.most, persons_at_least=least
        )
        exact = block_contributions(
            study=study,
            blocks=blocks,
            wanted=self.wanted,
            persons_at_least=least,
            introduce=_introducing(federation) if len(federation.sites) > FULL_UP_TO else None,
        )
        return drive_listed(federation, study, exact, ClassMoments.name)


def contribution_record(found: Contributed, *, study: Study, issued_on: str, drawn: str) -> Contribution:
    """Return what was found as a record. Pure."""
    table, single = found.shares, found.epsilon is not None
    names = [player[0] if single else f"block-{place}" for place, player in enumerate(found.players, start=1)]
    words = meanings(table.utilities)
    players = []
    for place, sites in enumerate(found.players):
        shares = []
        for column, worth in enumerate(table.utilities):
            value, error = float(table.by_persons[place, column]), float(table.by_persons_error[place, column])
            low, high = interval(value, error)
            shares.append(
                Share(
                    worth=worth,
                    by_persons=value,
                    by_persons_error=error,
                    low=low,
                    high=high,
                    by_players=float(table.by_players[place, column]),
                    by_players_error=float(table.by_players_error[place, column]),
                    sampling_error=float(table.sampling_error[place, column]),
                    left_out=float(table.left_out[place, column]),
                    left_out_error=float(table.left_out_error[place, column]),
                )
            )
        persons = band(max(round(float(found.taught.persons[place])), 0))
        players.append(
            Player(
                name=names[place],
                sites=sites,
                persons_band=persons,
                shares=tuple(shares),
                remark=_remark(found, place, names),
            )
        )
    return Contribution(
        study_sha256=study.fingerprint(),
        issued_on=issued_on,
        players_are="sites" if single else "blocks",
        drawn=drawn,
        stands_for=STANDS_FOR,
        worth=tuple(
            Worth(name=name, meaning=words[name], nobody=float(nobody), everybody=float(everybody))
            for name, nobody, everybody in zip(table.utilities, table.nobody, table.everybody, strict=True)
        ),
        players=tuple(players),
        basis=tuple(_basis(one) for one in found.sums),
        ridge=found.ridge,
        thresholds=found.wanted.thresholds,
        within=found.wanted.within,
        epsilon=found.epsilon,
        delta=found.delta,
        seed=found.wanted.seed,
        pairs=found.wanted.pairs,
        coalitions=table.coalitions,
        redraws=table.redraws,
        bytes_moved=found.bytes_moved,
    )


def seal_contribution(found: Contributed, record: Contribution, *, signer: Signer) -> Parcel:
    """Sign a record; the opened sums lie beside it, so that anybody can make the table again."""
    envelope = seal(
        Statement(
            predicate_type=CONTRIBUTION,
            predicate=record.plain(),
            subjects=tuple((f"total-{place}", one.total.sha256) for place, one in enumerate(record.basis)),
        ),
        signer,
    )
    return Parcel(envelope, tuple(pack_vector("total", one.total)[1] for one in found.sums))


def open_contribution(
    data: bytes, *, hub_key: bytes, study: Study, opened_sums: Sequence[str] | None = None
) -> Contribution:
    """Verify a record and make its table again from the sums beside it.

    Args:
        data: A parcel.
        hub_key: Of the hub that signed.
        opened_sums: Digests of the totals that the hub's transcript holds, where it is at hand; every sum of the record
            must be among them.

    Raises:
        Broken: not signed by that hub, of another study, sums that are others, or a table that the sums do not give.
    """
    parcel = Parcel.from_bytes(data)
    statement = unseal(parcel.envelope, keys=(hub_key,))
    if statement.predicate_type != CONTRIBUTION:
        raise Broken(f"expected a record of contributions, found {statement.predicate_type}")
    try:
        record = Contribution.from_plain(statement.predicate)
    except Invalid as error:
        raise Broken(f"the hub signed a record of contributions that is none: {error}") from error
    if record.study_sha256 != study.fingerprint():
        raise Broken("the record is of another study, or of another version of it")
    if len(parcel.blobs) != len(record.basis):
        raise Broken(f"expected {len(record.basis)} sums beside the record, found {len(parcel.blobs)}")
    strange = [one.what for one in record.basis if opened_sums is not None and one.total.sha256 not in opened_sums]
    if strange:
        raise Broken(f"the transcript opened no such sum: {strange[0]}")
    try:
        again = _again(record, parcel.blobs, study)
    except Invalid as error:
        raise Broken(f"the sums beside the record make no table: {error}") from error
    _check_equal(record, again)
    return record


def _again(record: Contribution, blobs: Sequence[bytes], study: Study) -> Contribution:
    sums = tuple(
        Opened(
            what=basis.what,
            split=basis.split,
            sites=basis.sites,
            asked=ClassMoments(products=basis.products, places=basis.places, within=record.within),
            total=np.asarray(unpack_vector(basis.total, blob), dtype=np.float64),
            noise=basis.noise,
        )
        for basis, blob in zip(record.basis, blobs, strict=True)
    )
    for one in sums:
        if one.total.shape != (one.asked.shape(study).entries,):
            raise Invalid(f"{one.what}: expected {one.asked.shape(study).entries} numbers, found {one.total.shape}")
    found = contributed(
        study,
        tuple(player.sites for player in record.players),
        sums,
        wanted=Wanted(
            thresholds=record.thresholds,
            within=record.within,
            ridge=record.ridge,
            seed=record.seed,
            pairs=record.pairs,
            redraws=record.redraws,
        ),
        bytes_moved=record.bytes_moved,
        epsilon=record.epsilon,
        delta=record.delta,
    )
    return contribution_record(found, study=study, issued_on=record.issued_on, drawn=record.drawn)


def _check_equal(record: Contribution, again: Contribution) -> None:
    for one, other in zip(record.players, again.players, strict=True):
        for said, made in zip(one.shares, other.shares, strict=False):
            for name in Share.model_fields:
                stated, found = getattr(said, name), getattr(made, name)
                same = stated == found if isinstance(stated, str) else abs(stated - found) <= CLOSE
                if not same:
                    raise Broken(f"{one.name}: the record says {name} = {stated}, its sums give {found}")
        if len(one.shares) != len(other.shares) or one.remark != other.remark or one.persons_band != other.persons_band:
            raise Broken(f"{one.name}: the record does not say of it what its sums say")
    close = [
        abs(a - b) <= CLOSE
        for one, other in zip(record.worth, again.worth, strict=False)
        for a, b in ((one.nobody, other.nobody), (one.everybody, other.everybody))
    ]
    if not all(close) or [one.name for one in record.worth] != [one.name for one in again.worth]:
        raise Broken("the worth of nobody or everybody is not what the sums give")


def _basis(one: Opened) -> Basis:
    return Basis(
        what=one.what,
        split=one.split,
        sites=one.sites,
        products=one.asked.products,
        places=one.asked.places,
        noise=one.noise,
        total=pack_vector("total", one.total)[0],
    )


def _remark(found: Contributed, place: int, names: Sequence[str]) -> str:
    if place in found.drowned:
        return "too few persons of a class beside the noise: counted as bringing nothing"
    for one in found.alike:
        if one.player == place or one.other == place:
            other = one.other if one.player == place else one.player
            whom = "all others together" if other is None else names[other]
            return f"its sums agree with those of {whom} more closely than sums over other persons can: look into it"
    return ""


def _introducing(federation: Federation) -> Introduce:
    def introduce(sites: tuple[str, ...]) -> Generator[Ask, Told, None]:
        yield from enrolment.introduce(
            federation.enrolled,
            sites=sites,
            keys=federation.exchange.site_keys,
            coin=federation.exchange.coin,
            drop_out=federation.study.drop_out,
        )

    return introduce


def check_contribution(data: bytes, *, transcript: Path, study: Study, key: bytes | None = None) -> Contribution:
    """Check a record against the conversation that it rests on: signatures, sums and the table made again.

    Args:
        data: The record's parcel.
        transcript: Folder of the conversation, as `Federation.save` writes it.
        key: The hub's public key, where the auditor knows it from elsewhere.

    Raises:
        Broken: the conversation or the record does not hold, or one is not of the other.
        Invalid: the folder is no conversation.
    """
    found = audit(transcript, key=key)
    found.raise_if_broken()
    hub_key = bytes.fromhex(found.hub_key)
    lines = layout.split_lines((transcript / layout.records_path(layout.HUB)).read_bytes(), where="the hub's records")
    sums = [
        str(said.predicate["total"]["sha256"])
        for said in (unseal(line, keys=(hub_key,)) for line in lines)
        if said.predicate_type == SUM
    ]
    return open_contribution(data, hub_key=hub_key, study=study, opened_sums=sums)
