"""Study + source -> cohort: harmonised, checked, split by person."""
