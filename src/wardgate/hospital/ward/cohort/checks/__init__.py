"""Checks of a hospital's records before a model is fitted: what would make it wrong fails, what limits it is said."""
