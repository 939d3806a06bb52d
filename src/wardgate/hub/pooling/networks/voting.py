"""Votes of all hospitals on candidate weights, as one small secure sum, and the judgement that follows from them."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.network_votes import MOST_CANDIDATES, Harm, NetworkVotes, kinds_of_persons
from wardgate.hub.pooling.ask import Ask, Told, sum_ask
from wardgate.records.canonical import sha256
from wardgate.records.judgement import Judgement, decided
from wardgate.records.messages import SplitName
from wardgate.records.study import Study

Vector = NDArray[np.float64]
Group = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voted:
    """What came of a vote.

    Attributes:
        judgements: The records, one for each sum that was needed.
        out: For each group voted out, in words for people: which persons, and how large a share of hospitals.
        impossible: Whether a sum was one that honest answers cannot give.
    """

    judgements: tuple[Judgement, ...]
    out: Mapping[Group, str]
    impossible: bool
    bytes_moved: int


def vote(
    *,
    study: Study,
    network: str,
    network_sha256: str,
    number: int,
    anchor: Vector,
    reference: Vector,
    candidates: Sequence[tuple[Group, Vector]],
    harm: Harm,
    tolerated: float,
    least: float,
    voters: Group,
    split: SplitName,
    changes: Mapping[str, str],
    final: bool = False,
) -> Generator[Ask, Told, Voted]:
    """Ask all hospitals for their votes on each group's weights.

    Args:
        number: Of the round.
        anchor: Where training began.
        candidates: Each group with the weights that its change leads to.
        tolerated, least: Shares of the able and of all that may call a candidate harmful.
        changes: SHA-256 of the signed answers from which the candidates come, by hospital.

    Raises:
        Invalid: the question does not fit the study.
        CheckFailed: the sum stayed closed; thrown in by whoever carries the asks.
    """
    kinds = kinds_of_persons(study, harm)
    judgements, out, impossible, moved = [], {}, False, 0
    for first in range(0, len(candidates), MOST_CANDIDATES):
        some = candidates[first : first + MOST_CANDIDATES]
        asked = NetworkVotes(
            network=network,
            sha256=network_sha256,
            anchor=anchor,
            reference=reference,
            candidates=np.array([weights for _, weights in some]),
            harm=harm,
        )
        of = "the finished model" if final else f"{len(some)} groups of round {number + 1}"
        told = yield sum_ask(asked, what=f"network '{network}': votes on {of}", study=study, sites=voters, split=split)
        moved += told.bytes_moved
        counted = asked.counted(told.sum(), study=study, sites=len(told.sites))
        impossible = impossible or not counted.possible
        gone = decided(counted.harmful.tolist(), counted.able.tolist(), tolerated=tolerated, least=least)
        judgements.append(
            Judgement(
                study_sha256=study.fingerprint(),
                network=network,
                network_sha256=network_sha256,
                round=number,
                final=final,
                groups=tuple(group for group, _ in some),
                anchor_sha256=_digest(anchor),
                reference_sha256=_digest(reference),
                candidates_sha256=tuple(_digest(weights) for _, weights in some),
                harm=harm.plain(),
                kinds=kinds,
                voters=tuple(told.sites),
                harmful=tuple(tuple(float(one) for one in row) for row in counted.harmful),
                able=tuple(float(one) for one in counted.able),
                tolerated=tolerated,
                least=least,
                out=gone,
                changes={site: digest for site, digest in changes.items() if any(site in group for group, _ in some)},
                votes={site: sha256(told.envelopes[site]) for site in sorted(told.envelopes)},
            )
        )
        for place in gone:
            decisive = counted.harmful[place] > np.maximum(tolerated * counted.able, least * counted.able[0])
            worst = int(np.argmax(np.where(decisive, counted.shares[place], -1.0)))
            out[some[place][0]] = f"{counted.shares[place, worst]:.0%} of the hospitals see harm ({kinds[worst]})"
    return Voted(judgements=tuple(judgements), out=out, impossible=impossible, bytes_moved=moved)


def _digest(weights: Vector) -> str:
    return sha256(np.ascontiguousarray(weights, dtype="<f8").tobytes())
