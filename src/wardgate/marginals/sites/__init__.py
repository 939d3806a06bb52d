"""The forest over several hospitals, which tells them apart."""
