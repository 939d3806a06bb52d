"""What this hospital's persons say of a critic: the sum of their gradients, each cut to one length."""

from wardgate.computations.critic import Critic, real_gradient, shown
from wardgate.hospital.ward.learning.bench import Bench
from wardgate.marginals.domain import encode
from wardgate.records.messages import SplitName
from wardgate.sums.shape import Bounded


def answer(asked: Critic, *, bench: Bench, split: SplitName) -> Bounded:
    """Return this site's addend.

    Raises:
        Invalid: groups or weights do not fit the study.
    """
    shape = asked.shape(bench.study)
    table = bench.part(split).table
    kept = bench.kept.get(Critic.name)
    if kept is None or kept[0] != (split, asked.groups):
        rows = shown(encode(asked.over(bench.study), table), asked.groups)
        kept = bench.kept[Critic.name] = ((split, asked.groups), rows)
    vector = real_gradient(asked.network, asked.weights, kept[1], longest=asked.longest)
    return Bounded(vector=vector, shape=shape, persons=table.height).checked()
