"""The algorithms that train a network over hospitals, each as what a hospital does and what the hub does with it.

References: McMahan et al. (2017), FedAvg, arXiv:1602.05629; Li et al. (2020), FedProx, arXiv:1812.06127; Karimireddy
    et al. (2020), SCAFFOLD, arXiv:1910.06378; Reddi et al. (2020), FedAdam and FedYogi, arXiv:2003.00295; Li et al.
    (2021), FedBN, arXiv:2102.07623; Li et al. (2021), Ditto, arXiv:2012.04221; Arivazhagan et al. (2019), FedPer,
    arXiv:1912.00818; Chang et al. (2018), Distributed deep learning networks among institutions for medical imaging,
    doi:10.1093/jamia/ocy017 (cyclic weight transfer).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any, Self

from wardgate.computations.network_update import Work
from wardgate.hub.pooling.leave_out import SMALLEST_BLOCK, blocks
from wardgate.hub.pooling.networks.servers import Adaptive, Average, Server
from wardgate.measures.layers.tensors import tensors
from wardgate.records.canonical import canonical, sha256
from wardgate.records.errors import Invalid
from wardgate.records.network import Architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """How a network is trained. Public, and part of a checkpoint's digest.

    Attributes:
        name: As users ask for it.
        work: What a hospital does in a round.
        server: What the hub makes of the mean change.
        cyclic: Whether the weights travel from block to block within a round.
        smallest_block: Hospitals in a block at least; fewer than three only over tables in the open.
    """

    name: str
    work: Work = field(default_factory=Work)
    server: Server = field(default_factory=Average)
    cyclic: bool = False
    smallest_block: int = SMALLEST_BLOCK

    def __post_init__(self) -> None:
        if self.smallest_block < 1:
            raise Invalid(f"expected a smallest block of at least 1, found {self.smallest_block}")
        if self.cyclic and self.work.scaffold:
            raise Invalid("control variates belong to one mean over all hospitals, not to weights that travel")

    @property
    def whole(self) -> bool:
        """Whether the common weights predict by themselves, without what stays at the hospitals."""
        return not self.work.stays

    @property
    def sha256(self) -> str:
        """Digest of everything in it."""
        return sha256(canonical(self.plain()))

    def plain(self) -> dict[str, Any]:
        """Return it as JSON, numbers that are no integers as text."""
        return {
            "name": self.name,
            "work": self.work.plain(),
            "server": self.server.plain(),
            "cyclic": self.cyclic,
            "smallest_block": self.smallest_block,
        }

    def working(self, **changes: Any) -> Self:
        """Return it with other settings of the hospitals' work."""
        return replace(self, work=replace(self.work, **changes))

    def check(self, architecture: Architecture) -> None:
        """Check that it makes sense for a network.

        Raises:
            Invalid: norms shall stay at the hospitals and there are none.
        """
        norms = any(tensor.role in ("scale", "shift", "mean", "variance") for tensor in tensors(architecture))
        if "norms" in self.work.stays and not norms:
            raise Invalid(
                f"'{self.name}' keeps norms at the hospitals, and this network has none: it would be FedAvg; add"
                " 'batch_norm' or 'group_norm' layers, or choose 'fedavg'"
            )

    def turns(self, sites: tuple[str, ...], *, coin: str) -> tuple[tuple[str, ...], ...]:
        """Return who is asked in a round, one after the other: everybody at once, or block by block.

        Too few hospitals for two blocks are one block, which makes cyclic training FedAvg.

        Args:
            coin: Public randomness that divides hospitals into blocks.
        """
        if not self.cyclic or len(sites) < 2 * self.smallest_block:
            return (tuple(sorted(sites)),)
        return blocks(sites, coin=coin, most=len(sites) // self.smallest_block, least=self.smallest_block)


_LIST = (
    Algorithm(name="fedavg"),
    Algorithm(name="fedprox", work=Work(towards=0.1)),
    Algorithm(name="scaffold", work=Work(scaffold=True)),
    Algorithm(name="fedadam", server=Adaptive(rule="adam")),
    Algorithm(name="fedyogi", server=Adaptive(rule="yogi")),
    Algorithm(name="fedbn", work=Work(stays=("norms",))),
    Algorithm(name="ditto", work=Work(personal=0.1)),
    Algorithm(name="local-head", work=Work(stays=("head",))),
    Algorithm(name="cyclic", cyclic=True),
)

ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType({one.name: one for one in _LIST})
"""Every algorithm by name, with the defaults of docs/networks/training.md."""


def algorithm_of(name: str, **work: Any) -> Algorithm:
    """Return an algorithm by name, with other settings of the hospitals' work where given.

    Raises:
        Invalid: there is no such algorithm or setting, or a setting is out of range.
    """
    strangers = sorted(work.keys() - {one.name for one in fields(Work)})
    if strangers:
        raise Invalid(f"a hospital's work has no setting '{strangers[0]}'")
    if name not in ALGORITHMS:
        raise Invalid(f"there is no algorithm '{name}'; choose one of {', '.join(ALGORITHMS)}, or 'auto'")
    return ALGORITHMS[name].working(**work) if work else ALGORITHMS[name]
