"""A cohort from one table in files, one row an entry, by the hospital's own mapping."""
