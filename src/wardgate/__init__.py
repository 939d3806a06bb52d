"""Wardgate: the data firewall for hospitals that build diagnostic AI together."""

__version__ = "0.3.0"
