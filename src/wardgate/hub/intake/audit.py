"""`wardgate verify`: a finished run, or one file of it, checked by its files alone. No network, no account, no trust.

Every check says what is broken and where. One altered byte anywhere fails, whoever altered it; and what the hub or a
site signed wrongly fails as well, where others' signed records show it.
"""

from dataclasses import dataclass
from pathlib import Path

from wardgate.hub import layout
from wardgate.hub.intake.conversation import follow
from wardgate.hub.intake.corpora import check_corpora, check_releases
from wardgate.hub.intake.reading import Finding, Folder, check_files, open_folder, read_study
from wardgate.hub.intake.recount import check_span
from wardgate.hub.intake.shown import check_results, mismatched_of, read_results
from wardgate.hub.intake.sites import check_hub_head, check_sites
from wardgate.records.canonical import sha256
from wardgate.records.errors import Broken, Invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was checked, and what does not hold.

    Attributes:
        path: The run's folder, or the file inside it.
        study_sha256: As the manifest names it.
        hub_key: The hub's public key, in hexadecimal: who vouches for the run.
        findings: Empty where everything holds.
        checked: What was checked, with counts.
        notes: What was not checked, and why.
    """

    path: Path
    study_sha256: str
    hub_key: str
    findings: tuple[Finding, ...]
    checked: tuple[tuple[str, int], ...]
    notes: tuple[str, ...]

    @property
    def hub_key_id(self) -> str:
        """SHA-256 of the hub's public key."""
        return sha256(bytes.fromhex(self.hub_key)) if self.hub_key else ""

    def raise_if_broken(self) -> None:
        """Stop where something does not hold.

        Raises:
            Broken: names the first finding, and how many more there are.
        """
        if self.findings:
            more = f" (and {len(self.findings) - 1} more)" if len(self.findings) > 1 else ""
            raise Broken(f"{self.findings[0]}{more}")


def is_run(path: Path) -> bool:
    """Whether a folder is a finished run, or what is left of one."""
    return (path / layout.ROSTER).is_file() or ((path / layout.MANIFEST).is_file() and (path / "evidence").is_dir())


def audit(root: Path, *, key: bytes | None = None) -> Audit:
    """Check a whole run.

    Args:
        root: The run's folder.
        key: The hub's public key, where the auditor knows it from elsewhere. Without it a run is checked to be
            consistent in itself, under the keys that lie in it.

    Raises:
        Invalid: the folder is no run.
    """
    if not is_run(root):
        raise Invalid(f"{root} is no run of Wardgate: expected {layout.MANIFEST} and {layout.ROSTER} in it")
    folder = open_folder(root, key=key)
    check_files(folder)
    study = read_study(folder)
    transcript = not (folder.entries.keys() & {layout.RESULTS, layout.REPORT, layout.CATALOGUE})
    results = None if transcript else read_results(folder)
    if transcript:
        folder.notes.append("a transcript without results: the conversation is checked, and no figure is shown in it")
    if study is not None and folder.keys and folder.entries:
        corpora = {} if transcript else check_corpora(folder, study)
        talk = follow(folder, study)
        check_hub_head(folder)
        if talk.whole:
            check_sites(folder, talk, study)
            for split, sites in check_span(talk.opened, persons=talk.persons, study=study).items():
                what = f"together they give away {sites}: fewer than three sites, or too few persons"
                folder.find(f"exact sums on '{split}'", what)
            with folder.at(layout.ROSTER if transcript else layout.CATALOGUE):
                check_releases(folder, talk, corpora, mismatched_of(talk, study), study)
            if results is not None:
                check_results(folder, results, talk, study)
    return report(folder, root)


def report(folder: Folder, path: Path) -> Audit:
    """Return what was found in a folder."""
    return Audit(
        path=path,
        study_sha256=folder.study_sha256,
        hub_key=folder.keys.get(layout.HUB, b"").hex(),
        findings=tuple(folder.findings),
        checked=tuple(folder.checked.items()),
        notes=tuple(folder.notes),
    )
