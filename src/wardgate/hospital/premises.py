"""A hospital's folder: which part belongs to whom. Two users may own them; the spool alone is shared.

DIR/
  site.yaml    who this is, where its data lie, which hub; public to both
  ward/        the ward's alone: keys, salt, books, memory, studies; may quote patients
  wire/        the wire's alone: TLS key, certificates, the engine's workspace, studies it may carry
  spool/       shared: questions in, answers out, partial transfers
"""

from dataclasses import dataclass
from pathlib import Path

FINAL = 78
"""Exit code of a side (EX_CONFIG of sysexits.h): starting it again is no use until a person has changed something."""


@dataclass(frozen=True, slots=True)
class Premises:
    """Paths below a hospital's folder. Nothing here reads or writes."""

    root: Path

    @property
    def site_file(self) -> Path:
        """Who this is (`records.site_file`)."""
        return self.root / "site.yaml"

    @property
    def ward(self) -> Path:
        """The ward's own folder."""
        return self.root / "ward"

    @property
    def ward_key(self) -> Path:
        """Seed of the ward's long-term signing key (`records.keyring.KeyFile`)."""
        return self.ward / "key.json"

    @property
    def salt(self) -> Path:
        """Secret of the splits, 32 bytes."""
        return self.ward / "salt"

    @property
    def memory(self) -> Path:
        """What the ward keeps over studies."""
        return self.ward / "memory"

    @property
    def studies(self) -> Path:
        """The ward's studies, one folder each, named by the study's SHA-256."""
        return self.ward / "studies"

    @property
    def wire(self) -> Path:
        """The wire's own folder."""
        return self.root / "wire"

    @property
    def tls_key(self) -> Path:
        """Private key of the wire's TLS certificate, PEM."""
        return self.wire / "tls.key"

    @property
    def response(self) -> Path:
        """The hub's signed response to the request to join (`records.enrolment_file`); public, read by both sides."""
        return self.root / "hub.response"

    @property
    def engine(self) -> Path:
        """The engine's workspace on the wire's side."""
        return self.wire / "engine"

    @property
    def spool(self) -> Path:
        """Shared by ward and wire."""
        return self.root / "spool"
