"""The hub's side of the federation engine, NVIDIA FLARE. Nothing else at the hub imports it."""
