"""Timelines from noisy sums over persons: who they are by the marginal family, how they run by transitions."""
