"""The wire's side of the federation engine, NVIDIA FLARE. Nothing else in a hospital imports it."""
