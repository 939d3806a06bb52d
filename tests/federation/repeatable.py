"""Ask everything that drivers ask, and print the digest of each driver's questions: a test runs this in two processes.

Names of sites lie in sets and dictionaries all over the drivers, and Python orders those anew in every process. A hub
that goes on after it was killed is another process.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from made_road import write_hospitals
from smallest import STUDY

from wardgate.federation.estimators import (
    FederatedGan,
    FederatedGradientBoostingClassifier,
    FederatedLogisticRegression,
)
from wardgate.federation.local import Settings, find_hospitals, local, run_study
from wardgate.federation.session import Federation
from wardgate.hub.exchange import Exchange
from wardgate.hub.pooling.joint_gan import GanSettings
from wardgate.measures.boosting import Growth
from wardgate.records.canonical import sha256
from wardgate.records.errors import CheckFailed, NotEvaluable
from wardgate.records.study_file import parse

SITES = tuple(f"h{place}" for place in range(7))
ANALYSES = "analyses: [glm, boosting_bins, boosting_histograms, boosting_leaves, boosting_loss, critic]\n"
BUDGET = "budget: {epsilon_total: 8.0, joint_corpus: 2.0}\n"
SMALL_GAN = GanSettings(rounds=3, hidden=(4,), generator_hidden=8, generator_noise=4, batch=200, fakes=300)


def questions(exchange: Exchange) -> str:
    """The digest of every question, in their order, and their number."""
    asked = [kept.parcel.envelope for kept in exchange.store if kept.party == "hub"]
    return f"{len(asked)} {sha256(b''.join(asked))}"


def main() -> None:
    """Print a line for every driver."""
    settings = Settings(seed=1, issued_on="2026-01-02", unsafe_entropy_seed="the same")
    fits: dict[str, Callable[[Federation], object]] = {
        "glm": lambda one: FederatedLogisticRegression().fit(one, one.study),
        "boosting": lambda one: FederatedGradientBoostingClassifier(growth=Growth(trees=2, depth=2)).fit(
            one, one.study
        ),
        "private boosting": lambda one: FederatedGradientBoostingClassifier(epsilon=2.0).fit(one, one.study),
        "gan": lambda one: FederatedGan(settings=SMALL_GAN).fit(one, one.study),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hospitals = write_hospitals(folder / "hospitals", SITES)
        for drop_out in ("", "drop_out: 0.3\n"):
            text = STUDY.replace("SITES", ", ".join(SITES)) + drop_out + ANALYSES + BUDGET
            study = parse(text, name="study.yaml")
            found = find_hospitals(hospitals, study)
            work = folder / f"chain{len(drop_out)}"
            work.mkdir()
            finished = run_study(study=study, hospitals=found, settings=settings, work=work)
            print(f"chain {drop_out.strip()} {questions(finished.exchange)}")
            for what, fit in fits.items():
                work = folder / f"{what}{len(drop_out)}"
                work.mkdir()
                with local(study=study, hospitals=found, settings=settings, work=work) as federation:
                    try:
                        fit(federation)
                        ended = "fitted"
                    except (CheckFailed, NotEvaluable) as error:
                        ended = str(error)
                    print(f"{what} {drop_out.strip()} {questions(federation.exchange)} {ended}")


if __name__ == "__main__":
    main()
