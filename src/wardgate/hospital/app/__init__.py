"""Launches ward and wire as processes. Holds no logic of either side."""
