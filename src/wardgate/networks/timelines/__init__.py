"""The autoregressive network for timelines."""
