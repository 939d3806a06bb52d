"""Neural networks and their training, on arrays: no files, no clock, no network. The only room that imports torch."""
