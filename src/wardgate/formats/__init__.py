"""A corpus in the forms that others read: Parquet, CSV, OMOP, MEDS, and its Croissant card."""
