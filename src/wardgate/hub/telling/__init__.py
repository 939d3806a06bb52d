"""From a finished run to the results that the report renders."""

from wardgate.hub.telling.results import results_of

__all__ = ["results_of"]
