"""A hospital makes synthetic tables for itself: fit, draw, compare, rebalance. What is to leave asks the gate."""
