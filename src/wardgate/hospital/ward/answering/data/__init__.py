"""What a hospital asks of its own records: a check against a study, a profile, another form, a warehouse's SQL."""
