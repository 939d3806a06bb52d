"""A hub's folder for tests: its key, and members without certificates."""

from pathlib import Path

from wardgate.hub.home import Home
from wardgate.records.keyring import KeyFile
from wardgate.records.member_file import Issued, MemberFile

HUB_SEED = "07" * 32


def enlist(home: Home, site: str, public_key: bytes, *, revoked_on: str | None = None) -> None:
    """Admit a site without its certificates."""
    issued = Issued(
        serial="1",
        sha256="0" * 64,
        tls_key="0" * 64,
        not_before="2026-01-01T00:00:00Z",
        not_after="2027-01-01T00:00:00Z",
        pem="",
    )
    member = MemberFile(
        site=site,
        public_key=public_key.hex(),
        request="",
        request_sha256="0" * 64,
        contact="",
        compared=True,
        admitted_on="2026-01-01T00:00:00Z",
        certificates=(issued,),
        revoked_on=revoked_on,
    )
    (home.members / f"{site}.json").write_bytes(member.to_bytes())


def found_hub(root: Path, *, seed: str = HUB_SEED) -> Home:
    """Make a hub's folder with a key."""
    home = Home(root)
    for folder in (root, home.members, home.road, home.engine, root / "studies"):
        folder.mkdir(mode=0o700)
    home.key.write_bytes(KeyFile(name="hub", role="hub", seed=seed).to_bytes())
    return home
