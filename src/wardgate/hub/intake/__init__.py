"""Verify, decide again, admit or refuse."""
