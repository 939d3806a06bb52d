"""OMOP CDM 5.3 and 5.4 as events: from files, a DuckDB file or PostgreSQL."""
