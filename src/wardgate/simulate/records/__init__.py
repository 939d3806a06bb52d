"""Simulated hospital records in OMOP CDM 5.4, with known truth, and errors to plant into them."""
