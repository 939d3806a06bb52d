"""One round of training a network on this hospital's persons: how far they moved the common weights.

A hospital that could not train answers zeros and counts for nothing, so that the sum of the others still opens. Where
hospitals count by persons, and so nothing has noise, it says in one word how it went; else it says nothing.
"""

import numpy as np
from numpy.typing import NDArray

from wardgate.computations.network_update import LARGEST_LOSS, NetworkUpdate, moves, shared
from wardgate.computations.networks import LARGEST_WEIGHT
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.networks.federated.own import State
from wardgate.networks.installed import require_torch
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded

KINDS = ("control", "stays", "personal")
"""What a hospital keeps of a network."""


def key_of(*, network: str, sha256: str, kind: str) -> str:
    """Return the name under which a hospital keeps its own numbers of a network; `State` reads them."""
    return f"network/{network}/{sha256[:16]}/{kind}"


def answer(asked: NetworkUpdate, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend.

    Raises:
        Invalid: network or weights do not fit the study.
        Refused: the weights of an exact sum were made to hold single persons.
        Broken: what this hospital kept of the network cannot be read.
        Unsupported: torch is not installed here.
    """
    shape, architecture, work = asked.shape(bench.study), asked.over(bench.study), asked.work
    if work.weighing == "persons":
        # Such sums are exact. Where every hospital counts for one, whoever knows of noise checks.
        asked.check_exact(bench.study)
    require_torch("training a network")
    from wardgate.networks.federated.descent import Steps
    from wardgate.networks.federated.local import Own, Plan, train

    part = bench.part(split)
    where = shared(architecture, work.stays)
    used = {"control": work.scaffold, "stays": bool(work.stays), "personal": work.personal is not None}
    sizes = {"control": len(where), "stays": int((~where).sum()), "personal": len(where)}
    begun = {kind: _begun(asked, bench, kind, sizes[kind]) if used[kind] else None for kind in KINDS}
    steps = Steps(
        count=work.steps,
        batch=work.batch,
        optimiser=work.optimiser,
        rate=work.rate,
        momentum=work.momentum,
        decay=work.decay,
        pull=work.towards,
    )
    found = train(
        architecture,
        asked.weights,
        part.x[:, 1:],
        part.y,
        plan=Plan(
            steps=steps,
            shared=where,
            control=asked.control if work.scaffold else None,
            personal=work.personal,
            longest=work.longest,
            largest=LARGEST_WEIGHT,
            loss_cut=LARGEST_LOSS,
        ),
        own=Own(**begun),
        rng=bench.rng(f"network/{asked.network}/{asked.sha256}/{asked.number}"),
    )
    trained = found.outcome == "trained"
    left = {"control": found.own.control, "stays": found.own.stays, "personal": found.own.personal}
    for kind in (kind for kind in KINDS if used[kind]):
        _keep(asked, bench, kind, begun[kind], left[kind] if trained else None)
    persons = len(part.y)
    if work.weighing == "sites":
        return Bounded(vector=found.change[where], shape=shape, persons=persons).checked()
    weight = float(persons) if trained else 0.0
    control = found.control[moves(architecture, work.stays)] if work.scaffold else np.zeros(0)
    vector = np.concatenate([weight * found.change[where], weight * control, [weight, found.before, found.after]])
    few = min(int(part.y.sum()), persons - int(part.y.sum())) < bench.study.gate.small_cells.min_count
    said = "one-class" if trained and few else found.outcome
    return Bounded(vector=vector, shape=shape, persons=persons, said={"training": said}).checked()


def _begun(asked: NetworkUpdate, bench: Bench, kind: str, size: int) -> NDArray[np.float64] | None:
    """Return what this round begins with; None where it begins anew, or where another part of the network stayed."""
    raw = bench.own.get(key_of(network=asked.network, sha256=asked.sha256, kind=kind))
    found = None if raw is None else State.from_bytes(raw).begins(asked.number)
    return None if found is None or len(found) != size else found


def _keep(
    asked: NetworkUpdate,
    bench: Bench,
    kind: str,
    begun: NDArray[np.float64] | None,
    left: NDArray[np.float64] | None,
) -> None:
    """Keep what a round left. One that sat out keeps what was there, but a new run never goes on from an old one."""
    key = key_of(network=asked.network, sha256=asked.sha256, kind=kind)
    if left is not None:
        bench.own[key] = State(number=asked.number, before=begun, now=left).to_bytes()
    elif asked.number == 0:
        bench.own.pop(key, None)
