"""A hub's folder.

DIR/
  hub.yaml     consortium, host, port
  key.json     seed of the hub's signing key
  ca/          the consortium's certificate authority
  members/     one file a site: its request, its certificate, whether it was revoked
  engine/      the engine's workspaces (server, coordinator) and jobs
  road/        one folder a site: mail out, mail in
  studies/     one folder a study, named by its SHA-256: proposal, decisions, the run's journal
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Home:
    """Paths below a hub's folder. Nothing here reads or writes."""

    root: Path

    @property
    def hub_file(self) -> Path:
        """Consortium, host and port."""
        return self.root / "hub.yaml"

    @property
    def key(self) -> Path:
        """Seed of the hub's signing key (`records.keyring.KeyFile`)."""
        return self.root / "key.json"

    @property
    def authority(self) -> Path:
        """Key and certificate of the consortium's certificate authority."""
        return self.root / "ca"

    @property
    def members(self) -> Path:
        """One file a site."""
        return self.root / "members"

    @property
    def engine(self) -> Path:
        """The engine's workspaces and jobs."""
        return self.root / "engine"

    @property
    def road(self) -> Path:
        """Mail, one folder a site; `partial/` beside them."""
        return self.root / "road"

    def out(self, site: str) -> Path:
        """Mail that waits for a site."""
        return self.road / site / "out"

    def inbox(self, site: str) -> Path:
        """Mail that came from a site."""
        return self.road / site / "in"

    def study(self, study_sha256: str) -> Path:
        """Everything about one study."""
        return self.root / "studies" / study_sha256
