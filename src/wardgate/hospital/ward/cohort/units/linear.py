"""One linear conversion."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear:
    """`value * factor + offset` is the value in the study's unit."""

    factor: float = 1.0
    offset: float = 0.0

    @property
    def changes(self) -> bool:
        """Whether anything is converted at all."""
        return self.factor != 1.0 or self.offset != 0.0

    def then(self, after: "Linear") -> "Linear":
        """Return both, `after` last."""
        return Linear(factor=self.factor * after.factor, offset=self.offset * after.factor + after.offset)

    def back(self) -> "Linear":
        """Return the way back."""
        return Linear(factor=1 / self.factor, offset=-self.offset / self.factor)
