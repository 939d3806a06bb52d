"""Is an inverted outcome found, and nobody named without reason?

make bench NAME=definitions       (real data, where present: WARDGATE_DATA, default ../shared/data)
"""

import os
import tempfile
from pathlib import Path

import yaml
from harness import ROOT, Figure, write

from wardgate.federation.local import Settings, find_hospitals, run_study
from wardgate.hub.chain import Run, Steps
from wardgate.records.study import Study
from wardgate.records.study_file import parse
from wardgate.simulate.divide import divide, mapping_beside
from wardgate.simulate.hospitals import build

DATA = Path(os.environ.get("WARDGATE_DATA", ROOT.parent / "shared" / "data"))
TODAY = "2026-01-01"
SEEDS = 100


def named(study: Study, homes: dict[str, Path], seed: int) -> tuple[set[str], set[str]]:
    """Return the sites that the definition check names, and those that it could judge."""

    def course(run: Run) -> Steps:
        yield from run.review()
        yield from run.check_definitions()

    with tempfile.TemporaryDirectory() as work:
        settings = Settings(seed=seed, issued_on=TODAY)
        run = run_study(study=study, hospitals=homes, settings=settings, work=Path(work), course=course).run
    return set(run.named), {found.site for found in run.definitions if found.value is not None}


def invert(home: Path, label: str) -> None:
    """Swap what a hospital's mapping takes as the outcome and as its absence."""
    path = home / "mapping.yaml"
    mapping = yaml.safe_load(path.read_text(encoding="utf-8"))
    source = mapping["labels"][label]
    source["positive"], source["negative"] = source["negative"], source["positive"]
    path.write_text(yaml.safe_dump(mapping, allow_unicode=True), encoding="utf-8")


def simulated() -> list[Figure]:
    """Six simulated hospitals, one of 1,800 persons inverted; then the same with its mapping put right."""
    found = others = clean = 0
    for seed in range(1, SEEDS + 1):
        with tempfile.TemporaryDirectory() as folder:
            made = build(Path(folder), seed=seed)
            study = parse(made.study.read_text(encoding="utf-8"), name="study.yaml")
            homes = find_hospitals(Path(folder), study)
            (inverted,) = made.inverted
            names, _ = named(study, homes, seed)
            found += inverted in names
            others += bool(names - {inverted})
            invert(homes[inverted], study.label.name)
            names, _ = named(study, homes, seed)
            clean += bool(names)
    return [
        Figure(
            name="simulated hospitals: planted inverted hospital (1,800 persons of 22,000) found",
            value=found,
            unit=f"of {SEEDS} seeds",
            goal="100 of 100",
            met=found == SEEDS,
            seeds=SEEDS,
            peers={"seeds in which another hospital was named as well": others},
            reason="" if found == SEEDS else "its interval reached one half",
        ),
        Figure(
            name="simulated hospitals: clean studies in which anybody is named",
            value=clean,
            unit=f"of {SEEDS} seeds",
            goal="at most 1 of 100",
            met=clean <= 1,
            seeds=SEEDS,
            reason="" if clean <= 1 else "chance",
        ),
    ]


def real() -> list[Figure]:
    """IST by country: each country that can be judged inverted in turn."""
    path = ROOT / "examples/ist/country.yaml"
    study = parse(path.read_text(encoding="utf-8"), name=path.name)
    with tempfile.TemporaryDirectory() as folder:
        divide(DATA / "ist_stroke", study, mapping_beside(path), Path(folder))
        homes = find_hospitals(Path(folder), study)
        clean, judged = named(study, homes, 1)
        found, wrong, missed = 0, 0, []
        for site in sorted(judged):
            invert(homes[site], study.label.name)
            names, _ = named(study, homes, 1)
            invert(homes[site], study.label.name)
            found += site in names
            wrong += bool(names - {site})
            if site not in names:
                missed.append(site)
    return [
        Figure(
            name="IST by country: each judged country inverted in turn, found",
            value=found,
            unit=f"of {len(judged)} countries",
            seeds=1,
            peers={"another country named as well": wrong, "named in the clean study": len(clean)},
            reason=f"too small for their interval to clear one half: {', '.join(missed)}" if missed else "",
        )
    ]


if __name__ == "__main__":
    write("definitions", simulated() + real(), "make bench NAME=definitions")
