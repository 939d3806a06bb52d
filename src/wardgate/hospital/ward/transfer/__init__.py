"""A model against the locked test."""
