"""Is a corpus good for anything? Columns, pairs, relations, timelines, and what models learn from it."""
