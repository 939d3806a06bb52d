"""A training whose model is handed out only if the hospitals let it pass; else a stop with a named alarm."""

from collections.abc import Generator

from wardgate.hub.pooling.ask import Ask, Told
from wardgate.hub.pooling.networks.gather import Alarm
from wardgate.hub.pooling.networks.robust import RobustGather
from wardgate.hub.pooling.networks.rounds import Trained
from wardgate.records.errors import CheckFailed, NotEvaluable


class Stopped(CheckFailed):
    """Training stopped for good reason, and there is no model.

    Attributes:
        alarms: What people must look at; those that stopped it among them.
    """

    def __init__(self, alarms: tuple[Alarm, ...]) -> None:
        self.alarms = alarms
        super().__init__("; ".join(f"{one.kind}: {one.words}" for one in alarms if one.stops))


def trusted(steps: Generator[Ask, Told, Trained], gather: RobustGather) -> Generator[Ask, Told, Trained]:
    """Train, then let all hospitals vote on the finished model.

    Args:
        steps: A training that gathers by `gather`; see `rounds.train`.

    Raises:
        Stopped: too few groups were left, votes were forged, or the finished model does harm.
        WardgateError: what the training raises.
    """
    try:
        trained = yield from steps
    except NotEvaluable:
        if gather.stop is None:
            raise
        raise Stopped((gather.stop,)) from None
    if gather.stop is not None:
        stopping: tuple[Alarm, ...] = (gather.stop,)
    else:
        stopping = yield from gather.confirm(trained.model.vector)
    if stopping:
        known = tuple(one for one in trained.alarms if one not in stopping)
        raise Stopped((*known, *stopping))
    return trained
