"""A study over the road, from the hub's side: proposed, decided, run round by round into a journal, told, stopped."""
