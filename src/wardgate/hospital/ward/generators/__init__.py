"""Synthetic-data generators, one file each; none knows another."""
