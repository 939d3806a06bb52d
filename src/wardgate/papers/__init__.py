"""Records -> documents for people."""
