"""The wards of the studies that are asked, each with its own folder; few at a time, since each holds persons."""

from dataclasses import dataclass, field

from wardgate.entropy import Entropy
from wardgate.hospital.spool import FolderSpool
from wardgate.hospital.ward.answering.ward import Ward
from wardgate.hospital.ward.porter.house import House
from wardgate.hospital.ward.porter.register import Proposed, Register

MOST_OPEN = 4
"""Studies whose persons are in memory at once; another one's are read again when it is asked."""


@dataclass(slots=True, kw_only=True)
class Wards:
    """Opens wards and lets them go. A ward remembers everything in its folder, so that it may end at any moment."""

    house: House
    spool: FolderSpool
    entropy: Entropy
    _open: dict[str, Ward] = field(init=False, default_factory=dict)

    def __len__(self) -> int:
        return len(self._open)

    def of(self, study: Proposed, *, on: str) -> Ward:
        """Return the ward of a study; the one that was asked longest ago makes room for a new one.

        Args:
            on: Today, as an ISO date.

        Raises:
            Broken: what the ward remembers of the study does not hold.
        """
        study_sha256 = study.proposal.study_sha256
        ward = self._open.pop(study_sha256, None)
        if ward is None:
            while len(self._open) >= MOST_OPEN:
                self.close(next(iter(self._open)))
            ward = self._opened(study, on=on)
        self._open[study_sha256] = ward
        ward.issued_on = on
        return ward

    def close(self, study_sha256: str) -> None:
        """Let a study's ward go, if it is open."""
        ward = self._open.pop(study_sha256, None)
        if ward is not None:
            ward.close()

    def close_all(self) -> None:
        """Let every ward go."""
        for study_sha256 in list(self._open):
            self.close(study_sha256)

    def _opened(self, study: Proposed, *, on: str) -> Ward:
        house, keys = self.house, study.keys
        folder = Register(house.premises).folder(study.proposal.study_sha256)
        return Ward(
            hospital=house.hospital,
            folder=house.source,
            study_sha256=study.proposal.study_sha256,
            hub_key=house.hub_key,
            phone_book=lambda: keys,
            spool=self.spool,
            entropy=self.entropy,
            seed=study.proposal.seed,
            salt=house.premises.salt.read_bytes(),
            issued_on=on,
            private=folder,
            memory=house.premises.memory,
            signer=house.signer,
            state=folder / "ward",
        )
