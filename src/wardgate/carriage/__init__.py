"""What both ends of the engine share: words, one process a folder, how a group of processes ends. No engine in it."""
