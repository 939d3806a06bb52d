"""Secure sums: exact to the bit whoever vanishes when, what they cost, and beside Flower's SecAgg+ and TenSEAL.

    make bench NAME=sums

Every cell runs the whole protocol of src/wardgate/sums in one process: key agreement, deposits, masked vectors, a
confirmed list of survivors, revealed shares, the opened total, which is compared with the sum of plain integers. At
each phase in turn a share of the sites vanishes: before it prepares, after it prepared, after its vector went in
(it confirms nothing), after it confirmed (it reveals nothing). The first two are not in the sum, the last two are.

Seconds are CPU seconds of this process, not wall time. A client's are those of all it does in one sum, key agreement
included (once a study in practice); shown is the median over the sites that stay. The hub's are those of opening.
Bytes are the payloads of one client, without the signed records around them: sent (deposit, vector, digest of the
survivors, reveal) and, with those received, all (packets of partners, survivors' names).

Peers, in the same run on the same vectors: WARDGATE_FLWR names a Python interpreter that has Flower
(`pip install flwr`), WARDGATE_TENSEAL one that has TenSEAL (`pip install tenseal==0.3.16`); without them they are
listed as not measured. What they run is in benchmarks/peers.
"""

import hashlib
import json
import math
import os
import statistics
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from harness import ROOT, Figure, Value, write
from peers.wardgate_sum import COIN, HUB, PERSONS, Cell, Clock, Cost, run, vector

from wardgate.entropy import SystemEntropy
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer
from wardgate.records.errors import Unsupported
from wardgate.sums import homomorphic as he
from wardgate.sums.plan import SumPlan

COMMAND = "make bench NAME=sums"
SHARES = (0.0, 0.1, 0.3)
FINE = 2.0**32
"""Bound with which every unit of the ring shows in the float64 total: one unit off anywhere fails the comparison."""

PEER_SECONDS = 240
GOAL_BYTES, GOAL_SECONDS = 1.1, 1.0


