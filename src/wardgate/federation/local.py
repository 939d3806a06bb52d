"""All hospitals and the hub on one machine: the same drivers and answers as between real machines."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardgate.entropy import Entropy, source
from wardgate.federation.carrier import Link, Links
from wardgate.federation.links import IsolatedLink, LocalLink
from wardgate.federation.reference import pooled_fit
from wardgate.federation.session import Federation, Finished, OnEvent, whole_chain
from wardgate.hospital.app.isolated import check_isolation, launch
from wardgate.hospital.spool import MemorySpool
from wardgate.hospital.ward.answering.ward import Ward
from wardgate.hub.chain import Run, Steps
from wardgate.hub.exchange import Exchange
from wardgate.records.canonical import sha256
from wardgate.records.envelope import Signer
from wardgate.records.errors import Invalid
from wardgate.records.mapping import Hospital, parse_hospital
from wardgate.records.study import Study

__all__ = ["Finished", "Settings", "find_hospitals", "local", "run_study"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a run is made.

    Attributes:
        seed: For everything repeatable. Noise and keys come from the operating system all the same.
        issued_on: Today, as an ISO date.
        isolate: Run every ward as a process without a network.
        reference: Also fit the centralised comparator, which no real consortium could.
        workers: Hospitals that work at the same time.
        memory: A folder in which each hospital keeps what it must remember over studies; None remembers nothing.
        unsafe_entropy_seed: Tests only: repeatable keys and noise; a run made with it never verifies.
        salts: Secrets of the splits by site, where the hospitals have their own; without, they follow from the seed.
    """

    seed: int
    issued_on: str
    isolate: bool = False
    reference: bool = False
    workers: int = 2
    memory: Path | None = None
    unsafe_entropy_seed: str | None = None
    salts: Mapping[str, bytes] | None = None

    def entropy(self, whose: str) -> Entropy:
        """Return the source of keys and noise of one party."""
        seed = self.unsafe_entropy_seed
        return source(unsafe_seed=None if seed is None else f"{seed}/{whose}")

    def memory_of(self, site: str) -> Path | None:
        """Return a hospital's private folder over studies, made where it is missing."""
        if self.memory is None:
            return None
        folder = self.memory / site
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder.resolve()

    def salt(self, site: str) -> bytes:
        """Return the secret of a simulated site's splits, which makes its splits repeatable."""
        if self.salts is not None:
            return self.salts[site]
        return bytes.fromhex(sha256(f"wardgate/simulated-salt/{self.seed}/{site}".encode()))


def find_hospitals(folder: Path, study: Study) -> dict[str, Path]:
    """Return the folder of each of the study's hospitals.

    Raises:
        Invalid: a folder or its `hospital.yaml` is missing, or names another hospital.
    """
    found = {}
    for site in study.sites:
        home = folder / site
        if _hospital(home).id != site:
            raise Invalid(f"{home.name}/hospital.yaml names another hospital; expected id: {site}")
        found[site] = home
    return found


def _hospital(folder: Path) -> Hospital:
    path = folder / "hospital.yaml"
    if not path.is_file():
        raise Invalid(f"no data for the study's site '{folder.name}': {folder.name}/hospital.yaml is missing")
    return parse_hospital(path.read_text(encoding="utf-8"), name=f"{folder.name}/hospital.yaml")


def run_study(
    *,
    study: Study,
    hospitals: Mapping[str, Path],
    settings: Settings,
    work: Path,
    on_event: OnEvent = lambda _, __: None,
    course: Callable[[Run], Steps] = Run.steps,
) -> Finished:
    """Run the whole chain of a locked study over hospitals on this machine.

    Args:
        hospitals: Folder of each site's data.
        work: An empty private folder for spools, private logs and ledgers; not part of what is shared.
        course: The steps to take, the whole chain by default; benchmarks take a part of it.

    Raises:
        CheckFailed: fewer than three hospitals can take part.
        Unsupported: `isolate` on a system that forbids it.
        Broken: evidence between hub and hospitals does not hold.
    """
    with _opened(study=study, hospitals=hospitals, settings=settings, work=work, on_event=on_event) as federation:
        return whole_chain(
            federation,
            seed=settings.seed,
            issued_on=settings.issued_on,
            pooled=_pooled(study, hospitals, settings) if settings.reference else None,
            course=course,
        )


