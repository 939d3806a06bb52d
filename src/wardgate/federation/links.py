"""How the hub reaches a hospital: through its wire and spool, whatever process the ward runs in."""

from wardgate.hospital.app.isolated import WardProcess
from wardgate.hospital.spool import FolderSpool, MemorySpool
from wardgate.hospital.ward.answering.ward import Ward
from wardgate.hospital.wire.courier import Courier
from wardgate.records.parcel import Parcel


class LocalLink:
    """Ward, spool and wire in this process."""

    def __init__(self, ward: Ward, *, spool: MemorySpool, hub_key: bytes) -> None:
        self._ward = ward
        self._courier = Courier(
            site=ward.hospital.id,
            study_sha256=ward.study_sha256,
            hub_key=hub_key,
            ward_key=ward.signer.public_key,
            spool=spool,
        )
        self._waiting = ""

    @property
    def public_key(self) -> bytes:
        return self._ward.signer.public_key

    def send(self, parcel: Parcel) -> None:
        self._waiting = self._courier.bring(parcel)

    def receive(self) -> Parcel:
        return self._courier.fetch(self._ward.answer(self._waiting))

    def close(self) -> None:
        """Nothing to do: the ward goes with the process."""


class IsolatedLink:
    """The ward as a process of its own, without a network; only the spool's folder lies between."""

    def __init__(self, process: WardProcess, *, site: str, study_sha256: str, hub_key: bytes) -> None:
        self._process = process
        self._courier = Courier(
            site=site,
            study_sha256=study_sha256,
            hub_key=hub_key,
            ward_key=process.public_key,
            spool=FolderSpool(process.spool),
        )

    @property
    def public_key(self) -> bytes:
        return self._process.public_key

    def send(self, parcel: Parcel) -> None:
        self._process.ring(self._courier.bring(parcel))

    def receive(self) -> Parcel:
        return self._courier.fetch(self._process.wait())

    def close(self) -> None:
        self._process.stop()
