"""Opens the hospital's files: the only code that does."""