def cells(sites: int) -> Iterator[Cell]:
    """The cells of exactness: each share of drop-outs at each phase, for the lengths that time allows."""
    for entries in (300, 10_000, 1_000_000):
        large = entries == 1_000_000 and sites > 50
        for share in SHARES if sites > 3 else SHARES[:1]:
            lost = int(share * sites)
            phases = [tuple(lost if place == phase else 0 for place in range(4)) for phase in range(4)]
            spread = [(lost - 3 * (lost // 4), lost // 4, lost // 4, lost // 4)]
            if large and share == SHARES[-1]:
                continue
            for gone in [(0, 0, 0, 0)] if not lost else spread if large else phases:
                yield Cell(sites=sites, entries=entries, lost=gone, bound=FINE, streamed=large)
    if sites in (10, 50):
        lost = int(SHARES[-1] * sites)
        for phase in range(4):
            gone = tuple(lost if place == phase else 0 for place in range(4))
            yield Cell(sites=sites, entries=10_000, lost=gone, bits=32)


EXTENT = {
    3: "no drop-outs: three sites is the least that a sum may rest on",
    10: "1 and 3 of 10 sites, at each phase, at every length; 3 also with noise in the ring of 32 bits, at 10^4",
    50: "5 and 15 of 50 sites, at each phase, at every length; 15 also with noise in the ring of 32 bits, at 10^4",
    466: "46 and 139 of 466 sites, at each phase; at 10^6 entries none, and 46 spread over all phases, vectors added as"
    " they came; the other cells of 466 x 10^6 were not run, for time",
}


def exactness(sites: int) -> Figure:
    """All cells of one number of sites."""
    found = []
    for cell in cells(sites):
        cost = run(cell)
        found.append(cost.exact)
        print(cell.sites, cell.entries, cell.lost, cost, flush=True)
    return Figure(
        name=f"{sites} sites: sums of 300, 10^4 and 10^6 entries equal to plain integers, to the bit",
        value=f"{sum(found)} of {len(found)}",
        goal="all",
        met=all(found),
        reason=f"drop-outs: {EXTENT[sites]}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One peer: who, by which interpreter, with which script."""

    name: str
    variable: str
    script: str

    def run(self, cell: Cell, *, full: bool) -> tuple[dict[str, Any] | None, str]:
        """Return what the peer measured on the same vectors, and why there is nothing."""
        interpreter = os.environ.get(self.variable, "")
        if not interpreter:
            return None, f"{self.name} was not measured: {self.variable} names no interpreter that has it"
        asked = {"sites": cell.sites, "entries": cell.entries, "seed": cell.seed, "full": full}
        try:
            done = subprocess.run(
                [interpreter, str(ROOT / "benchmarks" / "peers" / self.script), json.dumps(asked)],
                check=True,
                capture_output=True,
                text=True,
                timeout=PEER_SECONDS,
            )
        except subprocess.TimeoutExpired:
            return None, f"{self.name} did not finish within {PEER_SECONDS} s"
        except (OSError, subprocess.CalledProcessError) as error:
            return None, f"{self.name} failed: {str(getattr(error, 'stderr', error))[-200:]}"
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        ours = hashlib.sha256()
        for index in range(cell.sites if full else min(cell.sites, 3)):
            ours.update(vector(cell.seed, index, cell.entries).tobytes())
        if answer["vectors"] != ours.hexdigest():
            return None, f"{self.name} drew other vectors, so it cannot be compared"
        return answer, ""


PEERS = (
    Peer(name="Flower SecAgg+", variable="WARDGATE_FLWR", script="secagg_plus.py"),
    Peer(name="TenSEAL CKKS", variable="WARDGATE_TENSEAL", script="ckks_tenseal.py"),
)


def costs(sites: int, entries: int, *, seeds: int, peers: bool, bits: int = 64) -> list[Figure]:
    """Client CPU, hub CPU and bytes of sums without drop-outs, beside the peers on the same vectors."""
    found = [run(Cell(sites=sites, entries=entries, seed=seed, bits=bits)) for seed in range(1, seeds + 1)]
    client = statistics.median(one.client for one in found)
    hub = statistics.median(one.hub for one in found)
    plain = entries * bits // 8
    sent, moved = found[0].sent / plain, found[0].moved / plain
    by_client: dict[str, Value] = {"hub CPU s": round(hub, 4)}
    by_bytes: dict[str, Value] = {"sent and received": round(moved, 3), "bytes sent": found[0].sent}
    reasons = []
    full = sites * entries < 10_000_000
    for peer in PEERS if peers else ():
        answers = []
        for seed in range(1, (seeds if sites <= 10 else 1) + 1):
            answer, reason = peer.run(Cell(sites=sites, entries=entries, seed=seed), full=full)
            answers += [answer] if answer else []
        if not answers:
            reasons.append(reason)
            continue
        theirs = {key: statistics.median(one[key] for one in answers) for key in ("client", "hub", "bytes")}
        by_client[f"{peer.name} client CPU s"] = round(theirs["client"], 4)
        by_client[f"{peer.name} client, times ours"] = round(theirs["client"] / client, 2)
        by_client[f"{peer.name} hub CPU s"] = round(theirs["hub"], 4)
        by_bytes[f"{peer.name}, over 8 bytes an entry"] = round(theirs["bytes"] / (8 * entries), 3)
        error = answers[0]["error"]
        by_client[f"{peer.name} largest error"] = "not measured" if error is None else float(f"{error:.2g}")
    if by_client.keys() - {"hub CPU s"} and sites > 10:
        reasons.append("peers: one seed" + ("" if full else "; of theirs three clients masked, the rest is repeated"))
    shape = f"{sites} sites, {entries:,} entries, ring of {bits} bits"
    timed = bits == 64 and sites == 50 and entries == 1_000_000
    sized = sites <= 50 and entries >= 10_000
    if not all(one.exact for one in found):
        reasons.append("A SUM WAS NOT EXACT")
    return [
        Figure(
            name=f"client CPU: {shape}",
            value=round(client, 4),
            unit="s",
            goal=f"< {GOAL_SECONDS:g} s" if timed else "",
            met=client < GOAL_SECONDS if timed else None,
            seeds=seeds,
            peers=by_client,
            reason="; ".join([*reasons, *(["slower than the goal on this machine"] * (timed and client >= 1))]),
        ),
        Figure(
            name=f"bytes that a client sends, over the plain ring: {shape}",
            value=round(sent, 4),
            goal=f"<= {GOAL_BYTES}" if sized else "",
            met=max(sent, moved) <= GOAL_BYTES if sized else None,
            seeds=seeds,
            peers=by_bytes,
            reason="" if not sized or moved <= GOAL_BYTES else missed_bytes(found[0], plain),
        ),
    ]


def missed_bytes(cost: Cost, plain: int) -> str:
    """Say by how much, and from which length on the goal is met."""
    beside = cost.moved - plain
    return (
        f"{beside:,} bytes beside the vector, sent and received, are more than a tenth of its {plain:,}; the goal is"
        f" met from {math.ceil(beside / (GOAL_BYTES - 1)):,} bytes on"
    )


def encrypted(sites: int, entries: int) -> Figure:
    """Our own sums under encryption (docs/homomorphic.md), where this interpreter has TenSEAL."""
    name = f"wardgate[he], client CPU: {sites} sites, {entries:,} entries"
    roster = Cell(sites=sites, entries=entries).roster
    plan = SumPlan(roster=roster, entries=entries, persons=PERSONS * sites, bound=1.0, context=b"he", coin=COIN)
    signers = {site: Signer(hashlib.sha256(site.encode()).digest()) for site in roster}
    clock = Clock()
    try:
        key = he.make_key()
    except Unsupported as error:
        return Figure(name=name, value=None, unit="s", reason=str(error))
    addends, expected = {}, np.zeros(entries)
    for index, site in enumerate(roster):
        own = vector(1, index, entries)
        expected += own
        given = {"vector": own, "persons_here": PERSONS, "key": key, "signer": signers[site]}
        with clock.of(site):
            addends[site] = he.contribute_encrypted(plan, site=site, entropy=SystemEntropy(), **given)
    with clock.of(HUB):
        total = he.total_encrypted(plan, addends, evaluation=he.evaluation_context(key))
    public = {site: signer.public_key for site, signer in signers.items()}
    opened = {}
    for site in roster[:3]:
        own_sha256 = sha256(addends[site].blob)
        with clock.of("opening"):
            opened[site] = he.decrypt_total(
                plan, site=site, key=key, addends=addends, own_sha256=own_sha256, total=total, public_keys=public
            )
    error = float(np.max(np.abs(he.agreed_total(plan, opened) - expected)))
    return Figure(
        name=name,
        value=round(statistics.median(clock.seconds[site] for site in roster), 4),
        unit="s",
        seeds=1,
        peers={
            "hub CPU s": round(clock.seconds[HUB], 4),
            "one site's check and opening CPU s": round(clock.seconds["opening"] / 3, 4),
            "bytes sent over the plain ring": round(len(addends[roster[0]].blob) / (8 * entries), 3),
            "largest error": float(f"{error:.2g}"),
        },
    )


def main() -> None:
    """Measure and write."""
    figures: list[Figure] = []
    for sites, entries, seeds in ((10, 300, 3), (10, 10_000, 3), (50, 10_000, 3), (50, 1_000_000, 1)):
        figures += costs(sites, entries, seeds=seeds, peers=True)
    for sites, entries in ((3, 10_000), (50, 300), (466, 300), (466, 10_000)):
        figures += costs(sites, entries, seeds=1, peers=False)
    for sites, entries in ((50, 10_000), (50, 1_000_000)):
        figures += costs(sites, entries, seeds=1, peers=False, bits=32)
    figures += [encrypted(10, 10_000), encrypted(50, 10_000)]
    figures += [exactness(sites) for sites in (3, 10, 50, 466)]
    write("sums", figures, COMMAND)


if __name__ == "__main__":
    main()
