"""Described networks as torch modules: built from their document, read from a user's module, and trained.

The document is `records.network.Architecture`, the weights one flat float64 vector (`measures.layers.tensors`).
"""
