"""Simulated hospitals with known truth."""
