"""A cohort from a hospital's records: entries, rules, outcome and features as events of concept sets."""