@contextmanager
def local(
    *,
    study: Study,
    hospitals: Mapping[str, Path],
    settings: Settings,
    work: Path,
    on_event: OnEvent = lambda _, __: None,
) -> Iterator[Federation]:
    """Open a study over hospitals on this machine, enrolled and introduced to each other.

    Args:
        hospitals: Folder of each site's data.
        work: An empty private folder for spools, private logs and ledgers; not part of what is shared.

    Raises:
        CheckFailed: fewer than three hospitals can take part.
        Unsupported: `isolate` on a system that forbids it.
    """
    with _opened(study=study, hospitals=hospitals, settings=settings, work=work, on_event=on_event) as federation:
        federation.enrol()
        yield federation


@contextmanager
def _opened(
    *, study: Study, hospitals: Mapping[str, Path], settings: Settings, work: Path, on_event: OnEvent
) -> Iterator[Federation]:
    study_sha256 = sha256(study.to_bytes())
    signer = Signer(settings.entropy("hub").bytes(32))
    with (
        _links(hospitals, study_sha256, signer.public_key, settings, work) as links,
        ThreadPoolExecutor(max_workers=settings.workers) as pool,
    ):
        exchange = Exchange(
            study=study,
            study_sha256=study_sha256,
            signer=signer,
            site_keys={site: link.public_key for site, link in links.items()},
            unsafe_accept_test_noise=settings.unsafe_entropy_seed is not None,
        )
        yield Federation(exchange=exchange, carrier=Links(links, pool), on_event=on_event)


def _pooled(
    study: Study, hospitals: Mapping[str, Path], settings: Settings
) -> Callable[[tuple[str, ...], float], NDArray[np.float64]]:
    salts = {site: settings.salt(site) for site in hospitals}
    return lambda sites, ridge: pooled_fit(
        study=study, hospitals={site: hospitals[site] for site in sites}, salts=salts, ridge=ridge
    )


@contextmanager
def _links(
    hospitals: Mapping[str, Path], study_sha256: str, hub_key: bytes, settings: Settings, work: Path
) -> Iterator[dict[str, Link]]:
    links: dict[str, Link] = {}
    try:
        if settings.isolate:
            check_isolation()
            _check_memory(hospitals)
            links.update(_isolated(hospitals, study_sha256, hub_key, settings, work))
        else:
            links.update(_local(hospitals, study_sha256, hub_key, settings, work))
        yield links
    finally:
        for link in links.values():
            link.close()


def _local(
    hospitals: Mapping[str, Path], study_sha256: str, hub_key: bytes, settings: Settings, work: Path
) -> dict[str, Link]:
    phone_book: dict[str, bytes] = {}
    links: dict[str, Link] = {}
    for site, folder in hospitals.items():
        home = work / site
        home.mkdir(mode=0o700)
        spool = MemorySpool()
        ward = Ward(
            hospital=_hospital(folder),
            folder=folder,
            study_sha256=study_sha256,
            hub_key=hub_key,
            phone_book=lambda: phone_book,
            spool=spool,
            entropy=settings.entropy(site),
            seed=settings.seed,
            salt=settings.salt(site),
            issued_on=settings.issued_on,
            private=home,
            memory=settings.memory_of(site),
            durable=False,
        )
        phone_book[site] = ward.signer.public_key
        links[site] = LocalLink(ward, spool=spool, hub_key=hub_key)
    return links


def _isolated(
    hospitals: Mapping[str, Path], study_sha256: str, hub_key: bytes, settings: Settings, work: Path
) -> Iterator[tuple[str, Link]]:
    """Start the wards and yield each as it runs, so that they can be ended when a later one does not start."""
    processes = {}
    for site, folder in hospitals.items():
        home = work / site
        home.mkdir(mode=0o700)
        seed = None if settings.unsafe_entropy_seed is None else f"{settings.unsafe_entropy_seed}/{site}"
        processes[site] = launch(
            site=site,
            folder=folder.resolve(),
            home=home.resolve(),
            study_sha256=study_sha256,
            hub_key=hub_key,
            seed=settings.seed,
            salt=settings.salt(site),
            issued_on=settings.issued_on,
            memory=settings.memory_of(site),
            unsafe_entropy_seed=seed,
        )
        yield site, IsolatedLink(processes[site], site=site, study_sha256=study_sha256, hub_key=hub_key)
    phone_book = {site: process.public_key for site, process in processes.items()}
    for process in processes.values():
        process.introduce(phone_book)


MOST_ISOLATED = 60
"""Ward processes on one machine; each takes about 200 MB."""


def _check_memory(hospitals: Mapping[str, Path]) -> None:
    if len(hospitals) > MOST_ISOLATED:
        raise Invalid(
            f"--isolate starts a process of about 200 MB for each hospital; {len(hospitals)} are more than"
            f" {MOST_ISOLATED}. Run without it, or choose a study with fewer sites"
        )
