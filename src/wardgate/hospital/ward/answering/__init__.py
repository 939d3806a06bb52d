"""A question in, a released answer out."""
