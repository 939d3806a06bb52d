"""How far hospitals differ from a common logistic model: each says which width of a public menu fits it, by shares.

Two questions. `curvature` asks for the sums of one Newton step at the common coefficients. `shares` brings them and
the pooled Hessian; a hospital answers with its posterior over the menu of `measures.personal`, numbers from 0 that add
up to 1, so no hospital's own coefficients, distance or likelihood is in the sum, and none can outweigh another. Nothing
has to be cut for that.

References: DerSimonian and Laird (1986), Meta-analysis in clinical trials, doi:10.1016/0197-2456(86)90046-2; Laird
    (1978), Nonparametric maximum likelihood estimation of a mixing distribution, doi:10.1080/01621459.1978.10480103.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np

from wardgate.computations.computation import Vector
from wardgate.computations.networks import check_weights, pinned
from wardgate.computations.newton import newton_shape
from wardgate.measures.encoding import design_columns
from wardgate.measures.layers.head import head_columns
from wardgate.measures.personal import MENU, Joint
from wardgate.records.canonical import number_of, text_of
from wardgate.records.errors import Invalid
from wardgate.records.messages import SplitName
from wardgate.records.study import Study
from wardgate.sums.shape import Shape

Wants = Literal["curvature", "shares"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """In which columns a logistic model sees persons: the study's design, or what reaches a network's last layer.

    Attributes:
        network, sha256: Which network of the study; empty for the design.
        weights: All numbers of the network, shape (size,); empty for the design.
    """

    network: str = ""
    sha256: str = ""
    weights: Vector = field(default_factory=lambda: np.zeros(0))

    def columns(self, study: Study) -> int:
        """Return how many columns there are, the intercept being the first.

        Raises:
            Invalid: the study locks no such network, its numbers do not fit, or its last layer is no single unit.
        """
        if not self.network:
            return len(design_columns(study.features))
        architecture = pinned(study, network=self.network, sha256=self.sha256)
        check_weights(architecture, self.weights)
        return head_columns(architecture)

    def parameters(self) -> dict[str, Any]:
        """Return what names the network, as JSON."""
        return {"network": self.network, "sha256": self.sha256}

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        """Return its numbers, where there are any."""
        return (("weights", self.weights),) if self.network else ()

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        """Read what `parameters` and `arrays` wrote.

        Raises:
            Invalid: they name no network, or one without numbers.
        """
        network, digest = parameters.get("network"), parameters.get("sha256")
        if not isinstance(network, str) or not isinstance(digest, str) or bool(network) != ("weights" in arrays):
            raise Invalid("'network' and 'sha256' must be text, and a network brings its 'weights'")
        return cls(network=network, sha256=digest, weights=arrays["weights"] if network else np.zeros(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What hospitals say of the menu, or of the common model's curvature.

    Attributes:
        seen: The columns.
        wants: Which of the two.
        beta: Coefficients of the common model, shape (p,).
        ridge: Of its fit.
        hessian: Of all persons at `beta`, shape (p, p); for `shares` alone.
        shares: Of the menu so far, shape (widths,); for `shares` alone.
        fitted: Sites whose persons the common model was fitted on; for `shares` alone.
    """

    name: ClassVar[str] = "likeness"
    version: ClassVar[int] = 1
    splits: ClassVar[tuple[SplitName, ...]] = ("train",)

    seen: Seen = field(default_factory=Seen)
    wants: Wants
    beta: Vector
    ridge: float
    hessian: Vector = field(default_factory=lambda: np.zeros((0, 0)))
    shares: Vector = field(default_factory=lambda: np.zeros(0))
    fitted: tuple[str, ...] = ()

    def parameters(self) -> dict[str, Any]:
        said = {"wants": self.wants, "ridge": text_of(self.ridge), **self.seen.parameters()}
        return said | ({"fitted": list(self.fitted)} if self.wants == "shares" else {})

    def arrays(self) -> tuple[tuple[str, Vector], ...]:
        more = (("hessian", self.hessian.ravel()), ("shares", self.shares)) if self.wants == "shares" else ()
        return (("beta", self.beta), *more, *self.seen.arrays())

    @classmethod
    def read(cls, parameters: Mapping[str, Any], arrays: Mapping[str, Vector]) -> Self:
        wants: Wants = parameters.get("wants", "")
        if wants not in get_args(Wants):
            raise Invalid("a question about likeness wants 'curvature' or 'shares'")
        names = {"wants", "ridge", "network", "sha256", *(("fitted",) if wants == "shares" else ())}
        brought = {"beta", *(("hessian", "shares") if wants == "shares" else ())}
        if set(parameters) != names or set(arrays) - {"weights"} != brought:
            raise Invalid(f"'{wants}' names {sorted(names)} and brings {sorted(brought)}, a network its weights too")
        ridge, fitted = parameters["ridge"], parameters.get("fitted", [])
        if not isinstance(ridge, str) or not isinstance(fitted, list | tuple):
            raise Invalid("'ridge' must be a number as text, and 'fitted' a list of sites")
        if not all(isinstance(site, str) for site in fitted):
            raise Invalid("'fitted' must be a list of sites")
        seen, beta = Seen.read(parameters, arrays), arrays["beta"]
        if wants == "curvature":
            return cls(seen=seen, wants=wants, beta=beta, ridge=number_of(ridge))
        if arrays["hessian"].size != len(beta) ** 2:
            raise Invalid(f"expected a Hessian of {len(beta)} x {len(beta)} numbers, found {arrays['hessian'].size}")
        return cls(
            seen=seen,
            wants=wants,
            beta=beta,
            ridge=number_of(ridge),
            hessian=arrays["hessian"].reshape(len(beta), len(beta)),
            shares=arrays["shares"],
            fitted=tuple(fitted),
        )

    @property
    def joint(self) -> Joint:
        """The common model.

        Raises:
            Invalid: numbers that make none.
        """
        return Joint(beta=self.beta, hessian=self.hessian, ridge=self.ridge)

    def shape(self, study: Study) -> Shape:
        """As a Newton step; or one posterior a hospital, in which a person moves at most all of it: sqrt(2).

        Raises:
            Invalid: the parameters do not fit the study.
        """
        columns = self.seen.columns(study)
        if self.beta.shape != (columns,):
            raise Invalid(f"'beta' must hold {columns} coefficients, found shape {self.beta.shape}")
        if self.wants == "curvature":
            return newton_shape(columns=columns, l1_of_beta=float(np.abs(self.beta).sum()))
        check_shares(self.shares)
        if not len(self.joint.beta):
            raise Invalid("a common model has coefficients")
        return Shape(bound=np.ones(len(MENU)), l2=float(np.sqrt(2.0)))


def check_shares(shares: Vector) -> None:
    """Check shares of the menu.

    Raises:
        Invalid: another length, negative, or not adding up to 1.
    """
    if shares.shape != (len(MENU),):
        raise Invalid(f"expected {len(MENU)} shares of the menu, found shape {shares.shape}")
    if not (bool(np.all(shares >= 0)) and abs(float(shares.sum()) - 1) < 1e-6):
        raise Invalid("shares are not negative and add up to 1")
