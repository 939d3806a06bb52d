"""Releases and questions between ward and wire."""
