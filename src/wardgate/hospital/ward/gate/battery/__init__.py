"""Measures what wants to leave. One file for each thing an attacker could learn, or a reader could need."""

from wardgate.hospital.ward.gate.battery.corpus import NAMES, Lines, Refit, measure

__all__ = ["NAMES", "Lines", "Refit", "measure"]
