"""Networks as arrays: which tensors a described network has, how they start, and what it says of a row.

No torch here, so that whoever holds a fitted network can use it and check it without.
"""
