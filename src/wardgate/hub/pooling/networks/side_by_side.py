"""Personal models side by side, as the hub may see them: rounded figures by hospital, and how far hospitals differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from wardgate.computations.likeness import Likeness
from wardgate.computations.personal import Personal
from wardgate.records.canonical import number_of
from wardgate.records.messages import Answer, SplitName


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """A common logistic model and how far hospitals differ from it.

    Attributes:
        likeness: What every hospital needs to make its own from it.
        sites: Whose persons it was fitted on, and who said how alike they are.
        variance: Mean variance of slopes between hospitals, in units of what one person at even odds tells.
        rounds, bytes_moved: Sums asked for, and bytes both ways.
    """

    likeness: Likeness
    sites: tuple[str, ...]
    variance: float
    rounds: int
    bytes_moved: int

    @property
    def alike(self) -> float:
        """Share of hospitals for which the common model is the right one as it is."""
        return float(self.likeness.shares[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFigures:
    """What one hospital said of its models.

    Attributes:
        figures: By name, rounded; empty where it refused.
        enough: Whether it has 20 events and 20 non-events.
        took: By prefix, which model its shrunk one is.
        refusal: Why there are no figures.
    """

    figures: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    enough: bool = False
    took: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Personalised:
    """Personal models side by side.

    Attributes:
        commons: By prefix.
        asked: What the hospitals made and compared.
        split: On whose persons.
        sites: By hospital.
    """

    commons: Mapping[str, Common]
    asked: Personal
    split: SplitName
    sites: Mapping[str, SiteFigures]

    def best(self, site: str) -> str:
        """Return the model with the least log-loss at a hospital; the first of equals; empty where none was shown."""
        figures = self.sites[site].figures
        shown = [name for name in self.asked.models if f"{name}.log_loss" in figures]
        return min(shown, key=lambda name: figures[f"{name}.log_loss"], default="")

    def worse(self, model: str, *, by: str = "gain") -> tuple[str, ...]:
        """Return hospitals with enough events where a model is worse than the better of its two, for certain.

        Args:
            by: `gain` (AUROC) or `loss_gain` (log-loss).
        """
        return tuple(
            site
            for site, said in sorted(self.sites.items())
            if said.enough and said.figures.get(f"{model}.{by}_worse") == 1
        )

    @property
    def judged(self) -> tuple[str, ...]:
        """Hospitals with at least 20 events and 20 non-events."""
        return tuple(site for site, said in sorted(self.sites.items()) if said.enough)


def read_site(answer: Answer | None, refusal: str = "") -> SiteFigures:
    """Read one hospital's signed answer."""
    if answer is None or answer.outcome != "released":
        return SiteFigures(refusal=refusal or "did not answer")
    said = answer.statement
    return SiteFigures(
        figures={str(name): number_of(text) for name, text in said["figures"].items()},
        enough=said.get("enough") is True,
        took={str(prefix): str(one) for prefix, one in said.get("took", {}).items()},
    )
