"""Measures a candidate, asks the policy, signs: the one door."""
