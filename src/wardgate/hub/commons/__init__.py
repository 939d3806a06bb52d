"""The log, the store and the catalogue of admitted releases."""
