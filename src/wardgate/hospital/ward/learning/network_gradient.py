"""One step of private training: the sum of a secret batch's gradients, each person's cut to one length.

Nothing that a person holds makes this fail: a gradient that is not finite counts as zero.
"""

from wardgate.computations.network_gradient import NetworkGradient
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.networks.installed import require_torch
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: NetworkGradient, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend.

    Raises:
        Invalid: network or weights do not fit the study.
        Unsupported: torch is not installed here.
    """
    shape, architecture = asked.shape(bench.study), asked.over(bench.study)
    require_torch("training a network")
    from wardgate.networks.federated.private import batch_gradient

    part = bench.part(split)
    vector = batch_gradient(
        architecture,
        asked.weights,
        part.x[:, 1:],
        part.y,
        longest=asked.longest,
        probability=asked.probability,
        entropy=bench.entropy,
    )
    return Bounded(vector=vector, shape=shape, persons=len(part.y), probability=asked.probability).checked()
