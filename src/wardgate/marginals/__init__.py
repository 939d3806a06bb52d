"""Tables from noisy marginals: pure maths, used in a ward for its own corpus and at the hub for the joint one."""
