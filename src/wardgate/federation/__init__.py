"""Drivers and answers joined: in one process, or ward by ward in processes without a network."""
