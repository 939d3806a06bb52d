"""A hospital's own tables, whose rows a mapping turns into events."""
