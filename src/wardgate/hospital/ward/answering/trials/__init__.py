"""The hospital asks its own gate about a candidate from anywhere: a corpus, a model, images, a table of aggregates."""
